//! Lists of tasks: what the journal has, and what only memory knows.

use remit_core::status::Status;
use remit_core::{Failure, TaskId};
use remit_journal::TaskHead;

use super::{Tasks, unreadable};
use crate::admission::members::sight::Visibility;
use crate::admission::members::uses::TaskTraits;
use crate::limits;
use crate::runtime::{Owner, TaskKey};

/// Tasks, and where to go on if there may be more.
pub(super) type Listed = (Vec<(TaskId, TaskHead)>, Option<TaskId>);

impl Tasks {
    /// The tasks of a tenant, newest first; `after`: the last one already seen; `sight`: those that it
    /// has, or all; and where to go on if there may be more. Looks at a bounded number of heads, so a
    /// page may be short and not the last. Loads no task but one whose head does not say who made it.
    pub fn list(
        &self,
        tenant: &str,
        status: Option<Status>,
        after: Option<TaskId>,
        limit: usize,
        sight: Option<&Visibility>,
    ) -> Result<Listed, Failure> {
        let limit = limit.clamp(1, limits::TASKS_PER_PAGE);
        if status == Some(Status::Halted) {
            return Ok(self.list_halted(tenant, after, limit, sight));
        }
        let (mut found, mut after, mut left) = (Vec::new(), after, limits::TASKS_LOOKED_AT);
        while found.len() < limit && left > 0 {
            let wanted = (limit - found.len()).min(left);
            let page = self.services.journal.list(tenant, status, after, wanted);
            let page = page.map_err(unreadable)?;
            let full = page.len() == wanted;
            left -= page.len();
            after = page.last().map(|(task, _)| *task);
            let seen = |(task, head): &(TaskId, TaskHead)| self.is_seen(tenant, *task, head, sight);
            let live = page
                .into_iter()
                .filter(seen)
                .map(|(task, head)| (task, self.live(tenant, task, head)));
            // What has stopped is on disk as it stood before.
            let stopped = |head: &TaskHead| status.is_some() && head.status == Status::Halted;
            found.extend(live.filter(|(_, head)| !stopped(head)));
            if !full {
                return Ok((found, None));
            }
        }
        Ok((found, after))
    }

    /// Where a task stands, as [`Tasks::list`] says it.
    pub fn head(&self, owner: &Owner) -> Result<TaskHead, Failure> {
        let TaskKey { tenant, task } = owner.key();
        let kept = self.services.journal.head(tenant, *task).map_err(unreadable)?;
        Ok(TaskHead { key: kept.unwrap_or_default().key, ..owner.head() })
    }

    /// Whether a task is one of those that are seen.
    pub(super) fn is_seen(
        &self,
        tenant: &str,
        task: TaskId,
        head: &TaskHead,
        sight: Option<&Visibility>,
    ) -> bool {
        let Some(sight) = sight.filter(|sight| !sight.is_everything()) else { return true };
        if !head.creator.is_empty() {
            return sight.has(&head.name, &head.creator);
        }
        let key = TaskKey { tenant: tenant.to_owned(), task };
        let has = |traits: TaskTraits| sight.has(&traits.name, &traits.creator);
        self.get(&key).is_ok_and(|owner| has(owner.with(TaskTraits::of)))
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
        sight: Option<&Visibility>,
    ) -> Listed {
        let stopped = self.stopped.list(tenant, after, limit);
        let more = stopped.last().map(|(task, _)| *task).filter(|_| stopped.len() == limit);
        let stopped = stopped.into_iter();
        let shown = stopped.map(|(task, why)| {
            // A head that cannot be read is no reason not to show the task.
            let head = self.services.journal.head(tenant, task).ok().flatten();
            let head = head.unwrap_or_else(|| TaskHead {
                created_ms: task.created_ms(),
                ..TaskHead::default()
            });
            (task, TaskHead { status: Status::Halted, detail: why.message, ..head })
        });
        let seen = shown.filter(|(task, head)| self.is_seen(tenant, *task, head, sight));
        (seen.collect(), more)
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
