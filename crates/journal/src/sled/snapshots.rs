//! Snapshots in the store: a label, and the state in pieces.

use futures::FutureExt as _;
use futures::future::BoxFuture;
use remit_core::{EventNumber, TaskId};
use remit_store::{DiskError, View, Write};

use super::super::record;
use super::super::snapshot::Label;
use super::super::{JournalError, Snapshot, TaskHead, keys};
use super::{Holds, SledJournal, head_in};

impl SledJournal {
    pub(super) fn read_snapshot(
        &self,
        tenant: &str,
        task: TaskId,
    ) -> Result<Option<Snapshot>, JournalError> {
        let Some(head) = self.stored_head(tenant, task)? else { return Ok(None) };
        match self.checked_snapshot(tenant, task, &head) {
            Ok(found) => Ok(found),
            // It may have been replaced while it was read.
            Err(_) => match self.checked_snapshot(tenant, task, &head) {
                Ok(found) => Ok(found),
                Err(error @ JournalError::Corrupt { .. }) if head.pruned.0 == 0 => {
                    tracing::warn!(%task, %error, "a snapshot is damaged; folding all events");
                    Ok(None)
                }
                Err(error) => Err(error),
            },
        }
    }

    /// The snapshot; an error says what is wrong with it.
    pub(crate) fn checked_snapshot(
        &self,
        tenant: &str,
        task: TaskId,
        head: &TaskHead,
    ) -> Result<Option<Snapshot>, JournalError> {
        let damaged = |number, why: String| JournalError::Corrupt {
            task,
            number,
            why: format!("the snapshot of it: {why}"),
        };
        let Some(bytes) = self.disk.get(&keys::snapshot(tenant, task))? else {
            return if head.pruned.0 == 0 {
                Ok(None)
            } else {
                Err(damaged(head.pruned, "it is missing, and the events before were pruned".into()))
            };
        };
        let label = Label::from_bytes(&bytes).map_err(|why| damaged(head.pruned, why))?;
        let number = label.number;
        if number < head.pruned || number > head.number {
            return Err(damaged(number, "it is of another journal".into()));
        }
        if self.hash_of(tenant, task, head, number)? != label.event {
            return Err(damaged(number, "it is of another journal".into()));
        }
        let prefix = keys::snapshot_pieces(tenant, task, number);
        let mut state = Vec::with_capacity(label.size.min(crate::limits::SNAPSHOT_BYTES));
        for n in keys::pieces_of(label.size) {
            let mut key = prefix.clone();
            key.extend(n.to_be_bytes());
            let piece = self.disk.get(&key)?;
            state.extend(piece.ok_or_else(|| damaged(number, "a piece is missing".into()))?);
        }
        label.join(state).map(Some).map_err(|why| damaged(number, why.into()))
    }

    pub(super) fn write_snapshot(
        &self,
        tenant: &str,
        task: TaskId,
        snapshot: Snapshot,
    ) -> BoxFuture<'static, Result<(), JournalError>> {
        let (tenant, holds) = (tenant.to_owned(), self.holds.clone());
        let bytes = snapshot.state.len();
        let done = self
            .disk
            .transact(bytes, move |view: &View<'_>| decide(view, &holds, &tenant, task, &snapshot));
        async move { done.await? }.boxed()
    }
}

fn decide(
    view: &View<'_>,
    holds: &Holds,
    tenant: &str,
    task: TaskId,
    snapshot: &Snapshot,
) -> Result<Result<Vec<Write>, JournalError>, DiskError> {
    match writes(view, holds, tenant, task, snapshot) {
        Err(JournalError::Unavailable(why)) => Err(DiskError(why)),
        decided => Ok(decided),
    }
}

fn writes(
    view: &View<'_>,
    holds: &Holds,
    tenant: &str,
    task: TaskId,
    snapshot: &Snapshot,
) -> Result<Vec<Write>, JournalError> {
    holds.check()?;
    // The task may have been removed meanwhile.
    let Some(head) = head_in(view, tenant, task)? else { return Ok(Vec::new()) };
    let number = snapshot.number;
    if number <= head.pruned {
        return Ok(Vec::new());
    }
    let damaged = |why: String| JournalError::Corrupt { task, number, why };
    let event = view.get(&keys::event(tenant, task, number))?;
    let event = event.ok_or_else(|| damaged("it is missing".into()))?;
    let hash = record::check(&event, None).map_err(damaged)?;
    let key = keys::snapshot(tenant, task);
    let before = view.get(&key)?.and_then(|bytes| Label::from_bytes(&bytes).ok());
    if before.as_ref().is_some_and(|before| before.number > number) {
        return Ok(Vec::new());
    }
    let mut writes: Vec<Write> = Vec::new();
    if let Some(before) = before {
        writes.extend(gone(tenant, task, before.number, before.size));
    }
    let piece = |n| keys::snapshot_piece(tenant, task, number, n);
    let pieces = (0_u32..).zip(snapshot.state.chunks(keys::PIECE_BYTES));
    writes.extend(pieces.map(|(n, content)| (piece(n), Some(content.to_vec()))));
    writes.push((key, Some(Label::of(snapshot, hash).to_bytes()?)));
    Ok(writes)
}

/// The writes by which the pieces of a snapshot go.
fn gone(
    tenant: &str,
    task: TaskId,
    number: EventNumber,
    size: usize,
) -> impl Iterator<Item = Write> {
    keys::pieces_of(size).map(move |n| (keys::snapshot_piece(tenant, task, number, n), None))
}

/// The writes by which a task's snapshot goes.
pub(super) fn forget(view: &View<'_>, tenant: &str, task: TaskId) -> Result<Vec<Write>, DiskError> {
    let key = keys::snapshot(tenant, task);
    let Some(bytes) = view.get(&key)? else { return Ok(Vec::new()) };
    let mut writes: Vec<Write> = match Label::from_bytes(&bytes) {
        Ok(label) => gone(tenant, task, label.number, label.size).collect(),
        Err(_) => Vec::new(),
    };
    writes.push((key, None));
    Ok(writes)
}
