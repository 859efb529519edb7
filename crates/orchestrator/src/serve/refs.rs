//! Sturdy references on the wire.

use std::rc::Rc;
use std::time::Duration;

use remit_core::identity::NotAnIdentity;
use remit_core::{Code, Failure, RefId};
use remit_schema::reference_capnp::{ref_info, ref_spec, saved_ref};
use remit_vat::exception::to_exception;
use remit_vat::run_detached::run_detached;
use remit_vat::wire::text;

use super::caller::Caller;
use super::{good, reason};
use crate::services::refs::{RefSpec, Saved, State};

/// A saved reference, for a client that may revoke it.
struct SavedRefServer {
    caller: Rc<Caller>,
    id: RefId,
}

/// The saved reference of this id, for this client.
pub(super) async fn saved(caller: &Rc<Caller>, id: RefId) -> Result<saved_ref::Client, Failure> {
    let refs = caller.site.tasks.refs()?;
    let found = refs.get(caller.who.tenant(), id).await?;
    if !found.is_some_and(|saved| caller.may_revoke(&saved)) {
        let why =
            format!("there is no reference {id} that you may revoke: `remit refs` lists yours");
        return Err(Failure::new(Code::NotFound, why));
    }
    Ok(capnp_rpc::new_client(SavedRefServer { caller: Rc::clone(caller), id }))
}

impl saved_ref::Server for SavedRefServer {
    async fn revoke(
        self: Rc<Self>,
        params: saved_ref::RevokeParams,
        _: saved_ref::RevokeResults,
    ) -> Result<(), capnp::Error> {
        let reason = reason(params.get()?.get_reason())?;
        let revoked = run_detached(async move {
            let tasks = &self.caller.site.tasks;
            tasks.refs()?.revoke(tasks, self.id, &reason, &self.caller.who).await
        });
        good(revoked.await)
    }
}

/// Reads how a capability is to be saved.
pub(super) fn read_spec(reader: ref_spec::Reader<'_>) -> Result<RefSpec, capnp::Error> {
    let owner = match text(reader.get_owner())?.as_str() {
        "" => None,
        owner => Some(owner.parse().map_err(|error: NotAnIdentity| {
            to_exception(&Failure::new(Code::InvalidArgument, error.to_string()))
        })?),
    };
    let some = |number: u64| (number != 0).then_some(number);
    Ok(RefSpec {
        label: text(reader.get_label())?,
        owner,
        until_ms: some(reader.get_until_ms()),
        unused: some(reader.get_unused_ms()).map(Duration::from_millis),
        viewer: reader.get_viewer(),
    })
}

/// Writes what a list shows of a saved capability.
pub(super) fn write_info(mut info: ref_info::Builder<'_>, saved: &Saved, state: State) {
    info.set_id(saved.id().to_string());
    info.set_label(&saved.label);
    info.set_owner(&saved.owner);
    info.set_by(&saved.by);
    info.set_task(saved.task.to_string());
    info.set_grant(saved.grant.unwrap_or_default().0);
    info.set_viewer(saved.viewer);
    info.set_created_ms(saved.created_ms);
    info.set_until_ms(saved.until_ms.unwrap_or_default());
    info.set_unused_ms(saved.unused_ms.unwrap_or_default());
    info.set_used_ms(saved.used_ms);
    info.set_uses(saved.uses);
    info.set_state(state.as_str());
    if let Some(parent) = saved.parent {
        info.set_parent(remit_core::RefId::from_bytes(parent).to_string());
    }
}
