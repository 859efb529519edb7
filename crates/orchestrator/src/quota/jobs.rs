//! Heavy jobs: checks, backups and searches, few of them at once, and fairly between identities.
//!
//! One identity runs one at a time, and all of them together run [`limits::HEAVY_JOBS_AT_ONCE`]. Who
//! waits does so inside of a call, so that a caller that goes leaves the queue.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, Weak};

use remit_core::{Code, Failure, Identity};
use remit_vat::vat::offload;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::limits;
use crate::quota::account::{Accounts, Charge, Resource};

/// The heavy jobs of one orchestrator.
#[derive(Debug)]
pub struct Jobs {
    accounts: Rc<Accounts>,
    /// First come, first served. Each identity waits here with one job at most.
    all: Arc<Semaphore>,
    /// The turn of each identity that has a job, for as long as it has one.
    turns: RefCell<HashMap<Identity, Weak<Semaphore>>>,
}

/// A job that may run. Dropping it lets the next one begin.
#[derive(Debug)]
pub struct Running {
    slots: Slots,
    _charge: Charge,
}

/// What a job that runs on another thread holds until it has ended there.
#[derive(Debug)]
struct Slots {
    _own: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl Jobs {
    /// None yet; those that wait or run are charged to `accounts`.
    pub fn new(accounts: Rc<Accounts>) -> Rc<Self> {
        let all = Arc::new(Semaphore::new(limits::HEAVY_JOBS_AT_ONCE));
        Rc::new(Self { accounts, all, turns: RefCell::default() })
    }

    /// Waits until a job of `who` may run, or refuses with `limit` when too many wait.
    pub async fn begin(&self, who: &Identity) -> Result<Running, Failure> {
        let charge = self.accounts.charge(who, Resource::HeavyJobs, 1)?;
        let turn = self.turn_of(who);
        let ended = |_| Failure::new(Code::Unavailable, "the orchestrator is ending");
        let own = turn.acquire_owned().await.map_err(ended)?;
        let all = Arc::clone(&self.all).acquire_owned().await.map_err(ended)?;
        Ok(Running { slots: Slots { _own: own, _all: all }, _charge: charge })
    }

    /// Runs `work` on another thread when it is its turn. A caller that goes while it waits ends it;
    /// what runs already holds its place until it has ended.
    pub async fn offload<R: Send + 'static>(
        &self,
        who: &Identity,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> Result<R, Failure> {
        let Running { slots, _charge } = self.begin(who).await?;
        let done = offload(move || {
            let done = work();
            drop(slots);
            done
        });
        done.await.map_err(|error| Failure::new(Code::Failed, format!("it broke off: {error}")))
    }

    fn turn_of(&self, who: &Identity) -> Arc<Semaphore> {
        let mut turns = self.turns.borrow_mut();
        if let Some(turn) = turns.get(who).and_then(Weak::upgrade) {
            return turn;
        }
        turns.retain(|_, turn| turn.strong_count() > 0);
        let turn = Arc::new(Semaphore::new(1));
        turns.insert(who.clone(), Arc::downgrade(&turn));
        turn
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use remit_core::Role;

    use super::*;

    fn who(name: &str) -> Identity {
        Identity::new("home", "default", Role::Client, name).unwrap()
    }

    #[tokio::test]
    async fn a_burst_of_one_identity_takes_one_place_and_refuses_the_rest() {
        let jobs = Jobs::new(Accounts::new());
        let bound = usize::try_from(limits::bound(Resource::HeavyJobs).identity).unwrap();
        let one = who("one");
        let mut burst: Vec<_> = (0..4_000).map(|_| Box::pin(jobs.begin(&one))).collect();
        let mut running = Vec::new();
        let mut refused = 0;
        for job in &mut burst {
            match job.as_mut().now_or_never() {
                Some(Ok(job)) => running.push(job),
                Some(Err(failure)) => {
                    assert_eq!(failure.code, Code::Limit);
                    refused += 1;
                }
                None => {}
            }
        }
        assert_eq!((running.len(), refused), (1, 4_000 - bound));
        let neighbour = jobs.begin(&who("two")).now_or_never();
        assert!(neighbour.is_some_and(|job| job.is_ok()), "a neighbour's job runs at once");
    }

    #[tokio::test]
    async fn a_caller_that_goes_leaves_the_queue() {
        let jobs = Jobs::new(Accounts::new());
        let one = who("one");
        let running = jobs.begin(&one).await.unwrap();
        let mut waiting = Box::pin(jobs.begin(&one));
        assert!(waiting.as_mut().now_or_never().is_none());
        let held = || jobs.accounts.held(Resource::HeavyJobs, &one.to_string(), "default");
        assert_eq!(held().identity, 2);
        drop(waiting);
        assert_eq!(held().identity, 1);
        drop(running);
        assert_eq!(held().process, 0);
        assert!(jobs.begin(&one).now_or_never().is_some());
    }

    #[tokio::test]
    async fn what_runs_holds_its_place_when_its_caller_goes() {
        let jobs = Jobs::new(Accounts::new());
        let one = who("one");
        let (begin, begun) = std::sync::mpsc::channel();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let mut first = Box::pin(jobs.offload(&one, move || {
            begin.send(()).unwrap();
            ended.recv().unwrap();
        }));
        assert!(first.as_mut().now_or_never().is_none());
        begun.recv().unwrap();
        drop(first);
        assert!(jobs.all.available_permits() < limits::HEAVY_JOBS_AT_ONCE);
        end.send(()).unwrap();
        let most = u32::try_from(limits::HEAVY_JOBS_AT_ONCE).unwrap();
        let _all = jobs.all.acquire_many(most).await.unwrap();
    }
}
