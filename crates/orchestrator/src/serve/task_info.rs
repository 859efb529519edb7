//! What is told of a task in a list.

use remit_journal::TaskHead;
use remit_schema::mesh_capnp::task_info;

use super::keys;
use crate::runtime::TaskKey;

/// Writes a task as a list shows it.
pub(super) fn write(mut info: task_info::Builder<'_>, key: &TaskKey, head: &TaskHead) {
    info.set_id(key.task.to_string());
    info.set_name(&head.name);
    info.set_status(head.status.as_str());
    info.set_created_ms(head.created_ms);
    info.set_events(head.number.0);
    info.set_attempt(head.attempt.0);
    info.set_node(&head.node);
    info.set_detail(&head.detail);
    info.set_calls(head.calls);
    if let Some(parent) = head.parent {
        info.set_parent(parent.to_string());
    }
    info.set_trigger(keys::trigger(&head.key).unwrap_or_default());
}
