//! Snapshots of a task that goes on, written beside its work.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use remit_core::{EventNumber, Failure};
use remit_journal::recovery::{snapshot_is_due, take_snapshot};
use remit_vat::turn;
use remit_vat::vat::offload;

use super::{Owner, TaskKey};

/// The last snapshot of a task.
#[derive(Debug, Default)]
pub(super) struct Last {
    /// The last event that is in it, or that another was tried for.
    number: Cell<EventNumber>,
    /// Whether one is being written.
    busy: Cell<bool>,
}

impl Owner {
    /// Says what the task's last snapshot holds.
    pub(crate) fn has_snapshot(&self, number: EventNumber) {
        self.snapshot.number.set(number);
    }

    /// Has a snapshot written if it is time, from what is on disk: the state in memory is not
    /// touched, and the vat goes on meanwhile.
    pub(super) fn take_snapshot_if_due(self: &Rc<Self>, number: EventNumber) {
        let Last { number: last, busy } = &self.snapshot;
        if busy.get() || self.is_closing() || !snapshot_is_due(last.get(), number) {
            return;
        }
        busy.set(true);
        let owner = Rc::downgrade(self);
        let (services, key) = (Rc::clone(&self.services), self.key.clone());
        turn::spawn("a snapshot", async move {
            // The semaphore is never closed.
            let turn = services.snapshots.acquire().await;
            let journal = Arc::clone(&services.journal);
            let TaskKey { tenant, task } = key;
            let taken = offload(move || take_snapshot(&*journal, &tenant, task)).await;
            drop(turn);
            let held = match taken {
                Ok(Ok(held)) => held,
                Ok(Err(failure)) => put_off(task, &failure, number),
                Err(error) => {
                    let why = Failure::new(remit_core::Code::Failed, error.to_string());
                    put_off(task, &why, number)
                }
            };
            if let Some(owner) = owner.upgrade() {
                owner.snapshot.number.set(held);
                owner.snapshot.busy.set(false);
            }
        });
    }
}

/// Without a snapshot recovery takes longer, and nothing is lost: the next is tried in its time.
fn put_off(task: remit_core::TaskId, why: &Failure, number: EventNumber) -> EventNumber {
    tracing::warn!(%task, %why, "no snapshot was written");
    number
}
