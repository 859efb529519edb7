//! What an orchestrator does around its tasks: references, triggers, notices, retention, membership.

pub mod context;
pub mod damage;
pub mod membership;
pub mod notify;
pub mod refs;
pub mod retention;
pub mod secrets;
pub mod triggers;
