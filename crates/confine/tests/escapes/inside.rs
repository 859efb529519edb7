//! The program that runs inside: it tries one thing by name, or every escape.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr as Internet, TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

type Tried = io::Result<()>;

/// The name of an escape, and its attempt.
type Escape = (&'static str, fn() -> Tried);

pub(crate) fn main(what: &str) -> ExitCode {
    let done = match what {
        "escapes" => return escapes(),
        "connect" => connect(),
        "capabilities" => no_capabilities(),
        "forks" => forks(),
        "memory" => memory(),
        "large file" => write_to(&outside("folder").join("large")),
        "temporary" => write_to(&PathBuf::from("/tmp/large")),
        "leave" => leave(),
        other => panic!("{other}"),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "what surrounds it is told in its environment")]
fn told(name: &str) -> String {
    std::env::var(name).unwrap()
}

/// A path outside, or the folder itself.
fn outside(name: &str) -> PathBuf {
    if name == "folder" { told("FOLDER").into() } else { PathBuf::from(told("OUTSIDE")).join(name) }
}

/// All escapes, by name. The last ones may end this process.
fn all() -> Vec<Escape> {
    let mut all: Vec<Escape> = vec![
        ("read a key", || File::open(outside("key")).map(drop)),
        ("read /etc/shadow", || File::open("/etc/shadow").map(drop)),
        ("list a folder outside", || fs::read_dir(outside("")).map(drop)),
        ("write outside", || File::create(outside("new")).map(drop)),
        ("append outside", || OpenOptions::new().append(true).open(outside("key")).map(drop)),
        ("remove outside", || fs::remove_file(outside("removed"))),
        ("follow a planted link", || File::open(outside("folder").join("planted")).map(drop)),
        ("link a key into the folder", || {
            let to = outside("folder").join("hard");
            fs::hard_link(outside("key"), &to)?;
            File::open(to).map(drop)
        }),
        ("move a file out", || {
            let from = outside("folder").join("mine");
            fs::write(&from, "x")?;
            fs::rename(&from, outside("mine"))
        }),
        ("read the raw disk", raw_disk),
        ("make a device", make_device),
        ("change the kernel", || {
            OpenOptions::new().write(true).open("/proc/sys/kernel/core_pattern").map(drop)
        }),
    ];
    all.extend(processes());
    all.extend(sockets());
    all.extend(kernel());
    all
}

fn processes() -> Vec<Escape> {
    vec![
        ("read what another process was told", || {
            File::open(format!("/proc/{}/environ", neighbour())).map(drop)
        }),
        ("read what the node was told", || {
            File::open(format!("/proc/{}/environ", told("NODE"))).map(drop)
        }),
        ("read what its parent was told", || {
            let mut text = Vec::new();
            let parent = std::os::unix::process::parent_id();
            File::open(format!("/proc/{parent}/environ"))?.read_to_end(&mut text).map(drop)
        }),
        ("look through its parent's files", || {
            let parent = std::os::unix::process::parent_id();
            File::open(format!("/proc/{parent}/fd/0")).map(drop)
        }),
        ("see another process", || fs::metadata(format!("/proc/{}", neighbour())).map(drop)),
        ("trace another process", || {
            call([libc::SYS_ptrace, libc::PTRACE_SEIZE.into(), neighbour(), 0, 0, 0])
        }),
        ("trace its parent", || {
            let parent = i64::from(std::os::unix::process::parent_id());
            call([libc::SYS_ptrace, libc::PTRACE_SEIZE.into(), parent, 0, 0, 0])
        }),
        ("read another process's memory", || {
            call([libc::SYS_process_vm_readv, neighbour(), 0, 0, 0, 0])
        }),
        ("signal another process", || call([libc::SYS_kill, neighbour(), 0, 0, 0, 0])),
        ("signal the node", || call([libc::SYS_kill, told("NODE").parse().unwrap(), 0, 0, 0, 0])),
        ("slow another process down", || call([libc::SYS_setpriority, 0, neighbour(), 19, 0, 0])),
        ("keep a file that was not given", || {
            let open = |fd: &i32| {
                // SAFETY: it reads the flags of a number, open or not.
                unsafe { libc::fcntl(*fd, libc::F_GETFD) >= 0 }
            };
            let kept: Vec<_> = (3..256).filter(open).collect();
            if kept.is_empty() { Err(io::Error::other("there is none")) } else { Ok(()) }
        }),
        ("have a capability", || match no_capabilities() {
            Ok(()) => Err(io::Error::other("none")),
            Err(_) => Ok(()),
        }),
        ("get one from a set-user-id program", || {
            let own = "/proc/self/exe";
            let run = Command::new(own).args(["inside", "capabilities"]).output()?;
            if run.status.success() { Err(io::Error::other("none")) } else { Ok(()) }
        }),
    ]
}

fn sockets() -> Vec<Escape> {
    vec![
        ("connect to this machine", connect),
        ("connect to another machine", || {
            let far = Internet::from(([192, 0, 2, 1], 9));
            match TcpStream::connect_timeout(&far, Duration::from_millis(200)) {
                Err(error) if error.kind() == io::ErrorKind::TimedOut => Ok(()),
                other => other.map(drop),
            }
        }),
        ("send a datagram", || {
            UdpSocket::bind("0.0.0.0:0")?.send_to(b"x", ("192.0.2.1", 9)).map(drop)
        }),
        ("connect to a Unix socket", || UnixStream::connect(outside("socket")).map(drop)),
        ("connect to an abstract Unix socket", || {
            let address = SocketAddr::from_abstract_name(told("ABSTRACT"))?;
            UnixStream::connect_addr(&address).map(drop)
        }),
        ("make a socket of another family", || {
            let usual = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];
            let others = (0..64).filter(|family| !usual.contains(family));
            let kinds = [libc::SOCK_STREAM, libc::SOCK_DGRAM, libc::SOCK_RAW, libc::SOCK_SEQPACKET];
            let made = others
                .flat_map(|family| kinds.map(|kind| (family, kind)))
                .find_map(|(family, kind)| socket(family, kind, 0).ok().map(|()| family));
            made.map_or_else(|| Err(last("each is refused")), |_| Ok(()))
        }),
        ("ask the kernel over netlink", || {
            let others = (1..32).filter(|protocol| *protocol != libc::NETLINK_ROUTE);
            let made = others.map(|protocol| socket(libc::AF_NETLINK, libc::SOCK_RAW, protocol));
            made.into_iter().find(Result::is_ok).unwrap_or_else(|| Err(last("each is refused")))
        }),
        ("make a raw socket", || socket(libc::AF_INET, libc::SOCK_RAW, 1)),
    ]
}

