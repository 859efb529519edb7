//! The launcher: takes one order, makes the namespaces, and watches the program until its end.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::net::TcpListener;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;

use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::child::Order;
use crate::init;
use crate::layers::{Layer, Layers};
use crate::limits;
use crate::messages::{Report, Task, receive_files, send_files};
use crate::policy::{Network, PROXY};
use crate::sys::{self, Forked};
use crate::watch;

/// The first argument with which a node starts itself as a launcher.
pub const LAUNCH: &str = "confined-launch";

/// Serves as a launcher: reads one task from standard input, which is a socket, and carries it out.
/// The process must have one thread. Errors are reported over the socket.
pub fn launch() -> ExitCode {
    let Ok(node) = io::stdin().as_fd().try_clone_to_owned().map(UnixStream::from) else {
        return ExitCode::FAILURE;
    };
    match serve(&node) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            Report::NotStarted(error.to_string()).send(&node);
            ExitCode::FAILURE
        }
    }
}

fn serve(node: &UnixStream) -> io::Result<()> {
    let mut files = receive_files(node)?.1.into_iter();
    let task = files.next().ok_or(io::ErrorKind::UnexpectedEof)?;
    let mut text = Vec::new();
    File::from(task).take(limits::ORDER_BYTES).read_to_end(&mut text)?;
    match serde_json::from_slice(&text)? {
        Task::Probe => {
            Report::Layers(probe()).send(node);
            Ok(())
        }
        Task::Run(order) => {
            let stdin = files.next().ok_or(io::ErrorKind::UnexpectedEof)?;
            sys::make_stdin(&stdin)?;
            run(&order, node)
        }
    }
}

/// Runs a program, and everything that it starts, to its end.
fn run(order: &Order, node: &UnixStream) -> io::Result<()> {
    // Orphans of the program become children of this process, which then ends them.
    sys::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0)?;
    let temp = Temp::make(&order.layers)?;
    separate(order)?;
    if order.policy.network == Network::Node {
        // In the new network namespace: the socket is on the loopback of the program.
        let listener = TcpListener::bind(PROXY)?;
        send_files(node, &[&OwnedFd::from(listener)])?;
    }
    let init = match sys::fork()? {
        Forked::Child => init::main(order, temp.path(), node),
        Forked::Parent(pid) => pid,
    };
    // The program runs as the same user, and must not read this process.
    sys::prctl(libc::PR_SET_DUMPABLE, 0, 0)?;
    let reached = stand_by(order, init, node);
    watch::end_all(init);
    if let Some(why) = reached? {
        Report::Killed(why).send(node);
    }
    // The first report counts, so this one only counts for a program that was killed before it
    // reported.
    Report::Ended(libc::SIGKILL).send(node);
    Ok(())
}

/// Leaves the namespaces of the node for new ones. The new namespaces of processes and mounts begin
/// with the next fork.
fn separate(order: &Order) -> io::Result<()> {
    let layers = &order.layers;
    // An unprivileged process is refused, and keeps its groups. The files that these groups may
    // read are out of reach.
    let _unprivileged = sys::drop_groups();
    let failed = |layer: Layer| {
        move |error: io::Error| io::Error::other(format!("the {}: {error}", layer.name()))
    };
    if layers.has(Layer::Users) {
        new_user_namespace().map_err(failed(Layer::Users))?;
    }
    for (layer, flags) in [
        (Layer::Processes, libc::CLONE_NEWPID),
        (Layer::Ipc, libc::CLONE_NEWIPC | libc::CLONE_NEWUTS),
    ] {
        if layers.has(layer) {
            sys::unshare(flags).map_err(failed(layer))?;
        }
    }
    let network = order.policy.network;
    if network == Network::Node && !layers.has(Layer::Network) {
        return Err(failed(Layer::Network)(io::ErrorKind::Unsupported.into()));
    }
    if layers.has(Layer::Network) && network != Network::Host {
        sys::unshare(libc::CLONE_NEWNET).map_err(failed(Layer::Network))?;
        // Some kernels lack even the loopback device. The program then has no network at all.
        let _none = sys::loopback_up();
    }
    Ok(())
}

/// Enters a user namespace that maps this user to itself and no other user.
fn new_user_namespace() -> io::Result<()> {
    let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
    let (user, group) = (user.as_raw(), group.as_raw());
    sys::unshare(libc::CLONE_NEWUSER)?;
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("{user} {user} 1"))?;
    fs::write("/proc/self/gid_map", format!("{group} {group} 1"))
}

/// Waits until the program has ended or the node hangs up, or until a bound is exceeded. Returns
/// the exceeded bound in words.
fn stand_by(order: &Order, init: libc::pid_t, node: &UnixStream) -> io::Result<Option<String>> {
    let pid = Pid::from_raw(init).ok_or(io::ErrorKind::InvalidData)?;
    let ended = pidfd_open(pid, PidfdFlags::empty())?;
    loop {
        // The node sends nothing more, so a readable socket means that it hung up.
        if sys::readable(&[node.as_fd(), ended.as_fd()], limits::LOOK_EVERY)? {
            return Ok(None);
        }
        if let Some(why) = watch::Usage::of(std::process::id()).beyond(&order.policy.bounds) {
            return Ok(Some(why));
        }
    }
}

/// A temporary folder on disk, for machines on which a program cannot have a `/tmp` of its own.
/// Removed on drop.
struct Temp(Option<PathBuf>);

impl Temp {
    fn make(layers: &Layers) -> io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt as _;
        if layers.has(Layer::Mounts) {
            return Ok(Self(None));
        }
        let path = std::env::temp_dir().join(format!("remit-{}", std::process::id()));
        // A launcher that was killed may have left a folder of the same name.
        let _none = fs::remove_dir_all(&path);
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(Some(path.canonicalize()?)))
    }

    fn path(&self) -> Option<&std::path::Path> {
        self.0.as_deref()
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            // The program has ended, and no other process uses the folder.
            let _left = fs::remove_dir_all(path);
        }
    }
}

/// Probes which layers this machine has, each in a process of its own.
fn probe() -> Layers {
    let users = tried(new_user_namespace);
    let privileged = move || if users { new_user_namespace() } else { Ok(()) };
    let with = |flags: i32| tried(move || privileged().and_then(|()| sys::unshare(flags)));
    let landlock_abi = sys::landlock_abi().unwrap_or(0);
    let there = |layer: &Layer| match layer {
        Layer::Users => users,
        Layer::Mounts => tried(move || {
            privileged()?;
            sys::unshare(libc::CLONE_NEWNS)?;
            crate::root::try_out()
        }),
        Layer::Processes => with(libc::CLONE_NEWPID),
        Layer::Network => with(libc::CLONE_NEWNET),
        Layer::Ipc => with(libc::CLONE_NEWIPC | libc::CLONE_NEWUTS),
        Layer::Landlock => landlock_abi > 0,
        Layer::Seccomp => tried(|| {
            sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0)?;
            crate::calls::restrict(&Layers::default(), Network::None)
        }),
    };
    let layers = Layer::ALL.into_iter().filter(there).collect();
    Layers { layers, landlock_abi }
}

/// Whether `what` succeeds in a child process, which ends afterwards.
fn tried(what: impl FnOnce() -> io::Result<()>) -> bool {
    match sys::fork() {
        Ok(Forked::Child) => sys::exit(i32::from(what().is_err())),
        Ok(Forked::Parent(_)) => sys::wait_any().is_some_and(|(_, status)| status == 0),
        Err(_) => false,
    }
}
