//! What is told of a node: who it is, and how it stands.

use remit_schema::node_capnp::node_info;

use crate::scheduler::registry::NodeInfo;

/// Writes a node as the list of nodes shows it.
pub(super) fn write(mut info: node_info::Builder<'_>, node: &NodeInfo) {
    info.set_identity(&node.identity);
    info.set_role(node.role.as_str());
    info.set_version(&node.version);
    info.set_state(match (node.connected, node.draining) {
        (true, true) => "draining",
        (true, false) => "connected",
        (false, _) => "away",
    });
    info.set_load(node.load);
    info.set_last_contact_ms(node.last_contact_ms);
    let count = u32::try_from(node.labels.len()).unwrap_or(u32::MAX);
    let mut labels = info.init_labels(count);
    for (at, label) in (0..count).zip(&node.labels) {
        labels.set(at, label);
    }
}
