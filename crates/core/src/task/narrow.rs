//! The decision on a new grant: well formed, and no more than a part of its parent.

use super::Task;
use super::refusal::Refusal;
use crate::event::{Fact, Grant};
use crate::failure::{Code, Failure};
use crate::grant::{Caveat, Relation, narrow, path, text};
use crate::id::GrantId;
use crate::limits;

/// Names that `remit` has for itself in a script.
const RESERVED: [&str; 8] =
    ["sleep", "input", "now", "random", "then", "spawn", "request", "steers"];

impl Task {
    pub(super) fn decide_grant(&self, grant: &Grant) -> Result<Fact, Refusal> {
        let invalid = |why: String| Err(Failure::new(Code::InvalidArgument, why).into());
        let nameless = grant.derived.is_some() && grant.name.is_empty();
        if !nameless && (!is_identifier(&grant.name) || RESERVED.contains(&grant.name.as_str())) {
            return invalid(format!(
                "`{}` cannot name a grant: use letters, digits and _, not beginning with a digit, and none of {}",
                grant.name.chars().take(80).collect::<String>(),
                RESERVED.join(", ")
            ));
        }
        // A name is never given twice: a replay must find under it what it found before.
        if !nameless && self.grants.values().any(|held| held.grant.name == grant.name) {
            return invalid(format!(
                "the task already has, or had, a grant named `{}`",
                grant.name
            ));
        }
        if self.grants.len() >= limits::MAX_GRANTS {
            return invalid(format!("a task may hold at most {} grants", limits::MAX_GRANTS));
        }
        if path::join("", &grant.path).as_ref() != Ok(&grant.path) {
            return invalid(format!("`{}` is not a normalised path", grant.path));
        }
        if grant.caveats.len() > limits::MAX_CAVEATS {
            return invalid(format!("a grant may have at most {} caveats", limits::MAX_CAVEATS));
        }
        grant.caveats.iter().try_for_each(Caveat::validate)?;
        let mut grant = grant.clone();
        grant.grant = self.grants.keys().next_back().map_or(GrantId(1), |last| last.next());
        if let Some(parent) = grant.parent {
            self.check_narrower(&grant, parent)?;
            self.check_caveats(&grant, parent)?;
            self.check_purse(parent, grant.reserve)?;
            // What a method means must not change on the way down: the caveats above depend on it.
            grant.manifest = self
                .chain(parent)
                .next()
                .map_or(grant.manifest, |held| held.grant.manifest.clone());
        }
        if grant.parent.is_none() && !grant.reserve.is_none() {
            return invalid("a purse is split from another grant, and this one has none".into());
        }
        Ok(Fact::GrantAdded(Box::new(grant)))
    }

    /// Whether a grant claims no more than any of those above it allows.
    fn check_caveats(&self, grant: &Grant, parent: GrantId) -> Result<(), Failure> {
        for (held, distance) in self.chain(parent).zip(1..) {
            let above = &held.grant;
            if let Some(deep) = above
                .caveats
                .iter()
                .find(|caveat| matches!(caveat, Caveat::DelegationDepth(most) if distance > *most))
            {
                let why = "no grant may be narrowed from this one any more";
                return Err(Failure::new(Code::Denied, why).with_detail(text::caveat_text(deep)));
            }
            let below = grant.path.get(above.path.len()..).unwrap_or_default();
            let relation = Relation {
                below: below.trim_start_matches('/'),
                distance,
                manifest: &above.manifest,
            };
            if let Some(wider) = narrow::not_attenuated(&above.caveats, &grant.caveats, &relation) {
                let (child, parent) =
                    (text::caveat_text(&wider.child), text::caveat_text(&wider.parent));
                let why = format!(
                    "`{child}` is wider than `{parent}`, or cannot be shown to be within it: a grant only narrows"
                );
                return Err(Failure::new(Code::Denied, why).with_detail(child));
            }
        }
        Ok(())
    }

    /// Whether a grant is no more than a part of its parent.
    fn check_narrower(&self, grant: &Grant, parent: GrantId) -> Result<(), Refusal> {
        let invalid = |why: String| Err(Failure::new(Code::InvalidArgument, why).into());
        let Some(held) = self.grants.get(&parent) else {
            return Err(
                Failure::new(Code::NotFound, format!("the task has no grant {parent}")).into()
            );
        };
        if self.is_revoked(parent) {
            return Err(Failure::new(Code::Revoked, "its parent was revoked").into());
        }
        if self.chain(parent).count() >= limits::MAX_DEPTH {
            return invalid(format!("a grant narrowed {} times in a row", limits::MAX_DEPTH));
        }
        let above = &held.grant;
        if (&grant.tool, &grant.version, &grant.node) != (&above.tool, &above.version, &above.node)
        {
            return invalid(format!(
                "a grant narrowed from {} {} cannot be one of {} {}",
                above.tool, above.version, grant.tool, grant.version
            ));
        }
        if !path::is_within(&grant.path, &above.path) {
            return invalid(format!(
                "`{}` is not within its parent's `{}`",
                grant.path, above.path
            ));
        }
        Ok(())
    }
}

fn is_identifier(name: &str) -> bool {
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    first
        && name.len() <= 64
        && name != "__proto__"
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}
