//! How much of what it was told a task keeps in memory, and how much that may be.

use super::{CallState, Operation, Task};
use crate::failure::{Code, Failure};
use crate::limits;
use crate::value::{Outcome, Value};

impl Task {
    /// Bytes of the values that the task keeps in memory.
    pub const fn held_bytes(&self) -> u64 {
        self.held_bytes
    }

    /// Refuses a value for which there is no room.
    pub(super) fn check_room(&self, value: &Value) -> Result<(), Failure> {
        if self.held_bytes.saturating_add(value.weight() as u64) <= limits::MAX_HELD_BYTES {
            return Ok(());
        }
        let why = format!(
            "the task would hold more than {} MiB of arguments, results and inputs: let tasks of its \
             own do parts of the work, or pass objects in place of contents",
            limits::MAX_HELD_BYTES >> 20
        );
        Err(Failure::new(Code::Limit, why))
    }

    /// A value is in memory from now on.
    pub(super) fn hold_value(&mut self, value: &Value) {
        self.held_bytes = self.held_bytes.saturating_add(value.weight() as u64);
    }

    /// An operation is not in memory any more.
    pub(super) fn let_go(&mut self, operation: &Operation) {
        let Operation::Call { request, state } = operation else { return };
        let mut bytes = request.args.weight();
        if let CallState::Completed(outcome, _) = state
            && let Outcome::Value { value, .. } = &**outcome
        {
            bytes = bytes.saturating_add(value.weight());
        }
        self.held_bytes = self.held_bytes.saturating_sub(bytes as u64);
    }
}
