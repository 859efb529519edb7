//! Calls about grants and their audit: holders, revocation, audit records.

use remit_core::Failure;
use remit_schema::audit_capnp::audit;
use remit_schema::mesh_capnp::{selection, tasks};
use remit_vat::connection::within;
use remit_vat::wire::{self, Malformed};

use super::read;
use crate::info::{AuditCheck, AuditFilter, AuditPage, Holding, Selection};
use crate::limits;

pub(crate) async fn audit(
    audit: audit::Client,
    filter: &AuditFilter,
    cursor: &str,
) -> Result<AuditPage, Failure> {
    let mut request = audit.read_request();
    request.get().set_cursor(cursor);
    request.get().set_limit(limits::AUDIT_PAGE);
    let mut wanted = request.get().init_filter();
    wanted.set_task(filter.task.map(|task| task.to_string()).unwrap_or_default());
    wanted.set_who(&filter.who);
    wanted.set_tool(&filter.tool);
    wanted.set_decision(&filter.decision);
    wanted.set_since_ms(filter.since_ms);
    let response = within(limits::CALL, request.send()).await?;
    let read = || {
        let results = response.get()?;
        let records = results.get_records()?.iter().map(wire::audit::read);
        Ok(AuditPage {
            records: records.collect::<Result<_, _>>()?,
            cursor: wire::text(results.get_cursor())?,
        })
    };
    read().map_err(unreadable)
}

pub(crate) async fn verify_audit(
    audit: audit::Client,
    cursor: &str,
) -> Result<AuditCheck, Failure> {
    let mut request = audit.verify_request();
    request.get().set_cursor(cursor);
    let response = within(limits::CALL, request.send()).await?;
    let read = || {
        let results = response.get()?;
        Ok(AuditCheck {
            checked: results.get_checked(),
            broken: wire::texts(results.get_broken()?)?,
            cursor: wire::text(results.get_cursor())?,
        })
    };
    read().map_err(unreadable)
}

pub(crate) async fn holders(
    tasks: tasks::Client,
    which: &Selection,
) -> Result<Vec<Holding>, Failure> {
    let mut request = tasks.holders_request();
    write_selection(request.get().init_which(), which);
    let response = within(limits::CALL, request.send()).await?;
    let read = || response.get()?.get_held()?.iter().map(read::holding).collect::<Result<_, _>>();
    read().map_err(unreadable)
}

pub(crate) async fn revoke_all(
    tasks: tasks::Client,
    which: &Selection,
    reason: &str,
) -> Result<Vec<Holding>, Failure> {
    let mut request = tasks.revoke_all_request();
    request.get().set_reason(reason);
    write_selection(request.get().init_which(), which);
    let response = within(limits::CALL, request.send()).await?;
    let read =
        || response.get()?.get_revoked()?.iter().map(read::holding).collect::<Result<_, _>>();
    read().map_err(unreadable)
}

fn write_selection(mut wanted: selection::Builder<'_>, which: &Selection) {
    wanted.set_task(which.task.map(|task| task.to_string()).unwrap_or_default());
    wanted.set_holder(&which.holder);
    wanted.set_tool(&which.tool);
    if let Some(hash) = &which.manifest {
        wanted.set_manifest(hash);
    }
}

fn unreadable(malformed: Malformed) -> Failure {
    Failure::new(remit_core::Code::Failed, format!("the mesh's answer is {malformed}"))
}
