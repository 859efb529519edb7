//! The policy of a program: the files, network and resources that it may use.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::limits;

/// The files and resources that a program may use, beside the places in [`SYSTEM`]. Paths are
/// absolute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Folders and files that the program may read, change and execute.
    pub write: Vec<PathBuf>,
    /// Folders and files that it may read and execute.
    pub read: Vec<PathBuf>,
    /// Folders below those that the program does not see. They need
    /// [`Layer::Mounts`](crate::Layer).
    pub hidden: Vec<PathBuf>,
    /// The network that it may reach.
    pub network: Network,
    /// The bounds on its resources.
    pub bounds: Bounds,
}

/// The network that a program may reach.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// Only its own processes, over a loopback of its own.
    #[default]
    None,
    /// Every address that this machine can reach.
    Host,
    /// Its own processes, and the node at [`PROXY`], which accepts the connections
    /// ([`Child::listener`](crate::Child::listener)). It needs [`Layer::Network`](crate::Layer).
    Node,
}

/// The address of the node for a program with [`Network::Node`], on the program's own loopback.
pub const PROXY: (std::net::Ipv4Addr, u16) = (std::net::Ipv4Addr::LOCALHOST, 3128);

/// The bounds on a program with everything that it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Bounds {
    /// Memory, in bytes, without that of the temporary folder.
    pub memory_bytes: u64,
    /// Processes and threads at once.
    pub processes: u64,
    /// Open files of one process.
    pub open_files: u64,
    /// Bytes of one file.
    pub file_bytes: u64,
    /// Bytes written to disk. Rewritten bytes count again.
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
    /// The policy of a program that works in `folder`, without the network.
    pub fn in_folder(folder: &Path) -> Self {
        Self {
            write: vec![folder.to_owned()],
            read: Vec::new(),
            hidden: Vec::new(),
            network: Network::None,
            bounds: Bounds::default(),
        }
    }

    /// All places that the program may reach and that exist.
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

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// The path as it was named.
    pub(crate) path: PathBuf,
    /// The path without links in it.
    pub(crate) real: PathBuf,
    pub(crate) access: Access,
}

/// The access of a program to a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Access {
    Read,
    Device,
    Write,
}

/// Places of the system that programs need: code, and files in `/etc` that all users may read and
/// that hold no secret. Programs may read and execute them. Paths that do not exist are skipped.
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

/// Files for resolving names. Programs with a network may read them.
const RESOLVER: [&str; 2] = ["/etc/resolv.conf", "/etc/gai.conf"];

/// Devices without state. Programs may read and write them.
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
