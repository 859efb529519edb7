//! Crash points: steps at which a test may kill this process. Release builds have none.
//!
//! A test starts a process with `REMIT_CRASH=STEP:WHAT:N`. At its N-th passage of that point the
//! process kills itself, like a machine that loses power. The tests in `tests/tests/crash_points/`
//! list every point.

use std::str::FromStr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// A step between receiving a request and replying to it, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A request has arrived. Nothing is decided.
    Received,
    /// The outcome of the request is decided. Nothing is recorded.
    Decided,
    /// The events are with the journal, and not on disk.
    Appended,
    /// A batch is about to be appended to the log.
    Applied,
    /// A batch is with the operating system.
    Written,
    /// A batch is on the medium. Its writers do not know yet.
    Synced,
    /// The events are on disk. Nothing outside the process knows yet.
    Flushed,
    /// The call is on its way to the tool.
    Forwarded,
    /// The tool's ledger records that the call begins.
    Begun,
    /// The effect is done. The ledger does not record it yet.
    Done,
    /// The ledger records the outcome. Nothing else knows it.
    Recorded,
    /// The reply has left.
    Replied,
}

impl Step {
    /// Every step.
    pub const ALL: [Self; 12] = [
        Self::Received,
        Self::Decided,
        Self::Appended,
        Self::Applied,
        Self::Written,
        Self::Synced,
        Self::Flushed,
        Self::Forwarded,
        Self::Begun,
        Self::Done,
        Self::Recorded,
        Self::Replied,
    ];

    /// The name of the step in the text for [`arm`].
    pub const fn name(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Decided => "decided",
            Self::Appended => "appended",
            Self::Applied => "applied",
            Self::Written => "written",
            Self::Synced => "synced",
            Self::Flushed => "flushed",
            Self::Forwarded => "forwarded",
            Self::Begun => "begun",
            Self::Done => "done",
            Self::Recorded => "recorded",
            Self::Replied => "replied",
        }
    }
}

/// A text that names no crash point.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no crash point: it is STEP:WHAT:N, for example flushed:call-requested:1")]
pub struct NotAPoint(String);

/// The point at which this process kills itself.
#[derive(Debug)]
struct Armed {
    step: Step,
    what: String,
    left: AtomicU64,
}

impl FromStr for Armed {
    type Err = NotAPoint;

    fn from_str(text: &str) -> Result<Self, NotAPoint> {
        let refused = || NotAPoint(text.to_owned());
        let parts: Vec<&str> = text.split(':').collect();
        let [step, what, passage] = parts[..] else { return Err(refused()) };
        let step = Step::ALL.into_iter().find(|known| known.name() == step);
        let passage: u64 = passage.parse().map_err(|_| refused())?;
        if passage == 0 {
            return Err(refused());
        }
        let left = AtomicU64::new(passage);
        Ok(Self { step: step.ok_or_else(refused)?, what: what.to_owned(), left })
    }
}

static ARMED: OnceLock<Armed> = OnceLock::new();

/// Arms the crash point that `text` names. Once per process: a second call changes nothing. A
/// release build parses the text and does nothing else.
pub fn arm(text: &str) -> Result<(), NotAPoint> {
    let armed = text.parse()?;
    // Only the first point counts.
    let _first = ARMED.set(armed);
    Ok(())
}

/// A crash point: `what` has reached `step`.
#[inline]
pub fn point(step: Step, what: &str) {
    if cfg!(debug_assertions)
        && let Some(armed) = armed_for(step, what)
        && armed.left.fetch_sub(1, Ordering::Relaxed) == 1
    {
        die();
    }
}

/// As [`point`], but after the process has written what this turn of the event loop produced. Call
/// it inside a vat.
#[inline]
pub fn point_after_turn(step: Step, what: &'static str) {
    if cfg!(debug_assertions) && armed_for(step, what).is_some() {
        tokio::task::spawn_local(async move {
            // Time for the writer of the connection, which runs after this turn.
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            point(step, what);
        });
    }
}

fn armed_for(step: Step, what: &str) -> Option<&'static Armed> {
    ARMED.get().filter(|armed| armed.step == step && armed.what == what)
}

fn die() -> ! {
    let own = rustix::process::getpid();
    let _sent = rustix::process::kill_process(own, rustix::process::Signal::KILL);
    // Not reached: the process cannot survive this signal.
    std::process::abort()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_read_and_anything_else_is_refused() {
        let armed: Armed = "flushed:call-requested:3".parse().unwrap();
        assert_eq!(
            (armed.step, armed.what.as_str(), armed.left.into_inner()),
            (Step::Flushed, "call-requested", 3)
        );
        for wrong in ["", "flushed", "flushed:call", "flashed:call:1", "flushed:call:0", "a:b:c:1"]
        {
            assert!(wrong.parse::<Armed>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_step_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<_> = Step::ALL.map(Step::name).into();
        assert_eq!(names.len(), Step::ALL.len());
    }
}
