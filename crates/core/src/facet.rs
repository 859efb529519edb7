//! Facets: what a member of a mesh may do, each under one name, handed out in sets.

mod grant;
mod uses;

use std::fmt;
use std::str::FromStr;

pub use self::grant::MemberGrant;
pub use self::uses::FacetUse;

/// One thing that a member may do. The names are for ever: records hold them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Facet {
    /// List, invite, change and expel members.
    Members,
    /// Drain nodes, accept changed tools and, together with `Members`, invite nodes.
    Nodes,
    /// Create tasks and triggers.
    Create,
    /// See, steer and decide in the tasks that the member created.
    Own,
    /// See every task of the tenant.
    View,
    /// See and steer every task of the tenant, and share it.
    Steer,
    /// See every task of the tenant, and decide what waits for a person.
    Decide,
    /// Read the audit.
    Audit,
    /// Back up and check all that is kept.
    Backup,
}

impl Facet {
    /// Every facet.
    pub const ALL: [Self; 9] = [
        Self::Members,
        Self::Nodes,
        Self::Create,
        Self::Own,
        Self::View,
        Self::Steer,
        Self::Decide,
        Self::Audit,
        Self::Backup,
    ];

    /// Its name in records, on the wire and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Members => "members",
            Self::Nodes => "nodes",
            Self::Create => "create",
            Self::Own => "own",
            Self::View => "view",
            Self::Steer => "steer",
            Self::Decide => "decide",
            Self::Audit => "audit",
            Self::Backup => "backup",
        }
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

impl fmt::Display for Facet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of facets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Facets(u16);

/// Sets that have a name of their own, by which a person may hand them out.
pub const BUNDLES: [(&str, Facets); 6] = [
    ("admin", Facets::ALL),
    ("member", Facets::MEMBER),
    ("operator", Facets::of(&[Facet::Nodes, Facet::View, Facet::Audit, Facet::Backup])),
    ("viewer", Facets::of(&[Facet::View])),
    ("approver", Facets::of(&[Facet::Decide])),
    ("auditor", Facets::of(&[Facet::View, Facet::Audit])),
];

/// The text names no set of facets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is nothing that a member may do: give some of members, nodes, create, own, view, steer, decide, audit and backup with commas between, or one of admin, operator, member, viewer, approver and auditor"
)]
pub struct NotFacets(String);

impl Facets {
    /// No facet: a node's set, whose role alone says what it may do.
    pub const NONE: Self = Self(0);

    /// Every facet: an administrator's set.
    pub const ALL: Self = Self::of(&Facet::ALL);

    /// The set of a client that was invited without more.
    pub const MEMBER: Self = Self::of(&[Facet::Create, Facet::Own]);

    /// The set of these.
    pub const fn of(facets: &[Facet]) -> Self {
        let (mut bits, mut at) = (0, 0);
        while at < facets.len() {
            bits |= facets[at].bit();
            at += 1;
        }
        Self(bits)
    }

    /// Whether it has this facet.
    pub const fn has(self, facet: Facet) -> bool {
        self.0 & facet.bit() != 0
    }

    /// Whether it has all facets of `other`.
    pub const fn covers(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// What it has that `other` has not.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether it is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Its facets, in the order of [`Facet::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Facet> {
        Facet::ALL.into_iter().filter(move |facet| self.has(*facet))
    }

    /// The name of the bundle that it is, if it is one.
    pub fn bundle(self) -> Option<&'static str> {
        BUNDLES.into_iter().find_map(|(name, facets)| (facets == self).then_some(name))
    }

    /// The set whose facets have these names. A name that is not known adds nothing: a record of a
    /// later version gives less here, never more.
    pub fn known<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let facet = |name: &str| Facet::ALL.into_iter().find(|facet| facet.as_str() == name);
        names.into_iter().filter_map(facet).fold(Self::NONE, |set, facet| Self(set.0 | facet.bit()))
    }
}

/// The names of the facets with commas between them; empty: none.
impl fmt::Display for Facets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, facet) in self.iter().enumerate() {
            if at > 0 {
                f.write_str(",")?;
            }
            f.write_str(facet.as_str())?;
        }
        Ok(())
    }
}

/// From names of facets and bundles with commas between them.
impl FromStr for Facets {
    type Err = NotFacets;

    fn from_str(text: &str) -> Result<Self, NotFacets> {
        let mut set = Self::NONE;
        for name in text.split(',').map(str::trim) {
            let bundle = BUNDLES.into_iter().find(|(bundle, _)| *bundle == name);
            let named = bundle.map_or_else(|| Self::known([name]), |(_, facets)| facets);
            if named.is_empty() {
                return Err(NotFacets(name.chars().take(80).collect()));
            }
            set = Self(set.0 | named.0);
        }
        Ok(set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_reads_back_as_it_is_written() {
        for bits in 1..=Facets::ALL.0 {
            let set = Facets(bits);
            assert_eq!(set.to_string().parse::<Facets>(), Ok(set));
            assert!(Facets::ALL.covers(set) && set.without(set).is_empty());
        }
        for (name, set) in BUNDLES {
            assert_eq!(name.parse::<Facets>(), Ok(set));
            assert_eq!(set.bundle(), Some(name));
        }
        assert_eq!("create, own".parse::<Facets>(), Ok(Facets::MEMBER));
    }

    #[test]
    fn an_unknown_name_gives_nothing() {
        for text in ["", "root", "create,root", "create,", "Members", "*"] {
            assert!(text.parse::<Facets>().is_err(), "{text}");
        }
        assert_eq!(Facets::known(["own", "later"]), Facets::of(&[Facet::Own]));
    }

    #[test]
    fn a_set_does_not_cover_what_it_lacks() {
        assert!(!Facets::MEMBER.covers(Facets::ALL));
        assert!(!Facets::of(&[Facet::Members]).covers(Facets::of(&[Facet::Audit])));
        assert!(Facets::MEMBER.covers(Facets::NONE));
    }
}
