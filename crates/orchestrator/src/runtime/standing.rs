//! Where a task stands, in a line for people.

use remit_core::Task;
use remit_core::status::Status;
use remit_journal::TaskHead;

use super::Owner;

impl Owner {
    /// The entry for a list of tasks: what its events say, and what its owner alone knows.
    pub fn head(&self) -> TaskHead {
        let mut head = self.with(|task| TaskHead::of(task, self.key.task));
        let is_free = self.with(Task::is_free);
        let halted = self.durable.borrow().as_ref().err().map(|failure| failure.message.clone());
        if halted.is_some() {
            head.status = Status::Halted;
        }
        let detail = halted.unwrap_or_else(|| self.detail.borrow().clone());
        if is_free && !detail.is_empty() {
            head.detail = detail;
        }
        head
    }
}
