//! The last steps of a process before it becomes the program: it gives up its privileges.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use rustix::process::{Resource, Rlimit, setrlimit};

use crate::child::Order;
use crate::layers::Layer;
use crate::policy::Bounds;
use crate::{calls, paths, sys};

/// Becomes the program. Returns only on failure.
pub(crate) fn become_it(order: &Order, temp: Option<&Path>) -> io::Error {
    let mut command = Command::new(&order.program);
    command.args(&order.args).env_clear().envs(&order.env);
    if let Some(temp) = temp {
        command.env("TMPDIR", temp);
    }
    match give_up(order, temp) {
        Ok(()) => command.exec(),
        Err(error) => error,
    }
}

fn give_up(order: &Order, temp: Option<&Path>) -> io::Result<()> {
    let failed =
        |what: &'static str| move |error: io::Error| io::Error::other(format!("{what}: {error}"));
    sys::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as u64, 0)?;
    sys::setsid()?;
    // The program has its standard streams only. The socket to the node closes on `exec`.
    sys::close_on_exec_from(3).map_err(failed("closing files"))?;
    enter(order)?;
    limit(&order.policy.bounds).map_err(failed("limits"))?;
    sys::drop_capabilities().map_err(failed("capabilities"))?;
    sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0)?;
    if order.layers.has(Layer::Landlock) {
        paths::restrict(order, temp).map_err(failed("landlock"))?;
    }
    if order.layers.has(Layer::Seccomp) {
        calls::restrict(&order.layers, order.policy.network).map_err(failed("seccomp"))?;
    }
    Ok(())
}

/// Enters the folder that the program starts in, if it is still the same folder.
fn enter(order: &Order) -> io::Result<()> {
    let dir = order.dir.display();
    std::env::set_current_dir(&order.dir)
        .map_err(|error| io::Error::other(format!("the folder {dir}: {error}")))?;
    let here = fs::metadata(".")?;
    if (here.dev(), here.ino()) == order.dir_id {
        return Ok(());
    }
    Err(io::Error::other(format!("the folder {dir} was replaced while the program was started")))
}

fn limit(bounds: &Bounds) -> io::Result<()> {
    for (resource, most) in [
        (Resource::Core, 0),
        // Not the address space, of which runtimes reserve far more than they use.
        (Resource::Data, bounds.memory_bytes),
        (Resource::Fsize, bounds.file_bytes),
        (Resource::Nofile, bounds.open_files),
        (Resource::Nproc, bounds.processes),
    ] {
        let now = rustix::process::getrlimit(resource).maximum;
        let most = now.map_or(most, |now| now.min(most));
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
    }
    Ok(())
}
