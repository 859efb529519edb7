//! Lists of tasks: what the journal has, and what only memory knows.

use remit_core::status::Status;
use remit_core::{Failure, TaskId};

use super::{Tasks, unreadable};
use crate::journal::TaskHead;
use crate::limits;
use crate::owner::{Owner, TaskKey};

impl Tasks {
    /// The tasks of a tenant, newest first; `after`: the last one already seen; `by`: those that this
    /// identity created, or all. Loads none of them but those whose head does not say who made them.
    pub fn list(
        &self,
        tenant: &str,
        status: Option<Status>,
        after: Option<TaskId>,
        limit: usize,
        by: Option<&str>,
    ) -> Result<Vec<(TaskId, TaskHead)>, Failure> {
        let limit = limit.clamp(1, limits::TASKS_PER_PAGE);
        if status == Some(Status::Halted) {
            return Ok(self.list_halted(tenant, after, limit, by));
        }
        let (mut found, mut after) = (Vec::new(), after);
        while found.len() < limit {
            let wanted = limit - found.len();
            let page = self.services.journal.list(tenant, status, after, wanted);
            let page = page.map_err(unreadable)?;
            let full = page.len() == wanted;
            after = page.last().map(|(task, _)| *task);
            let mine = |(task, head): &(TaskId, TaskHead)| self.is_by(tenant, *task, head, by);
            let live = page
                .into_iter()
                .filter(mine)
                .map(|(task, head)| (task, self.live(tenant, task, head)));
            // What has stopped is on disk as it stood before.
            let stopped = |head: &TaskHead| status.is_some() && head.status == Status::Halted;
            found.extend(live.filter(|(_, head)| !stopped(head)));
            if !full {
                break;
            }
        }
        Ok(found)
    }

    /// Where a task stands, as [`Tasks::list`] says it.
    pub fn head(&self, owner: &Owner) -> Result<TaskHead, Failure> {
        let TaskKey { tenant, task } = owner.key();
        let kept = self.services.journal.head(tenant, *task).map_err(unreadable)?;
        Ok(TaskHead { key: kept.unwrap_or_default().key, ..owner.head() })
    }

    /// Whether a task is by this creator, or any will do.
    fn is_by(&self, tenant: &str, task: TaskId, head: &TaskHead, by: Option<&str>) -> bool {
        let Some(by) = by else { return true };
        if !head.creator.is_empty() {
            return head.creator == by;
        }
        let key = TaskKey { tenant: tenant.to_owned(), task };
        self.get(&key).is_ok_and(|owner| owner.with(|task| task.created().creator == by))
    }

    /// Whether a task has an owner in memory.
    pub fn is_owned(&self, key: &TaskKey) -> bool {
        self.owners.borrow().contains_key(key)
    }

    /// Tasks whose journal cannot be written or read. The journal itself does not know.
    fn list_halted(
        &self,
        tenant: &str,
        after: Option<TaskId>,
        limit: usize,
        by: Option<&str>,
    ) -> Vec<(TaskId, TaskHead)> {
        let stopped = self.stopped.list(tenant, after, limit).into_iter();
        let shown = stopped.map(|(task, why)| {
            // A head that cannot be read is no reason not to show the task.
            let head = self.services.journal.head(tenant, task).ok().flatten();
            let head = head.unwrap_or_else(|| TaskHead {
                created_ms: task.created_ms(),
                ..TaskHead::default()
            });
            (task, TaskHead { status: Status::Halted, detail: why.message, ..head })
        });
        shown.filter(|(task, head)| self.is_by(tenant, *task, head, by)).collect()
    }

    /// A task's head with what only its owner knows: where it runs, and why it does not.
    fn live(&self, tenant: &str, task: TaskId, head: TaskHead) -> TaskHead {
        let key = TaskKey { tenant: tenant.to_owned(), task };
        if let Some(owner) = self.owners.borrow().get(&key) {
            let live = owner.head();
            // What is not on disk yet is nobody's to know.
            return if live.status == head.status {
                TaskHead { key: head.key, ..live }
            } else {
                head
            };
        }
        match self.stopped.why(&key) {
            Some(why) => TaskHead { status: Status::Halted, detail: why.message, ..head },
            None => head,
        }
    }
}
