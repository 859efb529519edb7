//! The first process of a program's namespaces. It makes the root folder, starts the program, and
//! reaps the processes that the program leaves. When it ends, the kernel ends all of them.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::child::Order;
use crate::layers::Layer;
use crate::messages::Report;
use crate::program;
use crate::root;
use crate::sys::{self, Forked};

/// Starts the program, waits for its end, and reports it to the node.
pub(crate) fn main(order: &Order, temp: Option<&Path>, node: &UnixStream) -> ! {
    let status = match start(order, temp, node) {
        Ok(program) => reap_until(program),
        Err(error) => {
            Report::NotStarted(error.to_string()).send(node);
            sys::exit(1);
        }
    };
    Report::Ended(status).send(node);
    sys::exit(0)
}

fn start(order: &Order, temp: Option<&Path>, node: &UnixStream) -> io::Result<libc::pid_t> {
    // The launcher ends the program. If the launcher is killed, this process ends with it.
    sys::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as u64, 0)?;
    if order.layers.has(Layer::Mounts) {
        root::make(&order.policy, &order.program, &order.layers)
            .map_err(|error| io::Error::other(format!("the mount namespace: {error}")))?;
    }
    // The program runs as the same user, and must not read this process.
    sys::prctl(libc::PR_SET_DUMPABLE, 0, 0)?;
    match sys::fork()? {
        Forked::Parent(program) => Ok(program),
        Forked::Child => {
            let error = program::become_it(order, temp);
            Report::NotStarted(error.to_string()).send(node);
            sys::exit(1)
        }
    }
}

/// Reaps children until `program` has ended, and returns its status.
fn reap_until(program: libc::pid_t) -> i32 {
    loop {
        match sys::wait_any() {
            Some((ended, status)) if ended == program => return status,
            Some(_) => {}
            None => return libc::SIGKILL,
        }
    }
}
