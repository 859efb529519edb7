//! The journal in memory, for tests and simulations: the same contract, but for the disk.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::FutureExt as _;
use futures::future::{BoxFuture, ready};
use remit_core::status::Status;
use remit_core::{Event, EventNumber, TaskId};

use super::keys::status_byte;
use super::{Journal, JournalError, Retention, Snapshot, TaskHead, check_order, follows};

/// A journal that lasts as long as it is held.
#[derive(Debug, Default)]
pub struct MemoryJournal {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    tasks: BTreeMap<(String, TaskId), Stored>,
    /// Tasks by where they stand.
    placed: BTreeSet<(String, u8, TaskId)>,
    keys: HashMap<(String, String), TaskId>,
    refuses: Option<String>,
    damaged: BTreeSet<(String, TaskId)>,
}

#[derive(Debug, Default)]
struct Stored {
    events: Vec<Event>,
    head: TaskHead,
    snapshot: Option<Snapshot>,
}

impl MemoryJournal {
    /// An empty journal.
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on appends fail for this reason, as on a full disk; `None`: they are taken again.
    pub fn refuse(&self, why: Option<&str>) {
        self.lock().refuses = why.map(str::to_owned);
    }

    /// From now on this task cannot be read, as on a damaged disk.
    pub fn damage(&self, tenant: &str, task: TaskId) {
        self.lock().damaged.insert((tenant.to_owned(), task));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn check(&self) -> Result<(), JournalError> {
        self.refuses.as_ref().map_or(Ok(()), |why| Err(JournalError::Unavailable(why.clone())))
    }

    fn append(
        &mut self,
        tenant: &str,
        task: TaskId,
        events: &[Event],
        mut head: TaskHead,
    ) -> Result<(), JournalError> {
        self.check()?;
        let at = (tenant.to_owned(), task);
        let before = self.tasks.get(&at).map(|stored| &stored.head);
        if before.is_none()
            && let Some(other) = self.keys.get(&(at.0.clone(), head.key.clone()))
        {
            return Err(JournalError::KeyTaken { key: head.key, task: *other });
        }
        let found = before.map(|head| head.number).unwrap_or_default();
        let numbers = events.iter().map(|event| event.number);
        check_order(task, follows(events, &head), found, numbers)?;
        head.number = events.last().map_or(found, |event| event.number);
        head.last_ms = events.last().map_or(head.last_ms, |event| event.time_ms);
        if let Some(before) = before {
            head.key.clone_from(&before.key);
            head.family = before.family;
            head.pruned = before.pruned;
            self.placed.remove(&(at.0.clone(), status_byte(before.status), task));
        } else if !head.key.is_empty() {
            self.keys.insert((at.0.clone(), head.key.clone()), task);
        }
        self.placed.insert((at.0.clone(), status_byte(head.status), task));
        let stored = self.tasks.entry(at).or_default();
        stored.events.extend_from_slice(events);
        stored.head = head;
        Ok(())
    }

    fn keep_snapshot(
        &mut self,
        tenant: &str,
        task: TaskId,
        snapshot: Snapshot,
    ) -> Result<(), JournalError> {
        self.check()?;
        let Some(stored) = self.tasks.get_mut(&(tenant.to_owned(), task)) else { return Ok(()) };
        let number = snapshot.number;
        if number > stored.head.number {
            return Err(JournalError::Corrupt { task, number, why: "it is missing".into() });
        }
        if stored.snapshot.as_ref().is_none_or(|before| before.number < number) {
            stored.snapshot = Some(snapshot);
        }
        Ok(())
    }

    fn prune(
        &mut self,
        tenant: &str,
        task: TaskId,
        through: EventNumber,
    ) -> Result<(), JournalError> {
        self.check()?;
        let Some(stored) = self.tasks.get_mut(&(tenant.to_owned(), task)) else { return Ok(()) };
        let Some(snapshot) = &stored.snapshot else { return Ok(()) };
        let through = through.min(snapshot.number).max(stored.head.pruned);
        stored.events.retain(|event| event.number > through);
        stored.head.pruned = through;
        Ok(())
    }

    fn remove(&mut self, tenant: &str, task: TaskId) -> Result<(), JournalError> {
        self.check()?;
        let at = (tenant.to_owned(), task);
        if !self.tasks.get(&at).is_some_and(|stored| stored.head.status.has_ended()) {
            return Ok(());
        }
        if let Some(stored) = self.tasks.remove(&at) {
            self.placed.remove(&(at.0.clone(), status_byte(stored.head.status), task));
            self.keys.remove(&(at.0, stored.head.key));
        }
        Ok(())
    }
}

impl Journal for MemoryJournal {
    fn append(
        &self,
        tenant: &str,
        task: TaskId,
        events: &[Event],
        head: TaskHead,
    ) -> BoxFuture<'static, Result<(), JournalError>> {
        ready(self.lock().append(tenant, task, events, head)).boxed()
    }

