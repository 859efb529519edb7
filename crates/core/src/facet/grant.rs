//! What a member of a mesh was granted: facets, and the caveats that narrow them.
//!
//! The grammar is that of grants of tools, with a facet in place of a method: `create.arg.tools.*?=
//! oneOf:fs` binds the facet `create`, `until=7d` binds all of them. Caveats only add up, and one that
//! cannot be checked here refuses every use.

use super::uses::{FacetUse, MANIFEST};
use super::{Facet, Facets};
use crate::failure::{Code, Failure};
use crate::grant::guard::Ready;
use crate::grant::{Caveat, Relation, narrow, text, validate_against_manifest};
use crate::limits;
use crate::value::Value;

/// Facets, and the caveats on their use, ready to be checked many times.
#[derive(Debug, Clone)]
pub struct MemberGrant {
    may: Facets,
    checks: Vec<Check>,
}

#[derive(Debug, Clone)]
struct Check {
    written: Caveat,
    /// The one facet that it binds; `None`: all.
    only: Option<Facet>,
    ready: Prepared,
}

#[derive(Debug, Clone)]
enum Prepared {
    Guard(Ready),
    NotBefore(u64),
    Expires(u64),
    /// It allows everything.
    Label,
    /// It is of a facet that is not known here, and so not granted.
    Elsewhere,
    /// It could not be made ready, and refuses.
    Broken(String),
}

impl From<Facets> for MemberGrant {
    fn from(may: Facets) -> Self {
        Self { may, checks: Vec::new() }
    }
}

/// Two grants of the same facets and caveats are the same.
impl PartialEq for MemberGrant {
    fn eq(&self, other: &Self) -> bool {
        self.may == other.may && self.caveats().eq(other.caveats())
    }
}

impl Eq for MemberGrant {}

impl MemberGrant {
    /// These facets under these caveats, as they are recorded. A caveat that cannot be checked here
    /// refuses; see [`Self::validated`] for new ones.
    pub fn new(may: Facets, caveats: Vec<Caveat>) -> Self {
        Self { may, checks: caveats.into_iter().map(Check::new).collect() }
    }

    /// The same for caveats that are new: each must be one that facets can have, and name a granted
    /// facet and an argument that it has.
    ///
    /// # Errors
    /// `invalid-argument` with the caveat as detail; `limit` if there are too many.
    pub fn validated(may: Facets, caveats: Vec<Caveat>) -> Result<Self, Failure> {
        if caveats.len() > limits::MAX_CAVEATS {
            let why = format!(
                "{} caveats on what a member may do, with those of who grants it; at most {} are taken",
                caveats.len(),
                limits::MAX_CAVEATS
            );
            return Err(Failure::new(Code::Limit, why));
        }
        for caveat in &caveats {
            caveat.validate()?;
            let inner = caveat.of_one_method().map_or(caveat, |(_, inner)| inner);
            if let Some(why) = unfit(inner) {
                let shown: String = text::caveat_text(caveat).chars().take(200).collect();
                let why = format!("`{shown}`: {why}");
                return Err(Failure::new(Code::InvalidArgument, why).with_detail(shown));
            }
        }
        let names = Caveat::Methods(may.iter().map(|facet| facet.to_string()).collect());
        validate_against_manifest(&caveats, [&names], &MANIFEST)?;
        Ok(Self::new(may, caveats))
    }

    /// The facets, whatever their caveats say.
    pub const fn may(&self) -> Facets {
        self.may
    }

    /// The caveats, in the order in which they were given.
    pub fn caveats(&self) -> impl Iterator<Item = &Caveat> {
        self.checks.iter().map(|check| &check.written)
    }

    /// The facets that can be used at this time, in milliseconds since 1970.
    pub fn at(&self, now_ms: u64) -> Facets {
        let usable: Vec<Facet> = self
            .may
            .iter()
            .filter(|facet| self.of(*facet).all(|check| check.in_time(now_ms)))
            .collect();
        Facets::of(&usable)
    }

    /// The next time after this one at which [`Self::at`] gives something else.
    pub fn changes_after(&self, now_ms: u64) -> Option<u64> {
        let time = |check: &Check| match check.ready {
            Prepared::NotBefore(at) | Prepared::Expires(at) => (at > now_ms).then_some(at),
            Prepared::Guard(_) | Prepared::Label | Prepared::Elsewhere | Prepared::Broken(_) => {
                None
            }
        };
        self.checks.iter().filter_map(time).min()
    }

    /// Whether some caveat narrows the facet.
    pub fn narrows(&self, facet: Facet) -> bool {
        self.of(facet).any(|check| !matches!(check.ready, Prepared::Label))
    }

