//! What is on disk: events go to the journal in their order, and the owner halts when it fails.

use std::rc::Rc;

use remit_core::event::Event;
use remit_core::{Code, EventNumber, Failure};
use remit_faults::crash::{self, Step};
use remit_journal::JournalError;
use remit_vat::contain::contain;
use remit_vat::turn;
use remit_vat::watched::Watcher;
use tokio::task::JoinHandle;

use super::Owner;
use crate::limits;

impl Owner {
    /// Waits until the journal answers for everything up to `number`.
    pub async fn durable(&self, number: EventNumber) -> Result<(), Failure> {
        let mut durable = self.durable.subscribe();
        let reached = durable
            .wait_for(|reached| reached.as_ref().map_or(true, |reached| *reached >= number))
            .await
            .map_err(|_| Failure::new(Code::Unavailable, "the owner has ended"))?;
        reached.clone().map(|_| ())
    }

    /// Whether the journal, which has not failed, has not answered for everything up to `number`.
    pub(super) fn lags_behind(&self, number: EventNumber) -> bool {
        self.durable.borrow().as_ref().is_ok_and(|reached| *reached < number)
    }

    /// Waits while so much of the task is on its way to the disk that others would wait for it.
    pub async fn keep_pace(&self) {
        let mut durable = self.progress();
        loop {
            let head = self.with(|task| task.head().number);
            let is_near = durable.borrow_and_update().as_ref().map_or(true, |reached| {
                head.0.saturating_sub(reached.0) < limits::UNWRITTEN_EVENTS
            });
            if is_near || durable.changed().await.is_err() {
                return;
            }
        }
    }

    /// A view of how far the journal is, for followers.
    pub fn progress(&self) -> Watcher<Result<EventNumber, Failure>> {
        self.durable.subscribe()
    }

    /// The failure of the journal, if it has failed.
    pub(super) fn check_journal(&self) -> Result<(), Failure> {
        match &*self.durable.borrow() {
            Ok(_) => Ok(()),
            Err(failure) => Err(failure.clone()),
        }
    }

    /// Nothing of this new task is on disk yet.
    pub(crate) fn is_unwritten(&self) {
        self.durable.send_if_modified(|durable| {
            *durable = Ok(EventNumber(0));
            true
        });
    }

    /// The events with which this new task was made are on disk.
    pub(crate) fn is_written(&self, number: EventNumber) {
        self.durable.send_if_modified(|durable| match durable {
            Ok(before) if *before < number => {
                *before = number;
                true
            }
            _ => false,
        });
    }

    /// Hands events to the journal. They are queued in the order of the calls of this function.
    pub(super) fn write(self: &Rc<Self>, events: &[Event]) {
        let (Some(first), Some(last)) = (events.first(), events.last()) else { return };
        let (first, last) = (first.fact.name(), last.number);
        let append =
            self.services.journal.append(&self.key.tenant, self.key.task, events, self.head());
        let owner = Rc::clone(self);
        self.spawn("an append", async move {
            match append.await {
                Ok(()) => {
                    crash::point(Step::Flushed, first);
                    owner.reached(last);
                }
                Err(error) => owner.halt(unwritten(&error)),
            }
        });
    }

    fn reached(self: &Rc<Self>, number: EventNumber) {
        if number > self.with(|task| task.head().number) {
            self.halt_on_defect("an append", "the journal is ahead of the state in memory");
            return;
        }
        self.is_written(number);
        self.deliver();
        self.unload_if_idle();
        self.take_snapshot_if_due(number);
    }

    /// Takes nothing, for this reason: it is there to be looked at.
    pub(crate) fn stand_still(&self, why: Failure) {
        self.durable.send_if_modified(|durable| {
            *durable = Err(why);
            true
        });
        self.close();
    }

    /// Runs `work` for this task on its vat. A panic in it halts this task and no other.
    pub(crate) fn spawn(
        self: &Rc<Self>,
        what: &'static str,
        work: impl Future<Output = ()> + 'static,
    ) -> JoinHandle<()> {
        let owner = Rc::downgrade(self);
        turn::spawn(what, async move {
            if let Err(panic) = contain(work).await
                && let Some(owner) = owner.upgrade()
            {
                owner.halt_on_defect(what, &panic);
            }
        })
    }

    /// Halts the task because this program is wrong: its state in memory is not to be trusted, and
    /// nothing that rests on it is recorded or answered any more. Its journal stays as it is.
    pub(crate) fn halt_on_defect(&self, place: &str, what: &str) {
        let why = format!(
            "the task is halted by a defect of the orchestrator, in {place}: {what}. Report it. The task is loaded from its journal when it is next asked for"
        );
        self.halt(Failure::new(Code::Failed, why));
    }

    /// The journal failed: what is in memory is worth nothing from here on.
    pub(super) fn halt(&self, failure: Failure) {
        let first = self.durable.send_if_modified(|durable| {
            let first = durable.is_ok();
            if first {
                *durable = Err(failure.clone());
            }
            first
        });
        if first {
            tracing::error!(task = %self.key.task, %failure, "halted");
            self.close();
            (self.services.halted)(&self.key, &failure);
        }
    }
}

/// Why an owner halts whose events were not written. When another owner has written meanwhile, this
/// one has lost the task, and what it knows and holds of it is worth nothing.
fn unwritten(error: &JournalError) -> Failure {
    if let JournalError::Conflict { .. } = error {
        let why = format!("another owner has taken the task over, and this one stops: {error}");
        return Failure::new(Code::Revoked, why);
    }
    let why = format!("the task is halted, its journal cannot be written: {error}");
    Failure::new(Code::Unavailable, why)
}
