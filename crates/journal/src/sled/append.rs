//! An append on its way to the disk.

use std::ops::Range;

use remit_core::{Event, EventNumber, TaskId};
use remit_store::{DiskError, View, Write};
use remit_vat::wire::event::{Encoded, encode_split};

use super::super::body::{Counts, Cut};
use super::super::record::{self, Hash};
use super::super::{JournalError, TaskHead, check_order, follows, keys};
use super::head_in;
use super::notices::{self, Notice, Told, Topic};
use crate::limits;

/// An append.
pub(super) struct Append {
    tenant: String,
    task: TaskId,
    expected: EventNumber,
    events: Vec<(EventNumber, Encoded)>,
    /// When the last event was recorded.
    last_ms: u64,
    head: TaskHead,
    /// What of it operators are to be told.
    notices: Vec<Notice>,
    /// Whom of theirs.
    sinks: Vec<(String, Topic)>,
}

impl Append {
    /// An append of `events`; `told`: whether there is anyone to be told of any of them.
    pub(super) fn new(
        tenant: &str,
        task: TaskId,
        events: &[Event],
        head: TaskHead,
        told: &Told,
    ) -> Self {
        let sinks = told.sinks();
        let notices = match sinks.is_empty() {
            true => Vec::new(),
            false => notices::notices(tenant, task, events),
        };
        let encoded =
            events.iter().map(|event| (event.number, encode_split(event, limits::BODY_BYTES)));
        Self {
            tenant: tenant.to_owned(),
            task,
            expected: follows(events, &head),
            events: encoded.collect(),
            last_ms: events.last().map_or(head.last_ms, |event| event.time_ms),
            head,
            notices,
            sinks,
        }
    }

    /// Whether operators are to be told of any of it.
    pub(super) const fn is_told(&self) -> bool {
        !self.notices.is_empty()
    }

    /// About how much it will write.
    pub(super) fn bytes(&self) -> usize {
        let size = |(_, event): &(_, Encoded)| match event {
            Encoded::Packed(bytes) | Encoded::Flat { bytes, .. } => bytes.len() + 128,
        };
        self.events.iter().map(size).sum::<usize>() + 256
    }

    /// Runs on the commit thread, after every append that was queued before this one.
    pub(super) fn decide(
        self,
        view: &View<'_>,
    ) -> Result<Result<Vec<Write>, JournalError>, DiskError> {
        match self.writes(view) {
            Err(JournalError::Unavailable(why)) => Err(DiskError(why)),
            decided => Ok(decided),
        }
    }

    fn writes(mut self, view: &View<'_>) -> Result<Vec<Write>, JournalError> {
        let before = head_in(view, &self.tenant, self.task)?;
        let mut writes = Vec::new();
        if before.is_none() {
            writes.extend(self.claim(view)?);
        }
        let (found, hash) = match &before {
            Some(head) => (head.number, head.hash),
            None => (EventNumber(0), record::beginning(&self.tenant, self.task)),
        };
        let numbers = self.events.iter().map(|(number, _)| *number);
        check_order(self.task, self.expected, found, numbers)?;
        self.head.number = self.events.last().map_or(found, |(number, _)| *number);
        self.head.last_ms = self.last_ms;
        self.head.hash = self.seal(view, hash, &mut writes)?;
        self.place(before.as_ref(), &mut writes);
        if let Some(before) = before {
            (self.head.key, self.head.family) = (before.key, before.family);
            (self.head.pruned, self.head.pruned_hash) = (before.pruned, before.pruned_hash);
        }
        writes.push((keys::head(&self.tenant, self.task), Some(self.head.to_bytes()?)));
        if !self.notices.is_empty() {
            writes.extend(notices::add(view, &self.sinks, &self.head.creator, &self.notices)?);
        }
        Ok(writes)
    }

    /// The creation key, if it has one and it is free.
    fn claim(&self, view: &View<'_>) -> Result<Option<Write>, JournalError> {
        if self.head.key.is_empty() {
            return Ok(None);
        }
        let key = keys::created(&self.tenant, &self.head.key);
        match view.get(&key)?.and_then(|other| keys::task(&other)) {
            Some(task) => Err(JournalError::KeyTaken { key: self.head.key.clone(), task }),
            None => Ok(Some((key, Some(self.task.as_bytes().to_vec())))),
        }
    }

    /// The events in their stored form, each following the one before. Gives the last one's hash.
    fn seal(
        &self,
        view: &View<'_>,
        mut hash: Hash,
        writes: &mut Vec<Write>,
    ) -> Result<Hash, JournalError> {
        let mut counts = Counts::new(&self.tenant);
        for (number, event) in &self.events {
            let (bytes, next) = match event {
                Encoded::Packed(bytes) => record::seal(&hash, bytes),
                Encoded::Flat { bytes, bodies } => {
                    let cut = Cut::new(bytes, bodies);
                    for (body, at) in cut.bodies().zip(bodies) {
                        counts.add(view, body, slice(bytes, at))?;
                    }
                    record::seal_cut(&hash, &cut)
                }
            };
            writes.push((keys::event(&self.tenant, self.task, *number), Some(bytes)));
            hash = next;
        }
        writes.extend(counts.into_writes());
        Ok(hash)
    }

    /// Moves the task to where it stands now.
    fn place(&self, before: Option<&TaskHead>, writes: &mut Vec<Write>) {
        let (tenant, task, status) = (&self.tenant, self.task, self.head.status);
        let (asked, asks) = (before.map_or(0, |head| head.questions), self.head.questions);
        if (asked > 0) != (asks > 0) {
            writes.push((keys::asks(tenant, task), (asks > 0).then(Vec::new)));
        }
        let (was_due, is_due) = (before.and_then(TaskHead::due_ms), self.head.due_ms());
        if was_due != is_due {
            let due = |due_ms| keys::due(tenant, due_ms, task);
            writes.extend(was_due.map(|due_ms| (due(due_ms), None)));
            writes.extend(is_due.map(|due_ms| (due(due_ms), Some(Vec::new()))));
        }
        if let (None, Some(family)) = (before, self.head.family) {
            writes.push((keys::member(tenant, family.root, task), Some(Vec::new())));
        }
        let before = before.map(|head| head.status);
        if before != Some(status) {
            writes.extend(before.map(|left| (keys::place(tenant, left, task), None)));
            writes.push((keys::place(tenant, status, task), Some(Vec::new())));
        }
        let lived = before.is_some_and(|before| !before.has_ended());
        match (lived, !status.has_ended()) {
            (false, true) => writes.push((keys::live(tenant, task), Some(Vec::new()))),
            (true, false) => writes.push((keys::live(tenant, task), None)),
            _ => {}
        }
    }
}

fn slice<'a>(bytes: &'a [u8], at: &Range<usize>) -> &'a [u8] {
    bytes.get(at.clone()).unwrap_or_default()
}
