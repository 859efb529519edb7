//! The journal on a disk of its own.

use futures::FutureExt as _;
use futures::future::BoxFuture;
use remit_core::status::Status;
use remit_core::{Event, EventNumber, TaskId};
use remit_vat::disk::{Disk, DiskError, Pair, View, Write};
use remit_vat::wire;

use super::record::{self, Hash};
use super::{Journal, JournalError, TaskHead, check_order, follows, keys};

/// Places of tasks that are read at once.
const PAGE: usize = 1_000;

/// The journal in a store, beside whatever else is there under other first bytes of keys.
#[derive(Debug, Clone)]
pub struct SledJournal {
    disk: Disk,
}

impl SledJournal {
    /// The journal in `disk`.
    pub const fn new(disk: Disk) -> Self {
        Self { disk }
    }

    fn stored_head(&self, tenant: &str, task: TaskId) -> Result<Option<TaskHead>, JournalError> {
        let bytes = self.disk.get(&keys::head(tenant, task))?;
        bytes.map(|bytes| read_head(task, &bytes)).transpose()
    }

    /// The hash that the event after `after` must follow.
    fn hash_of(
        &self,
        tenant: &str,
        task: TaskId,
        after: EventNumber,
    ) -> Result<Hash, JournalError> {
        if after.0 == 0 {
            return Ok(record::beginning(tenant, task));
        }
        let damaged = |why| JournalError::Corrupt { task, number: after, why };
        let bytes = self.disk.get(&keys::event(tenant, task, after))?;
        let bytes = bytes.ok_or_else(|| damaged("it is missing".into()))?;
        record::check(&bytes, None).map_err(damaged)
    }

    /// Tasks of one kind, newest first.
    fn list_places(
        &self,
        tenant: &str,
        status: Status,
        after: Option<TaskId>,
        limit: usize,
    ) -> Result<Vec<(TaskId, TaskHead)>, JournalError> {
        let mut before = after.map(|task| keys::place(tenant, status, task)).unwrap_or_default();
        let mut found = Vec::new();
        loop {
            let page = self.disk.scan_back(&keys::places(tenant, status), &before, PAGE)?;
            let full = page.len() == PAGE;
            for (key, _) in page {
                let Some(task) = keys::task(&key) else { continue };
                before = key;
                let Some(bytes) = self.disk.get(&keys::head(tenant, task))? else { continue };
                let head = shown(task, &bytes);
                if head.status == status {
                    found.push((task, head));
                }
                if found.len() == limit {
                    return Ok(found);
                }
            }
            if !full {
                return Ok(found);
            }
        }
    }
}

impl Journal for SledJournal {
    fn append(
        &self,
        tenant: &str,
        task: TaskId,
        events: Vec<Event>,
        head: TaskHead,
    ) -> BoxFuture<'static, Result<(), JournalError>> {
        let expected = follows(&events, &head);
        let events: Vec<_> =
            events.iter().map(|event| (event.number, wire::event::encode(event))).collect();
        let bytes = events.iter().map(|(_, bytes)| bytes.len() + 128).sum::<usize>() + 256;
        let append = Append { tenant: tenant.to_owned(), task, expected, events, head };
        let done = self.disk.transact(bytes, move |view| append.decide(view));
        async move { done.await? }.boxed()
    }

    fn read(
        &self,
        tenant: &str,
        task: TaskId,
        after: EventNumber,
        limit: usize,
    ) -> Result<Vec<Event>, JournalError> {
        // The head first: what it promises must then be there.
        let Some(head) = self.stored_head(tenant, task)? else { return Ok(Vec::new()) };
        if limit == 0 || after >= head.number {
            return Ok(Vec::new());
        }
        let mut before = self.hash_of(tenant, task, after)?;
        let from = keys::event(tenant, task, after.next());
        let stored = self.disk.scan(&keys::events(tenant, task), &from, limit)?;
        let mut events = Vec::with_capacity(stored.len());
        let mut number = after;
        for (key, bytes) in &stored {
            number = number.next();
            let damaged = |why: &str| JournalError::Corrupt { task, number, why: why.to_owned() };
            if keys::number(key) != Some(number) {
                return Err(damaged("it is missing"));
            }
            let (event, hash) =
                record::open(bytes, number, Some(&before)).map_err(|why| damaged(&why))?;
            if number == head.number && hash != head.hash {
                return Err(damaged("it is not the one that the task's head names"));
            }
            before = hash;
            events.push(event);
        }
        if events.len() < limit && number < head.number {
            let why = "it is missing".to_owned();
            return Err(JournalError::Corrupt { task, number: number.next(), why });
        }
        Ok(events)
    }

    fn head(&self, tenant: &str, task: TaskId) -> Result<Option<TaskHead>, JournalError> {
        self.stored_head(tenant, task)
    }

    fn list(
        &self,
        tenant: &str,
        status: Option<Status>,
        after: Option<TaskId>,
        limit: usize,
    ) -> Result<Vec<(TaskId, TaskHead)>, JournalError> {
        if let Some(status) = status {
            return self.list_places(tenant, status, after, limit);
        }
        let before = after.map(|task| keys::head(tenant, task)).unwrap_or_default();
        let page = self.disk.scan_back(&keys::heads(tenant), &before, limit)?;
        let read = |(key, bytes): Pair| keys::task(&key).map(|task| (task, shown(task, &bytes)));
        Ok(page.into_iter().filter_map(read).collect())
    }

    fn unsettled(&self) -> Result<Vec<(String, TaskId)>, JournalError> {
        let mut found = Vec::new();
        let mut from = keys::ALL_LIVE.to_vec();
        loop {
            let page = self.disk.scan(keys::ALL_LIVE, &from, PAGE)?;
            let Some((last, _)) = page.last() else { return Ok(found) };
            // The least key after the last one.
            from.clone_from(last);
            from.push(0);
            found.extend(page.iter().filter_map(|(key, _)| keys::tenant(key).zip(keys::task(key))));
        }
    }

    fn find_key(
        &self,
        tenant: &str,
        key: &str,
    ) -> BoxFuture<'static, Result<Option<TaskId>, JournalError>> {
        let key = keys::created(tenant, key);
        // On the commit thread, so that it answers after what was queued before it is durable.
        let looked = self.disk.transact(0, move |view| {
            let found = view.get(&key)?.and_then(|task| keys::task(&task));
            Ok(found.map_or(Ok(Vec::new()), Err))
        });
        async move { Ok(looked.await?.err()) }.boxed()
    }

    fn health(&self) -> Result<(), JournalError> {
        Ok(self.disk.health()?)
    }

    fn last_commit_us(&self) -> u64 {
        self.disk.last_commit_us()
    }
}

