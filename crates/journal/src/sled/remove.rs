//! Removing what is kept no longer, a bounded number of events in each commit.

use remit_core::{EventNumber, TaskId};
use remit_store::{View, Write};

use super::super::body::Counts;
use super::super::snapshot::Label;
use super::super::{JournalError, keys, record};
use super::{Holds, SledJournal, head_in, snapshots};
use crate::limits;

impl SledJournal {
    pub(super) async fn prune_in_steps(
        self,
        tenant: String,
        task: TaskId,
        through: EventNumber,
    ) -> Result<(), JournalError> {
        loop {
            let (holds, at) = (self.holds.clone(), tenant.clone());
            let done = self.disk.transact(0, move |view: &View<'_>| {
                settled(holds.check().and_then(|()| prune_step(view, &at, task, through)))
            });
            match done.await? {
                Err(Step::Done) => return Ok(()),
                Err(Step::Failed(error)) => return Err(error),
                Ok(()) => {}
            }
        }
    }

    pub(super) async fn remove_in_steps(
        self,
        tenant: String,
        task: TaskId,
    ) -> Result<(), JournalError> {
        loop {
            let (holds, at) = (self.holds.clone(), tenant.clone());
            let done = self
                .disk
                .transact(0, move |view: &View<'_>| settled(remove_step(view, &holds, &at, task)));
            match done.await? {
                Err(Step::Done) => return Ok(()),
                Err(Step::Failed(error)) => return Err(error),
                Ok(()) => {}
            }
        }
    }
}

/// Why there is no next step.
enum Step {
    Done,
    Failed(JournalError),
}

/// What a step leads to: writes, or none because all is done, or failed.
fn settled(
    step: Result<Vec<Write>, JournalError>,
) -> Result<Result<Vec<Write>, Step>, remit_store::DiskError> {
    match step {
        Err(JournalError::Unavailable(why)) => Err(remit_store::DiskError(why)),
        Err(error) => Ok(Err(Step::Failed(error))),
        Ok(writes) if writes.is_empty() => Ok(Err(Step::Done)),
        Ok(writes) => Ok(Ok(writes)),
    }
}

/// Removes some of the oldest events up to `through`, and remembers the last one's hash.
fn prune_step(
    view: &View<'_>,
    tenant: &str,
    task: TaskId,
    through: EventNumber,
) -> Result<Vec<Write>, JournalError> {
    let Some(mut head) = head_in(view, tenant, task)? else { return Ok(Vec::new()) };
    let label = view.get(&keys::snapshot(tenant, task))?;
    let Some(label) = label.and_then(|bytes| Label::from_bytes(&bytes).ok()) else {
        return Ok(Vec::new());
    };
    let through = through.min(label.number);
    let last = EventNumber(through.0.min(head.pruned.0 + limits::REMOVED_AT_ONCE));
    if last <= head.pruned {
        return Ok(Vec::new());
    }
    let damaged = |why: String| JournalError::Corrupt { task, number: last, why };
    let bytes = view.get(&keys::event(tenant, task, last))?;
    let bytes = bytes.ok_or_else(|| damaged("it is missing".into()))?;
    let hash = record::check(&bytes, None).map_err(damaged)?;
    let mut writes = without(view, tenant, task, head.pruned.next()..=last)?;
    (head.pruned, head.pruned_hash) = (last, hash);
    writes.push((keys::head(tenant, task), Some(head.to_bytes()?)));
    Ok(writes)
}

/// The first step takes the task out of every list, the others its events.
fn remove_step(
    view: &View<'_>,
    holds: &Holds,
    tenant: &str,
    task: TaskId,
) -> Result<Vec<Write>, JournalError> {
    holds.check()?;
    let key = keys::leaving(tenant, task);
    if let Some(bytes) = view.get(&key)? {
        let (first, last) = range_of(&bytes);
        if first > last {
            return Ok(vec![(key, None)]);
        }
        let until = EventNumber(last.0.min(first.0 + limits::REMOVED_AT_ONCE - 1));
        let mut writes = without(view, tenant, task, first..=until)?;
        writes.push((key, Some(range(until.next(), last))));
        return Ok(writes);
    }
    let Some(head) = head_in(view, tenant, task)? else { return Ok(Vec::new()) };
    if !head.status.has_ended() {
        return Ok(Vec::new());
    }
    let mut writes = snapshots::forget(view, tenant, task)?;
    writes.push((keys::head(tenant, task), None));
    writes.push((keys::place(tenant, head.status, task), None));
    writes.push((keys::asks(tenant, task), None));
    writes.extend(head.due_ms().map(|due_ms| (keys::due(tenant, due_ms, task), None)));
    if let Some(family) = head.family {
        writes.push((keys::member(tenant, family.root, task), None));
    }
    if !head.key.is_empty() {
        writes.push((keys::created(tenant, &head.key), None));
    }
    writes.push((key, Some(range(head.pruned.next(), head.number))));
    Ok(writes)
}

/// The writes by which these events go, and the bodies that nothing else refers to.
fn without(
    view: &View<'_>,
    tenant: &str,
    task: TaskId,
    events: std::ops::RangeInclusive<EventNumber>,
) -> Result<Vec<Write>, JournalError> {
    let mut counts = Counts::new(tenant);
    let mut writes: Vec<Write> = Vec::new();
    for number in events.start().0..=events.end().0 {
        let key = keys::event(tenant, task, EventNumber(number));
        let Some(bytes) = view.get(&key)? else { continue };
        // What a damaged event refers to nobody knows: a check of the journal finds it.
        if record::check(&bytes, None).is_ok() {
            for body in record::bodies(&bytes).unwrap_or_default() {
                counts.drop(view, body)?;
            }
        }
        writes.push((key, None));
    }
    writes.extend(counts.into_writes());
    Ok(writes)
}

/// The events of a task that are still to be removed: first and last.
fn range(first: EventNumber, last: EventNumber) -> Vec<u8> {
    [first.0.to_be_bytes(), last.0.to_be_bytes()].concat()
}

fn range_of(bytes: &[u8]) -> (EventNumber, EventNumber) {
    let first = bytes.first_chunk().map_or(1, |bytes| u64::from_be_bytes(*bytes));
    let last = bytes.last_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
    (EventNumber(first), EventNumber(last))
}
