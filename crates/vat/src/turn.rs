//! Turns: how long the work of one connection keeps all others on its vat waiting.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::limits::LONGEST_TURN;

/// Of the whole process, as a metric is.
static LONG: AtomicU64 = AtomicU64::new(0);
static LONGEST_US: AtomicU64 = AtomicU64::new(0);
static PANICS: AtomicU64 = AtomicU64::new(0);

/// What was counted since the process began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// Turns that took longer than [`LONGEST_TURN`].
    pub long: u64,
    /// The longest turn.
    pub longest: Duration,
    /// Connections that ended because a method panicked.
    pub panics: u64,
}

/// What was counted since the process began.
pub fn counted() -> Counted {
    Counted {
        long: LONG.load(Ordering::Relaxed),
        longest: Duration::from_micros(LONGEST_US.load(Ordering::Relaxed)),
        panics: PANICS.load(Ordering::Relaxed),
    }
}

pub(crate) fn note_panic() {
    PANICS.fetch_add(1, Ordering::Relaxed);
}

/// Work whose turns are measured.
pub(crate) struct Timed<F> {
    peer: String,
    work: Pin<Box<F>>,
}

impl<F: Future> Timed<F> {
    /// `peer` is who it is done for.
    pub(crate) fn new(peer: String, work: F) -> Self {
        Self { peer, work: Box::pin(work) }
    }
}

impl<F: Future> Future for Timed<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let began = Instant::now();
        let polled = self.work.as_mut().poll(cx);
        let took = began.elapsed();
        if took > LONGEST_TURN {
            let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
            LONG.fetch_add(1, Ordering::Relaxed);
            // Each longer one than all before is worth a line; the others are only counted.
            if LONGEST_US.fetch_max(micros, Ordering::Relaxed) < micros {
                tracing::warn!(peer = self.peer, ?took, "one connection's turn took long");
            }
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_long_turn_is_counted() {
        let before = counted().long;
        let work = async {
            let until = Instant::now() + 2 * LONGEST_TURN;
            while Instant::now() < until {}
        };
        Timed::new("one".into(), work).await;
        assert!(counted().long > before && counted().longest > LONGEST_TURN);
    }
}
