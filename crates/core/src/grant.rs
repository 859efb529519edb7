//! Caveats: the closed vocabulary of conditions on a grant.
//!
//! All caveats of a grant and of its ancestors must hold. One that is not known refuses every call.
//! [`checker`] holds calls to them, [`usage`] keeps their counters, [`narrow`] compares those of a
//! grant with those of the one it is narrowed from, [`text`] writes and reads them.

pub mod cel;
pub mod checker;
pub mod guard;
pub mod links;
pub mod narrow;
pub mod path;
pub mod pattern;
pub mod remaining_budget;
pub mod resolved_call;
pub mod review;
pub mod text;
pub mod usage;
mod validate;

pub use checker::{Checker, Place, Use, Verdict};
pub use guard::{Guard, Literal, Number, Span, Step, Test};
pub use links::Links;
pub use narrow::{NotAttenuated, Relation};
pub use remaining_budget::{BudgetWalk, RemainingBudget};
pub use usage::{Budgets, Usage};
pub use validate::{permits, validate_against_manifest};

use serde::{Deserialize, Serialize};

use crate::failure::{Code, Failure};
use crate::id::TaskId;
use crate::limits;

/// One condition on the use of a grant. See `docs/caveats.md` for each with an example.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Caveat {
    /// Only these methods. `readOnly` and `idempotent` stand for the methods so annotated.
    Methods(Vec<String>),
    /// Only on and below this path, seen from the grant's root, normalised.
    Path(String),
    /// An argument passes this test.
    Argument(Guard),
    /// This CEL expression over `method`, `args`, `paths`, `user` and `now` is true.
    Cel(String),
    /// What a call returns is not larger than so many bytes.
    ResultBytes(u64),
    /// No call returns an object.
    NoObjects,
    /// Objects that calls return have one of these interfaces.
    Facet(Vec<String>),
    /// Not before this moment, in milliseconds since 1970.
    NotBefore(u64),
    /// Not at or after this moment, in milliseconds since 1970.
    Expires(u64),
    /// Not once it was unused for so many milliseconds.
    IdleExpiry(u64),
    /// At most so many calls, counting those of grants narrowed from this one.
    Calls(u64),
    /// At most so many bytes of arguments, over all calls.
    BytesIn(u64),
    /// At most so many bytes of results, over all calls.
    BytesOut(u64),
    /// A token bucket.
    Rate(Rate),
    /// At most so many calls that have not ended.
    Concurrency(u32),
    /// At most so many units of cost, as the tool reports them, over all calls.
    Cost(u64),
    /// Only these identities may use it. `task` is the task's own agent.
    Audience(Vec<String>),
    /// So many levels may be narrowed from this grant.
    DelegationDepth(u32),
    /// Calls of these methods wait for a person's decision. Classes as for methods, and
    /// `destructive`; `*` stands for all.
    RequiresApproval(Vec<String>),
    /// Dies when this does.
    Requires(Need),
    /// What the grant is for. Allows everything.
    Label(String),
    /// This one, for calls of this method alone. Neither of methods, nor of what is of the whole grant.
    Only(String, Box<Caveat>),
    /// Large results may go straight from the tool node to the agent node. Allows everything.
    Direct,
    /// Something this version does not know, as it was written. Always refuses.
    Unknown(String),
}

/// A token bucket: `count` uses at once, and again one for each `count`th part of `per_ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// How many uses a full bucket holds.
    pub count: u32,
    /// In how many milliseconds an empty bucket is full again.
    pub per_ms: u64,
}

/// What a grant cannot live without.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Need {
    /// Another grant of the same task, by its name.
    Grant(String),
    /// Another task.
    Task(TaskId),
}

/// What a caveat says of the grant as a whole, whichever call is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GrantRule<'a> {
    /// It ends at this moment, in milliseconds since 1970.
    Until(u64),
    /// It ends once it was unused for so many milliseconds.
    Unused(u64),
    /// It ends with something else.
    Needs(&'a Need),
    /// Grants below it are at most so many levels deep.
    Depth(u32),
    /// Nothing: each call is held to it.
    PerCall,
}

impl Caveat {
    /// Whether the caveat can be checked at all and is within bounds: patterns and expressions
    /// compile, lists are not endless. Asked when a grant is made.
    pub fn validate(&self) -> Result<(), Failure> {
        self.fault().map_or(Ok(()), |why| {
            let shown: String = text::caveat_text(self).chars().take(200).collect();
            Err(Failure::new(Code::InvalidArgument, format!("`{shown}`: {why}")).with_detail(shown))
        })
    }

