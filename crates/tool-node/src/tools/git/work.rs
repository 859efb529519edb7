//! Work on a repository, away from the event loop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::kit::{Failure, fail};
use crate::limits;

/// Runs `work` on another thread. Dropping the future tells the work to stop.
pub(super) async fn away<R: Send + 'static>(
    work: impl FnOnce(&Stop) -> R + Send + 'static,
) -> std::io::Result<R> {
    let dropped = Arc::new(AtomicBool::new(false));
    let stop = Stop {
        dropped: Arc::clone(&dropped),
        until: Instant::now() + limits::GIT_TIME,
        commits: limits::GIT_WALK,
    };
    let _when_dropped = SetOnDrop(dropped);
    crate::offload(move || work(&stop)).await
}

/// Tells long work when to stop.
pub(super) struct Stop {
    dropped: Arc<AtomicBool>,
    until: Instant,
    commits: usize,
}

impl Stop {
    /// Fails if the caller gave up.
    pub(super) fn check(&self) -> Result<(), Failure> {
        match self.dropped.load(Ordering::Relaxed) {
            true => Err(fail::cancelled("the caller gave up")),
            false => Ok(()),
        }
    }

    /// Whether a walk that looked at so many commits has gone as far as it may, or as long.
    pub(super) fn ends_walk(&self, commits: usize) -> bool {
        commits > self.commits || Instant::now() > self.until
    }

    /// One for a walk through so many commits.
    #[cfg(test)]
    pub(super) fn after(commits: usize) -> Self {
        let until = Instant::now() + limits::GIT_TIME;
        Self { dropped: Arc::default(), until, commits }
    }

    /// Another handle on whether the caller gave up.
    pub(super) fn given_up(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.dropped)
    }
}

struct SetOnDrop(Arc<AtomicBool>);

impl Drop for SetOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