fn kernel() -> Vec<Escape> {
    vec![
        ("make a user namespace", || {
            call([libc::SYS_unshare, libc::CLONE_NEWUSER.into(), 0, 0, 0, 0])
        }),
        ("mount", || {
            let (none, at) = (c"tmpfs".as_ptr() as i64, c"/tmp".as_ptr() as i64);
            call([libc::SYS_mount, none, at, none, 0, 0])
        }),
        ("change the root", || call([libc::SYS_chroot, c"/".as_ptr() as i64, 0, 0, 0, 0])),
        ("use the keys of the kernel", || call([libc::SYS_keyctl, 0, -3, 0, 0, 0])),
        ("load a program into the kernel", || call([libc::SYS_bpf, 0, 0, 0, 0, 0])),
        ("queue calls past the filter", || call([libc::SYS_io_uring_setup, 1, 0, 0, 0, 0])),
        ("count what the machine does", || call([libc::SYS_perf_event_open, 0, 0, -1, -1, 0])),
        ("open a file by its handle", || call([libc::SYS_open_by_handle_at, 0, 0, 0, 0, 0])),
        ("type into a terminal", || {
            let request = i64::try_from(libc::TIOCSTI).unwrap();
            call([libc::SYS_ioctl, 0, request, c"x".as_ptr() as i64, 0, 0])
        }),
        ("set the clock", || call([libc::SYS_clock_settime, 0, 0, 0, 0, 0])),
        ("restart the machine", || call([libc::SYS_reboot, 0, 0, 0, 0, 0])),
        #[cfg(target_arch = "x86_64")]
        ("ask by another number", || call([0x4000_0000 | libc::SYS_getpid, 0, 0, 0, 0, 0])),
    ]
}

fn escapes() -> ExitCode {
    for (name, attempt) in all() {
        let line = match attempt() {
            Ok(()) => format!("{name}\tit succeeded\n"),
            Err(error) => format!("{name}\t{}\n", error.to_string().replace(['\n', '\t'], " ")),
        };
        io::stdout().write_all(line.as_bytes()).unwrap();
    }
    ExitCode::SUCCESS
}

