//! The journal: what every task's owner writes, and all that is left of a task after a crash.
//!
//! For: events and the records beside them, in memory and in a store ([`Journal`]), what is derived
//! from them, snapshots and recovery from them ([`recovery`]), backups and checks of the whole
//! ([`backup`], [`verify`]), and the mesh's audit log ([`audit`]). Not for: what events mean, which the
//! core decides, and who may read them.

pub mod audit;
pub mod backup;
mod body;
mod cut;
mod head;
mod keys;
pub mod limits;
pub mod loss;
mod memory;
pub mod meta;
mod packed;
mod rebuild;
pub mod record;
pub mod recovery;
mod retention;
mod sled;
mod snapshot;
pub mod verify;

#[cfg(test)]
mod tests;

use futures::future::BoxFuture;
use remit_core::status::Status;
use remit_core::{Code, Event, EventNumber, Failure, TaskId};

pub use head::{Family, TaskHead};
pub use memory::MemoryJournal;
pub use retention::Retention;
pub use sled::{Compacted, Notice, OnDamage, SledJournal, Topic, UnsentNotices, What};
pub use snapshot::Snapshot;

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
        events: &[Event],
        head: TaskHead,
    ) -> BoxFuture<'static, Result<(), JournalError>>;

    /// Up to `limit` events after `after`, each verified; fewer when they are large, but none only
    /// if there is none. An unknown task has none. The last ones may be of an append that has not
    /// answered yet. [`JournalError::Pruned`] if the next one is there no more.
    fn read(
        &self,
        tenant: &str,
        task: TaskId,
        after: EventNumber,
        limit: usize,
    ) -> Result<Vec<Event>, JournalError>;

    /// The hash of an event that is still held, which names the one before. `None`: this journal
    /// keeps none.
    fn hash(
        &self,
        _tenant: &str,
        _task: TaskId,
        _number: EventNumber,
    ) -> Result<Option<[u8; 32]>, JournalError> {
        Ok(None)
    }

    /// The task's last snapshot, verified. One that is damaged is none, unless events before it
    /// were pruned.
    fn snapshot(&self, tenant: &str, task: TaskId) -> Result<Option<Snapshot>, JournalError>;

    /// Keeps a snapshot of a task instead of the one before, if it is newer. Durable when it
    /// answers. Its last event must be recorded.
    fn keep_snapshot(
        &self,
        tenant: &str,
        task: TaskId,
        snapshot: Snapshot,
    ) -> BoxFuture<'static, Result<(), JournalError>>;

    /// Removes a task's events up to `through`, but none after its last snapshot. What is left can
    /// still be verified. Done when it answers; an interruption leaves some of it to be done again.
    fn prune(
        &self,
        tenant: &str,
        task: TaskId,
        through: EventNumber,
    ) -> BoxFuture<'static, Result<(), JournalError>>;

    /// Removes a task that has ended, with all that was kept for it; its creation key is free
    /// again. A task that has not ended stays. What was interrupted is gone on with.
    fn remove(&self, tenant: &str, task: TaskId) -> BoxFuture<'static, Result<(), JournalError>>;

    /// Up to `limit` tasks that ended so long before `now_ms` that `keep` keeps them no longer, and
    /// those whose removal was interrupted.
    fn expired(
        &self,
        keep: &Retention,
        now_ms: u64,
        limit: usize,
    ) -> Result<Vec<(String, TaskId)>, JournalError>;

    /// What stands in a list of tasks.
    fn head(&self, tenant: &str, task: TaskId) -> Result<Option<TaskHead>, JournalError>;

    /// Up to `limit` tasks, newest first, of this status as it is recorded; `after`: the last one
    /// already seen. Touches no more tasks than it gives.
    fn list(
        &self,
        tenant: &str,
        status: Option<Status>,
        after: Option<TaskId>,
        limit: usize,
    ) -> Result<Vec<(TaskId, TaskHead)>, JournalError>;

    /// Up to `limit` tasks, newest first, that wait for a person; `after`: the last one already seen.
    /// Touches no more tasks than it gives.
    fn asking(
        &self,
        tenant: &str,
        after: Option<TaskId>,
        limit: usize,
    ) -> Result<Vec<TaskId>, JournalError>;

    /// Up to `limit` tasks that came of `root`, at all levels, ended ones too.
    fn family(&self, tenant: &str, root: TaskId, limit: usize)
    -> Result<Vec<TaskId>, JournalError>;

    /// Every task that has not ended, with its tenant.
    fn unsettled(&self) -> Result<Vec<(String, TaskId)>, JournalError>;

    /// How much each identity's tasks take on disk, by tenant and creator. Blocks.
    fn stored(&self) -> Result<Vec<(String, String, u64)>, JournalError>;

    /// The task that was created under this key. What was appended before this call is seen, and
    /// is durable when it answers.
    fn find_key(
        &self,
        tenant: &str,
        key: &str,
    ) -> BoxFuture<'static, Result<Option<TaskId>, JournalError>>;

    /// The same as one on disk, if it is: such a one can be backed up and checked as a whole.
    fn on_disk(&self) -> Option<SledJournal> {
        None
    }

    /// Commits that the medium lost and that nobody has accepted the loss of, with the tasks that they
    /// were about.
    fn lost(&self) -> Result<Vec<loss::Lost>, JournalError> {
        Ok(Vec::new())
    }

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
    /// The next event is there no more: it was pruned.
    #[error(
        "event {asked} of task {task} was pruned, and so were all before event {first}: read from event {first} on, with {} as the cursor", .first.0.saturating_sub(1)
    )]
    Pruned {
        /// The task.
        task: TaskId,
        /// The event that was to be read.
        asked: EventNumber,
        /// The first event that is still held.
        first: EventNumber,
    },
    /// Nothing may be removed or replaced while a backup or a check reads the journal. Try later.
    #[error("a backup or a check of the journal is under way: try again when it is done")]
    Busy,
    /// The medium did not take it, or not give it. Trying later may help.
    #[error("{0}")]
    Unavailable(String),
}

impl JournalError {
    /// The same for whoever asked from outside: the code says what to do.
    pub fn into_failure(self) -> Failure {
        let code = match &self {
            Self::Pruned { .. } => Code::NotFound,
            Self::Busy | Self::Unavailable(_) => Code::Unavailable,
            Self::Conflict { .. } | Self::KeyTaken { .. } | Self::Corrupt { .. } => Code::Failed,
        };
        Failure::new(code, self.to_string())
    }
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
