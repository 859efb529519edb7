//! Which tasks a member may see, or steer: those that it created, and those that a facet of the whole
//! tenant reaches, each as far as the caveats allow.

use std::rc::Rc;

use remit_core::{Facet, FacetUse, Identity, MemberGrant};

/// Some tasks of a tenant, as a member's facets reach them.
#[derive(Debug, Clone)]
pub struct Visibility {
    grant: Rc<MemberGrant>,
    who: String,
    /// Facets that reach the tasks of others.
    others: Vec<Facet>,
    /// Whether it creates tasks of its own that it reaches.
    own: bool,
    everything: bool,
    now_ms: u64,
}

impl Visibility {
    /// The tasks that `who` reaches by `own`, and by any of `others`.
    pub fn new(grant: &Rc<MemberGrant>, who: &Identity, others: &[Facet], now_ms: u64) -> Self {
        let usable = grant.at(now_ms);
        let others: Vec<Facet> =
            others.iter().copied().filter(|facet| usable.has(*facet)).collect();
        Self {
            everything: others.iter().any(|facet| !grant.looks_at_use(*facet)),
            others,
            own: usable.has(Facet::Own),
            grant: Rc::clone(grant),
            who: who.to_string(),
            now_ms,
        }
    }

    /// Whether it is every task of the tenant.
    pub const fn is_everything(&self) -> bool {
        self.everything
    }

    /// The one creator whose tasks these are, if there is one.
    pub fn creator(&self) -> Option<&str> {
        self.others.is_empty().then_some(self.who.as_str())
    }

    /// Whether it has the task of this name and creator.
    pub fn has(&self, name: &str, creator: &str) -> bool {
        if self.everything {
            return true;
        }
        let usage = FacetUse { name, creator, ..FacetUse::default() };
        let allows = |facet: Facet| self.grant.check(facet, &usage, self.now_ms).is_ok();
        (self.own && creator == self.who && allows(Facet::Own))
            || self.others.iter().any(|facet| allows(*facet))
    }
}
