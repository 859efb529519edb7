//! Who holds what, over all tasks; and taking it back from all of them at once.

use remit_core::audit::{Decision, Record, hex};
use remit_core::task::{Command, Held};
use remit_core::{Code, Failure, GrantId, Identity, TaskId};

use super::Tasks;
use crate::owner::TaskKey;

/// Which grants are meant: those that fit all that is given.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Of this task.
    pub task: Option<TaskId>,
    /// Held by this identity or `task:` and an id; or its last part.
    pub holder: String,
    /// Of this tool.
    pub tool: String,
    /// Of a tool with this manifest.
    pub manifest: Option<[u8; 32]>,
}

impl Selection {
    fn is_all(&self) -> bool {
        self.task.is_none()
            && self.holder.is_empty()
            && self.tool.is_empty()
            && self.manifest.is_none()
    }

    /// Whether a grant of `task` is meant. Its own agent holds what nobody else does.
    fn fits(&self, task: TaskId, state: &remit_core::Task, held: &Held) -> bool {
        let own = format!("task:{task}");
        let holder = if held.grant.holder == "task" { &own } else { &held.grant.holder };
        let wanted = &self.holder;
        (wanted.is_empty() || holder == wanted || holder.rsplit('/').next() == Some(wanted))
            && self.task.is_none_or(|wanted| wanted == task)
            && (self.tool.is_empty() || held.grant.tool == self.tool)
            && self.manifest.is_none_or(|wanted| {
                let pinned =
                    state.pinned(held.grant.grant).map(|(made_for, hash)| (made_for.hash(), hash));
                pinned.is_some_and(|(made_for, now)| wanted == now || wanted == made_for)
            })
    }
}

impl Tasks {
    /// The tasks that have not ended, and those whose grants others still hold.
    fn at_work(&self, tenant: &str) -> Vec<TaskKey> {
        let owners = self.owners.borrow();
        let mut keys: Vec<_> = owners.keys().filter(|key| key.tenant == tenant).cloned().collect();
        keys.sort_by_key(|key| key.task);
        keys
    }

    /// Every grant in force that `which` means.
    pub fn holders(&self, tenant: &str, which: &Selection) -> Vec<(TaskKey, GrantId)> {
        let mut found = Vec::new();
        for key in self.at_work(tenant) {
            let Ok(owner) = self.get(&key) else { continue };
            owner.with(|task| {
                let fitting = task.grants().filter(|held| {
                    !task.is_revoked(held.grant.grant) && which.fits(key.task, task, held)
                });
                found.extend(fitting.map(|held| (key.clone(), held.grant.grant)));
            });
        }
        found
    }

    /// Takes back every grant that `which` means, with all that was narrowed from each. Durable when
    /// it answers. Calls are cut before any of it is on disk.
    pub async fn revoke_all(
        &self,
        which: &Selection,
        reason: &str,
        by: &Identity,
    ) -> Result<Vec<(TaskKey, GrantId)>, Failure> {
        if which.is_all() {
            let why = "say what to take back: a task, a holder, a tool or a manifest";
            return Err(Failure::new(Code::InvalidArgument, why));
        }
        let meant = self.holders(by.tenant(), which);
        let mut written = Vec::new();
        for (key, grant) in &meant {
            let owner = self.working(key)?;
            let (reason, by) = (reason.to_owned(), by.to_string());
            let recorded = owner.record(&Command::RevokeGrant { grant: *grant, reason, by })?;
            written.push((owner, recorded.number));
        }
        for (owner, number) in written {
            owner.durable(number).await?;
        }
        let mut record = Record::new(by.to_string(), Decision::Revoked).because(reason);
        record.tool.clone_from(&which.tool);
        let task = which.task.map(|task| format!("task {task}"));
        let manifest = which.manifest.map(|hash| format!("manifest {}", hex(&hash)));
        let holder = (!which.holder.is_empty()).then(|| format!("held by {}", which.holder));
        let about: Vec<String> = [task, holder, manifest].into_iter().flatten().collect();
        let record = record.about(format!("{} grants {}", meant.len(), about.join(", ")));
        self.services.audit.record(by.tenant(), record).await?;
        Ok(meant)
    }
}
