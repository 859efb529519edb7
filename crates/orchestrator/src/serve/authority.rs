//! Who holds what, on the wire.

use remit_core::{Code, Failure, TaskId};
use remit_schema::mesh_capnp::{holding, selection};
use remit_vat::wire::{Malformed, text};

use super::grant_info;
use crate::runtime::TaskKey;
use crate::services::context::Site;
use crate::tasks::holders::Selection;

pub(super) fn read_selection(r: selection::Reader<'_>) -> Result<Selection, Failure> {
    let manifest = r.get_manifest().map_err(Malformed::from)?;
    let wrong = |_| Failure::new(Code::InvalidArgument, "the hash of a manifest has 32 bytes");
    Ok(Selection {
        task: read_task(&text(r.get_task())?)?,
        holder: text(r.get_holder())?,
        tool: text(r.get_tool())?,
        manifest: match manifest {
            [] => None,
            hash => Some(hash.try_into().map_err(wrong)?),
        },
        within: None,
    })
}

pub(super) fn read_task(id: &str) -> Result<Option<TaskId>, Failure> {
    if id.is_empty() {
        return Ok(None);
    }
    let wrong =
        |not: remit_core::id::NotATaskId| Failure::new(Code::InvalidArgument, not.to_string());
    id.parse().map(Some).map_err(wrong)
}

/// Writes who holds what: each grant with the task in whose journal it is.
pub(super) fn write_holdings(
    site: &Site,
    mut list: capnp::struct_list::Builder<'_, holding::Owned>,
    held: &[(TaskKey, remit_core::GrantId)],
) {
    for (at, (key, grant)) in (0..list.len()).zip(held) {
        let mut holding = list.reborrow().get(at);
        holding.set_task(key.task.to_string());
        let Ok(owner) = site.tasks.get(key) else { continue };
        owner.with(|task| holding.set_name(&task.created().name));
        grant_info::write(holding.init_grant(), &owner, *grant);
    }
}