    /// Whether some caveat on the facet looks at what it is used for.
    pub fn looks_at_use(&self, facet: Facet) -> bool {
        self.of(facet).any(|check| matches!(check.ready, Prepared::Guard(_) | Prepared::Broken(_)))
    }

    /// When the facet ends by its caveats, in milliseconds since 1970; `None`: it does not.
    pub fn ends(&self, facet: Facet) -> Option<u64> {
        let end = |check: &Check| match check.ready {
            Prepared::Expires(at) => Some(at),
            Prepared::Broken(_) => Some(0),
            Prepared::Guard(_) | Prepared::NotBefore(_) | Prepared::Label | Prepared::Elsewhere => {
                None
            }
        };
        self.of(facet).filter_map(end).min()
    }

    /// Refuses a use that the grant does not cover.
    ///
    /// # Errors
    /// `denied`, with the caveat that refused as detail.
    pub fn check(&self, facet: Facet, usage: &FacetUse<'_>, now_ms: u64) -> Result<(), Failure> {
        if !self.may.has(facet) {
            return Err(self.not_given(facet.as_str()));
        }
        self.check_caveats(facet, usage, now_ms)
    }

    /// What the caveats on a facet say to a use, whether or not the facet was granted.
    ///
    /// # Errors
    /// As of [`Self::check`].
    pub fn check_caveats(
        &self,
        facet: Facet,
        usage: &FacetUse<'_>,
        now_ms: u64,
    ) -> Result<(), Failure> {
        let mut args = None;
        for check in self.of(facet) {
            let args = || args.get_or_insert_with(|| usage.args(facet)).clone();
            if let Err(why) = check.allows(args, now_ms) {
                let shown = text::caveat_text(&check.written);
                let why = format!("what you may do is narrowed by `{shown}`: {why}");
                return Err(Failure::new(Code::Denied, why).with_detail(shown));
            }
        }
        Ok(())
    }

    /// The refusal of a use that takes what was not granted.
    pub fn not_given(&self, takes: &str) -> Failure {
        let has = if self.may.is_empty() { "nothing".to_owned() } else { self.may.to_string() };
        let why = format!(
            "this takes `{takes}`, and you were given {has}: ask an administrator for it (`remit members authorize`)"
        );
        Failure::new(Code::Denied, why)
    }

    /// What `other` allows that this does not, in words; `None`: nothing.
    pub fn lacks(&self, other: &Self) -> Option<String> {
        let missing = other.may.without(self.may);
        if !missing.is_empty() {
            return Some(missing.to_string());
        }
        let relation = Relation { below: "", distance: 0, manifest: &MANIFEST };
        other.may.iter().find_map(|facet| {
            let above = self.of(facet).filter(|check| !matches!(check.ready, Prepared::Label));
            let mut above = above.map(Check::inner);
            let implied = |above: &&Caveat| {
                other.of(facet).map(Check::inner).any(|below| {
                    below == *above || narrow::within(below, above, &relation) == Some(true)
                })
            };
            let wider = above.find(|above| !implied(above))?;
            Some(format!("{facet} without `{}`", text::caveat_text(wider)))
        })
    }

    /// What a member gets to whom the holder of this grants `below`: the caveats of both.
    ///
    /// # Errors
    /// `limit` if these are too many.
    pub fn hand_on(&self, below: &Self) -> Result<Self, Failure> {
        let mut caveats: Vec<Caveat> = below.caveats().cloned().collect();
        for above in self.checks.iter().filter(|check| !matches!(check.ready, Prepared::Label)) {
            let concerns = above.only.is_none_or(|facet| below.may.has(facet));
            if concerns && !caveats.contains(&above.written) {
                caveats.push(above.written.clone());
            }
        }
        if caveats.len() > limits::MAX_CAVEATS {
            let why = format!(
                "{} caveats on what a member may do, with those of who grants it; at most {} are taken",
                caveats.len(),
                limits::MAX_CAVEATS
            );
            return Err(Failure::new(Code::Limit, why));
        }
        Ok(Self::new(below.may, caveats))
    }

    /// The caveats that bind a facet.
    fn of(&self, facet: Facet) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(move |check| match &check.ready {
            Prepared::Elsewhere => false,
            Prepared::Guard(_)
            | Prepared::NotBefore(_)
            | Prepared::Expires(_)
            | Prepared::Label
            | Prepared::Broken(_) => check.only.is_none_or(|only| only == facet),
        })
    }
}

/// The facets and caveats as a person writes them: `create,own?create.arg.tools.*?=oneOf:fs`.
impl std::fmt::Display for MemberGrant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.may)?;
        for (at, caveat) in self.caveats().enumerate() {
            write!(f, "{}{}", if at == 0 { '?' } else { '&' }, text::caveat_text(caveat))?;
        }
        Ok(())
    }
}

