//! Members: who belongs to the mesh, what each may do, and who was expelled.
//!
//! A record is kept for ever, so that no name is given twice by mistake. All records are in memory
//! too: whoever connects is looked up, and a change is felt at once, before it is on disk.

pub(crate) mod kept;
pub mod sight;
pub mod uses;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use remit_core::{Code, Facet, Facets, Failure, Identity, MemberGrant, Role};
use remit_identity::credential::MembershipId;
use remit_journal::meta::{Batch, Change, Meta, MetaError};
use tokio::sync::{Mutex, MutexGuard, watch};

pub use self::kept::{Expulsion, Member};
use crate::limits;

/// The members of a mesh.
pub struct Members {
    meta: Arc<dyn Meta>,
    now_ms: Box<dyn Fn() -> u64>,
    known: RefCell<BTreeMap<Identity, Member>>,
    /// Counts changes that take something from a member, to wake whoever serves it.
    changed: watch::Sender<u64>,
    /// Held from the check of a change to the write that makes it: of two changes the second one is
    /// checked against the first.
    changing: Mutex<()>,
}

/// Why somebody with a certificate of the mesh is not served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAMember {
    /// It was expelled.
    #[error("{0} was expelled from this mesh: ask an administrator for an invite with `--again`")]
    Expelled(Identity),
    /// Another one joined under its name since.
    #[error("another certificate was issued for {0}, which makes this one void: join again")]
    Replaced(Identity),
    /// There are as many members as may be.
    #[error("{0} is not known here, and {max} members are the most", max = limits::MEMBERS)]
    Full(Identity),
}

/// What a connection of a member rests on: when any of it is taken away, the connection ends.
#[derive(Debug, Clone)]
pub struct ConnectionBasis {
    identity: Identity,
    membership: Option<MembershipId>,
    grant: Rc<MemberGrant>,
    /// The facets that could be used when it connected.
    usable: Facets,
}

impl Members {
    /// The members kept in `meta`.
    pub async fn open(
        meta: Arc<dyn Meta>,
        now_ms: Box<dyn Fn() -> u64>,
    ) -> Result<Rc<Self>, MetaError> {
        let known = RefCell::new(kept::all(&*meta).await?);
        Ok(Rc::new(Self {
            meta,
            now_ms,
            known,
            changed: watch::Sender::new(0),
            changing: Mutex::new(()),
        }))
    }

    /// Looks up a peer that shows a certificate of this membership, good until then, and notes that
    /// it was here. One that is not known has a certificate from before the list was kept, or from
    /// after the backup that was restored: it is entered, the first client with everything and any
    /// other as if invited without more.
    pub fn greet(
        &self,
        identity: &Identity,
        membership: Option<MembershipId>,
        until: SystemTime,
    ) -> Result<ConnectionBasis, NotAMember> {
        let now_ms = (self.now_ms)();
        let mut known = self.known.borrow_mut();
        if !known.contains_key(identity) {
            if known.len() >= limits::MEMBERS {
                return Err(NotAMember::Full(identity.clone()));
            }
            let first = !known.keys().any(|other| other.role() == Role::Client);
            let may = match identity.role() {
                Role::Client if first => Facets::ALL,
                Role::Client => Facets::MEMBER,
                _ => Facets::NONE,
            };
            tracing::info!(%identity, %may, "a member that was not on the list is entered");
            let member = Member::adopted(identity, &may.into(), membership, now_ms);
            known.insert(identity.clone(), member);
        }
        let Some(member) = known.get_mut(identity) else {
            return Err(NotAMember::Full(identity.clone()));
        };
        if member.expelled.is_some() {
            return Err(NotAMember::Expelled(identity.clone()));
        }
        if member.membership().is_some() && member.membership() != membership {
            return Err(NotAMember::Replaced(identity.clone()));
        }
        let until_ms = until.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        member.until_ms = member.until_ms.max(u64::try_from(until_ms).unwrap_or(u64::MAX));
        let stale = now_ms >= member.seen_ms.saturating_add(limits::SEEN_EVERY_MS);
        member.seen_ms = now_ms;
        // A change on its way to the disk could be followed there by what is known from before it.
        if stale && self.changing.try_lock().is_ok() {
            // Not awaited: a later connection writes it again.
            drop(self.meta.commit(Batch::of(vec![kept::write(member)])));
        }
        let grant = Rc::new(member.granted());
        Ok(ConnectionBasis {
            identity: identity.clone(),
            membership: member.membership(),
            usable: grant.at(now_ms),
            grant,
        })
    }

