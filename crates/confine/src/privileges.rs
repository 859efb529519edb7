//! The privileges that a process of the mesh gives up when it starts, before it has a second
//! thread.

use std::io;

use crate::{Launcher, Layer, sys};

/// The duty of a process, which decides the privileges that it keeps if it was started with some,
/// as root is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    /// A person's command. It keeps all privileges, but other processes cannot read it.
    Command,
    /// Listens, perhaps at a port below 1024, and writes its own folder.
    Orchestrator,
    /// Starts workers, which need no privileges.
    AgentNode,
    /// Reads and writes the folders that it serves, and starts launchers.
    ToolNode,
}

/// Numbers of capabilities in the kernel.
const DAC_OVERRIDE: u32 = 1;
const FOWNER: u32 = 3;
const SETGID: u32 = 6;
const SETPCAP: u32 = 8;
const NET_BIND_SERVICE: u32 = 10;
const SYS_ADMIN: u32 = 21;
const SETFCAP: u32 = 31;

/// Closes this process to others of the same user: no tracing, no reading of its memory,
/// environment or open files, and no core dump. Then gives up, for itself and everything that it
/// starts, the privileges that `duty` does not need: capabilities, supplementary groups, and, in
/// nodes, those of set-user-id programs. An orchestrator keeps the last, since a program of its
/// operator may need them.
///
/// # Errors
/// The kernel refuses a step, or the launcher of a tool node cannot be started.
pub fn give_up(duty: Duty) -> io::Result<()> {
    sys::prctl(libc::PR_SET_DUMPABLE, 0, 0)?;
    if duty == Duty::Command {
        return Ok(());
    }
    let kept = match duty {
        Duty::Command | Duty::AgentNode => 0,
        Duty::Orchestrator => 1 << NET_BIND_SERVICE,
        Duty::ToolNode => tool_node()?,
    };
    // An unprivileged process is refused, and keeps its groups.
    let _unprivileged = sys::drop_groups();
    sys::keep_capabilities(kept)?;
    if duty == Duty::Orchestrator {
        return Ok(());
    }
    sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0)
}

/// A tool node uses folders of other users as root does, and starts launchers, which map root into
/// a user namespace (`SETFCAP`), and give up groups and capabilities. Without user namespaces a
/// launcher needs `SYS_ADMIN`.
fn tool_node() -> io::Result<u64> {
    let kept = 1 << DAC_OVERRIDE | 1 << FOWNER | 1 << SETGID | 1 << SETPCAP | 1 << SETFCAP;
    if !rustix::process::geteuid().is_root() || Launcher::own().probe()?.has(Layer::Users) {
        return Ok(kept);
    }
    Ok(kept | 1 << SYS_ADMIN)
}
