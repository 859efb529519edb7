//! The interfaces that an agent node serves to its orchestrator.

mod host;
pub(crate) mod registration;
