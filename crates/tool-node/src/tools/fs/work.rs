//! Work on files, away from the event loop: what may take long, and what goes one after the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use remit_vat::vat::offload;

use super::root::Root;
use crate::kit::{Failure, RelPath, fail};

/// How long a glob, a search or a recursive removal may take.
const LONGEST: Duration = Duration::from_secs(60);

/// What is done with a place below the root, on another thread.
pub(super) type Work<A, R> = fn(&Root, &RelPath, A, &Stop) -> Result<R, Failure>;

/// What an object stands for: a place below a root.
pub(super) struct Spot {
    pub(super) root: Arc<Root>,
    pub(super) at: RelPath,
}

impl Spot {
    /// The place that `path` leads to from here.
    pub(super) fn below(&self, path: &RelPath) -> Result<Self, Failure> {
        Ok(Self { root: Arc::clone(&self.root), at: super::join(&self.at, path)? })
    }

    /// Does `work` on another thread. Dropping the future tells the work to stop.
    pub(super) fn run<A: Send + 'static, R: Send + 'static>(
        &self,
        args: A,
        work: Work<A, R>,
    ) -> impl Future<Output = Result<R, Failure>> + use<A, R> {
        let (root, at) = (Arc::clone(&self.root), self.at.clone());
        away(move |stop| work(&root, &at, args, stop))
    }

    /// The same for work that changes something: one after the other, in the order in which they
    /// were begun.
    pub(super) fn change<A: Send + 'static, R: Send + 'static>(
        &self,
        args: A,
        work: Work<A, R>,
    ) -> impl Future<Output = Result<R, Failure>> + use<A, R> {
        let (root, at) = (Arc::clone(&self.root), self.at.clone());
        async move {
            let held = Arc::clone(&root.changing).lock_owned().await;
            // It is held until the work has stopped, and not only until nobody waits for it.
            let work = move |stop: &Stop| {
                let _held = held;
                work(&root, &at, args, stop)
            };
            away(work).await
        }
    }
}

async fn away<R: Send + 'static>(
    work: impl FnOnce(&Stop) -> Result<R, Failure> + Send + 'static,
) -> Result<R, Failure> {
    let dropped = Arc::new(AtomicBool::new(false));
    let stop = Stop { dropped: Arc::clone(&dropped), until: Instant::now() + LONGEST };
    let _when_dropped = SetOnDrop(dropped);
    let done = offload(move || work(&stop)).await;
    done.map_err(|e| fail::failed(format!("the work could not be done: {e}")))?
}

/// Tells long work when nobody waits for it any more.
pub(super) struct Stop {
    dropped: Arc<AtomicBool>,
    until: Instant,
}

impl Stop {
    pub(super) fn check(&self) -> Result<(), Failure> {
        if self.dropped.load(Ordering::Relaxed) {
            return Err(fail::cancelled("nobody waits for it any more"));
        }
        if Instant::now() > self.until {
            let secs = LONGEST.as_secs();
            return Err(fail::timed_out(format!("not done after {secs} s: begin further down")));
        }
        Ok(())
    }
}

struct SetOnDrop(Arc<AtomicBool>);

impl Drop for SetOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
