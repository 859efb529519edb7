//! The tool node, and the kit with which third parties write tools.
//!
//! For: describing tools as Rust types ([`kit`]), serving them to a mesh, and remembering what
//! became of every call so that none is done twice. Not for: deciding who may call what, which is the
//! task owner's membrane, and not for credentials of agents: a secret stays in the node that uses it.

#![warn(clippy::missing_errors_doc)]

mod calls;
pub mod config;
mod introductions;
pub mod kit;
pub mod ledger;
pub mod limits;
mod listener;
mod node;
mod serve;
pub mod start;
pub mod tools;

pub use node::{CannotServe, Node, run};
pub use remit_vat::vat::offload;
pub use start::main_with;
