//! Sturdy references: what was saved, for whom, and whether it still stands.
//!
//! Only the hash of a reference's bits is kept, so a copy of the store restores nothing. What a
//! holder appended by itself is kept nowhere: it is in the reference, and its counters are those of
//! a grant that is derived when it is first restored.

mod kept;
mod restore;
mod standing;

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use remit_core::audit::{Decision, Record};
use remit_core::reference::{self, Home};
use remit_core::task::Command;
use remit_core::{Code, Failure, GrantId, Identity, RefId, Reference};
use remit_journal::audit::Audit;
use remit_journal::meta::Meta;
use tokio::sync::{Mutex, watch};

use self::kept::Counted;
pub use self::kept::{Saved, State};
pub use self::restore::{Live, Restored};
pub use self::standing::RefValidity;
use crate::limits;
use crate::runtime::TaskKey;
use crate::tasks::Tasks;

/// The sturdy references of this orchestrator.
pub struct Refs {
    meta: Arc<dyn Meta>,
    audit: Rc<Audit>,
    address: String,
    now_ms: Box<dyn Fn() -> u64>,
    /// Those that are revoked and whose revocation is on its way to the disk.
    revoking: RefCell<HashSet<RefId>>,
    /// How many each tenant has; a tenant that nobody saved in yet is not there.
    counted: Mutex<HashMap<String, Counted>>,
    /// Counts revocations, to wake whatever was obtained with what is revoked.
    revoked: watch::Sender<u64>,
}

/// How a capability is to be saved.
#[derive(Debug, Clone)]
pub struct RefSpec {
    /// What it is for.
    pub label: String,
    /// Who may restore it; `None`: who saves it.
    pub owner: Option<Identity>,
    /// Until when it is good, in milliseconds since 1970.
    pub until_ms: Option<u64>,
    /// How long it may go without being restored.
    pub unused: Option<Duration>,
    /// Whether it is only for looking at a task.
    pub viewer: bool,
}

/// What is saved.
#[derive(Debug, Clone, Copy)]
pub enum Target {
    /// The task itself.
    Task,
    /// What this grant of it leads to.
    Grant(GrantId),
}

impl Refs {
    /// References kept in `meta`, to an orchestrator that is reached at `address`.
    pub fn new(
        meta: Arc<dyn Meta>,
        audit: Rc<Audit>,
        address: String,
        now_ms: Box<dyn Fn() -> u64>,
    ) -> Rc<Self> {
        Rc::new(Self {
            meta,
            audit,
            address,
            now_ms,
            revoking: RefCell::default(),
            counted: Mutex::default(),
            revoked: watch::Sender::new(0),
        })
    }

    /// Saves a task, or a grant of it. Durable when it answers. `through`: what the saver itself
    /// holds the task by, if that is a reference; it lives no longer than that one.
    pub async fn save(
        &self,
        tasks: &Tasks,
        (key, target): (&TaskKey, Target),
        spec: RefSpec,
        by: &Identity,
        through: Option<&RefValidity>,
    ) -> Result<Reference, Failure> {
        let owner = spec.owner.clone().unwrap_or_else(|| by.clone());
        self.check(tasks, (key, target), &spec, &owner)?;
        through.map_or(Ok(()), |through| Self::check_audience(through, &owner))?;
        let outdated = self.make_room(&key.tenant, by).await?;
        let home = Home {
            mesh: by.mesh().to_owned(),
            tenant: key.tenant.clone(),
            address: self.address.clone(),
        };
        let bad = |not: reference::NotAReference| Failure::new(Code::Failed, not.to_string());
        let made = Reference::issue(&self.key().await?, home, rand::random()).map_err(bad)?;
        let ends = [spec.until_ms, through.and_then(|through| through.until_ms)];
        let saved = Saved {
            hash: made.hash(),
            task: key.task,
            grant: match target {
                Target::Task => None,
                Target::Grant(grant) => Some(grant),
            },
            viewer: spec.viewer,
            owner: owner.to_string(),
            by: by.to_string(),
            label: spec.label,
            created_ms: (self.now_ms)(),
            until_ms: ends.into_iter().flatten().min(),
            unused_ms: spec
                .unused
                .map(|unused| u64::try_from(unused.as_millis()).unwrap_or(u64::MAX)),
            used_ms: 0,
            uses: 0,
            parent: through.map(|through| *through.id.as_bytes()),
            revoked_ms: None,
        };
        let record = Record::new(by.to_string(), Decision::Saved).because(format!("for {owner}"));
        self.audited(&key.tenant, record, Some(&saved)).await?;
        self.put(&key.tenant, &saved, outdated).await?;
        // What it was saved through may have been revoked meanwhile.
        if let Some(through) = through {
            self.check_validity(&key.tenant, through).await?;
        }
        Ok(made)
    }

    fn check(
        &self,
        tasks: &Tasks,
        (key, target): (&TaskKey, Target),
        spec: &RefSpec,
        owner: &Identity,
    ) -> Result<(), Failure> {
        let invalid = |why: &str| Err(Failure::new(Code::InvalidArgument, why));
        if spec.label.trim().is_empty() || spec.label.len() > remit_core::limits::MAX_NAME_BYTES {
            return invalid("say what the reference is for: a label of 1 to 256 bytes");
        }
        if owner.tenant() != key.tenant || owner.role() != remit_core::Role::Client {
            return invalid("a reference is for a client of this tenant");
        }
        if spec.unused.is_some_and(|unused| unused < limits::REF_UNUSED_SHORTEST) {
            return invalid("a reference may go unused for 1 second at least");
        }
        if spec.until_ms.is_some_and(|until_ms| until_ms <= (self.now_ms)()) {
            return invalid("the reference would have expired already");
        }
        let task = tasks.get(key)?;
        let Target::Grant(grant) = target else { return Ok(()) };
        if spec.viewer {
            return invalid("a task can be looked at, a grant cannot");
        }
        task.with(|task| match task.grant(grant) {
            None => Err(Failure::new(Code::NotFound, format!("the task has no grant {grant}"))),
            Some(_) if task.is_revoked(grant) => {
                Err(Failure::new(Code::Revoked, "the grant was revoked"))
            }
            Some(_) => Ok(()),
        })
    }

