//! Who holds what, over all tasks; and taking it back from all of them at once.

use std::collections::BTreeSet;
use std::rc::Rc;

use remit_core::audit::{Decision, Record};
use remit_core::event::Origin;
use remit_core::grant::{BudgetWalk, RemainingBudget};
use remit_core::task::{Command, Held};
use remit_core::{Code, Failure, GrantId, Identity, TaskId};

use super::{Tasks, unreadable};
use crate::admission::members::sight::Visibility;
use crate::runtime::{Owner, TaskKey};
use crate::services::membership::AndItsTasks;

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
    /// Of these tasks; `None`: of all. It bounds what the rest means.
    pub within: Option<Visibility>,
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
            && self
                .within
                .as_ref()
                .is_none_or(|within| within.has(&state.created().name, &state.created().creator))
            && (self.tool.is_empty() || held.grant.tool == self.tool)
            && self.manifest.is_none_or(|wanted| {
                let pinned =
                    state.pinned(held.grant.grant).map(|(made_for, hash)| (made_for.hash(), hash));
                pinned.is_some_and(|(made_for, now)| wanted == now || wanted == made_for)
            })
    }
}

impl Tasks {
    /// The tasks that may have grants in force: those that have not ended, whether or not they are
    /// at work now; those that passed on or saved
    /// what they hold; and the one that is asked for.
    async fn with_grants(
        &self,
        tenant: &str,
        which: &Selection,
    ) -> Result<BTreeSet<TaskId>, Failure> {
        let saved = match self.refs() {
            Ok(refs) => refs.list(tenant).await?,
            Err(_) => Vec::new(),
        };
        let unsettled = self.services.journal.unsettled().map_err(unreadable)?;
        let mut found: BTreeSet<TaskId> =
            unsettled.into_iter().filter_map(|(of, task)| (of == tenant).then_some(task)).collect();
        let owners = self.owners.borrow();
        let at_work = || owners.iter().filter(|(key, _)| key.tenant == tenant);
        found.extend(at_work().map(|(key, _)| key.task));
        let origins = |owner: &Rc<Owner>| -> Vec<TaskId> {
            owner.with(|t| t.grants().filter_map(|g| Some(g.grant.origin?.task)).collect())
        };
        found.extend(at_work().flat_map(|(_, owner)| origins(owner)));
        // What was restored from a reference outlives the task's end, too.
        found.extend(saved.into_iter().map(|(saved, _)| saved.task));
        found.extend(which.task);
        Ok(found)
    }

    /// Whether a task may be one of those that the selection is bounded to, by its head alone: others
    /// are not read.
    fn may_be_within(&self, key: &TaskKey, which: &Selection) -> Result<bool, Failure> {
        let Some(within) = which.within.as_ref().filter(|within| !within.is_everything()) else {
            return Ok(true);
        };
        let head = self.services.journal.head(&key.tenant, key.task).map_err(unreadable)?;
        Ok(head.is_none_or(|head| head.creator.is_empty() || within.has(&head.name, &head.creator)))
    }

    /// Every grant in force that `which` means. Fails if a task that may have one cannot be read.
    pub async fn holders(
        &self,
        tenant: &str,
        which: &Selection,
    ) -> Result<Vec<(TaskKey, GrantId)>, Failure> {
        let (found, unread) = self.find_holders(tenant, which).await?;
        unread.map_or(Ok(found), |(_, failure)| Err(failure))
    }

    /// Every grant in force that `which` means, and the first task that cannot be read.
    async fn find_holders(
        &self,
        tenant: &str,
        which: &Selection,
    ) -> Result<(Vec<(TaskKey, GrantId)>, Option<(TaskId, Failure)>), Failure> {
        self.recovered().await;
        let (mut found, mut unread) = (Vec::new(), None);
        for task in self.with_grants(tenant, which).await? {
            let key = TaskKey { tenant: tenant.to_owned(), task };
            if which.task.is_some_and(|wanted| wanted != task) {
                continue;
            }
            let owner = match self.may_be_within(&key, which) {
                Ok(false) => continue,
                Ok(true) => self.get(&key),
                Err(failure) => Err(failure),
            };
            let owner = match owner {
                Ok(owner) => owner,
                Err(failure) if failure.code == Code::NotFound && which.task.is_none() => continue,
                Err(failure) => {
                    unread.get_or_insert((task, failure));
                    continue;
                }
            };
            owner.with(|state| {
                let fitting = state.grants().filter(|held| {
                    !state.is_revoked(held.grant.grant)
                        && which.fits(task, state, held)
                        // What a task that has ended held itself, nobody uses any more.
                        && (state.ending().is_none() || held.grant.holder != "task")
                });
                found.extend(fitting.map(|held| (key.clone(), held.grant.grant)));
            });
        }
        Ok((found, unread))
    }

