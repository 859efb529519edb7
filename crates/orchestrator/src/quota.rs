//! What each identity may take at once: memory, disk, calls in flight, connections, feeds, jobs.

pub mod account;
pub(crate) mod connections;
pub mod feeds;
pub mod jobs;
pub mod shares;
