//! What the orchestrator serves to its peers, one file per interface.

mod admin;
mod agent_node_port;
mod audit;
mod authority;
pub mod bootstrap;
mod caller;
mod creation;
mod credentials;
#[cfg(test)]
pub(crate) mod fakes;
mod grant_info;
pub mod hold;
pub mod keys;
mod members;
mod mesh;
mod node_info;
mod nodes;
mod questions;
mod refs;
pub mod task;
mod task_info;
mod task_spec;
mod tasks;
#[cfg(test)]
mod tests;
mod tool_node_port;
pub mod triggers;

use remit_core::Failure;
use remit_vat::exception::to_exception;
use remit_vat::wire::Malformed;

use crate::limits;

/// The texts of a list of labels or kinds.
fn texts(list: capnp::text_list::Reader<'_>) -> Result<Vec<String>, Malformed> {
    list.iter()
        .take(limits::LABELS + 1)
        .map(|text| {
            let text = text?.to_str()?;
            if text.len() > remit_core::limits::MAX_NAME_BYTES {
                return Err(Malformed(format!("a label of {} bytes", text.len())));
            }
            Ok(text.to_owned())
        })
        .collect()
}

/// A reason in words, as much of it as is kept.
fn reason(text: capnp::Result<capnp::text::Reader<'_>>) -> Result<String, Malformed> {
    Ok(text?.to_str()?.chars().take(limits::REASON_CHARS).collect())
}

/// What a method returns of something that may be refused.
fn good<T>(result: Result<T, Failure>) -> Result<T, capnp::Error> {
    result.map_err(|failure| to_exception(&failure))
}
