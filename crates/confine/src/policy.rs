//! What a program may reach.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::limits;

/// What a program may reach beside what [`SYSTEM`] names. Paths are absolute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Folders and files that it may read, change and execute.
    pub write: Vec<PathBuf>,
    /// Folders and files that it may read and execute.
    pub read: Vec<PathBuf>,
    /// Folders below those that do not exist for it. They need [`Layer::Mounts`](crate::Layer).
    pub hidden: Vec<PathBuf>,
    /// Whom it may talk to.
    pub network: Network,
    /// What it may use.
    pub bounds: Bounds,
}

/// Whom a program may talk to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// Its own processes, over a loopback of its own.
    #[default]
    None,
    /// Everyone whom this machine can reach.
    Host,
    /// Its own processes, and the node at [`PROXY`], which takes what connects there
    /// ([`Child::listener`](crate::Child::listener)). It needs [`Layer::Network`](crate::Layer).
    Node,
}

/// Where a program with [`Network::Node`] finds its node, on its own loopback.
pub const PROXY: (std::net::Ipv4Addr, u16) = (std::net::Ipv4Addr::LOCALHOST, 3128);

/// What a program with all that it starts may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Bounds {
    /// Memory, in bytes, without that of the temporary folder.
    pub memory_bytes: u64,
    /// Processes and threads at once.
    pub processes: u64,
    /// Files that one process has open.
    pub open_files: u64,
    /// Bytes of one file.
    pub file_bytes: u64,
    /// Bytes written to disk, rewritten ones counted again.
    pub written_bytes: u64,
    /// Bytes of the temporary folder.
    pub temp_bytes: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            memory_bytes: limits::MEMORY_BYTES,
            processes: limits::PROCESSES,
            open_files: limits::OPEN_FILES,
            file_bytes: limits::FILE_BYTES,
            written_bytes: limits::WRITTEN_BYTES,
            temp_bytes: limits::TEMP_BYTES,
        }
    }
}

impl Policy {
    /// A program that works in `folder`, without the network.
    pub fn in_folder(folder: &Path) -> Self {
        Self {
            write: vec![folder.to_owned()],
            read: Vec::new(),
            hidden: Vec::new(),
            network: Network::None,
            bounds: Bounds::default(),
        }
    }

    /// Every place that the program may reach and that is there.
    pub(crate) fn places(&self) -> Vec<Place> {
        let system = SYSTEM.iter().map(|path| (PathBuf::from(path), Access::Read));
        let devices = DEVICES.iter().map(|path| (PathBuf::from(path), Access::Device));
        let resolver: &[&str] = if self.network == Network::Host { &RESOLVER } else { &[] };
        let resolver = resolver.iter().map(|path| (PathBuf::from(path), Access::Read));
        let read = self.read.iter().map(|path| (path.clone(), Access::Read));
        let write = self.write.iter().map(|path| (path.clone(), Access::Write));
        system
            .chain(devices)
            .chain(resolver)
            .chain(read)
            .chain(write)
            .filter_map(|(path, access)| {
                let real = path.canonicalize().ok()?;
                Some(Place { path, real, access })
            })
            .collect()
    }
}

/// A place that a program may reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// As it was named.
    pub(crate) path: PathBuf,
    /// Without links in it.
    pub(crate) real: PathBuf,
    pub(crate) access: Access,
}

/// What a program may do at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Access {
    Read,
    Device,
    Write,
}

/// What programs need of the system: code, and files in `/etc` that all users may read and that hold
/// no secret. To read and to execute. Paths that do not exist are left out.
pub(crate) const SYSTEM: [&str; 42] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/nix/store",
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/ca-certificates.conf",
    "/etc/crypto-policies",
    "/etc/debian_version",
    "/etc/fonts",
    "/etc/group",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/inputrc",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/locale.alias",
    "/etc/locale.conf",
    "/etc/localtime",
    "/etc/lsb-release",
    "/etc/magic",
    "/etc/mime.types",
    "/etc/nsswitch.conf",
    "/etc/os-release",
    "/etc/passwd",
    "/etc/pki/ca-trust",
    "/etc/pki/tls/certs",
    "/etc/protocols",
    "/etc/python3",
    "/etc/rpc",
    "/etc/services",
    "/etc/shells",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/terminfo",
    "/etc/timezone",
    "/sys/devices/system/cpu",
];

/// What names are resolved with. To read, for programs with a network.
const RESOLVER: [&str; 2] = ["/etc/resolv.conf", "/etc/gai.conf"];

/// Devices without state, to read and to write.
const DEVICES: [&str; 5] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];

/// Files of `/proc` about the machine, for programs that have no `/proc` of their own.
pub(crate) const MACHINE: [&str; 9] = [
    "/proc/cpuinfo",
    "/proc/filesystems",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/sys/kernel",
    "/proc/sys/vm",
    "/proc/uptime",
    "/proc/version",
];
