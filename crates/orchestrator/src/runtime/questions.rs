//! Questions to people: what follows from their answers, and from there being none in time.

use std::rc::{Rc, Weak};
use std::time::Duration;

use remit_core::event::{Approval, Fact, Settlement};
use remit_core::task::Command;
use remit_core::{CallNumber, Failure, ObjectId};
use remit_vat::turn;
use tokio::task::AbortHandle;

use super::Owner;

/// In steps of at most an hour, so that a wall clock that jumps is noticed.
const STEP: Duration = Duration::from_secs(3600);

/// A timer for a moment, in milliseconds since 1970. It ends with this.
pub(super) struct Alarm {
    at_ms: u64,
    timer: AbortHandle,
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.timer.abort();
    }
}

impl Owner {
    /// Sends what may be sent now, or stops what was decided otherwise.
    pub(super) fn after_question(self: &Rc<Self>, fact: &Fact) {
        let number = self.with(|task| task.head().number);
        match fact {
            Fact::ApprovalDecided(decided) if decided.approval != Approval::Deny => {
                self.ensure_forwarded(decided.call, number);
            }
            Fact::SettlementDecided(decided) if decided.settlement == Settlement::Retry => {
                self.ensure_forwarded(decided.call, number);
            }
            Fact::SettlementDecided(decided) => {
                // It may be on another try.
                if let Some(forward) = self.forwards.borrow_mut().remove(&decided.call) {
                    forward.abort();
                }
            }
            Fact::SettlementWithdrawn { call, .. } => self.ensure_forwarded(*call, number),
            Fact::CapabilityDecided(_) => self.woken.notify_one(),
            Fact::TaskCreated(_)
            | Fact::AttemptStarted { .. }
            | Fact::AttemptEnded { .. }
            | Fact::GrantAdded(_)
            | Fact::GrantRevoked { .. }
            | Fact::GrantRepinned { .. }
            | Fact::GrantEnded { .. }
            | Fact::CallRequested(_)
            | Fact::CallCompleted { .. }
            | Fact::ResultOffloaded(_)
            | Fact::Introduced(_)
            | Fact::NotIntroduced { .. }
            | Fact::CallDenied(_)
            | Fact::CallUnknown { .. }
            | Fact::CallRecalled { .. }
            | Fact::ApprovalRequested(_)
            | Fact::ApprovalDecided(_)
            | Fact::CapabilityRequested(_)
            | Fact::SettlementRequested(_)
            | Fact::LogEmitted { .. }
            | Fact::InputAccepted { .. }
            | Fact::InputRequested { .. }
            | Fact::InputDelivered { .. }
            | Fact::SteersRequested { .. }
            | Fact::SteersDelivered { .. }
            | Fact::TimerSet { .. }
            | Fact::TimerFired { .. }
            | Fact::TaskCompleted(_)
            | Fact::TaskFailed(_)
            | Fact::TaskCancelled(_)
            | Fact::TaskPaused { .. }
            | Fact::TaskResumed { .. }
            | Fact::CancelRequested(_)
            | Fact::TaskForked(_)
            | Fact::TaskUpgraded(_) => {}
        }
    }

    /// Sends what was allowed or given up while the task was paused: not all who wait for it ask
    /// again.
    pub(super) fn forward_open(self: &Rc<Self>) {
        let number = self.with(|task| task.head().number);
        let open: Vec<CallNumber> =
            self.with(|task| task.open_calls().map(|(call, _)| call).collect());
        open.into_iter().for_each(|call| self.ensure_forwarded(call, number));
    }

    /// Decides what is to be decided without a person: what was revoked meanwhile, and what nobody
    /// answered in time.
    pub(crate) fn review(self: &Rc<Self>) {
        let now_ms = (self.services.now_ms)();
        for operation in self.with(|task| task.overdue(now_ms)) {
            if let Err(error) = self.record(&Command::Review { operation }) {
                tracing::warn!(task = %self.key.task, %operation, %error, "its end could not be recorded");
            }
        }
        self.set_alarm();
    }

    fn set_alarm(self: &Rc<Self>) {
        let next_ms = self.with(|task| task.next_overdue_ms()).filter(|_| !self.is_closing());
        let mut alarm = self.next_review.borrow_mut();
        let Some(at_ms) = next_ms else {
            *alarm = None;
            return;
        };
        if alarm.as_ref().is_some_and(|alarm| alarm.at_ms == at_ms && !alarm.timer.is_finished()) {
            return;
        }
        let owner = Rc::downgrade(self);
        let timer = self.spawn("a question's time", ring(owner, at_ms)).abort_handle();
        *alarm = Some(Alarm { at_ms, timer });
    }

    /// Waits while the operation that is to return an object waits for a person. Nothing can be
    /// decided about the object before.
    pub async fn decided(&self, object: ObjectId) -> Result<(), Failure> {
        let (ObjectId::Result(operation) | ObjectId::Part(operation, _)) = object else {
            return Ok(());
        };
        let mut progress = self.progress();
        while self.with(|task| task.is_undecided(operation)) {
            if self.is_closing() || progress.changed().await.is_err() {
                let why = "the task's owner went away while the call waited";
                return Err(Failure::new(remit_core::Code::Unavailable, why));
            }
        }
        Ok(())
    }
}

async fn ring(owner: Weak<Owner>, at_ms: u64) {
    loop {
        let Some(left_ms) =
            owner.upgrade().map(|owner| at_ms.saturating_sub((owner.services.now_ms)()))
        else {
            return;
        };
        if left_ms == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(left_ms).min(STEP)).await;
    }
    // On another task, since this one is about to be replaced.
    if let Some(owner) = owner.upgrade() {
        turn::spawn("a review", async move { owner.review() });
    }
}
