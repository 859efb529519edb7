//! The journal: what every task's owner writes, and all that is left of a task after a crash.

mod head;
mod keys;
mod memory;
mod record;
mod sled;

#[cfg(test)]
mod tests;

use futures::future::BoxFuture;
use remit_core::status::Status;
use remit_core::{Event, EventNumber, TaskId};
use remit_vat::disk::DiskError;

pub use head::TaskHead;
pub use memory::MemoryJournal;
pub use sled::SledJournal;

/// Where events are written, task by task. Calls made in order take effect in order, from whatever
/// thread.
pub trait Journal: Send + Sync {
    /// Appends `events` to a task, and replaces its head. Durable when it answers.
    ///
    /// The first event's number says what the append follows: if the journal's last number is
    /// another, nothing is written. The first event of a task claims `head.key`, if it has one;
    /// later heads keep it. The append is queued when this function is called: polling or dropping
    /// the future changes nothing about that.
    fn append(
        &self,
        tenant: &str,
        task: TaskId,
        events: Vec<Event>,
        head: TaskHead,
    ) -> BoxFuture<'static, Result<(), JournalError>>;

    /// Up to `limit` events after `after`, each verified. An unknown task has none. The last ones
    /// may be of an append that has not answered yet.
    fn read(
        &self,
        tenant: &str,
        task: TaskId,
        after: EventNumber,
        limit: usize,
    ) -> Result<Vec<Event>, JournalError>;

    /// What stands in a list of tasks.
    fn head(&self, tenant: &str, task: TaskId) -> Result<Option<TaskHead>, JournalError>;

    /// Up to `limit` tasks, newest first; `after`: the last one already seen.
    fn list(
        &self,
        tenant: &str,
        status: Option<Status>,
        after: Option<TaskId>,
        limit: usize,
    ) -> Result<Vec<(TaskId, TaskHead)>, JournalError>;

    /// Every task that has not ended, with its tenant.
    fn unsettled(&self) -> Result<Vec<(String, TaskId)>, JournalError>;

    /// The task that was created under this key. What was appended before this call is seen, and
    /// is durable when it answers.
    fn find_key(
        &self,
        tenant: &str,
        key: &str,
    ) -> BoxFuture<'static, Result<Option<TaskId>, JournalError>>;

    /// Whether an append would be tried now; if not, why.
    fn health(&self) -> Result<(), JournalError>;

    /// How long the last commit took, in microseconds; 0: none yet.
    fn last_commit_us(&self) -> u64;
}

/// Why the journal did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// Another writer was there first. Whoever wrote must start again from what is recorded.
    #[error(
        "event {found} of task {task} is recorded already, and an append wanted to follow event {expected}: its owner must read it again"
    )]
    Conflict {
        /// The task.
        task: TaskId,
        /// The number that the append wanted to follow.
        expected: EventNumber,
        /// The last number that is recorded.
        found: EventNumber,
    },
    /// The creation key belongs to a task already. Nothing was created.
    #[error("the key `{key}` has made task {task} already")]
    KeyTaken {
        /// The key.
        key: String,
        /// The task that it made.
        task: TaskId,
    },
    /// What is stored is not what was written. Only this task is concerned.
    #[error(
        "event {number} of task {task} is damaged ({why}): restore the journal from a backup; other tasks go on"
    )]
    Corrupt {
        /// The task.
        task: TaskId,
        /// The first event that cannot be trusted.
        number: EventNumber,
        /// What is wrong with it.
        why: String,
    },
    /// The disk did not take it, or not give it.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// The number that an append of `events` follows.
fn follows(events: &[Event], head: &TaskHead) -> EventNumber {
    events.first().map_or(head.number, |first| EventNumber(first.number.0.saturating_sub(1)))
}

/// Checks that `events` follow each other and `found`, the last number recorded.
fn check_order(
    task: TaskId,
    expected: EventNumber,
    found: EventNumber,
    numbers: impl Iterator<Item = EventNumber>,
) -> Result<(), JournalError> {
    let mut next = found;
    let in_order = expected == found
        && numbers.into_iter().all(|number| {
            next = next.next();
            number == next
        });
    if in_order { Ok(()) } else { Err(JournalError::Conflict { task, expected, found }) }
}
