//! Accounts: what each identity, each tenant and all of them together have this process hold or do.
//!
//! Whatever is held for somebody is charged when it begins to be held, and released when the charge
//! is dropped. A charge that would exceed a bound is refused with the bound and what to do.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::time::Duration;

use remit_core::{Code, Failure, Identity};
use remit_vat::connection::HeldBytes;

use crate::limits;

/// What is charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resource {
    /// Memory of tasks that have not ended, in bytes: programs, inputs, arguments and results.
    TaskBytes,
    /// Subscriptions to the events of tasks.
    Followers,
    /// Disk of tasks that are kept, in bytes: their events and large bodies.
    DiskBytes,
    /// Checks, backups and searches of the audit that run or wait.
    HeavyJobs,
    /// Sturdy references that are kept.
    References,
    /// Invites that wait to be used.
    Invites,
}

/// The most that may be charged.
#[derive(Debug, Clone, Copy)]
pub struct Bound {
    /// To one identity.
    pub identity: u64,
    /// To all identities of one tenant.
    pub tenant: u64,
    /// To all.
    pub process: u64,
    /// Why it is that.
    pub why: &'static str,
}

impl Resource {
    /// All of them, in the order in which `docs/limits.md` lists them.
    pub const ALL: [Self; 6] = [
        Self::TaskBytes,
        Self::DiskBytes,
        Self::Followers,
        Self::HeavyJobs,
        Self::References,
        Self::Invites,
    ];

    /// Its name for people, in the plural.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TaskBytes => "bytes of tasks that have not ended",
            Self::Followers => "subscriptions to events",
            Self::DiskBytes => "bytes on disk of tasks that are kept",
            Self::HeavyJobs => "checks, backups and audit queries",
            Self::References => "saved references",
            Self::Invites => "invites that wait to be used",
        }
    }

    /// What to do when it is used up.
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::TaskBytes => "let some tasks end or cancel them, and try again then",
            Self::Followers => "drop subscriptions that are not read, and subscribe again then",
            Self::DiskBytes => {
                "remove tasks that have ended, or have them kept less long, and try again then"
            }
            Self::HeavyJobs => "try again when one of them has ended",
            Self::References => "revoke some that are not used any more, and save again then",
            Self::Invites => "withdraw some, or wait until they are used or expire",
        }
    }

    /// After how long to ask again, where that can be said: what is used up comes back by itself.
    pub const fn retry_after(self) -> Option<Duration> {
        match self {
            Self::HeavyJobs => Some(limits::JOBS_AGAIN),
            _ => None,
        }
    }
}

/// The accounts of one orchestrator.
#[derive(Debug, Default)]
pub struct Accounts {
    identities: RefCell<HashMap<(Resource, String), u64>>,
    tenants: RefCell<HashMap<(Resource, String), u64>>,
    process: RefCell<HashMap<Resource, u64>>,
    /// What the calls in flight of each connected identity hold.
    calls: RefCell<HashMap<Identity, Weak<HeldBytes>>>,
}

/// What is charged to one identity, until it is dropped.
#[derive(Debug)]
pub struct Charge {
    accounts: Rc<Accounts>,
    resource: Resource,
    identity: String,
    tenant: String,
    amount: Cell<u64>,
}

impl Accounts {
    /// With nothing charged to anybody.
    pub fn new() -> Rc<Self> {
        Rc::default()
    }

    /// Charges `amount` to `who`, or refuses with `limit`.
    pub fn charge(
        self: &Rc<Self>,
        who: &Identity,
        resource: Resource,
        amount: u64,
    ) -> Result<Charge, Failure> {
        let (identity, tenant) = (who.to_string(), who.tenant());
        self.check(&identity, tenant, resource, amount)?;
        Ok(self.charge_anyway(&identity, tenant, resource, amount))
    }

    /// Refuses with `limit` if `amount` more would be too much.
    pub fn check(
        &self,
        identity: &str,
        tenant: &str,
        resource: Resource,
        amount: u64,
    ) -> Result<(), Failure> {
        self.held(resource, identity, tenant).check(resource, identity, tenant, amount)
    }

    /// So much more is held for somebody, whatever the bound: it is there already.
    pub fn grow(&self, identity: &str, tenant: &str, resource: Resource, amount: u64) {
        self.change(resource, identity, tenant, (0, amount));
    }

    /// So much less.
    pub fn shrink(&self, identity: &str, tenant: &str, resource: Resource, amount: u64) {
        self.change(resource, identity, tenant, (amount, 0));
    }

    /// Charges what is held already, as after a restart: over a bound only what is new is refused.
    pub fn charge_anyway(
        self: &Rc<Self>,
        identity: &str,
        tenant: &str,
        resource: Resource,
        amount: u64,
    ) -> Charge {
        let charge = Charge {
            accounts: Rc::clone(self),
            resource,
            identity: identity.to_owned(),
            tenant: tenant.to_owned(),
            amount: Cell::new(0),
        };
        charge.set(amount);
        charge
    }

    /// What the calls in flight of an identity hold, one for all of its connections.
    pub fn calls(&self, who: &Identity) -> Rc<HeldBytes> {
        let mut calls = self.calls.borrow_mut();
        if let Some(held) = calls.get(who).and_then(Weak::upgrade) {
            return held;
        }
        calls.retain(|_, held| held.strong_count() > 0);
        let held = HeldBytes::new();
        calls.insert(who.clone(), Rc::downgrade(&held));
        held
    }