impl Check {
    fn new(written: Caveat) -> Self {
        let (only, inner) = match written.of_one_method() {
            Some((name, inner)) => (Some(Facets::known([name.as_str()]).iter().next()), inner),
            None => (None, &written),
        };
        let ready = match (only, inner) {
            (Some(None), _) => Prepared::Elsewhere,
            (_, Caveat::Argument(guard)) => match Ready::new(guard) {
                Ok(ready) => Prepared::Guard(ready),
                Err(why) => Prepared::Broken(why),
            },
            (_, Caveat::NotBefore(at)) => Prepared::NotBefore(*at),
            (_, Caveat::Expires(at)) => Prepared::Expires(*at),
            (_, Caveat::Label(_)) => Prepared::Label,
            (_, other) => Prepared::Broken(unfit(other).unwrap_or("it cannot be checked").into()),
        };
        Self { only: only.flatten(), ready, written }
    }

    /// The caveat without the facet that it binds.
    fn inner(&self) -> &Caveat {
        self.written.of_one_method().map_or(&self.written, |(_, inner)| inner)
    }

    /// Whether the time is one at which it allows something. What depends on a use may.
    fn in_time(&self, now_ms: u64) -> bool {
        match self.ready {
            Prepared::NotBefore(at) => now_ms >= at,
            Prepared::Expires(at) => now_ms < at,
            Prepared::Guard(_) | Prepared::Label | Prepared::Elsewhere => true,
            Prepared::Broken(_) => false,
        }
    }

    fn allows(&self, args: impl FnOnce() -> Value, now_ms: u64) -> Result<(), String> {
        match &self.ready {
            Prepared::Guard(ready) => ready.check(&args(), |_| false),
            Prepared::NotBefore(at) if now_ms < *at => {
                Err(format!("it begins at {}", text::moment(*at)))
            }
            Prepared::Expires(at) if now_ms >= *at => {
                Err(format!("it ended at {}", text::moment(*at)))
            }
            Prepared::NotBefore(_) | Prepared::Expires(_) | Prepared::Label => Ok(()),
            Prepared::Elsewhere => Err("it is of another facet".into()),
            Prepared::Broken(why) => Err(why.clone()),
        }
    }
}

