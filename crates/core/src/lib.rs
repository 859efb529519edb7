//! What Remit decides, without doing any of it.
//!
//! For: ids, values, events, grants and their caveats, and the task as two functions, *decide* and
//! *apply*. Not for: I/O, clocks, randomness, threads or wire formats. A caller hands in the time
//! and gets back events or a refusal.

// A match that decides names every variant, so that a new one cannot fall through to another arm.
#![cfg_attr(not(test), deny(clippy::wildcard_enum_match_arm))]

pub mod audit;
pub mod event;
pub mod facet;
pub mod failure;
pub mod grant;
pub mod id;
pub mod identity;
pub mod json;
pub mod limits;
pub mod manifest;
pub mod reference;
pub mod status;
pub mod task;
pub mod value;

#[cfg(test)]
#[path = "../tests/property/config.rs"]
mod property;

pub use event::{Event, Fact};
pub use facet::{Facet, FacetUse, Facets, MemberGrant};
pub use failure::{Code, Failure};
pub use grant::Caveat;
pub use id::{Attempt, CallNumber, EventNumber, GrantId, InputId, ObjectId, TaskId};
pub use identity::{Identity, Role};
pub use manifest::Manifest;
pub use reference::{RefId, Reference};
pub use task::Task;
pub use value::{Outcome, Value};