    /// What is charged to an identity, its tenant, and all.
    pub fn held(&self, resource: Resource, identity: &str, tenant: &str) -> Held {
        let of = |map: &RefCell<HashMap<(Resource, String), u64>>, name: &str| {
            map.borrow().get(&(resource, name.to_owned())).copied().unwrap_or_default()
        };
        Held {
            identity: of(&self.identities, identity),
            tenant: of(&self.tenants, tenant),
            process: self.process.borrow().get(&resource).copied().unwrap_or_default(),
        }
    }

    fn change(&self, resource: Resource, identity: &str, tenant: &str, (from, to): (u64, u64)) {
        let moved = |held: u64| held.saturating_sub(from).saturating_add(to);
        for (map, name) in [(&self.identities, identity), (&self.tenants, tenant)] {
            let mut map = map.borrow_mut();
            let key = (resource, name.to_owned());
            match moved(map.get(&key).copied().unwrap_or_default()) {
                0 => drop(map.remove(&key)),
                held => drop(map.insert(key, held)),
            }
        }
        let mut process = self.process.borrow_mut();
        let held = process.entry(resource).or_default();
        *held = moved(*held);
    }
}

/// What is charged at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// To the identity.
    pub identity: u64,
    /// To its tenant.
    pub tenant: u64,
    /// To all.
    pub process: u64,
}

impl Held {
    /// Refuses with `limit` if `amount` more would be too much.
    pub fn check(
        self,
        resource: Resource,
        identity: &str,
        tenant: &str,
        amount: u64,
    ) -> Result<(), Failure> {
        let bound = limits::bound(resource);
        let scopes = [
            (self.identity, bound.identity, identity, "an identity"),
            (self.tenant, bound.tenant, tenant, "a tenant"),
            (self.process, bound.process, "this orchestrator", "all of them together"),
        ];
        for (held, most, holder, scope) in scopes {
            if held.saturating_add(amount) > most {
                let (name, remedy) = (resource.name(), resource.remedy());
                let why = format!(
                    "{identity} asked for {amount} {name}, {holder} has {held}, and the bound for {scope} is {most}: {remedy}"
                );
                let refused = Failure::new(Code::Limit, why);
                return Err(match resource.retry_after() {
                    Some(wait) => refused.and_retry_after(wait),
                    None => refused,
                });
            }
        }
        Ok(())
    }
}

impl Charge {
    /// It is so much from now on. What grows by itself is never refused: what is new is.
    pub fn set(&self, amount: u64) {
        let before = self.amount.replace(amount);
        if before != amount {
            let Self { accounts, resource, identity, tenant, .. } = self;
            accounts.change(*resource, identity, tenant, (before, amount));
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use remit_core::Role;

    use super::*;

    fn who(tenant: &str, name: &str) -> Identity {
        Identity::new("home", tenant, Role::Client, name).unwrap()
    }

    #[test]
    fn one_identity_uses_up_its_own_bound_and_no_other() {
        let accounts = Accounts::new();
        let (one, two) = (who("default", "one"), who("default", "two"));
        let bound = limits::bound(Resource::Followers);
        let held = accounts.charge(&one, Resource::Followers, bound.identity).unwrap();
        let refused = accounts.charge(&one, Resource::Followers, 1).unwrap_err();
        assert_eq!(refused.code, Code::Limit);
        let number = bound.identity.to_string();
        assert!(refused.message.contains(&number) && refused.message.contains("client/one"));
        let other = accounts.charge(&two, Resource::Followers, 1).unwrap();
        drop(held);
        assert!(accounts.charge(&one, Resource::Followers, 1).is_ok());
        drop(other);
        assert!(accounts.identities.borrow().is_empty() && accounts.tenants.borrow().is_empty());
    }

    #[test]
    fn many_identities_of_a_tenant_use_up_the_tenants_bound() {
        let accounts = Accounts::new();
        let bound = limits::bound(Resource::HeavyJobs);
        let mut held = Vec::new();
        let refused = loop {
            let next = who("default", &format!("n{}", held.len()));
            match accounts.charge(&next, Resource::HeavyJobs, bound.identity) {
                Ok(charge) => held.push(charge),
                Err(refused) => break refused,
            }
        };
        assert_eq!(held.len() as u64, bound.tenant / bound.identity);
        assert!(refused.message.contains("tenant"), "{}", refused.message);
        assert!(accounts.charge(&who("other", "n0"), Resource::HeavyJobs, 1).is_ok());
    }

    #[test]
    fn what_is_held_already_is_charged_over_the_bound() {
        let accounts = Accounts::new();
        let bound = limits::bound(Resource::TaskBytes);
        let one = who("default", "one");
        let name = one.to_string();
        let charge =
            accounts.charge_anyway(&name, "default", Resource::TaskBytes, 2 * bound.identity);
        assert!(accounts.charge(&one, Resource::TaskBytes, 1).is_err());
        charge.set(7);
        assert_eq!(accounts.held(Resource::TaskBytes, &name, "default").process, 7);
    }

    #[test]
    fn bounds_widen_from_identity_to_process() {
        for resource in Resource::ALL {
            let Bound { identity, tenant, process, why } = limits::bound(resource);
            assert!(identity <= tenant && tenant <= process && !why.is_empty(), "{resource:?}");
        }
    }
}