    /// What this identity was granted. An orchestrator may do everything; one that was expelled or is
    /// not known, nothing.
    pub fn granted(&self, identity: &Identity) -> MemberGrant {
        if identity.role() == Role::Orchestrator {
            return Facets::ALL.into();
        }
        let known = self.known.borrow();
        known.get(identity).map_or_else(|| Facets::NONE.into(), Member::granted)
    }

    /// Keeps members from being changed until it is dropped.
    pub async fn changing(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().await
    }

    /// The wall clock, in milliseconds since 1970.
    pub fn now_ms(&self) -> u64 {
        (self.now_ms)()
    }

    /// Whether it was expelled.
    pub fn is_expelled(&self, identity: &Identity) -> bool {
        self.get(identity).is_some_and(|member| member.expelled.is_some())
    }

    /// Counts a connection of a member for as long as what is answered is held.
    pub fn connected(self: &Rc<Self>, identity: &Identity) -> Connected {
        if let Some(member) = self.known.borrow_mut().get_mut(identity) {
            member.connections += 1;
        }
        Connected { members: Rc::clone(self), identity: identity.clone() }
    }

    /// What is known of this identity.
    pub fn get(&self, identity: &Identity) -> Option<Member> {
        self.known.borrow().get(identity).cloned()
    }

    /// The members of a tenant, by role and name.
    pub fn list(&self, tenant: &str) -> Vec<(Identity, Member)> {
        let known = self.known.borrow();
        let of = known.iter().filter(|(identity, _)| identity.tenant() == tenant);
        of.map(|(identity, member)| (identity.clone(), member.clone())).collect()
    }

    /// Whether some client of this tenant may administer members.
    pub fn has_administrator(&self, tenant: &str) -> bool {
        self.is_administered_without(tenant, None)
    }

    /// Waits until some client of this tenant may administer members.
    pub async fn administered(&self, tenant: &str) {
        let mut changed = self.changed.subscribe();
        while !self.has_administrator(tenant) && changed.changed().await.is_ok() {}
    }

    /// Refuses to take administration from the last member that has it: nobody could give it back.
    pub fn check_administered(
        &self,
        without: &Identity,
        keeps: &MemberGrant,
    ) -> Result<(), Failure> {
        let loses = administers(&self.granted(without)) && !administers(keeps);
        if !loses || self.is_administered_without(without.tenant(), Some(without)) {
            return Ok(());
        }
        let why = format!("{without} is the last one that administers members: let another first");
        Err(Failure::new(Code::Denied, why))
    }

    fn is_administered_without(&self, tenant: &str, without: Option<&Identity>) -> bool {
        let known = self.known.borrow();
        known.iter().any(|(identity, member)| {
            identity.tenant() == tenant
                && Some(identity) != without
                && administers(&member.granted())
        })
    }

    /// Whether there is room for one more.
    pub fn check_room(&self, identity: &Identity) -> Result<(), Failure> {
        let known = self.known.borrow();
        if known.contains_key(identity) || known.len() < limits::MEMBERS {
            return Ok(());
        }
        let why = format!("the mesh has {} members, which is the most", limits::MEMBERS);
        Err(Failure::new(Code::Limit, why))
    }

    /// The write by which `member` is kept, to go with others in one commit.
    pub fn entry(member: &Member) -> Change {
        kept::write(member)
    }

    /// Takes note of a member whose entry is on disk: what it was before holds no more.
    pub fn entered(&self, identity: Identity, member: Member) {
        let mut known = self.known.borrow_mut();
        let connections = known.get(&identity).map_or(0, |before| before.connections);
        let mut member = member;
        member.connections = connections;
        known.insert(identity, member);
        drop(known);
        self.changed.send_modify(|count| *count += 1);
    }

