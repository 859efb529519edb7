//! Calls about sturdy references.

use remit_core::reference::NotAReference;
use remit_core::{Code, Failure, GrantId, Reference};
use remit_schema::mesh_capnp::{mesh, task};
use remit_schema::reference_capnp::{ref_info, ref_spec};
use remit_vat::connection::within;
use remit_vat::exception::to_failure;
use remit_vat::wire::Malformed;

use super::read;
use super::task::held;
use crate::limits;
use crate::refs::{RefInfo, RefSpec};

/// Saves the task, or one of its grants.
pub(crate) async fn save(
    task: task::Client,
    grant: Option<GrantId>,
    spec: &RefSpec,
) -> Result<Reference, Failure> {
    let unreadable = |not: NotAReference| Failure::new(Code::Failed, not.to_string());
    let bytes = if let Some(grant) = grant {
        let mut request = held(&task, grant).save_request();
        write(request.get().init_spec(), spec);
        let response = within(limits::CALL, request.send()).await?;
        let saved = response.get().and_then(|results| results.get_ref());
        saved.map_err(|error| to_failure(&error))?.to_vec()
    } else {
        let mut request = task.save_request();
        write(request.get().init_spec(), spec);
        let response = within(limits::CALL, request.send()).await?;
        let saved = response.get().and_then(|results| results.get_ref());
        saved.map_err(|error| to_failure(&error))?.to_vec()
    };
    Reference::from_bytes(&bytes).map_err(unreadable)
}

/// Reads the mesh's description of a restored reference.
pub(crate) fn told(
    response: &capnp::capability::Response<mesh::restore_results::Owned>,
) -> Result<RefInfo, Failure> {
    let read = || info(response.get()?.get_info()?);
    read().map_err(malformed)
}

pub(crate) async fn list(mesh: mesh::Client) -> Result<Vec<RefInfo>, Failure> {
    let response = within(limits::CALL, mesh.refs_request().send()).await?;
    let read = || response.get()?.get_refs()?.iter().map(info).collect::<Result<_, _>>();
    read().map_err(malformed)
}

pub(crate) async fn revoke(mesh: mesh::Client, id: &str, reason: &str) -> Result<(), Failure> {
    let mut saved = mesh.ref_request();
    saved.get().set_id(id);
    let mut request = saved.send().pipeline.get_ref().revoke_request();
    request.get().set_reason(reason);
    within(limits::CALL, request.send()).await?;
    Ok(())
}

fn write(mut builder: ref_spec::Builder<'_>, spec: &RefSpec) {
    builder.set_label(&spec.label);
    builder.set_owner(&spec.owner);
    builder.set_until_ms(spec.until_ms.unwrap_or_default());
    builder.set_unused_ms(spec.unused_ms.unwrap_or_default());
    builder.set_viewer(spec.viewer);
}

fn info(info: ref_info::Reader<'_>) -> Result<RefInfo, Malformed> {
    let some = |number: u64| (number != 0).then_some(number);
    let grant = info.get_grant();
    Ok(RefInfo {
        id: read::text(info.get_id())?,
        label: read::text(info.get_label())?,
        owner: read::text(info.get_owner())?,
        by: read::text(info.get_by())?,
        task: read::id(&read::text(info.get_task())?)?,
        grant: (grant != 0).then_some(GrantId(grant)),
        viewer: info.get_viewer(),
        created_ms: info.get_created_ms(),
        until_ms: some(info.get_until_ms()),
        uses: info.get_uses(),
        state: read::text(info.get_state())?,
    })
}

fn malformed(malformed: Malformed) -> Failure {
    Failure::new(Code::Failed, format!("the mesh's answer is {malformed}"))
}
