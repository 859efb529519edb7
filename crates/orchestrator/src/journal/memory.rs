//! The journal in memory, for tests and simulations: the same contract, but for the disk.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::FutureExt as _;
use futures::future::{BoxFuture, ready};
use remit_core::status::Status;
use remit_core::{Event, EventNumber, TaskId};
use remit_vat::disk::DiskError;

use super::{Journal, JournalError, TaskHead, check_order, follows};

/// A journal that lasts as long as it is held.
#[derive(Debug, Default)]
pub struct MemoryJournal {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    tasks: BTreeMap<(String, TaskId), (Vec<Event>, TaskHead)>,
    keys: HashMap<(String, String), TaskId>,
    refuses: Option<String>,
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

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn check(&self) -> Result<(), JournalError> {
        self.refuses.as_ref().map_or(Ok(()), |why| Err(DiskError(why.clone()).into()))
    }

    fn append(
        &mut self,
        tenant: &str,
        task: TaskId,
        events: Vec<Event>,
        mut head: TaskHead,
    ) -> Result<(), JournalError> {
        self.check()?;
        let at = (tenant.to_owned(), task);
        let before = self.tasks.get(&at).map(|(_, head)| head);
        if before.is_none()
            && let Some(other) = self.keys.get(&(at.0.clone(), head.key.clone()))
        {
            return Err(JournalError::KeyTaken { key: head.key, task: *other });
        }
        let found = before.map(|head| head.number).unwrap_or_default();
        let numbers = events.iter().map(|event| event.number);
        check_order(task, follows(&events, &head), found, numbers)?;
        head.number = events.last().map_or(found, |event| event.number);
        if let Some(before) = before {
            head.key.clone_from(&before.key);
        } else if !head.key.is_empty() {
            self.keys.insert((at.0.clone(), head.key.clone()), task);
        }
        let stored = self.tasks.entry(at).or_default();
        stored.0.extend(events);
        stored.1 = head;
        Ok(())
    }
}

impl Journal for MemoryJournal {
    fn append(
        &self,
        tenant: &str,
        task: TaskId,
        events: Vec<Event>,
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
        let Some((events, _)) = state.tasks.get(&(tenant.to_owned(), task)) else {
            return Ok(Vec::new());
        };
        Ok(events.iter().filter(|event| event.number > after).take(limit).cloned().collect())
    }

    fn head(&self, tenant: &str, task: TaskId) -> Result<Option<TaskHead>, JournalError> {
        Ok(self.lock().tasks.get(&(tenant.to_owned(), task)).map(|(_, head)| head.clone()))
    }

    fn list(
        &self,
        tenant: &str,
        status: Option<Status>,
        after: Option<TaskId>,
        limit: usize,
    ) -> Result<Vec<(TaskId, TaskHead)>, JournalError> {
        let state = self.lock();
        let wanted = |(owner, task): &(String, TaskId), head: &TaskHead| {
            owner == tenant
                && status.is_none_or(|status| head.status == status)
                && after.is_none_or(|after| *task < after)
        };
        let newest_first = state.tasks.iter().rev().filter(|(at, (_, head))| wanted(at, head));
        Ok(newest_first.take(limit).map(|(at, (_, head))| (at.1, head.clone())).collect())
    }

    fn unsettled(&self) -> Result<Vec<(String, TaskId)>, JournalError> {
        let state = self.lock();
        let live = state.tasks.iter().filter(|(_, (_, head))| !head.status.has_ended());
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