    /// Expels a member: felt at once, and durable when it answers. Again changes nothing. The caller
    /// holds [`changing`](Self::changing).
    pub async fn expel(
        &self,
        identity: &Identity,
        reason: &str,
        by: &Identity,
    ) -> Result<(), Failure> {
        let at_ms = (self.now_ms)();
        let (reason, by) = (reason.to_owned(), by.to_string());
        self.change(identity, |member| {
            member.expelled.get_or_insert(Expulsion { at_ms, by, reason });
        })
        .await
    }

    /// Lets a client do this and nothing else: felt at once, and durable when it answers. The caller
    /// holds [`changing`](Self::changing).
    pub async fn authorize(&self, identity: &Identity, grant: &MemberGrant) -> Result<(), Failure> {
        self.change(identity, |member| member.set_grant(grant)).await
    }

    async fn change(
        &self,
        identity: &Identity,
        change: impl FnOnce(&mut Member),
    ) -> Result<(), Failure> {
        let written = {
            let mut known = self.known.borrow_mut();
            let member = known.get_mut(identity).ok_or_else(|| not_found(identity))?;
            change(member);
            self.meta.commit(Batch::of(vec![kept::write(member)]))
        };
        self.changed.send_modify(|count| *count += 1);
        written.await.map_err(|error| {
            let why = format!(
                "it holds until the orchestrator restarts, but could not be written down: {error}. Ask again"
            );
            Failure::new(Code::Unavailable, why)
        })
    }

    /// Whether a certificate of this membership is still good for `identity`.
    pub fn check_current(
        &self,
        identity: &Identity,
        basis: &ConnectionBasis,
    ) -> Result<(), NotAMember> {
        match self.get(identity) {
            Some(member) if member.expelled.is_some() => {
                Err(NotAMember::Expelled(identity.clone()))
            }
            Some(member) if member.membership() != basis.membership => {
                Err(NotAMember::Replaced(identity.clone()))
            }
            _ => Ok(()),
        }
    }

    /// What a connection of this member would rest on now, if it is one.
    pub fn basis(&self, identity: &Identity) -> ConnectionBasis {
        let member = self.get(identity);
        let grant = Rc::new(self.granted(identity));
        ConnectionBasis {
            identity: identity.clone(),
            membership: member.as_ref().and_then(Member::membership),
            usable: grant.at(self.now_ms()),
            grant,
        }
    }

    /// Waits until something of what a connection rests on was taken away.
    pub async fn lost(&self, basis: &ConnectionBasis) {
        let mut changed = self.changed.subscribe();
        while self.stands(basis) {
            let ends = basis.grant.changes_after(self.now_ms());
            let left = ends.map(|at| Duration::from_millis(at.saturating_sub(self.now_ms())));
            tokio::select! {
                biased;
                changed = changed.changed() => if changed.is_err() { return },
                // The wall clock may be set meanwhile.
                () = tokio::time::sleep(left.unwrap_or(Duration::MAX).min(limits::GRANT_CHECK)),
                    if left.is_some() => {}
            }
        }
    }

    fn stands(&self, basis: &ConnectionBasis) -> bool {
        self.check_current(&basis.identity, basis).is_ok()
            && basis.grant.at(self.now_ms()) == basis.usable
            && self.granted(&basis.identity).lacks(&basis.grant).is_none()
    }
}

/// A connection of a member, which ends when this is dropped.
pub struct Connected {
    members: Rc<Members>,
    identity: Identity,
}

impl Drop for Connected {
    fn drop(&mut self) {
        let now_ms = (self.members.now_ms)();
        if let Some(member) = self.members.known.borrow_mut().get_mut(&self.identity) {
            member.connections = member.connections.saturating_sub(1);
            member.seen_ms = member.seen_ms.max(now_ms);
        }
    }
}

impl ConnectionBasis {
    /// Whose it is.
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// What the member was granted.
    pub fn grant(&self) -> Rc<MemberGrant> {
        Rc::clone(&self.grant)
    }

    /// The membership that its certificates carry.
    pub const fn membership(&self) -> Option<MembershipId> {
        self.membership
    }
}

/// Whether who was granted this administers members without anything that narrows it.
fn administers(grant: &MemberGrant) -> bool {
    grant.may().has(Facet::Members) && !grant.narrows(Facet::Members)
}

fn not_found(identity: &Identity) -> Failure {
    let why = format!("{identity} is no member: `remit members` lists them");
    Failure::new(Code::NotFound, why)
}
