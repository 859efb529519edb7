//! Sleeps: a durable timer for each.

use std::rc::{Rc, Weak};
use std::time::Duration;

use remit_core::CallNumber;
use remit_core::task::Command;
use tokio::time::Instant;

use super::Owner;
use crate::limits;

impl Owner {
    /// Arms every timer that the journal left running.
    pub(super) fn arm_all(self: &Rc<Self>) {
        let timers: Vec<(CallNumber, u64)> = self.with(|task| task.timers().collect());
        for (operation, due_ms) in timers {
            self.arm(operation, due_ms);
        }
    }

    /// Records that the sleep is over once it is: by the wall clock, or by the time that has passed
    /// since, whichever comes first. So a clock that jumps ahead ends it, and one that jumps back
    /// does not make it last longer.
    pub(super) fn arm(self: &Rc<Self>, operation: CallNumber, due_ms: u64) {
        let owner: Weak<Self> = Rc::downgrade(self);
        let now_ms = (self.services.now_ms)().max(self.with(|task| task.head().time_ms));
        let end = Instant::now() + Duration::from_millis(due_ms.saturating_sub(now_ms));
        self.spawn("a timer", async move {
            loop {
                tokio::time::sleep_until(end.min(Instant::now() + limits::TIMER_LOOK)).await;
                let Some(owner) = owner.upgrade() else { return };
                if owner.is_closing() || owner.with(|task| task.ending().is_some()) {
                    return;
                }
                if Instant::now() >= end || (owner.services.now_ms)() >= due_ms {
                    if let Err(error) = owner.record(&Command::FireTimer { operation }) {
                        tracing::warn!(task = %owner.key.task, %error, "a timer could not fire");
                    }
                    return;
                }
            }
        });
    }
}
