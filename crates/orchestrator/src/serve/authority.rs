//! What a person asks of the authority in a mesh: who holds what, what was done with it, and that
//! it is taken back.

use remit_core::audit::Decision;
use remit_core::{Code, Failure, TaskId};
use remit_schema::audit_capnp::audit_filter;
use remit_schema::mesh_capnp::{holding, selection};
use remit_vat::wire::{self, Malformed, text};

use super::grant_info;
use crate::audit::query::{Filter, Reader};
use crate::owner::TaskKey;
use crate::site::Site;
use crate::tasks::holders::Selection;

/// The audit of a tenant.
pub(super) fn reader<'a>(site: &'a Site, tenant: &'a str) -> Reader<'a> {
    Reader { audit: &site.audit, journal: &*site.journal, tenant }
}

pub(super) fn read_filter(r: audit_filter::Reader<'_>) -> Result<Filter, Failure> {
    let decision = text(r.get_decision())?;
    Ok(Filter {
        task: read_task(&text(r.get_task())?)?,
        who: text(r.get_who())?,
        tool: text(r.get_tool())?,
        decision: match decision.as_str() {
            "" => None,
            name => Some(Decision::parse(name).ok_or_else(|| {
                let known = Decision::ALL.map(Decision::as_str).join(", ");
                let why = format!("`{name}` is no decision: {known}");
                Failure::new(Code::InvalidArgument, why)
            })?),
        },
        since_ms: r.get_since_ms(),
    })
}

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
        creator: String::new(),
    })
}

fn read_task(id: &str) -> Result<Option<TaskId>, Failure> {
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

/// Writes the records of a page.
pub(super) fn write_records(
    mut list: capnp::struct_list::Builder<'_, remit_schema::audit_capnp::audit_record::Owned>,
    records: &[remit_core::audit::Record],
) {
    for (at, record) in (0..list.len()).zip(records) {
        wire::audit::write(list.reborrow().get(at), record);
    }
}
