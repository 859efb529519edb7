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
pub mod text;
pub mod usage;
mod validate;

pub use checker::{Checker, Place, Use, Verdict};
pub use guard::{Guard, Literal, Number, Span, Step, Test};
pub use links::Links;
pub use narrow::{NotAttenuated, Relation};
pub use remaining_budget::{BudgetWalk, RemainingBudget};
pub use usage::{Budgets, Usage};
pub use validate::validate_against_manifest;

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

impl Caveat {
    /// Whether the caveat can be checked at all and is within bounds: patterns and expressions
    /// compile, lists are not endless. Asked when a grant is made.
    pub fn validate(&self) -> Result<(), Failure> {
        let refuse = |why: String| {
            let shown: String = text::caveat_text(self).chars().take(200).collect();
            Err(Failure::new(Code::InvalidArgument, format!("`{shown}`: {why}")).with_detail(shown))
        };
        match self {
            Self::Methods(names)
            | Self::Facet(names)
            | Self::Audience(names)
            | Self::RequiresApproval(names) => {
                let long = |name: &String| name.len() > limits::MAX_CAVEAT_TEXT_BYTES;
                if names.len() > limits::MAX_CAVEAT_ITEMS || names.iter().any(long) {
                    return refuse(format!(
                        "at most {} names of at most {} bytes",
                        limits::MAX_CAVEAT_ITEMS,
                        limits::MAX_CAVEAT_TEXT_BYTES
                    ));
                }
            }
            Self::Path(prefix) if path::join("", prefix).as_ref() != Ok(prefix) => {
                return refuse("not a normalised path".into());
            }
            Self::Label(text)
            | Self::Unknown(text)
            | Self::Requires(Need::Grant(text))
            | Self::Path(text)
                if text.len() > path::MAX_BYTES =>
            {
                return refuse(format!("a text of more than {} bytes", path::MAX_BYTES));
            }
            Self::Argument(guard) => {
                if let Err(why) = guard.validate() {
                    return refuse(why);
                }
            }
            Self::Cel(source) => {
                if let Err(why) = cel::Program::compile(source) {
                    return refuse(why);
                }
            }
            Self::Rate(rate) => {
                let counts = (1..=limits::MAX_RATE_COUNT).contains(&rate.count);
                if !counts || !(1..=limits::MAX_SLEEP_MS).contains(&rate.per_ms) {
                    return refuse(format!(
                        "a rate has from 1 to {} uses in from 1 ms to ten years",
                        limits::MAX_RATE_COUNT
                    ));
                }
            }
            _ => {}
        }
        Ok(())
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
