//! A client, as the objects that it was handed know it: who it is, and what it was granted.

use std::rc::Rc;

use remit_core::id::NotATaskId;
use remit_core::{Code, Facet, FacetUse, Facets, Failure, Identity, MemberGrant, TaskId};

use super::hold::{Hold, TaskOwnership};
use crate::admission::members::sight::Visibility;
use crate::admission::members::uses::{self, TaskTraits};
use crate::runtime::TaskKey;
use crate::services::context::Site;
use crate::services::membership::AndItsTasks;
use crate::services::refs::Saved;
use crate::tasks::{GrantSpec, TaskSpec};

/// A client over one connection.
pub(super) struct Caller {
    /// Where it called.
    pub(super) site: Rc<Site>,
    /// Who it is.
    pub(super) who: Identity,
    /// What it was granted when it connected.
    pub(super) grant: Rc<MemberGrant>,
}

/// Facets by which a member sees tasks.
const SEEING: [Facet; 4] = [Facet::Own, Facet::View, Facet::Steer, Facet::Decide];

impl Caller {
    /// The facets that it can use now.
    pub(super) fn usable(&self) -> Facets {
        self.grant.at(self.now_ms())
    }

    /// Whether it sees any tasks.
    pub(super) fn sees_tasks(&self) -> bool {
        let usable = self.usable();
        SEEING.into_iter().any(|facet| usable.has(facet))
    }

    /// Refuses a use of a facet that was not granted to it.
    pub(super) fn check(&self, facet: Facet, usage: &FacetUse<'_>) -> Result<(), Failure> {
        self.grant.check(facet, usage, self.now_ms())
    }

    /// Refuses the creation of a task like that.
    pub(super) fn check_creates(&self, spec: &TaskSpec) -> Result<(), Failure> {
        self.check(Facet::Create, &uses::creation(spec)?)
    }

    /// Refuses to hand grants to a task by `facet`. Its creator may hand by `own` as well; by a
    /// reference to the task nothing is handed that the caveats on `own` would refuse.
    pub(super) fn check_hands(
        &self,
        facet: Facet,
        traits: &TaskTraits,
        by_reference: bool,
        grants: &[GrantSpec],
    ) -> Result<(), Failure> {
        let (usage, now_ms) = (traits.handed(grants)?, self.now_ms());
        if by_reference {
            return self.grant.check_caveats(Facet::Own, &usage, now_ms);
        }
        let own = traits.creator == self.who.to_string() && self.grant.may().has(Facet::Own);
        let by_own = own.then(|| self.grant.check(Facet::Own, &usage, now_ms));
        match by_own {
            Some(Ok(())) => Ok(()),
            Some(refused) if !self.grant.may().has(facet) => refused,
            _ => self.grant.check(facet, &usage, now_ms),
        }
    }

    /// Pauses what the client made if it was expelled meanwhile: the look for its tasks may have come
    /// before this one was there.
    pub(super) async fn check_still_member(&self, made: &TaskKey) -> Result<(), Failure> {
        if !self.site.members.is_expelled(&self.who) {
            return Ok(());
        }
        let why = format!("{} was expelled", self.who);
        self.site.tasks.stop_one(made, &why, &self.who, AndItsTasks::ArePaused).await?;
        Err(Failure::new(Code::Denied, why))
    }

    /// Until when it may steer a task, in milliseconds since 1970; `None`: for as long as it is granted
    /// that.
    pub(super) fn steers_until(&self, traits: &TaskTraits) -> Option<u64> {
        let own = (traits.creator == self.who.to_string()).then_some(Facet::Own);
        let (usage, now_ms) = (traits.seen(), self.now_ms());
        let by = own.into_iter().chain([Facet::Steer]);
        let by = by.filter(|facet| self.grant.check(*facet, &usage, now_ms).is_ok());
        let ends: Vec<Option<u64>> = by.map(|facet| self.grant.ends(facet)).collect();
        if ends.contains(&None) { None } else { ends.into_iter().flatten().max() }
    }

    /// Whether it may steer a task by what it is granted now, which may have changed since it connected.
    pub(super) fn still_steers(&self, traits: &TaskTraits) -> bool {
        let grant = Rc::new(self.site.members.granted(&self.who));
        let steers = Visibility::new(&grant, &self.who, &[Facet::Steer], self.now_ms());
        steers.has(&traits.name, &traits.creator)
    }

    /// Its hold on a task that it names.
    pub(super) fn hold(&self, key: &TaskKey) -> Result<Hold, Failure> {
        let owner = self.site.tasks.get(key)?;
        let traits = owner.with(TaskTraits::of);
        let whose = TaskOwnership::of(&traits, &self.who);
        Hold::by_name(&self.grant, whose, &traits.seen(), self.now_ms()).ok_or_else(|| {
            let why = "you may not see this task, which another client created: ask for a reference to it (`remit save`)";
            Failure::new(Code::Denied, why)
        })
    }

    /// The tasks that it sees.
    pub(super) fn sees(&self) -> Visibility {
        Visibility::new(
            &self.grant,
            &self.who,
            &[Facet::View, Facet::Steer, Facet::Decide],
            self.now_ms(),
        )
    }

    /// The tasks that it may steer.
    pub(super) fn steers(&self) -> Visibility {
        Visibility::new(&self.grant, &self.who, &[Facet::Steer], self.now_ms())
    }

    /// Whether it may revoke a reference that was saved.
    pub(super) fn may_revoke(&self, saved: &Saved) -> bool {
        let who = self.who.to_string();
        let key = TaskKey { tenant: self.who.tenant().to_owned(), task: saved.task };
        saved.by == who || saved.owner == who || self.hold(&key).is_ok_and(Hold::steers)
    }

    /// Whether it may see that a reference was saved.
    pub(super) fn sees_ref(&self, saved: &Saved) -> bool {
        let key = TaskKey { tenant: self.who.tenant().to_owned(), task: saved.task };
        self.sees().is_everything() || self.may_revoke(saved) || self.hold(&key).is_ok()
    }

    /// The task of its tenant that it names.
    pub(super) fn key(&self, id: &str) -> Result<TaskKey, Failure> {
        let task: Result<TaskId, NotATaskId> = id.parse();
        let task = task.map_err(|not| Failure::new(Code::InvalidArgument, not.to_string()))?;
        Ok(TaskKey { tenant: self.who.tenant().to_owned(), task })
    }

    /// The task after which a list goes on; none where it begins.
    pub(super) fn after(&self, id: &str) -> Result<Option<TaskId>, Failure> {
        if id.is_empty() { Ok(None) } else { self.key(id).map(|key| Some(key.task)) }
    }

    fn now_ms(&self) -> u64 {
        (self.site.now_ms)()
    }
}
