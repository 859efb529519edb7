//! Turns: how long one poll of a task delays all other tasks on its vat.
//!
//! All work on a vat is started by [`spawn`] or wrapped by [`timed`], so that its turns are
//! measured.

use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use crate::limits::LONGEST_TURN;

/// A turn that other tasks notice as a delay.
const NOTICED: Duration = Duration::from_millis(200);

/// The counters cover the whole process, as a metric does. Relaxed access is enough: they are
/// independent of each other and of everything else.
static LONG: AtomicU64 = AtomicU64::new(0);
static LONGEST_US: AtomicU64 = AtomicU64::new(0);
static PANICS: AtomicU64 = AtomicU64::new(0);
static CUT_OFF: AtomicU64 = AtomicU64::new(0);

/// Counters since the process began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// Turns that took longer than [`LONGEST_TURN`].
    pub long: u64,
    /// The longest turn.
    pub longest: Duration,
    /// Connections that ended because a method panicked.
    pub panics: u64,
    /// Connections that ended because the peer exceeded a bound.
    pub cut_off: u64,
}

/// Reads the counters.
pub fn counted() -> Counted {
    Counted {
        long: LONG.load(Ordering::Relaxed),
        longest: Duration::from_micros(LONGEST_US.load(Ordering::Relaxed)),
        panics: PANICS.load(Ordering::Relaxed),
        cut_off: CUT_OFF.load(Ordering::Relaxed),
    }
}

pub(crate) fn note_cut_off() {
    CUT_OFF.fetch_add(1, Ordering::Relaxed);
}

pub(crate) fn note_panic() {
    PANICS.fetch_add(1, Ordering::Relaxed);
}

/// Work whose turns are measured.
#[derive(Debug)]
pub struct Timed<F> {
    what: Cow<'static, str>,
    work: Pin<Box<F>>,
}

/// Wraps `work` so that its turns are measured. In logs, `what` names the work or its client.
pub fn timed<F: Future>(what: impl Into<Cow<'static, str>>, work: F) -> Timed<F> {
    Timed { what: what.into(), work: Box::pin(work) }
}

/// Runs `work` on this vat, in a task of its own whose turns are measured.
pub fn spawn<F>(what: impl Into<Cow<'static, str>>, work: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    tokio::task::spawn_local(timed(what, work))
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
            // Only a new longest turn gets a line. The others are counted.
            if LONGEST_US.fetch_max(micros, Ordering::Relaxed) < micros {
                // A shorter one, such as the first turn of a start, needs no attention, so it is no
                // warning.
                if took > NOTICED {
                    tracing::warn!(work = &*self.what, ?took, "a turn of the vat took long");
                } else {
                    tracing::info!(work = &*self.what, ?took, "a turn of the vat took over 10 ms");
                }
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
        timed("one", work).await;
        assert!(counted().long > before && counted().longest > LONGEST_TURN);
    }
}
