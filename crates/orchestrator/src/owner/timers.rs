//! Sleeps: a durable timer for each.

use std::rc::{Rc, Weak};
use std::time::Duration;

use remit_core::CallNumber;
use remit_core::task::Command;

use super::Owner;

impl Owner {
    /// Arms every timer that the journal left running.
    pub(super) fn arm_all(self: &Rc<Self>) {
        let timers: Vec<(CallNumber, u64)> = self.with(|task| task.timers().collect());
        for (operation, due_ms) in timers {
            self.arm(operation, due_ms);
        }
    }

    /// Records that the sleep is over once it is.
    pub(super) fn arm(self: &Rc<Self>, operation: CallNumber, due_ms: u64) {
        let owner: Weak<Self> = Rc::downgrade(self);
        let now_ms = (self.services.now_ms)();
        let mut left = Duration::from_millis(due_ms.saturating_sub(now_ms));
        tokio::task::spawn_local(async move {
            loop {
                // In steps of at most an hour, so that a wall clock that jumps is noticed.
                tokio::time::sleep(left.min(Duration::from_secs(3600))).await;
                let Some(owner) = owner.upgrade() else { return };
                if owner.is_closing() || owner.with(|task| task.ending().is_some()) {
                    return;
                }
                let now_ms = (owner.services.now_ms)();
                if now_ms >= due_ms {
                    if let Err(error) = owner.record(&Command::FireTimer { operation }) {
                        tracing::warn!(task = %owner.key.task, %error, "a timer could not fire");
                    }
                    return;
                }
                left = Duration::from_millis(due_ms - now_ms);
            }
        });
    }
}
