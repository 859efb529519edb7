//! Attacks by a stranger, which has no certificate.

use std::collections::VecDeque;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use tokio::net::TcpStream;

use super::{Backends, Stage};

/// Connections held open at once.
const HELD: usize = 300;

/// Connections opened every 20 ms.
const FRESH: usize = 30;

/// Opens connections and sends nothing. The oldest ones are closed and new ones opened.
pub fn silent(backends: Backends, stage: Stage) -> LocalBoxFuture<'static, ()> {
    async move {
        let flood = tokio::task::spawn_local(async move {
            let mut held = VecDeque::new();
            loop {
                for _ in 0..FRESH {
                    held.extend(TcpStream::connect(&backends.address).await);
                }
                held.drain(..held.len().saturating_sub(HELD));
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        let flood = tokio_util::task::AbortOnDropHandle::new(flood);
        tokio::time::sleep(Duration::from_millis(500)).await;
        stage.hold(format!("{HELD} held, 1,500 a second made anew"), true).await;
        drop(flood);
    }
    .boxed_local()
}
