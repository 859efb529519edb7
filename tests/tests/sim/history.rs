//! Reading the facts and idempotency keys of a world's past.

use remit_core::{Fact, TaskId};

/// Whether this fact ends a task.
pub(crate) fn is_last(fact: &Fact) -> bool {
    matches!(fact, Fact::TaskCompleted(_) | Fact::TaskFailed(_) | Fact::TaskCancelled(_))
}

/// The task and the call that an idempotency key names.
pub(crate) fn call_of(key: &[u8]) -> (TaskId, u64) {
    let (task, call) = key.split_at(16);
    (TaskId::from_bytes(task.try_into().unwrap()), u64::from_be_bytes(call.try_into().unwrap()))
}
