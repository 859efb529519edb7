//! All tasks of this orchestrator: which of them have an owner in memory, and how one gets it.

mod creation;
pub mod family;
mod fork;
pub mod holders;
pub mod inbox;
mod list;
mod loading;
mod needs;
mod remove;
mod spec;
#[cfg(test)]
mod tests;
pub mod tool;
mod upgrade;

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use remit_core::event::{Fact, Grant};
use remit_core::grant::{Budgets, validate_against_manifest};
use remit_core::task::Command;
use remit_core::{Code, Failure, GrantId, Identity, TaskId};
use remit_journal::audit::Audit;
use remit_journal::{Journal, JournalError};
use remit_schema::object_capnp::object;
use remit_vat::turn;
use tokio::sync::Semaphore;
use tracing::Instrument as _;

pub use self::family::BUILT_IN;
pub use self::fork::{ForkOptions, Forked, May};
use self::loading::{Recovering, Stopped};
pub use self::spec::{GrantRoot, GrantSpec, TaskSpec};
pub use self::upgrade::{Program, Then, Upgraded};
use crate::admission::tickets::Tickets;
use crate::clock;
use crate::limits;
use crate::quota::account::{Accounts, Resource};
use crate::quota::feeds::Feeds;
use crate::quota::jobs::Jobs;
use crate::quota::shares::{Nodes, Shares};
use crate::runtime::services::{Services, Timing};
use crate::runtime::{Owner, TaskKey};
use crate::scheduler::placement::Scheduler;
use crate::scheduler::registry::Registry;
use crate::services::refs::Refs;

/// All tasks of this orchestrator.
pub struct Tasks {
    me: Weak<Self>,
    services: Rc<Services>,
    owners: RefCell<BTreeMap<TaskKey, Rc<Owner>>>,
    stopped: Stopped,
    recovering: Recovering,
    placing: RefCell<Option<tokio::task::AbortHandle>>,
    refs: OnceCell<Rc<Refs>>,
}

impl Tasks {
    /// Takes up every task that the journal says has not ended, one after the other beside new work;
    /// one that is asked for comes at once.
    pub fn open(
        journal: Arc<dyn Journal>,
        audit: Rc<Audit>,
        registry: Rc<Registry>,
        tickets: Rc<Tickets>,
        timing: Timing,
        now_ms: Box<dyn Fn() -> u64>,
    ) -> Result<Rc<Self>, Failure> {
        let scheduler = Scheduler::new(Rc::clone(&registry));
        let accounts = Accounts::new();
        let tasks = Rc::new_cyclic(|tasks: &Weak<Self>| {
            let again = tasks.clone();
            let halted = Box::new(move |key: &TaskKey, why: &Failure| {
                if let Some(tasks) = again.upgrade() {
                    tasks.stop(key, why);
                }
            });
            Self {
                me: tasks.clone(),
                services: Rc::new(Services {
                    journal,
                    audit,
                    registry,
                    scheduler: Rc::clone(&scheduler),
                    tickets,
                    now_ms: clock::steady(now_ms),
                    tasks: tasks.clone(),
                    halted,
                    snapshots: Semaphore::new(1),
                    jobs: Jobs::new(Rc::clone(&accounts)),
                    accounts,
                    begins: Shares::new(limits::BEGINS),
                    calls: Nodes::default(),
                    feeds: Feeds::new(),
                    timing,
                }),
                owners: RefCell::default(),
                stopped: Stopped::default(),
                recovering: Recovering::default(),
                placing: RefCell::default(),
                refs: OnceCell::new(),
            }
        });
        let placing = turn::spawn("the placer", async move { scheduler.run().await });
        *tasks.placing.borrow_mut() = Some(placing.abort_handle());
        let weak = Rc::downgrade(&tasks);
        tasks.services.registry.on_output(Rc::new(move |node: &str, key: &[u8], text: String| {
            if let Some(tasks) = weak.upgrade() {
                tasks.feed(node, key, &text);
            }
        }));
        tasks.activate_all()?;
        for (tenant, creator, bytes) in tasks.services.journal.stored().map_err(unreadable)? {
            tasks.services.accounts.grow(&creator, &tenant, Resource::DiskBytes, bytes);
        }
        Ok(tasks)
    }

