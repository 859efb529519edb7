//! The caveats of a grant and of those above it, for a tool node that checks them as well.
//!
//! Only those that depend on nothing but the call: what was used so far, who else is alive and what
//! a person decided, the task's owner alone knows.

use super::resolved_call::ResolvedCall;
use super::{Budgets, Caveat, Checker, Place, Usage, Use, Verdict};
use crate::failure::Failure;
use crate::id::{CallNumber, ObjectId};
use crate::manifest::Method;
use crate::value::Value;

/// The caveats of a grant, then of each that it was narrowed from.
#[derive(Debug, Clone, Default)]
pub struct Links {
    links: Vec<Link>,
}

#[derive(Debug, Clone)]
struct Link {
    checker: Checker,
    /// From the root of this grant to the root of the first.
    way: String,
}

/// Where a call is made: the grant's root, or an object obtained from it.
#[derive(Debug, Clone, Copy)]
pub struct At<'a> {
    /// Where the object stands, seen from the grant's root.
    pub path: &'a str,
    /// Its interface; `None`: it is the root.
    pub obtained: Option<&'a str>,
}

impl Caveat {
    /// Whether it can be checked by someone who knows nothing but the call and the time.
    pub fn is_of_the_call_alone(&self) -> bool {
        match self {
            Self::Methods(_)
            | Self::Path(_)
            | Self::Argument(_)
            | Self::Cel(_)
            | Self::ResultBytes(_)
            | Self::NoObjects
            | Self::Facet(_)
            | Self::NotBefore(_)
            | Self::Expires(_)
            | Self::DelegationDepth(_)
            | Self::Label(_)
            | Self::Direct
            // It refuses, wherever it is checked.
            | Self::Unknown(_) => true,
            Self::IdleExpiry(_)
            | Self::Calls(_)
            | Self::BytesIn(_)
            | Self::BytesOut(_)
            | Self::Rate(_)
            | Self::Concurrency(_)
            | Self::Cost(_)
            | Self::Audience(_)
            | Self::RequiresApproval(_)
            | Self::Requires(_) => false,
            Self::Only(_, inner) => inner.is_of_the_call_alone(),
        }
    }
}

impl Links {
    /// From the caveats of each grant, with the way from its root to the root of the first.
    pub fn new(links: impl IntoIterator<Item = (Vec<Caveat>, String)>) -> Self {
        let link = |(mut caveats, way): (Vec<Caveat>, String)| {
            caveats.retain(Caveat::is_of_the_call_alone);
            Link { checker: Checker::new(&caveats), way }
        };
        Self { links: links.into_iter().map(link).collect() }
    }

    /// The resolved call, if every caveat allows it.
    pub fn check(
        &self,
        method: &Method,
        args: Value<u32>,
        at: At<'_>,
        now_ms: u64,
    ) -> Result<ResolvedCall, Failure> {
        let Ok(args) = args.try_map(&mut |index| {
            Ok::<_, std::convert::Infallible>(ObjectId::Part(CallNumber(0), index))
        });
        let resolved = ResolvedCall::of(method, args, Some(at.path))?;
        let usage = Usage::new(&[], Budgets::NONE, 0);
        let place = at.obtained.map_or(Place::Root, |name| Place::Obtained(Some(name)));
        for (link, distance) in self.links.iter().zip(0..) {
            let paths = resolved.paths_seen_from(&link.way)?;
            let args = resolved.args_for(&link.checker, &link.way);
            let verdict = link.checker.check(&Use {
                method: &method.name,
                read_only: resolved.read_only,
                idempotent: resolved.idempotent,
                destructive: resolved.destructive,
                returns: &resolved.returns,
                place,
                args: args.as_deref(),
                path_args: &resolved.path_args,
                paths: &paths,
                user: "task",
                now_ms,
                usage: &usage,
                takes: Budgets::NONE,
                whole: Budgets::NONE,
                distance,
                lives: &|_| true,
            });
            if let Verdict::Refused(failure) = verdict {
                return Err(failure);
            }
        }
        Ok(resolved)
    }

    /// Whether a value without objects may be shown to whoever called.
    pub fn check_result(&self, method: &str, bytes: u64) -> Result<(), Failure> {
        let usage = Usage::new(&[], Budgets::NONE, 0);
        self.links.iter().try_for_each(|link| link.checker.check_kept(method, bytes, &usage, 0))
    }
}
