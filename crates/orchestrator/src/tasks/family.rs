//! Tasks that others spawned: what they were passed, and what the end of one means for the other.

use std::rc::Rc;

use remit_core::event::{Grant, OnUnknown, Origin};
use remit_core::task::{CallState, Command, Delegation, Operation};
use remit_core::{Caveat, Code, Failure, GrantId, Outcome, TaskId, Value};
use remit_journal::Family;
use remit_schema::object_capnp::object;

use super::{GrantRoot, GrantSpec, Tasks, unreadable};
use crate::limits;
use crate::runtime::membrane::Membrane;
use crate::runtime::{Owner, TaskKey};

/// In place of a node's identity: the orchestrator itself serves the tool.
pub const BUILT_IN: &str = "orchestrator";

/// A task that another one spawned.
pub struct Child {
    /// Which task it is.
    pub task: TaskId,
    /// Whether it outlives its parent.
    pub detached: bool,
}

/// How a task is named as the holder of another one's grant.
pub fn holder(task: TaskId) -> String {
    format!("task:{task}")
}

impl Tasks {
    /// Passes an object of `owner`'s task on, durably: what the holder's task is to be granted.
    pub async fn pass_on(
        &self,
        owner: &Rc<Owner>,
        pass: Delegation,
        name: &str,
    ) -> Result<GrantSpec, Failure> {
        let key = pass.key.clone();
        owner.record_durably(&Command::Delegation(Box::new(pass))).await?;
        let passed = owner.with(|task| {
            let grant = task.derived_under(&key)?;
            // All that it may do is checked here, but how often it is narrowed over there is not.
            let caveats = task.depth_left(grant).map(Caveat::DelegationDepth);
            let passed = (*task.grant(grant)?.grant).clone();
            Some((grant, Grant { caveats: caveats.into_iter().collect(), ..passed }))
        });
        let Some((grant, passed)) = passed else {
            return Err(Failure::new(Code::Failed, "what was passed on was not recorded"));
        };
        let origin = Origin { task: owner.key().task, grant };
        let root = GrantRoot::Passed { origin, grant: Box::new(passed) };
        Ok(GrantSpec {
            name: name.to_owned(),
            root,
            caveats: Vec::<Caveat>::new(),
            on_unknown: OnUnknown::Inherit,
        })
    }

    /// A reference to the grant that another task passed on to `to`.
    pub fn passed(&self, to: &TaskKey, origin: Origin) -> Result<object::Client, Failure> {
        let key = TaskKey { tenant: to.tenant.clone(), task: origin.task };
        let owner = self.working(&key)?;
        let holder = holder(to.task);
        if owner.with(|task| task.grant(origin.grant).is_none_or(|g| g.grant.holder != holder)) {
            let why = format!("task {} has passed no such grant on to this one", origin.task);
            return Err(Failure::new(Code::Denied, why));
        }
        Ok(owner.membranes().wrap(Membrane::delegated(&owner, origin.grant)))
    }

    /// The one owner of a task that may be asked to write, whether or not the task has ended.
    pub fn working(&self, key: &TaskKey) -> Result<Rc<Owner>, Failure> {
        let held = || self.owners.borrow().get(key).filter(|o| !o.is_closing()).cloned();
        if let Some(owner) = held() {
            return Ok(owner);
        }
        let away = |failure: &Failure| {
            let why = format!("the owner of task {} is away: {}", key.task, failure.message);
            Failure::new(Code::Unavailable, why)
        };
        self.activate(key.clone());
        if let Some(owner) = held() {
            return Ok(owner);
        }
        if let Some(failure) = self.stopped.why(key) {
            return Err(away(&failure));
        }
        let owner = self.get(key)?;
        self.owners.borrow_mut().insert(key.clone(), Rc::clone(&owner));
        owner.review();
        Ok(owner)
    }

    /// The tasks that a task has spawned.
    pub fn children(owner: &Owner) -> Vec<Child> {
        owner.with(|task| {
            let spawned = |operation: &Operation| {
                let Operation::Call { request, state: CallState::Completed(outcome, _) } =
                    operation
                else {
                    return None;
                };
                let tool = task.grant(request.grant)?;
                if tool.grant.node != BUILT_IN || request.method != "spawn" {
                    return None;
                }
                let Outcome::Value { value, .. } = &**outcome else { return None };
                let Value::Fields(fields) = &**value else { return None };
                let id = fields.iter().find(|(name, _)| name == "id")?;
                let Value::Text(id) = &id.1 else { return None };
                Some(Child {
                    task: id.parse().ok()?,
                    detached: matches!(
                        fields.iter().find(|(name, _)| name == "detached"),
                        Some((_, Value::Bool(true)))
                    ),
                })
            };
            task.operations().filter_map(|(_, operation)| spawned(operation)).collect()
        })
    }