    /// What was saved in this tenant, oldest first, and how each stands.
    pub async fn list(&self, tenant: &str) -> Result<Vec<(Saved, State)>, Failure> {
        let mut saved = self.all(tenant).await?;
        saved.sort_by_key(|saved| saved.created_ms);
        let mut listed = Vec::with_capacity(saved.len());
        for saved in saved {
            let state = self.state(tenant, &saved).await;
            listed.push((saved, state));
        }
        Ok(listed)
    }

    /// Revokes a reference, all that were saved through it, and the grants that were obtained with
    /// them. Durable when it answers.
    pub async fn revoke(
        &self,
        tasks: &Tasks,
        id: RefId,
        reason: &str,
        by: &Identity,
    ) -> Result<(), Failure> {
        let tenant = by.tenant();
        let Some(saved) = self.find(tenant, id).await? else {
            let why = format!("there is no reference {id}: `remit refs` lists them");
            return Err(Failure::new(Code::NotFound, why));
        };
        let family = self.family(tenant, saved).await?;
        self.revoking.borrow_mut().extend(family.iter().map(Saved::id));
        self.revoked.send_modify(|count| *count += 1);
        let mut ended = Ok(());
        for saved in &family {
            ended = ended.and(self.revoke_one(tasks, saved, reason, by).await);
        }
        // One whose revocation is not on disk stays revoked here until it is.
        if ended.is_ok() {
            self.revoking.borrow_mut().retain(|id| !family.iter().any(|saved| saved.id() == *id));
        }
        ended
    }

    /// What is kept of the reference of this id.
    pub async fn get(&self, tenant: &str, id: RefId) -> Result<Option<Saved>, Failure> {
        Ok(self.find(tenant, id).await?)
    }

    /// Revokes every reference of the tenant of `by` that is `meant`, as [`Self::revoke`] does;
    /// answers how many. One that cannot be revoked whole keeps no other from it, and is told of at the
    /// end.
    pub async fn revoke_each(
        &self,
        tasks: &Tasks,
        meant: impl Fn(&Saved) -> bool,
        reason: &str,
        by: &Identity,
    ) -> Result<usize, Failure> {
        let all = self.all(by.tenant()).await?;
        let (mut revoked, mut missed) = (0, None);
        for saved in all.into_iter().filter(|saved| saved.revoked_ms.is_none() && meant(saved)) {
            match self.revoke(tasks, saved.id(), reason, by).await {
                Ok(()) => revoked += 1,
                Err(failure) => missed = missed.or(Some(failure)),
            }
        }
        missed.map_or(Ok(revoked), Err)
    }

    async fn revoke_one(
        &self,
        tasks: &Tasks,
        saved: &Saved,
        reason: &str,
        by: &Identity,
    ) -> Result<(), Failure> {
        let tenant = by.tenant();
        if saved.revoked_ms.is_none() {
            let record = Record::new(by.to_string(), Decision::Revoked).because(reason);
            self.audited(tenant, record, Some(saved)).await?;
            let now_ms = (self.now_ms)();
            self.update(tenant, saved.id(), move |saved| saved.revoked_ms = Some(now_ms)).await?;
        }
        let key = TaskKey { tenant: tenant.to_owned(), task: saved.task };
        let owner = match tasks.get(&key) {
            Ok(owner) => owner,
            // A task that is gone has taken its grants with it.
            Err(failure) if failure.code == Code::NotFound => return Ok(()),
            Err(failure) => return Err(failure),
        };
        let derived = restore::base_key(saved.id());
        let Some(grant) = owner.with(|task| task.derived_under(&derived)) else { return Ok(()) };
        let owner = tasks.working(&key)?;
        let (reason, by) = (format!("its reference was revoked: {reason}"), by.to_string());
        owner.record_durably(&Command::RevokeGrant { grant, reason, by }).await?;
        Ok(())
    }

    /// The reference and all that were saved through it, directly or not.
    async fn family(&self, tenant: &str, saved: Saved) -> Result<Vec<Saved>, Failure> {
        let all = self.all(tenant).await?;
        let mut family = vec![saved];
        let mut at = 0;
        while let Some(parent) = family.get(at).map(|saved| *saved.id().as_bytes()) {
            family.extend(all.iter().filter(|saved| saved.parent == Some(parent)).cloned());
            at += 1;
        }
        Ok(family)
    }

    /// Every exercise of authority over references, and every refusal of it, is recorded here.
    async fn audited(
        &self,
        tenant: &str,
        mut record: Record,
        saved: Option<&Saved>,
    ) -> Result<(), Failure> {
        if let Some(saved) = saved {
            let what = match (saved.grant, saved.viewer) {
                (Some(grant), _) => format!("grant {grant} of task {}", saved.task),
                (None, true) => format!("viewer of task {}", saved.task),
                (None, false) => format!("task {}", saved.task),
            };
            record.chain = saved.grant.into_iter().collect();
            record.object = what;
            record.subject = format!("{} ({})", saved.id(), saved.label);
        }
        self.audit.record(tenant, record).await
    }
}