fn neighbour() -> i64 {
    told("NEIGHBOUR").parse().unwrap()
}

fn gone() -> io::Error {
    io::ErrorKind::NotFound.into()
}

fn last(what: &str) -> io::Error {
    io::Error::other(what.to_owned())
}

/// A system call by its number. If it fails because its arguments make no sense, the filter let it
/// through.
fn call([number, one, two, three, four, five]: [i64; 6]) -> Tried {
    // SAFETY: none of the calls here writes to memory of this process.
    let answer = unsafe { libc::syscall(number, one, two, three, four, five) };
    let error = io::Error::last_os_error();
    let nonsense = [libc::EFAULT, libc::EINVAL, libc::EBADF, libc::ENOTTY];
    if answer >= 0 || error.raw_os_error().is_some_and(|errno| nonsense.contains(&errno)) {
        return Ok(());
    }
    Err(error)
}

fn socket(family: i32, kind: i32, protocol: i32) -> Tried {
    // SAFETY: it takes numbers. The file closes with this process.
    let made = unsafe { libc::socket(family, kind, protocol) };
    if made >= 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn connect() -> Tried {
    let address = Internet::from(([127, 0, 0, 1], told("PORT").parse().unwrap()));
    TcpStream::connect(address).map(drop)
}

fn no_capabilities() -> Tried {
    let status = fs::read_to_string("/proc/self/status")?;
    let has = |line: &&str| line.starts_with("CapEff") || line.starts_with("CapBnd");
    let none = |line: &str| {
        line.split_whitespace().nth(1).is_some_and(|set| set.trim_start_matches('0').is_empty())
    };
    if status.lines().filter(has).all(none) { Ok(()) } else { Err(last("it has some")) }
}

/// Opens any disk that this machine has.
fn raw_disk() -> Tried {
    let disks = ["/dev/vda", "/dev/sda", "/dev/nvme0n1", "/dev/mem", "/dev/kmsg", "/dev/fuse"];
    disks.iter().find_map(|disk| File::open(disk).ok()).map(drop).ok_or_else(gone)
}

fn make_device() -> Tried {
    let path = outside("folder").join("device");
    let name = CString::new(path.to_str().unwrap()).unwrap();
    // SAFETY: the name outlives the call.
    if unsafe { libc::mknod(name.as_ptr(), libc::S_IFCHR | 0o600, libc::makedev(1, 1)) } != 0 {
        return Err(io::Error::last_os_error());
    }
    File::open(path).map(drop)
}

/// Forks until it is killed or refused many times. Each child does the same.
fn forks() -> Tried {
    const REFUSALS: u32 = 500;
    let mut refused = 0;
    while refused < REFUSALS {
        // SAFETY: it has one thread.
        if unsafe { libc::fork() } < 0 {
            refused += 1;
            std::thread::yield_now();
        }
    }
    Err(io::Error::last_os_error())
}

/// Allocates memory without end, and uses it.
fn memory() -> Tried {
    let mut taken = Vec::new();
    loop {
        let mut more = Vec::new();
        more.try_reserve_exact(1 << 20).map_err(io::Error::other)?;
        more.resize(1 << 20, 1_u8);
        taken.push(more);
    }
}

fn write_to(path: &std::path::Path) -> Tried {
    let mut file = File::create(path)?;
    let piece = vec![1; 1 << 20];
    loop {
        file.write_all(&piece)?;
    }
}

/// Leaves behind a process that has a session of its own and holds a lock.
fn leave() -> Tried {
    let lock = File::create(outside("folder").join("lock"))?;
    lock.lock()?;
    for _ in 0..2 {
        // SAFETY: it has one thread.
        match unsafe { libc::fork() } {
            -1 => return Err(io::Error::last_os_error()),
            0 => {
                // SAFETY: it takes nothing.
                let _leader = unsafe { libc::setsid() };
            }
            _ => return Ok(()),
        }
    }
    // A daemon closes its output: an open pipe would keep the caller reading.
    // SAFETY: nothing here writes any more.
    unsafe { libc::close(1) };
    // SAFETY: as above.
    unsafe { libc::close(2) };
    fs::write(outside("folder").join("left"), std::process::id().to_string())?;
    loop {
        // SAFETY: it takes nothing, and returns only for a signal.
        unsafe { libc::pause() };
    }
}
