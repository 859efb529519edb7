//! What a client sees of the tasks of its tenant, and of what was saved there.

use remit_core::id::NotATaskId;
use remit_core::{Code, Facet, Failure, TaskId};

use super::MeshServer;
use crate::owner::TaskKey;
use crate::refs::Saved;
use crate::serve::facets::{Hold, Whose};

impl MeshServer {
    /// The hold of this member on a task that it names.
    pub(super) fn hold(&self, key: &TaskKey) -> Result<Hold, Failure> {
        let owner = self.site.tasks.get(key)?;
        let own = owner.with(|task| task.created().creator == self.who.to_string());
        let whose = if own { Whose::Own } else { Whose::Anothers };
        Hold::by_name(self.may, whose).ok_or_else(|| {
            let why = "you may see only the tasks that you created: ask for a reference to this one (`remit save`)";
            Failure::new(Code::Denied, why)
        })
    }

    /// The creator of the tasks that this member may see; `None`: all.
    pub(super) fn sees(&self) -> Option<String> {
        let all = [Facet::View, Facet::Steer, Facet::Decide];
        let all = all.into_iter().any(|facet| self.may.has(facet));
        (!all).then(|| self.who.to_string())
    }

    /// Whether this member may revoke a reference that was saved.
    pub(super) fn may_revoke(&self, saved: &Saved) -> bool {
        let who = self.who.to_string();
        let key = TaskKey { tenant: self.who.tenant().to_owned(), task: saved.task };
        saved.by == who
            || saved.owner == who
            || self.may.has(Facet::Steer)
            || self.hold(&key).is_ok_and(Hold::steers)
    }

    /// Whether this member may see that a reference was saved.
    pub(super) fn sees_ref(&self, saved: &Saved) -> bool {
        self.sees().is_none() || self.may_revoke(saved)
    }

    pub(super) fn key(&self, id: &str) -> Result<TaskKey, Failure> {
        let task: Result<TaskId, NotATaskId> = id.parse();
        let task = task.map_err(|not| Failure::new(Code::InvalidArgument, not.to_string()))?;
        Ok(TaskKey { tenant: self.who.tenant().to_owned(), task })
    }

    /// The task after which a list goes on; none where it begins.
    pub(super) fn after(&self, id: &str) -> Result<Option<TaskId>, Failure> {
        if id.is_empty() { Ok(None) } else { self.key(id).map(|key| Some(key.task)) }
    }
}
