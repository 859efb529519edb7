//! Faults that tests inject into a store, step by step.

#[cfg(any(test, feature = "faults"))]
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A step of a commit, and of the checkpoint after it, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing is written yet.
    Apply,
    /// Half of the batch is with the operating system: a write that was torn.
    Flush,
    /// The batch is with the operating system, and perhaps not on the medium.
    Sync,
    /// Commits of a checkpoint are with the storage engine, and perhaps partly on disk.
    Checkpoint,
}

/// A handle on the faults of one store. Clones share it. Without the feature `faults`, which only
/// tests turn on, there are none and nothing is checked.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    #[cfg(any(test, feature = "faults"))]
    next: Arc<Mutex<Option<Fault>>>,
}

#[cfg(any(test, feature = "faults"))]
#[derive(Debug, Clone, Copy)]
struct Fault {
    step: Step,
    /// Whether it stays.
    lasts: bool,
}

#[cfg(any(test, feature = "faults"))]
impl Faults {
    /// The next commit that comes to `step` fails there.
    pub fn fail_at(&self, step: Step) {
        *self.lock() = Some(Fault { step, lasts: false });
    }

    /// From now on every commit that comes to `step` fails there.
    pub fn break_at(&self, step: Step) {
        *self.lock() = Some(Fault { step, lasts: true });
    }

    /// There are no more faults.
    pub fn mend(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> MutexGuard<'_, Option<Fault>> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Faults {
    #[cfg(any(test, feature = "faults"))]
    pub(super) fn check(&self, step: Step) -> Result<(), String> {
        let mut next = self.lock();
        let Some(fault) = next.filter(|fault| fault.step == step) else { return Ok(()) };
        if !fault.lasts {
            *next = None;
        }
        Err(format!("an injected fault at {step:?}"))
    }

    #[cfg(not(any(test, feature = "faults")))]
    pub(super) const fn check(&self, _: Step) -> Result<(), String> {
        Ok(())
    }
}
