//! What the orchestrator serves, one file per interface, and the calls that it makes itself.

mod agent_node_port;
mod authority;
pub mod bootstrap;
pub mod context;
mod credentials;
#[cfg(test)]
pub(crate) mod fakes;
mod grant_info;
pub mod introduce;
mod keeper;
mod mesh;
pub mod object;
mod questions;
mod refs;
pub mod request;
pub mod task;
pub mod tasks_tool;
#[cfg(test)]
mod tests;
mod tool_node_port;
pub mod triggers;
pub mod viewer;

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