    /// What every owner shares.
    pub const fn services(&self) -> &Rc<Services> {
        &self.services
    }

    /// The clock of all tasks, which never goes back.
    pub fn clock(&self) -> Box<dyn Fn() -> u64> {
        let services = Rc::clone(&self.services);
        Box::new(move || (services.now_ms)())
    }

    /// Has tasks and grants saved in `refs` from now on.
    pub fn save_in(&self, refs: Rc<Refs>) {
        // There is one store for as long as there are tasks.
        let _kept = self.refs.set(refs);
    }

    /// Where tasks and grants are saved.
    pub fn refs(&self) -> Result<&Rc<Refs>, Failure> {
        let none = || Failure::new(Code::Unavailable, "nothing can be saved here");
        self.refs.get().ok_or_else(none)
    }

    /// How many tasks have an owner in memory.
    pub fn owned(&self) -> usize {
        self.owners.borrow().len()
    }

    /// The owner of a task, read from the journal if it is not in memory.
    pub fn get(&self, key: &TaskKey) -> Result<Rc<Owner>, Failure> {
        if self.recovering.contains(key) {
            self.activate(key.clone());
        }
        if let Some(owner) = self.owners.borrow().get(key) {
            return Ok(Rc::clone(owner));
        }
        if let Some(why) = self.stopped.why(key) {
            return self.stopped_owner(key, why);
        }
        // A task that has not ended is in the table; what is read here serves those who look.
        Ok(self.owner_of(key.clone(), self.load(key)?))
    }

    /// Whether `owner` only shows what is on disk of a task that has not ended, until the one that
    /// works on it is there again: nothing will change about it.
    pub fn stands_in(&self, owner: &Rc<Owner>) -> bool {
        let owners = self.owners.borrow();
        !owners.get(owner.key()).is_some_and(|working| Rc::ptr_eq(working, owner))
            && owner.with(|task| task.ending().is_none())
    }

    /// Hands a task one more capability, durably.
    pub async fn grant(
        &self,
        owner: &Rc<Owner>,
        spec: GrantSpec,
        by: &Identity,
    ) -> Result<GrantId, Failure> {
        self.expect_tools([&spec]).await;
        let (grant, own) = self.resolve(spec, by)?;
        self.add(owner, grant, own).await
    }

    /// Hands a task what another one passes on to it, durably.
    pub(crate) async fn hand(
        &self,
        owner: &Rc<Owner>,
        spec: GrantSpec,
    ) -> Result<GrantId, Failure> {
        let GrantRoot::Passed { origin, grant } = spec.root else {
            return Err(Failure::new(Code::InvalidArgument, "only what was passed on is handed"));
        };
        let grant = family::passed_grant(spec.name, origin, *grant);
        self.add(owner, grant, None).await
    }

    async fn add(
        &self,
        owner: &Rc<Owner>,
        grant: Grant,
        own: Option<object::Client>,
    ) -> Result<GrantId, Failure> {
        let recorded = owner.record(&Command::AddGrant(Box::new(grant)))?;
        let added = recorded.events.iter().find_map(|event| match &event.fact {
            Fact::GrantAdded(grant) => Some(grant.grant),
            _ => None,
        });
        let Some(grant) = added else {
            return Err(Failure::new(Code::Failed, "the grant was not recorded"));
        };
        // At once: whoever asked may go before it is on disk.
        if let Some(object) = own {
            owner.hold_own(grant, object);
        }
        owner.durable(recorded.number).await?;
        Ok(grant)
    }

    /// Stops all owners, and lets what they handed to the journal reach the disk.
    pub async fn shutdown(&self) {
        self.recovering.clear();
        let owners: Vec<Rc<Owner>> =
            std::mem::take(&mut *self.owners.borrow_mut()).into_values().collect();
        for owner in &owners {
            owner.close();
        }
        if let Some(placing) = self.placing.borrow_mut().take() {
            placing.abort();
        }
        for owner in owners {
            let head = owner.with(|task| task.head().number);
            // A halted one has nothing left to write.
            let _written = owner.durable(head).await;
        }
    }

    /// Waits for the tools of grants that may be on their way back after a restart.
    async fn expect_tools(&self, grants: impl IntoIterator<Item = &GrantSpec>) {
        let grace = self.services.timing.tool_grace;
        for spec in grants {
            if let GrantRoot::Tool { tool, version, .. } = &spec.root
                && tool != tool::NAME
            {
                self.services.registry.expect(tool, version, grace).await;
            }
        }
    }