    /// Pauses or cancels every task of this creator that has not ended; answers how many. Durable when
    /// it answers. One that cannot be stopped keeps no other from it, and is told of at the end.
    pub async fn stop_of(
        &self,
        creator: &Identity,
        why: &str,
        by: &Identity,
        then: AndItsTasks,
    ) -> Result<usize, Failure> {
        let who = creator.to_string();
        let (mut stopped, mut missed) = (0, None);
        for (tenant, task) in self.services.journal.unsettled().map_err(unreadable)? {
            let key = TaskKey { tenant, task };
            let one = match key.tenant == creator.tenant() {
                true => self.is_made_by(&key, &who),
                false => Ok(false),
            };
            let one = match one {
                Ok(true) => self.stop_one(&key, why, by, then).await,
                other => other,
            };
            match one {
                Ok(one) => stopped += usize::from(one),
                Err(failure) => missed = missed.or(Some(failure)),
            }
        }
        missed.map_or(Ok(stopped), Err)
    }

    /// Pauses or cancels a task whose creator was expelled. Whether there was anything to do.
    pub async fn stop_one(
        &self,
        key: &TaskKey,
        why: &str,
        by: &Identity,
        then: AndItsTasks,
    ) -> Result<bool, Failure> {
        let who = by.to_string();
        match then {
            AndItsTasks::GoOn => return Ok(false),
            AndItsTasks::AreCancelled => {
                let failure = Failure::new(Code::Cancelled, why);
                self.working(key)?.cancel(failure, &who).await?;
            }
            AndItsTasks::ArePaused => {
                let owner = self.working(key)?;
                if owner.with(|task| task.paused().is_some()) {
                    return Ok(false);
                }
                owner
                    .record_durably(&Command::Pause { reason: why.to_owned(), who, call: None })
                    .await?;
            }
        }
        Ok(true)
    }

    /// Whether this identity created the task. Its head says so, if it is not an old one.
    fn is_made_by(&self, key: &TaskKey, who: &str) -> Result<bool, Failure> {
        let head = self.services.journal.head(&key.tenant, key.task).map_err(unreadable)?;
        match head {
            Some(head) if !head.creator.is_empty() => Ok(head.creator == who),
            _ => Ok(self.get(key)?.with(|task| task.created().creator == who)),
        }
    }

    /// What is left of a grant's budgets, by all that bounds it: its own caveats and purse, those of
    /// the grants above it, and of those of other tasks that it was passed on from.
    pub fn left(&self, key: &TaskKey, grant: GrantId) -> RemainingBudget {
        let mut walk = BudgetWalk::default();
        let mut next = Some((key.clone(), grant));
        // It ends: a grant is passed on from one that was there before it.
        while let Some((key, grant)) = next.take() {
            let Ok(owner) = self.get(&key) else { break };
            owner.with(|task| {
                walk = task.left(grant, std::mem::take(&mut walk));
                let origin = task.root_of(grant).and_then(|root| root.origin);
                let above = |origin: Origin| (TaskKey { task: origin.task, ..key }, origin.grant);
                next = origin.map(above);
            });
        }
        walk.left()
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
        let (meant, unread) = self.find_holders(by.tenant(), which).await?;
        let mut written = Vec::new();
        let mut missed: Vec<(TaskId, Failure)> = unread.into_iter().collect();
        let unread_tasks = missed.len();
        for (key, grant) in &meant {
            let (reason, by) = (reason.to_owned(), by.to_string());
            let command = Command::RevokeGrant { grant: *grant, reason, by };
            let recorded = self.working(key).and_then(|owner| Ok((owner.record(&command)?, owner)));
            match recorded {
                Ok((recorded, owner)) => written.push((owner, recorded.number)),
                Err(failure) => missed.push((key.task, failure)),
            }
        }
        for (owner, number) in written {
            if let Err(failure) = owner.durable(number).await {
                missed.push((owner.key().task, failure));
            }
        }
        // A task that could not be read is missed as well, and has none of the grants that are meant.
        let unwritten = missed.len() - unread_tasks;
        let mut record = Record::new(by.to_string(), Decision::Revoked).because(reason);
        record.tool.clone_from(&which.tool);
        let task = which.task.map(|task| format!("task {task}"));
        let manifest = which.manifest.map(|hash| format!("manifest {}", hex::encode(hash)));
        let holder = (!which.holder.is_empty()).then(|| format!("held by {}", which.holder));
        let about: Vec<String> = [task, holder, manifest].into_iter().flatten().collect();
        let record = record.about(format!("{} grants {}", meant.len(), about.join(", ")));
        self.services.audit.record(by.tenant(), record).await?;
        match missed.first() {
            None => Ok(meant),
            Some((task, failure)) => {
                let why = format!(
                    "not everything could be taken back, first of task {task}: {}; {} grants of other tasks were: ask again",
                    failure.message,
                    meant.len().saturating_sub(unwritten)
                );
                Err(Failure::new(failure.code, why))
            }
        }
    }
}
