//! The orchestrator: registers nodes, places tasks, owns tasks, and serves clients.
//!
//! For: deciding who may do what, and recording it. Not for: running agents or tools; it hands
//! their calls through membranes and keeps the journal.

pub mod admission;
pub mod audit;
pub mod clock;
pub mod config;
pub mod limits;
pub mod node;
#[cfg(test)]
#[path = "../../core/tests/property/config.rs"]
mod property;
pub mod quota;
pub mod runtime;
pub mod scheduler;
pub mod serve;
pub mod services;
pub mod tasks;
