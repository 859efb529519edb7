//! What a process of the mesh gives up when it starts, before it has a second thread.

use std::io;

use crate::{Launcher, Layer, sys};

/// What a process goes on to do, and keeps privileges for if it was started with some, as root is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    /// A person's command: it keeps all, and none can look into it.
    Command,
    /// It listens, perhaps at a port below 1024, and writes its own folder.
    Orchestrator,
    /// It starts workers, which need nothing.
    AgentNode,
    /// It reads and writes the folders that it serves, and starts launchers.
    ToolNode,
}

/// Numbers of capabilities, as the kernel has them.
const DAC_OVERRIDE: u32 = 1;
const FOWNER: u32 = 3;
const SETGID: u32 = 6;
const SETPCAP: u32 = 8;
const NET_BIND_SERVICE: u32 = 10;
const SYS_ADMIN: u32 = 21;
const SETFCAP: u32 = 31;

/// Closes this process to others of the same user (no tracing, no reading of its memory, environment
/// or open files, no core dump), and gives up, for itself and all that it starts, what `duty` does not
/// need: capabilities, supplementary groups, and, in nodes, what set-user-id programs would give.
/// An orchestrator keeps the last, since a program of its operator's may need it.
///
/// # Errors
/// The kernel refuses it, or the launcher of a tool node cannot be started.
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
    // Without privileges it is refused, and the groups stay.
    let _unprivileged = sys::drop_groups();
    sys::keep_capabilities(kept)?;
    if duty == Duty::Orchestrator {
        return Ok(());
    }
    sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0)
}

/// To use folders of other users as root does, and to start launchers, which map root into a user
/// namespace (`SETFCAP`), and give up groups and capabilities. Without user namespaces a launcher needs `SYS_ADMIN`.
fn tool_node() -> io::Result<u64> {
    let kept = 1 << DAC_OVERRIDE | 1 << FOWNER | 1 << SETGID | 1 << SETPCAP | 1 << SETFCAP;
    if !rustix::process::geteuid().is_root() || Launcher::own().probe()?.has(Layer::Users) {
        return Ok(kept);
    }
    Ok(kept | 1 << SYS_ADMIN)
}
