//! The agent node: runs each attempt in a worker process of its own.
//!
//! For: starting a process for each attempt, splicing it onto a connection to its task's owner,
//! holding it to its bounds, and, in that process, running the script. Not for: state worth
//! keeping, or a credential within reach of a running agent. An agent node may be killed at any
//! time.

pub mod config;
mod direct_channel;
pub mod limits;
pub mod node;
pub mod process;
pub mod sandbox;
mod serve;
mod splice;
pub mod worker;