/// Why a caveat cannot be one on a facet, if it cannot: what needs a counter, or the result of a call,
/// is kept for grants of tools alone.
const fn unfit(caveat: &Caveat) -> Option<&'static str> {
    match caveat {
        Caveat::Argument(_) | Caveat::NotBefore(_) | Caveat::Expires(_) | Caveat::Label(_) => None,
        Caveat::Methods(_) => Some("facets are given by name, as in `--may create,own`"),
        Caveat::Unknown(_) => Some("it is not known here"),
        Caveat::Path(_)
        | Caveat::Cel(_)
        | Caveat::ResultBytes(_)
        | Caveat::NoObjects
        | Caveat::Facet(_)
        | Caveat::IdleExpiry(_)
        | Caveat::Calls(_)
        | Caveat::BytesIn(_)
        | Caveat::BytesOut(_)
        | Caveat::Rate(_)
        | Caveat::Concurrency(_)
        | Caveat::Cost(_)
        | Caveat::Audience(_)
        | Caveat::DelegationDepth(_)
        | Caveat::RequiresApproval(_)
        | Caveat::Requires(_)
        | Caveat::Only(..)
        | Caveat::Direct => {
            Some("what a member may do is narrowed by `until`, `notBefore`, `arg.NAME` and `label`")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::uses::ARGS;
    use super::*;

    fn grant(may: &str, caveats: &str) -> Result<MemberGrant, Failure> {
        let parts = caveats.split('&').filter(|part| !part.is_empty());
        let caveats = parts.map(|part| text::parse_caveat(part, 0).unwrap()).collect();
        MemberGrant::validated(may.parse().unwrap(), caveats)
    }

    fn task<'a>(name: &'a str, tools: &[&str]) -> FacetUse<'a> {
        let tools = tools.iter().map(|&tool| tool.to_owned()).collect();
        FacetUse { name, tools, ..FacetUse::default() }
    }

    #[test]
    fn a_caveat_of_one_facet_binds_that_one_and_a_plain_one_binds_all() {
        let narrow = grant("create,own,view", "create.arg.tools.*?=oneOf:fs&until=10s").unwrap();
        let check = |facet, tools: &[&str], now| narrow.check(facet, &task("t", tools), now);
        assert!(check(Facet::Create, &["fs"], 0).is_ok());
        assert!(check(Facet::Create, &[], 0).is_ok());
        let refused = check(Facet::Create, &["fs", "shell"], 0).unwrap_err();
        assert_eq!(refused.detail, "create.arg.tools.*?=oneOf:fs");
        assert!(check(Facet::Own, &["shell"], 0).is_ok());
        for facet in [Facet::Create, Facet::Own, Facet::View] {
            assert!(check(facet, &[], 9_999).is_ok());
            assert_eq!(check(facet, &[], 10_000).unwrap_err().code, Code::Denied);
        }
        assert_eq!(check(Facet::Steer, &[], 0).unwrap_err().code, Code::Denied);
        assert_eq!(narrow.at(9_999), narrow.may());
        assert_eq!(narrow.at(10_000), Facets::NONE);
        assert_eq!((narrow.changes_after(0), narrow.changes_after(10_000)), (Some(10_000), None));
    }

    #[test]
    fn every_facet_says_what_its_caveats_may_look_at() {
        assert_eq!(ARGS.map(|(facet, _)| facet), Facet::ALL);
        for (facet, names) in ARGS {
            let Value::Fields(args) = FacetUse::default().args(facet) else { panic!("{facet}") };
            let given: Vec<&str> = args.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(given, names);
            assert!(args.iter().all(|(_, value)| *value != Value::Null), "{facet}");
        }
    }

    #[test]
    fn a_caveat_that_facets_cannot_have_is_refused_when_it_is_made_and_refuses_when_it_is_read() {
        for (caveats, why) in [
            ("calls=3", "is narrowed by"),
            ("view.rate=3/s", "is narrowed by"),
            ("methods=view", "--may"),
            ("moon=full", "not known"),
            ("cel=true", "is narrowed by"),
            ("steer.arg.name=prefix:a", "the grant does not allow `steer`"),
            ("arg.tols.*?=oneOf:fs", "has an argument `tols`"),
            ("view.arg.tools.*=oneOf:fs", "none of the granted methods"),
            ("arg.name.*=equals:a", "every call would be refused"),
        ] {
            let refused = grant("view,create", caveats).unwrap_err();
            assert!(refused.message.contains(why), "{caveats}: {refused}");
        }
        for caveat in ["calls=3", "moon=full", "requiresApproval=view"] {
            let read = MemberGrant::new(Facets::ALL, vec![text::parse_caveat(caveat, 0).unwrap()]);
            for facet in Facet::ALL {
                assert!(read.check(facet, &task("t", &[]), 0).is_err(), "{caveat} {facet}");
            }
            assert_eq!(read.at(0), Facets::NONE);
        }
    }

    #[test]
    fn who_is_narrowed_covers_what_is_narrowed_as_much() {
        let pairs = [
            ("create,own", "", "create", "", None),
            ("create,own", "", "view", "", Some("view")),
            ("create,own", "until=10s", "create", "", Some("create without `until=")),
            ("create,own", "until=10s", "create", "until=5s", None),
            ("create,own", "until=10s", "create", "create.until=5s", None),
            ("create,own", "until=10s", "create,own", "create.until=5s", Some("own without")),
            ("create,own", "own.until=10s", "create", "", None),
            ("create", "create.arg.name=prefix:a", "create", "arg.name=prefix:ab", None),
            ("create", "arg.name=prefix:ab", "create", "arg.name=prefix:a", Some("create without")),
            ("create", "label=x", "create", "", None),
        ];
        for (may, caveats, other, others, lacks) in pairs {
            let (one, other) = (grant(may, caveats).unwrap(), grant(other, others).unwrap());
            let found = one.lacks(&other);
            let right = match (&found, lacks) {
                (Some(found), Some(lacks)) => found.contains(lacks),
                (found, lacks) => found.is_none() && lacks.is_none(),
            };
            assert!(right, "{one} {other}: {found:?}");
        }
    }

    #[test]
    fn what_is_handed_on_has_the_caveats_of_both_and_no_more_than_the_giver() {
        let giver = grant("create,own,view", "view.arg.name=prefix:a&until=10s&label=x").unwrap();
        let pending = grant("create,view", "create.arg.name=prefix:b&until=10s").unwrap();
        let given = giver.hand_on(&pending).unwrap();
        assert_eq!(
            given.to_string(),
            "create,view?create.arg.name=prefix:b&until=1970-01-01T00:00:10.000Z&view.arg.name=prefix:a"
        );
        assert_eq!(giver.lacks(&given), None);
        assert!(giver.lacks(&pending).is_some());
        let only = giver.hand_on(&grant("create", "").unwrap()).unwrap();
        assert_eq!(only.caveats().count(), 1, "a caveat on a facet that is not given says nothing");
    }
}
