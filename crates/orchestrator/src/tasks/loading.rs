//! From the journal to an owner in memory, at the start and after the journal failed.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::rc::Rc;

use remit_core::{Code, Failure, TaskId};
use remit_vat::backoff::Backoff;

use super::{Tasks, unreadable};
use crate::journal::recovery::{Recovered, recover};
use crate::limits;
use crate::owner::{Owner, TaskKey};

/// Tasks that have not ended and have no owner, since their journal cannot be written or read.
#[derive(Default)]
pub(super) struct Stopped {
    why: RefCell<BTreeMap<(String, TaskId), Failure>>,
    /// Whether someone looks after them.
    tended: Cell<bool>,
}

impl Stopped {
    /// Why a task is stopped, if it is.
    pub(super) fn why(&self, key: &TaskKey) -> Option<Failure> {
        self.why.borrow().get(&(key.tenant.clone(), key.task)).cloned()
    }

    /// Up to `limit` stopped tasks of a tenant, newest first, older than `after`.
    pub(super) fn list(
        &self,
        tenant: &str,
        after: Option<TaskId>,
        limit: usize,
    ) -> Vec<(TaskId, Failure)> {
        let at = |task| (tenant.to_owned(), task);
        let end = after.map_or(Bound::Included(TaskId::from_bytes([255; 16])), Bound::Excluded);
        let range = (Bound::Included(at(TaskId::from_bytes([0; 16]))), end.map(at));
        let why = self.why.borrow();
        let newest_first = why.range(range).rev().take(limit);
        newest_first.map(|((_, task), why)| (*task, why.clone())).collect()
    }

    fn add(&self, key: &TaskKey, why: &Failure) {
        self.why.borrow_mut().insert((key.tenant.clone(), key.task), why.clone());
    }

    fn remove(&self, key: &TaskKey) {
        self.why.borrow_mut().remove(&(key.tenant.clone(), key.task));
    }

    /// Whether there are some that only wait for the disk.
    fn wait_for_disk(&self) -> bool {
        self.why.borrow().values().any(|why| why.code == Code::Unavailable)
    }
}

impl Tasks {
    /// Takes up every task that has not ended and has no owner.
    pub(super) fn take_up_all(&self) -> Result<(), Failure> {
        for (tenant, task) in self.services.journal.unsettled().map_err(unreadable)? {
            self.take_up(TaskKey { tenant, task });
        }
        Ok(())
    }

    /// Puts an owner to work on a task that has not ended, if it has none.
    pub(super) fn take_up(&self, key: TaskKey) {
        if self.owners.borrow().contains_key(&key) {
            return;
        }
        if self.stopped.why(&key).is_some() && self.services.journal.health().is_err() {
            return;
        }
        self.stopped.remove(&key);
        match self.load(&key) {
            Ok(recovered) if recovered.task.ending().is_some() => {}
            Ok(recovered) => {
                let owner = self.owner_of(key, recovered);
                self.begin(Rc::clone(&owner));
                self.reconcile(&owner);
            }
            Err(failure) => {
                tracing::error!(task = %key.task, %failure, "stopped; other tasks go on");
                self.stopped.add(&key, &failure);
                self.tend_stopped();
            }
        }
    }

    /// Lets go of an owner whose journal failed: a fresh one takes its place once it can.
    pub(super) fn stop(&self, key: &TaskKey, why: &Failure) {
        // One that was read only to be looked at may halt beside the one that works.
        if self.owners.borrow().get(key).is_some_and(|owner| !owner.is_closing()) {
            return;
        }
        self.owners.borrow_mut().remove(key);
        self.stopped.add(key, why);
        self.tend_stopped();
    }

    /// Sees to it that stopped tasks are taken up again once the journal can be written.
    fn tend_stopped(&self) {
        if self.stopped.tended.get() || !self.stopped.wait_for_disk() {
            return;
        }
        self.stopped.tended.set(true);
        let tasks = self.me.clone();
        tokio::task::spawn_local(async move {
            let mut backoff = Backoff::new(limits::JOURNAL_RETRY_FIRST, limits::JOURNAL_RETRY_MOST);
            loop {
                tokio::time::sleep(backoff.next_wait()).await;
                let Some(tasks) = tasks.upgrade() else { return };
                if tasks.services.journal.health().is_err() {
                    continue;
                }
                // All of them, since one whose creation was refused may be on disk all the same.
                match tasks.take_up_all() {
                    Ok(()) => tracing::info!("the journal can be written: tasks go on"),
                    Err(failure) => tracing::warn!(%failure, "tasks cannot go on yet"),
                }
                if !tasks.stopped.wait_for_disk() {
                    tasks.stopped.tended.set(false);
                    return;
                }
            }
        });
    }

    /// The owner of a task that was stopped: a working one, if that is possible now, or one that
    /// can be looked at and says why it takes nothing.
    pub(super) fn stopped_owner(&self, key: &TaskKey, why: Failure) -> Result<Rc<Owner>, Failure> {
        self.take_up(key.clone());
        if let Some(owner) = self.owners.borrow().get(key) {
            return Ok(Rc::clone(owner));
        }
        let owner = self.owner_of(key.clone(), self.load(key)?);
        if self.stopped.why(key).is_some() {
            owner.stand_still(why);
        }
        Ok(owner)
    }

    /// Takes an owner out of the table, if it is the one that stands there.
    pub(super) fn let_go(&self, owner: &Rc<Owner>) {
        let mut owners = self.owners.borrow_mut();
        if owners.get(owner.key()).is_some_and(|held| Rc::ptr_eq(held, owner)) {
            owners.remove(owner.key());
        }
    }

    pub(super) fn load(&self, key: &TaskKey) -> Result<Recovered, Failure> {
        let recovered = recover(&*self.services.journal, &key.tenant, key.task)?;
        recovered.ok_or_else(|| {
            let why =
                format!("there is no task {}; `remit ps` lists the tasks there are", key.task);
            Failure::new(Code::NotFound, why)
        })
    }

    pub(super) fn owner_of(&self, key: TaskKey, recovered: Recovered) -> Rc<Owner> {
        let owner = Owner::new(key, recovered.task, Rc::clone(&self.services));
        owner.has_snapshot(recovered.snapshot);
        owner
    }
}