    /// The place in its family of a task that `parent` spawns, if there is room for it: `at_work` tasks
    /// that have not ended, and `total` in all.
    pub(crate) fn place_below(
        &self,
        parent: &TaskKey,
        (at_work, total): (usize, usize),
    ) -> Result<Family, Failure> {
        let journal = &self.services.journal;
        let above = journal.head(&parent.tenant, parent.task).map_err(unreadable)?;
        let family = above.unwrap_or_default().family_below(parent.task);
        if family.depth > limits::FAMILY_DEPTH {
            let why = format!(
                "tasks spawn tasks at most {} levels deep, and {} is at the last: have one above it spawn this one",
                limits::FAMILY_DEPTH,
                parent.task
            );
            return Err(Failure::new(Code::Limit, why));
        }
        let root = family.root;
        let members = journal.family(&parent.tenant, root, total).map_err(unreadable)?;
        if members.len() >= total {
            let why = format!(
                "{total} tasks came of task {root}, which is the most there may be, ended ones included: have a task of its own do what is left, or remove some that have ended"
            );
            return Err(Failure::new(Code::Limit, why));
        }
        let owners = self.owners.borrow();
        let works = |task: &&TaskId| {
            let key = TaskKey { tenant: parent.tenant.clone(), task: **task };
            owners.get(&key).is_some_and(|owner| owner.with(|task| task.ending().is_none()))
        };
        if members.iter().filter(works).count() >= at_work {
            let why = format!(
                "{at_work} tasks that came of task {root} are at work, which is the most there may be: wait until some have ended, or cancel them"
            );
            return Err(Failure::new(Code::Limit, why));
        }
        Ok(family)
    }

    /// Whether other tasks or persons still hold what this one passed on.
    pub(super) fn has_holders(owner: &Owner) -> bool {
        owner.with(|task| {
            task.grants()
                .any(|held| held.grant.holder != "task" && !task.is_revoked(held.grant.grant))
        })
    }

    /// What follows from the end of a task for its relatives: what it was passed is given back,
    /// and those that it spawned end too, unless they were detached.
    pub(super) async fn part(&self, owner: &Rc<Owner>) {
        let me = owner.key();
        let origins: Vec<Origin> =
            owner.with(|task| task.grants().filter_map(|held| held.grant.origin).collect());
        for origin in origins {
            let key = TaskKey { tenant: me.tenant.clone(), task: origin.task };
            self.give_back(&key, origin.grant, me.task);
        }
        self.end_children(owner).await;
    }

    /// Ends the tasks that a task spawned and that are not detached, and waits until they have.
    pub async fn end_children(&self, owner: &Rc<Owner>) {
        let me = owner.key();
        let own = Self::children(owner).into_iter().filter(|child| !child.detached);
        let ends = own.map(async |child| {
            let key = TaskKey { tenant: me.tenant.clone(), task: child.task };
            let ended = self.get(&key).is_ok_and(|child| child.with(|t| t.ending().is_some()));
            let Ok(child) = (if ended { return } else { self.working(&key) }) else { return };
            // A copy of a task's past names children that are not the copy's.
            if child.with(|task| task.created().parent) != Some(me.task) {
                return;
            }
            let why = format!("the task that spawned it, {}, has ended", me.task);
            match child.cancel(Failure::new(Code::Cancelled, why), "").await {
                Ok(()) => child.over().await,
                Err(failure) => {
                    tracing::warn!(task = %key.task, %failure, "a child could not be cancelled");
                }
            }
        });
        futures::future::join_all(ends).await;
    }

    fn give_back(&self, parent: &TaskKey, grant: GrantId, child: TaskId) {
        let Ok(owner) = self.working(parent) else { return };
        // A copy of a task's past names grants that were passed to the other one.
        let held = holder(child);
        if owner.with(|task| task.grant(grant).is_none_or(|g| g.grant.holder != held)) {
            return;
        }
        // A purse that was passed on as a whole goes back with it.
        let purse = owner.with(|task| {
            let above = task.grant(task.grant(grant)?.grant.parent?)?;
            let alone = task.grants().all(|held| {
                held.grant.parent != Some(above.grant.grant)
                    || held.grant.grant == grant
                    || held.is_over()
            });
            (alone && !above.grant.reserve.is_none()).then_some(above.grant.grant)
        });
        for grant in [Some(grant), purse].into_iter().flatten() {
            let reason = format!("task {child}, which held it, has ended");
            if let Err(failure) = owner.record(&Command::EndGrant { grant, reason }) {
                tracing::warn!(task = %parent.task, %failure, "a passed grant was not given back");
            }
        }
    }

    /// What a crash may have left undone between a task and its relatives.
    pub(super) fn reconcile(&self, owner: &Rc<Owner>) {
        let tenant = owner.key().tenant.clone();
        let ended = |task: TaskId| {
            let head = self.services.journal.head(&tenant, task).ok().flatten();
            head.is_some_and(|head| head.status.has_ended())
        };
        let (parent, passed) = owner.with(|task| {
            let created = task.created();
            let parent = created.parent.filter(|_| !created.detached);
            let passed: Vec<(GrantId, TaskId)> = task
                .grants()
                .filter(|held| !held.is_over())
                .filter_map(|held| {
                    let child = held.grant.holder.strip_prefix("task:")?.parse().ok()?;
                    Some((held.grant.grant, child))
                })
                .collect();
            (parent, passed)
        });
        for (grant, child) in passed {
            if ended(child) {
                self.give_back(owner.key(), grant, child);
            }
        }
        if let Some(parent) = parent.filter(|parent| ended(*parent)) {
            let reason = format!("the task that spawned it, {parent}, has ended");
            let why = Failure::new(Code::Cancelled, reason);
            let cancel = Command::RequestCancel { why, who: String::new() };
            if let Err(failure) = owner.record(&cancel) {
                tracing::warn!(task = %owner.key().task, %failure, "it could not be cancelled");
            }
        }
    }
}

/// The grant of a task that was passed one by another.
pub(super) fn passed_grant(name: String, origin: Origin, passed: Grant) -> Grant {
    Grant {
        grant: GrantId(0),
        parent: None,
        name,
        holder: "task".into(),
        derived: None,
        origin: Some(origin),
        by: format!("task:{}", origin.task),
        ..passed
    }
}
