//! Calls that operate nodes.

use std::time::Duration;

use remit_core::Failure;
use remit_schema::node_capnp::{node, nodes};
use remit_vat::connection::within;

use super::mesh::listed;
use crate::info::Drained;
use crate::limits;

/// The node of this name. If there is none, calls on it fail.
fn node(nodes: &nodes::Client, name: &str) -> node::Client {
    let mut request = nodes.node_request();
    request.get().set_identity(name);
    request.send().pipeline.get_node()
}

pub(crate) async fn accept_tool(
    nodes: nodes::Client,
    name: &str,
    hash: &[u8; 32],
) -> Result<(), Failure> {
    let mut request = node(&nodes, name).accept_request();
    request.get().set_manifest(hash);
    within(limits::CALL, request.send()).await.map(|_| ())
}

/// Drains a node. It answers within `timeout`, and a little.
pub(crate) async fn drain(
    nodes: nodes::Client,
    name: &str,
    timeout: Duration,
) -> Result<Drained, Failure> {
    let mut request = node(&nodes, name).drain_request();
    request.get().set_timeout_ms(u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX));
    let response = within(timeout.saturating_add(limits::DRAIN_MORE), request.send()).await?;
    listed(|| {
        let drained = response.get()?.get_drained()?;
        Ok(Drained { moved: drained.get_moved(), left: drained.get_left() })
    })
}

pub(crate) async fn undrain(nodes: nodes::Client, name: &str) -> Result<(), Failure> {
    let request = node(&nodes, name).undrain_request();
    within(limits::CALL, request.send()).await.map(|_| ())
}
