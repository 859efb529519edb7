//! Calls on one task.

use remit_core::{Failure, GrantId, InputId, Outcome};
use remit_schema::mesh_capnp::task;
use remit_vat::connection::within;
use remit_vat::exception::to_failure;
use remit_vat::wire::{self, Malformed};

use super::{read, write};
use crate::info::{GrantInfo, TaskInfo};
use crate::limits;
use crate::spec::GrantSpec;
use crate::task::Input;

pub(crate) async fn info(task: task::Client) -> Result<TaskInfo, Failure> {
    let response = within(limits::CALL, task.info_request().send()).await?;
    let read = || read::task(response.get()?.get_info()?);
    read().map_err(unreadable)
}

pub(crate) async fn send(task: task::Client, input: &Input) -> Result<InputId, Failure> {
    let mut request = task.send_request();
    request.get().set_key(&input.key);
    request.get().set_steer(input.steer);
    write::plain(request.get().init_value(), &input.value)?;
    let response = within(limits::CALL, request.send()).await?;
    let results = response.get().map_err(|error| to_failure(&error))?;
    Ok(InputId(results.get_input()))
}

pub(crate) async fn cancel(task: task::Client, reason: &str) -> Result<(), Failure> {
    let mut request = task.cancel_request();
    request.get().set_reason(reason);
    within(limits::CALL, request.send()).await?;
    Ok(())
}

/// Waits for the end of the task, as long as it takes.
pub(crate) async fn result(task: task::Client) -> Result<Outcome<u32>, Failure> {
    let response =
        task.result_request().send().promise.await.map_err(|error| to_failure(&error))?;
    let read = || Ok(wire::outcome::read(response.get()?.get_outcome()?)?.0);
    read().map_err(unreadable)
}

pub(crate) async fn grants(task: task::Client) -> Result<Vec<GrantInfo>, Failure> {
    let response = within(limits::CALL, task.grants_request().send()).await?;
    let read = || response.get()?.get_grants()?.iter().map(read::grant).collect::<Result<_, _>>();
    read().map_err(unreadable)
}

pub(crate) async fn grant(
    task: task::Client,
    spec: &GrantSpec,
    runtime: &tokio::runtime::Handle,
) -> Result<GrantId, Failure> {
    let mut request = task.grant_request();
    write::grant(request.get().init_spec(), spec, runtime);
    let response = within(limits::CALL, request.send()).await?;
    let results = response.get().map_err(|error| to_failure(&error))?;
    Ok(GrantId(results.get_grant()))
}

pub(crate) async fn revoke(
    task: task::Client,
    grant: GrantId,
    reason: &str,
) -> Result<(), Failure> {
    let mut request = task.revoke_request();
    request.get().set_grant(grant.0);
    request.get().set_reason(reason);
    within(limits::CALL, request.send()).await?;
    Ok(())
}

fn unreadable(malformed: Malformed) -> Failure {
    Failure::new(remit_core::Code::Failed, format!("the mesh's answer is {malformed}"))
}
