//! The tools that come with Remit, each confined to what its operator configured.
//!
//! Each has one file with the same two things: `Config`, its section of the node's configuration,
//! and `tool`, which makes the [`Tool`](crate::kit::Tool) from it or says, in a sentence for the
//! operator, why it cannot. Relative paths in a section are taken from the folder `base`.

#[cfg(test)]
mod documented;
pub mod fs;
pub mod git;
pub mod http;
mod process;
pub mod shell;
mod web;