/// An append on its way to the disk.
struct Append {
    tenant: String,
    task: TaskId,
    expected: EventNumber,
    /// Numbers, and events in their encoded form.
    events: Vec<(EventNumber, Vec<u8>)>,
    head: TaskHead,
}

impl Append {
    /// Runs on the commit thread, after every append that was queued before this one.
    fn decide(self, view: &View<'_>) -> Result<Result<Vec<Write>, JournalError>, DiskError> {
        let Self { tenant, task, .. } = &self;
        let before = match view.get(&keys::head(tenant, *task))? {
            None => None,
            Some(bytes) => match read_head(*task, &bytes) {
                Ok(head) => Some(head),
                Err(error) => return Ok(Err(error)),
            },
        };
        let claimed = match &before {
            None if !self.head.key.is_empty() => {
                let key = keys::created(tenant, &self.head.key);
                if let Some(other) = view.get(&key)?.and_then(|other| keys::task(&other)) {
                    let key = self.head.key;
                    return Ok(Err(JournalError::KeyTaken { key, task: other }));
                }
                Some((key, Some(task.as_bytes().to_vec())))
            }
            _ => None,
        };
        Ok(self.writes(before, claimed))
    }

    fn writes(
        mut self,
        before: Option<TaskHead>,
        claimed: Option<Write>,
    ) -> Result<Vec<Write>, JournalError> {
        let (tenant, task) = (&self.tenant, self.task);
        let (found, mut hash) = match &before {
            Some(head) => (head.number, head.hash),
            None => (EventNumber(0), record::beginning(tenant, task)),
        };
        let numbers = self.events.iter().map(|(number, _)| *number);
        check_order(task, self.expected, found, numbers)?;
        let mut writes: Vec<Write> = claimed.into_iter().collect();
        for (number, event) in &self.events {
            let (bytes, next) = record::seal(&hash, event);
            writes.push((keys::event(tenant, task, *number), Some(bytes)));
            (hash, self.head.number) = (next, *number);
        }
        self.head.hash = hash;
        let place = keys::place(tenant, self.head.status, task);
        if let Some(before) = before {
            let left = keys::place(tenant, before.status, task);
            if left != place {
                writes.push((left, None));
                writes.push((place, Some(Vec::new())));
            }
            self.head.key = before.key;
        } else {
            writes.push((place, Some(Vec::new())));
        }
        writes.push((keys::head(tenant, task), Some(self.head.to_bytes())));
        Ok(writes)
    }
}

fn read_head(task: TaskId, bytes: &[u8]) -> Result<TaskHead, JournalError> {
    TaskHead::from_bytes(bytes).map_err(|why| JournalError::Corrupt {
        task,
        number: EventNumber(0),
        why: why.to_owned(),
    })
}

/// A head for a list: one that is damaged is shown as such, and does not spoil the list.
fn shown(task: TaskId, bytes: &[u8]) -> TaskHead {
    read_head(task, bytes).unwrap_or_else(|error| TaskHead {
        status: Status::Halted,
        detail: error.to_string(),
        ..TaskHead::default()
    })
}
