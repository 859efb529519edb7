//! What all nodes share: when they end, and how they say that they are ready.

use std::future::Future;

use clap::Args;
use tokio::io::AsyncReadExt as _;
use tokio::signal::unix::{SignalKind, signal};

use crate::fault::{Fault, doing};
use crate::show::out;

/// When a node ends.
#[derive(Debug, Args)]
pub(super) struct Ending {
    /// End when standard input closes, as it does when the process that started this one is gone
    #[arg(long)]
    until_stdin_closes: bool,
}

impl Ending {
    /// Answers when the node is to end: told by a signal, or left alone by its parent.
    pub(super) fn comes(&self) -> Result<impl Future<Output = ()> + use<>, Fault> {
        let listen = |kind| signal(kind).map_err(doing("signals cannot be listened to"));
        let mut interrupt = listen(SignalKind::interrupt())?;
        let mut terminate = listen(SignalKind::terminate())?;
        // A file that may not grow is an error of the write, as a full disk is, and not of the
        // process: listening once is enough to outlive it.
        let _heard = listen(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?;
        let watched = self.until_stdin_closes;
        Ok(async move {
            let left_alone = async {
                if watched {
                    closed().await;
                } else {
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                biased;
                _ = interrupt.recv() => tracing::info!("interrupted: ending"),
                _ = terminate.recv() => tracing::info!("told to end"),
                () = left_alone => tracing::info!("the parent is gone: ending"),
            }
        })
    }
}

/// Answers when standard input closes.
async fn closed() {
    let mut stdin = tokio::io::stdin();
    let mut ignored = [0; 64];
    while !matches!(stdin.read(&mut ignored).await, Ok(0) | Err(_)) {}
}

/// Says on standard output that the node is ready; the last word is `what` it is ready for.
pub(super) fn ready(role: &str, what: &str) {
    // A node whose output nobody reads serves all the same.
    let _ = out::line(&format!("remit {role} ready {what}"));
}
