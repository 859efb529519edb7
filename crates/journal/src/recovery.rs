//! From the journal to a task's state: the last snapshot, and the events after it.

use futures::executor::block_on;
use remit_core::{EventNumber, Failure, Task, TaskId};

use super::{Journal, JournalError, Snapshot};
use crate::limits;

/// A task's state, and what it was made from.
#[derive(Debug)]
pub struct Recovered {
    /// The state.
    pub task: Task,
    /// The last event that was in a snapshot; 0: all events were folded.
    pub snapshot: EventNumber,
}

/// The state of a task after its last event; `None`: there is no such task.
pub fn recover(
    journal: &dyn Journal,
    tenant: &str,
    task: TaskId,
) -> Result<Option<Recovered>, Failure> {
    let Some(head) = journal.head(tenant, task).map_err(JournalError::into_failure)? else {
        return Ok(None);
    };
    let snapshot = journal.snapshot(tenant, task).map_err(JournalError::into_failure)?;
    let begun = match snapshot {
        // What another program folded is used only when nothing else is left.
        Some(snapshot) if snapshot.is_of_these_rules() || head.pruned.0 > 0 => {
            match snapshot.task() {
                Ok(begun) => Some(begun),
                Err(why) if head.pruned.0 > 0 => {
                    let number = snapshot.number;
                    let why = format!("the snapshot that stands for it and all before it: {why}");
                    return Err(JournalError::Corrupt { task, number, why }.into_failure());
                }
                Err(why) => {
                    tracing::warn!(%task, why, "a snapshot cannot be read; folding all events");
                    None
                }
            }
        }
        _ => None,
    };
    let snapshot = begun.as_ref().map(|task| task.head().number).unwrap_or_default();
    let folded = fold_on(journal, tenant, task, begun)?;
    Ok(folded.map(|task| Recovered { task, snapshot }))
}

/// The state after the events that follow on `begun`; `None`: from the first one on.
fn fold_on(
    journal: &dyn Journal,
    tenant: &str,
    id: TaskId,
    begun: Option<Task>,
) -> Result<Option<Task>, Failure> {
    let mut task = begun;
    loop {
        let after = task.as_ref().map(|task| task.head().number).unwrap_or_default();
        let events = journal.read(tenant, id, after, limits::EVENTS_PER_PAGE);
        let events = events.map_err(JournalError::into_failure)?;
        if events.is_empty() {
            return Ok(task);
        }
        for event in &events {
            let applied = match &mut task {
                None => Task::begin(event).map(|begun| task = Some(begun)),
                Some(task) => task.apply(event),
            };
            applied
                .map_err(|rejected| Failure::new(remit_core::Code::Failed, rejected.to_string()))?;
        }
    }
}

/// Whether a task whose last event is `number` is due for another snapshot than the one of event
/// `last`. They come further and further apart, so that what they cost stays in proportion to what
/// the events cost.
pub const fn snapshot_is_due(last: EventNumber, number: EventNumber) -> bool {
    let since = number.0.saturating_sub(last.0);
    since >= limits::SNAPSHOT_EVENTS && since >= last.0 / limits::SNAPSHOT_GROWTH
}

/// Writes a task's snapshot from what is on disk. Blocks: call it on a thread that may. Gives the
/// last event that is in it.
pub fn take_snapshot(
    journal: &dyn Journal,
    tenant: &str,
    task: TaskId,
) -> Result<EventNumber, Failure> {
    let Some(recovered) = recover(journal, tenant, task)? else { return Ok(EventNumber(0)) };
    let number = recovered.task.head().number;
    if !snapshot_is_due(recovered.snapshot, number) {
        return Ok(recovered.snapshot);
    }
    let cannot = |why: String| Failure::new(remit_core::Code::Failed, why);
    let snapshot = Snapshot::of(&recovered.task).map_err(cannot)?;
    drop(recovered);
    let size = snapshot.state.len();
    if size > limits::SNAPSHOT_BYTES {
        tracing::info!(%task, size, "too large for a snapshot");
        return Ok(number);
    }
    block_on(journal.keep_snapshot(tenant, task, snapshot)).map_err(JournalError::into_failure)?;
    tracing::debug!(%task, %number, size, "snapshot");
    Ok(number)
}

/// Removes what is older than `limit_ms` and stands in a task's snapshot. Blocks.
pub fn prune_history(
    journal: &dyn Journal,
    tenant: &str,
    task: TaskId,
    limit_ms: u64,
) -> Result<(), JournalError> {
    let Some(head) = journal.head(tenant, task)? else { return Ok(()) };
    if head.created_ms > limit_ms {
        return Ok(());
    }
    // The last event that is old enough lies between these two.
    let (mut old, mut young) = (head.pruned, head.number.next());
    while old.next() < young {
        let middle = EventNumber(old.0.midpoint(young.0));
        let event = journal.read(tenant, task, EventNumber(middle.0 - 1), 1)?;
        match event.first() {
            Some(event) if event.time_ms <= limit_ms => old = middle,
            _ => young = middle,
        }
    }
    if old > head.pruned { block_on(journal.prune(tenant, task, old)) } else { Ok(()) }
}
