//! The Rust client library of Remit: create durable tasks, follow them, and hand them capabilities.
//!
//! For: programs that use a mesh. Not for: nodes that serve one. The public interface has no Cap'n
//! Proto types, and its futures are `Send`: the connection lives on a thread of its own, and
//! reconnects when it is lost.
//!
//! ```no_run
//! # async fn example() -> Result<(), remit_client::Error> {
//! use std::path::Path;
//!
//! use remit_client::{Client, GrantSpec, TaskSpec, value_to_json};
//!
//! let mesh = Client::connect("127.0.0.1:7474", Path::new("mesh/client")).await?;
//! let script = "export default async (remit) => remit.src.file('main.rs').read()";
//! let spec = TaskSpec::script("read one file", script)
//!     .grant(GrantSpec::parse("src", "fs:src?methods=readOnly&calls=10", 0)?);
//! let task = mesh.create_task(spec).await?;
//! println!("{}", value_to_json(&task.result().await?));
//! # Ok(())
//! # }
//! ```
//!
//! # Shapes and units
//! A field that ends in `_ms` is in milliseconds. A moment counts from 1970 in UTC, by the clock of
//! the orchestrator. An identity is a
//! [SPIFFE ID](https://spiffe.io/docs/latest/spiffe-about/spiffe-concepts/#spiffe-id),
//! `spiffe://MESH/TENANT/ROLE/NAME`, unless a field says otherwise. Ids of tasks are UUIDs of
//! version 7 ([RFC 9562](https://www.rfc-editor.org/rfc/rfc9562)), so they sort by age. Hashes are
//! SHA-256. A [`Value`] is JSON extended by bytes, integers of 64 bits (signed and unsigned), and
//! objects; one call, input or result carries at most 4 MiB of it.
//!
//! # What a call promises
//! The effect of a call is on disk when the call succeeds. If the connection is lost, a call that is
//! safe to repeat is sent again over the next connection, for 30 seconds in all; a call that is not
//! safe to repeat fails with [`Error::Unknown`] instead. [`Error`] says what to do about each
//! failure.

#![warn(clippy::missing_errors_doc)]

mod admin;
mod authority;
mod client;
mod error;
mod events;
mod info;
mod json;
mod kept;
mod limits;
mod members;
mod nodes;
mod object;
mod own;
mod question;
mod refs;
mod serve;
mod spec;
mod task;
mod trigger;

pub use admin::{Compacted, JournalTotals};
pub use client::{Client, Proof};
pub use error::Error;
pub use events::{Events, Followed};
pub use info::{
    AuditCheck, AuditFilter, AuditPage, Difference, Drained, Forked, GrantInfo, Health, Holding,
    NodeInfo, Selection, TaskFilter, TaskInfo, ToolInfo, Trial,
};
pub use json::{value_from_json, value_from_json_text, value_to_json};
pub use members::{Expelled, Invite, InviteInfo, ItsTasks, MemberInfo};
pub use object::ObjectHandle;
pub use own::{Callback, OwnObject};
pub use question::{
    Approval, Asks, Decision, InboxPage, Ledger, Offer, Question, Remember, Settlement,
};
pub use refs::{NotAReference, RefId, RefInfo, RefSpec, Reference, Restored};
pub use remit_core::event::{OnUnknown, SourceFile, TimeLimits};
pub use remit_core::grant::{Budgets, RemainingBudget};
pub use remit_core::json::BadJson;
pub use remit_core::{
    CallNumber, Caveat, Code, Event, EventNumber, Facet, Facets, Fact, Failure, GrantId, InputId,
    Manifest, Role, TaskId, Value, manifest,
};
pub use remit_identity::credential::Credential;
pub use spec::{GrantRoot, GrantSpec, NewProgram, TaskSpec, Upgrade};
pub use task::{Input, TaskHandle};
pub use trigger::{Does, Missed, PostProof, Trigger, TriggerInfo, Webhook, When};