    /// A grant as it will be recorded, but for its number.
    fn resolve(
        &self,
        mut spec: GrantSpec,
        by: &Identity,
    ) -> Result<(Grant, Option<object::Client>), Failure> {
        let (node, path, manifest, own) = match spec.root {
            GrantRoot::Passed { origin, grant } => {
                return Ok((family::passed_grant(spec.name, origin, *grant), None));
            }
            GrantRoot::Tool { tool, path, .. } if tool == tool::NAME => {
                spec.caveats.extend(tool::bound(&path)?);
                (BUILT_IN.to_owned(), path, Arc::clone(&tool::MANIFEST), None)
            }
            GrantRoot::Tool { tool, version, path } => {
                let entry = self.services.registry.tool(&tool, &version)?;
                if !path.is_empty() && entry.manifest.descend.is_empty() {
                    let why = format!("{tool} has no paths, so `{tool}:{path}` cannot be granted");
                    return Err(Failure::new(Code::InvalidArgument, why));
                }
                (entry.node, path, entry.manifest, None)
            }
            GrantRoot::Own { object, manifest } => {
                manifest.check_schemas()?;
                (by.to_string(), String::new(), manifest, Some(object))
            }
        };
        if own.is_none() {
            validate_against_manifest(&spec.caveats, [], &manifest)
                .map_err(|slip| spec::of_grant(&spec.name, slip))?;
        }
        let grant = Grant {
            grant: GrantId(0),
            parent: None,
            name: spec.name,
            tool: manifest.tool.clone(),
            version: manifest.version.clone(),
            node,
            path,
            caveats: spec.caveats,
            manifest,
            holder: "task".into(),
            derived: None,
            origin: None,
            interface: String::new(),
            reserve: Budgets::NONE,
            on_unknown: spec.on_unknown,
            by: by.to_string(),
        };
        Ok((grant, own))
    }

    /// Removes a task that has ended from the journal, with all that was kept for it.
    pub(crate) async fn forget(&self, key: &TaskKey) -> Result<(), Failure> {
        let journal = &self.services.journal;
        let head = journal.head(&key.tenant, key.task).map_err(unreadable)?;
        journal.remove(&key.tenant, key.task).await.map_err(unreadable)?;
        if let Some(head) = head {
            let accounts = &self.services.accounts;
            accounts.shrink(&head.creator, &key.tenant, Resource::DiskBytes, head.bytes);
        }
        Ok(())
    }

    /// Puts an owner to work, and lets go of it when its task has ended.
    fn begin(&self, owner: Rc<Owner>) {
        self.owners.borrow_mut().insert(owner.key().clone(), Rc::clone(&owner));
        self.revoke_dependents(&owner);
        let tasks = self.me.clone();
        // Not below the connection over which it was made: it goes on without that.
        let span = tracing::info_span!(parent: None, "task", task = %owner.key().task);
        let running = Rc::clone(&owner);
        let kept = async move {
            Rc::clone(&owner).keep().await;
            owner.settle_forwards().await;
            if let Some(tasks) = tasks.upgrade()
                && owner.with(|task| task.ending().is_some())
            {
                let head = owner.head();
                let (task, status) = (owner.key().task, head.status.as_str());
                tracing::info!(%task, status, detail = head.detail, "task ended");
                tasks.revoke_all_dependents();
                tasks.part(&owner).await;
                if !Self::has_holders(&owner) {
                    tasks.let_go(&owner);
                }
            }
        };
        running.spawn("the supervision of attempts", kept.instrument(span));
    }

    /// Hands a piece of output of a call in flight at `node` to those who follow its task.
    fn feed(&self, node: &str, key: &[u8], text: &str) {
        let Some(task) = key.get(..16).and_then(|bytes| bytes.try_into().ok()) else { return };
        let task = TaskId::from_bytes(task);
        let owners = self.owners.borrow();
        if let Some((_, owner)) = owners.iter().find(|(key, _)| key.task == task) {
            owner.emit_for(node, key, text.to_owned());
        }
    }
}

fn unreadable(error: JournalError) -> Failure {
    error.into_failure()
}