    /// Why it cannot be checked, if it cannot.
    fn fault(&self) -> Option<String> {
        match self {
            Self::Methods(names)
            | Self::Facet(names)
            | Self::Audience(names)
            | Self::RequiresApproval(names) => {
                let long = |name: &String| name.len() > limits::MAX_CAVEAT_TEXT_BYTES;
                let many = names.len() > limits::MAX_CAVEAT_ITEMS;
                let (items, bytes) = (limits::MAX_CAVEAT_ITEMS, limits::MAX_CAVEAT_TEXT_BYTES);
                (many || names.iter().any(long))
                    .then(|| format!("at most {items} names of at most {bytes} bytes"))
            }
            Self::Path(prefix) if path::join("", prefix).as_ref() != Ok(prefix) => {
                Some("not a normalised path".into())
            }
            Self::Label(text)
            | Self::Unknown(text)
            | Self::Requires(Need::Grant(text))
            | Self::Path(text) => (text.len() > path::MAX_BYTES)
                .then(|| format!("a text of more than {} bytes", path::MAX_BYTES)),
            Self::Argument(guard) => guard.validate().err(),
            Self::Cel(source) => cel::Program::compile(source).err(),
            Self::Rate(rate) => {
                let most = limits::MAX_RATE_COUNT;
                let counts = (1..=most).contains(&rate.count);
                (!counts || !(1..=limits::MAX_SLEEP_MS).contains(&rate.per_ms))
                    .then(|| format!("a rate has from 1 to {most} uses in from 1 ms to ten years"))
            }
            Self::Only(method, _) if method.is_empty() || method.len() > limits::MAX_NAME_BYTES => {
                Some(format!("the name of a method has 1 to {} bytes", limits::MAX_NAME_BYTES))
            }
            Self::Only(_, inner) if !inner.can_be_of_one_method() => {
                Some("this one is of the whole grant, not of one method".into())
            }
            Self::Only(_, inner) => inner.fault(),
            // Any number, and any other task, is a condition that can be checked.
            Self::ResultBytes(_)
            | Self::NoObjects
            | Self::NotBefore(_)
            | Self::Expires(_)
            | Self::IdleExpiry(_)
            | Self::Calls(_)
            | Self::BytesIn(_)
            | Self::BytesOut(_)
            | Self::Concurrency(_)
            | Self::Cost(_)
            | Self::DelegationDepth(_)
            | Self::Requires(Need::Task(_))
            | Self::Direct => None,
        }
    }

    /// Whether it can be said of calls of one method alone.
    const fn can_be_of_one_method(&self) -> bool {
        match self {
            Self::Path(_)
            | Self::Argument(_)
            | Self::Cel(_)
            | Self::ResultBytes(_)
            | Self::NoObjects
            | Self::Facet(_)
            | Self::NotBefore(_)
            | Self::Expires(_)
            | Self::Calls(_)
            | Self::BytesIn(_)
            | Self::BytesOut(_)
            | Self::Rate(_)
            | Self::Concurrency(_)
            | Self::Cost(_)
            | Self::Audience(_)
            | Self::RequiresApproval(_) => true,
            Self::Methods(_)
            | Self::IdleExpiry(_)
            | Self::DelegationDepth(_)
            | Self::Requires(_)
            | Self::Label(_)
            | Self::Direct
            | Self::Only(..)
            | Self::Unknown(_) => false,
        }
    }

    /// The method that it is of and what it says of it, if it is of one alone.
    pub(crate) fn of_one_method(&self) -> Option<(&String, &Self)> {
        if let Self::Only(method, inner) = self { Some((method, &**inner)) } else { None }
    }

    /// The rate that it is, if it is one.
    pub(crate) const fn rate(&self) -> Option<Rate> {
        if let Self::Rate(rate) = self { Some(*rate) } else { None }
    }

    /// If it is a budget: the place in [`Budgets::named`] of the counter that it limits, and the
    /// limit.
    pub(crate) const fn budget(&self) -> Option<(usize, u64)> {
        match self {
            Self::Calls(most) => Some((0, *most)),
            Self::Cost(most) => Some((1, *most)),
            Self::BytesIn(most) => Some((2, *most)),
            Self::BytesOut(most) => Some((3, *most)),
            Self::Methods(_)
            | Self::Path(_)
            | Self::Argument(_)
            | Self::Cel(_)
            | Self::ResultBytes(_)
            | Self::NoObjects
            | Self::Facet(_)
            | Self::NotBefore(_)
            | Self::Expires(_)
            | Self::IdleExpiry(_)
            | Self::Rate(_)
            | Self::Concurrency(_)
            | Self::Audience(_)
            | Self::DelegationDepth(_)
            | Self::RequiresApproval(_)
            | Self::Requires(_)
            | Self::Label(_)
            | Self::Only(..)
            | Self::Direct
            | Self::Unknown(_) => None,
        }
    }

    /// What it says of the grant as a whole. There is no arm for all others: a condition that is added
    /// must say here whether it ends a grant, or a grant outlives it unseen.
    pub(crate) const fn of_grant(&self) -> GrantRule<'_> {
        match self {
            Self::Expires(at) => GrantRule::Until(*at),
            Self::IdleExpiry(ms) => GrantRule::Unused(*ms),
            Self::Requires(need) => GrantRule::Needs(need),
            Self::DelegationDepth(most) => GrantRule::Depth(*most),
            Self::Methods(_)
            | Self::Path(_)
            | Self::Argument(_)
            | Self::Cel(_)
            | Self::ResultBytes(_)
            | Self::NoObjects
            | Self::Facet(_)
            | Self::NotBefore(_)
            | Self::Calls(_)
            | Self::BytesIn(_)
            | Self::BytesOut(_)
            | Self::Rate(_)
            | Self::Concurrency(_)
            | Self::Cost(_)
            | Self::Audience(_)
            | Self::RequiresApproval(_)
            | Self::Label(_)
            | Self::Direct
            | Self::Only(..)
            | Self::Unknown(_) => GrantRule::PerCall,
        }
    }

    /// The methods that it allows, if it is a list of them.
    pub(crate) fn methods(&self) -> Option<&[String]> {
        if let Self::Methods(names) = self { Some(names) } else { None }
    }

    /// The name of the caveat in its text form, for example `methods` or `arg.url`.
    pub fn term(&self) -> String {
        let text = text::caveat_text(self);
        text.split_once('=').map_or(text.clone(), |(term, _)| term.to_owned())
    }
}
