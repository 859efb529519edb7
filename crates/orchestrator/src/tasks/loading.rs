//! From the journal to an owner in memory, at the start and after the journal failed.
//!
//! Tasks that are not at work yet are read one at a time, off the vat, so that new work goes on.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use remit_core::{Code, Failure, TaskId};
use remit_journal::recovery::{Recovered, recover};
use remit_journal::{Journal, loss};
use remit_vat::backoff::Backoff;
use remit_vat::turn;
use remit_vat::vat::offload;

use super::{Tasks, unreadable};
use crate::limits;
use crate::node::TENANT;
use crate::runtime::{Owner, TaskKey};

/// Tasks that have not ended and have no owner, since their journal cannot be written or read.
#[derive(Default)]
pub(super) struct Stopped {
    why: RefCell<BTreeMap<(String, TaskId), Failure>>,
    /// Tasks that stand still until a person accepts what was lost of them.
    lost: RefCell<BTreeMap<TaskId, Failure>>,
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

/// Tasks that have not ended, and that nobody has read yet.
#[derive(Default)]
pub(super) struct Recovering {
    waiting: RefCell<BTreeSet<TaskKey>>,
    /// Whether someone reads them.
    tended: Cell<bool>,
}

impl Recovering {
    /// Whether this task is among them.
    pub(super) fn contains(&self, key: &TaskKey) -> bool {
        self.waiting.borrow().contains(key)
    }

    /// None of them is read any more.
    pub(super) fn clear(&self) {
        self.waiting.borrow_mut().clear();
    }

    /// The oldest of them.
    fn next(&self) -> Option<TaskKey> {
        self.waiting.borrow().first().cloned()
    }

    /// Whether it was among them, and is no longer.
    fn remove(&self, key: &TaskKey) -> bool {
        self.waiting.borrow_mut().remove(key)
    }
}

impl Tasks {
    /// Sees to it that every task that has not ended and has no owner is taken up.
    pub(super) fn activate_all(&self) -> Result<(), Failure> {
        let journal = &self.services.journal;
        *self.stopped.lost.borrow_mut() = loss::stopped(&journal.lost().map_err(unreadable)?);
        let unsettled = self.services.journal.unsettled().map_err(unreadable)?;
        let keys = unsettled.into_iter().map(|(tenant, task)| TaskKey { tenant, task });
        let owners = self.owners.borrow();
        self.recovering.waiting.borrow_mut().extend(keys.filter(|key| !owners.contains_key(key)));
        if !self.recovering.tended.replace(true) {
            turn::spawn("the recovery of tasks", recover_rest(self.me.clone()));
        }
        let lost = self.stopped.lost.borrow();
        for (task, why) in lost.iter() {
            // Of one that is lost as a whole, only that is known.
            if journal.head(TENANT, *task).map_err(unreadable)?.is_none() {
                self.stopped.add(&TaskKey { tenant: TENANT.to_owned(), task: *task }, why);
            }
        }
        Ok(())
    }

    /// Answers when every task that had not ended at the start was taken up. The caller does its part.
    pub async fn recovered(&self) {
        while let Some(key) = self.recovering.next() {
            self.activate(key);
            tokio::task::yield_now().await;
        }
    }

    /// Puts an owner to work on a task that has not ended, if it has none.
    pub(super) fn activate(&self, key: TaskKey) {
        self.recovering.remove(&key);
        if self.may_activate(&key) {
            let read = self.load(&key);
            self.activate_as(key, read);
        }
    }

    fn may_activate(&self, key: &TaskKey) -> bool {
        let is_owned = self.owners.borrow().contains_key(key);
        if let Some(why) = self.stopped.lost.borrow().get(&key.task) {
            self.stopped.add(key, why);
            return false;
        }
        let is_stuck = self.stopped.why(key).is_some_and(|why| {
            // Another owner has it: this orchestrator leaves it alone until it is started anew.
            why.code == Code::Revoked || self.services.journal.health().is_err()
        });
        !(is_owned || is_stuck)
    }

    /// Puts an owner to work on a task that was read just now.
    fn activate_as(&self, key: TaskKey, read: Result<Recovered, Failure>) {
        self.stopped.remove(&key);
        match read {
            Ok(recovered) if recovered.task.ending().is_some() => {}
            Ok(recovered) => {
                let owner = self.owner_of(key, recovered);
                self.begin(Rc::clone(&owner));
                owner.unload_if_idle();
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
        turn::spawn("stopped tasks", async move {
            let mut backoff = Backoff::new(limits::JOURNAL_RETRY_FIRST, limits::JOURNAL_RETRY_MOST);
            loop {
                tokio::time::sleep(backoff.next_wait()).await;
                let Some(tasks) = tasks.upgrade() else { return };
                if tasks.services.journal.health().is_err() {
                    continue;
                }
                // All of them, since one whose creation was refused may be on disk all the same.
                match tasks.activate_all() {
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
        self.activate(key.clone());
        if let Some(owner) = self.owners.borrow().get(key) {
            return Ok(Rc::clone(owner));
        }
        let Ok(recovered) = self.load(key) else { return Err(why) };
        let owner = self.owner_of(key.clone(), recovered);
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
        read(&*self.services.journal, key)
    }

    pub(super) fn owner_of(&self, key: TaskKey, recovered: Recovered) -> Rc<Owner> {
        let owner = Owner::new(key, recovered.task, Rc::clone(&self.services));
        owner.has_snapshot(recovered.snapshot);
        owner
    }
}

fn read(journal: &dyn Journal, key: &TaskKey) -> Result<Recovered, Failure> {
    let recovered = recover(journal, &key.tenant, key.task)?;
    recovered.ok_or_else(|| {
        let why = format!("there is no task {}; `remit ps` lists the tasks there are", key.task);
        Failure::new(Code::NotFound, why)
    })
}

/// Takes up what waits, one at a time.
async fn recover_rest(tasks: Weak<Tasks>) {
    loop {
        let (key, journal) = {
            let Some(tasks) = tasks.upgrade() else { return };
            let Some(key) = tasks.recovering.next() else {
                tasks.recovering.tended.set(false);
                return;
            };
            (key, Arc::clone(&tasks.services.journal))
        };
        let wanted = key.clone();
        let found = offload(move || read(&*journal, &wanted)).await;
        let Some(tasks) = tasks.upgrade() else { return };
        // It may have been asked for meanwhile, or all of them be given up.
        if tasks.recovering.remove(&key) && tasks.may_activate(&key) {
            let failed = |error: std::io::Error| Failure::new(Code::Failed, error.to_string());
            tasks.activate_as(key, found.map_err(failed).and_then(|read| read));
        }
        tokio::task::yield_now().await;
    }
}
