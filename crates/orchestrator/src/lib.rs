//! The orchestrator: registers nodes, places tasks, owns tasks, and serves clients.
//!
//! For: deciding who may do what, and recording it. Not for: running agents or tools; it hands
//! their calls through membranes and keeps the journal.

pub mod account;
pub mod audit;
pub mod clock;
pub mod config;
pub mod damage;
pub mod feeds;
pub mod invites;
pub mod jobs;
pub mod journal;
pub mod limits;
pub mod listener;
pub mod members;
pub mod node;
pub mod notify;
pub mod owner;
pub mod pins;
pub mod placer;
mod places;
#[cfg(test)]
#[path = "../../core/tests/property/config.rs"]
mod property;
pub mod refs;
pub mod registry;
pub mod retention;
pub mod secrets;
pub mod serve;
pub mod shares;
pub mod site;
pub mod tasks;
pub mod tickets;
pub mod triggers;