    fn read(
        &self,
        tenant: &str,
        task: TaskId,
        after: EventNumber,
        limit: usize,
    ) -> Result<Vec<Event>, JournalError> {
        let state = self.lock();
        let at = (tenant.to_owned(), task);
        if state.damaged.contains(&at) {
            let why = "a test damaged it".into();
            return Err(JournalError::Corrupt { task, number: after.next(), why });
        }
        let Some(stored) = state.tasks.get(&at) else {
            return Ok(Vec::new());
        };
        if after < stored.head.pruned {
            let (asked, first) = (after.next(), stored.head.pruned.next());
            return Err(JournalError::Pruned { task, asked, first });
        }
        let seen = usize::try_from(after.0.saturating_sub(stored.head.pruned.0));
        let seen = seen.unwrap_or(usize::MAX);
        Ok(stored.events.iter().skip(seen).take(limit).cloned().collect())
    }

    fn snapshot(&self, tenant: &str, task: TaskId) -> Result<Option<Snapshot>, JournalError> {
        let state = self.lock();
        Ok(state.tasks.get(&(tenant.to_owned(), task)).and_then(|stored| stored.snapshot.clone()))
    }

    fn keep_snapshot(
        &self,
        tenant: &str,
        task: TaskId,
        snapshot: Snapshot,
    ) -> BoxFuture<'static, Result<(), JournalError>> {
        ready(self.lock().keep_snapshot(tenant, task, snapshot)).boxed()
    }

    fn prune(
        &self,
        tenant: &str,
        task: TaskId,
        through: EventNumber,
    ) -> BoxFuture<'static, Result<(), JournalError>> {
        ready(self.lock().prune(tenant, task, through)).boxed()
    }

    fn remove(&self, tenant: &str, task: TaskId) -> BoxFuture<'static, Result<(), JournalError>> {
        ready(self.lock().remove(tenant, task)).boxed()
    }

    fn expired(
        &self,
        keep: &Retention,
        now_ms: u64,
        limit: usize,
    ) -> Result<Vec<(String, TaskId)>, JournalError> {
        let state = self.lock();
        let over = state.tasks.iter().filter(|(_, stored)| keep.is_over(&stored.head, now_ms));
        Ok(over.map(|(at, _)| at.clone()).take(limit).collect())
    }

    fn stored(&self) -> Result<Vec<(String, String, u64)>, JournalError> {
        let state = self.lock();
        let heads = state.tasks.iter().map(|(at, stored)| (&at.0, &stored.head));
        Ok(heads.map(|(of, head)| (of.clone(), head.creator.clone(), head.bytes)).collect())
    }

    fn head(&self, tenant: &str, task: TaskId) -> Result<Option<TaskHead>, JournalError> {
        let state = self.lock();
        Ok(state.tasks.get(&(tenant.to_owned(), task)).map(|stored| stored.head.clone()))
    }

    fn list(
        &self,
        tenant: &str,
        status: Option<Status>,
        after: Option<TaskId>,
        limit: usize,
    ) -> Result<Vec<(TaskId, TaskHead)>, JournalError> {
        let state = self.lock();
        let (first, last) = (TaskId::from_bytes([0; 16]), TaskId::from_bytes([255; 16]));
        let end = after.map_or(Bound::Included(last), Bound::Excluded);
        let tenant = || tenant.to_owned();
        let Some(status) = status.map(status_byte) else {
            let range = (Bound::Included((tenant(), first)), end.map(|task| (tenant(), task)));
            let newest_first = state.tasks.range(range).rev().take(limit);
            return Ok(newest_first.map(|(at, stored)| (at.1, stored.head.clone())).collect());
        };
        let placed = |task| (tenant(), status, task);
        let newest_first = state.placed.range((Bound::Included(placed(first)), end.map(placed)));
        let heads = newest_first.rev().take(limit).filter_map(|(tenant, _, task)| {
            let stored = state.tasks.get(&(tenant.clone(), *task))?;
            Some((*task, stored.head.clone()))
        });
        Ok(heads.collect())
    }

    fn asking(
        &self,
        tenant: &str,
        after: Option<TaskId>,
        limit: usize,
    ) -> Result<Vec<TaskId>, JournalError> {
        let state = self.lock();
        let asks = |(at, stored): &(&(String, TaskId), &Stored)| {
            at.0 == tenant && stored.head.questions > 0 && after.is_none_or(|after| at.1 < after)
        };
        Ok(state.tasks.iter().rev().filter(asks).map(|(at, _)| at.1).take(limit).collect())
    }

    fn family(
        &self,
        tenant: &str,
        root: TaskId,
        limit: usize,
    ) -> Result<Vec<TaskId>, JournalError> {
        let state = self.lock();
        let came = state.tasks.iter().filter(|((of, _), stored)| {
            of == tenant && stored.head.family.is_some_and(|family| family.root == root)
        });
        Ok(came.map(|((_, task), _)| *task).take(limit).collect())
    }

    fn unsettled(&self) -> Result<Vec<(String, TaskId)>, JournalError> {
        let state = self.lock();
        let live = state.tasks.iter().filter(|(_, stored)| !stored.head.status.has_ended());
        Ok(live.map(|(at, _)| at.clone()).collect())
    }

    fn find_key(
        &self,
        tenant: &str,
        key: &str,
    ) -> BoxFuture<'static, Result<Option<TaskId>, JournalError>> {
        let found = self.lock().keys.get(&(tenant.to_owned(), key.to_owned())).copied();
        ready(Ok(found)).boxed()
    }

    fn health(&self) -> Result<(), JournalError> {
        self.lock().check()
    }

    fn last_commit_us(&self) -> u64 {
        0
    }
}
