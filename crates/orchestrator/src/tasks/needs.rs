//! Grants that require another task: they end when it does.

#[cfg(test)]
mod tests;

use std::rc::Rc;

use remit_core::TaskId;
use remit_core::task::Command;

use super::Tasks;
use crate::runtime::{Owner, TaskKey};

impl Tasks {
    /// Ends the grants of a task that require another one which has ended, or never was.
    pub fn revoke_dependents(&self, owner: &Rc<Owner>) {
        let over = owner.with(|task| {
            let needs = task.task_needs();
            needs.filter(|(_, needed)| !self.goes_on(owner.key(), *needed)).collect::<Vec<_>>()
        });
        for (grant, needed) in over {
            let reason = format!("it requires the task {needed}, which has ended");
            if let Err(failure) = owner.record(&Command::EndGrant { grant, reason }) {
                tracing::warn!(task = %owner.key().task, %failure, "a grant could not be ended");
            }
        }
    }

    /// Ends the grants of all other tasks that require one which has just ended. Tasks that are not
    /// in memory follow when they are taken up.
    pub(super) fn revoke_all_dependents(&self) {
        let owners: Vec<Rc<Owner>> = self.owners.borrow().values().cloned().collect();
        owners
            .iter()
            .filter(|owner| !owner.is_closing())
            .for_each(|owner| self.revoke_dependents(owner));
    }

    fn goes_on(&self, asker: &TaskKey, needed: TaskId) -> bool {
        let key = TaskKey { tenant: asker.tenant.clone(), task: needed };
        if let Some(owner) = self.owners.borrow().get(&key) {
            return owner.with(|task| task.ending().is_none());
        }
        match self.services.journal.head(&key.tenant, needed) {
            Ok(head) => head.is_some_and(|head| !head.status.has_ended()),
            // Nobody can tell, and authority that may be over is over.
            Err(_) => false,
        }
    }
}
