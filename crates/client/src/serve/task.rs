//! Calls on one task.

use remit_core::{CallNumber, EventNumber, Failure, GrantId, InputId, Outcome};
use remit_schema::mesh_capnp::{task, task_grant};
use remit_vat::connection::within;
use remit_vat::exception::to_failure;
use remit_vat::wire::{self, Malformed};

use super::{read, write};
use crate::info::{Forked, GrantInfo, TaskInfo, Trial};
use crate::limits;
use crate::spec::{GrantSpec, NewProgram, Upgrade};
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

/// Waits for the end of the task, without a deadline.
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
    let mut request = held(&task, grant).revoke_request();
    request.get().set_reason(reason);
    within(limits::CALL, request.send()).await?;
    Ok(())
}

/// A grant of the task. If there is none of this number, calls on it fail.
pub(crate) fn held(task: &task::Client, grant: GrantId) -> task_grant::Client {
    let mut request = task.held_request();
    request.get().set_grant(grant.0);
    request.send().pipeline.get_grant()
}

pub(crate) async fn pause(task: task::Client, reason: &str) -> Result<(), Failure> {
    let mut request = task.pause_request();
    request.get().set_reason(reason);
    within(limits::CALL, request.send()).await?;
    Ok(())
}

pub(crate) async fn resume(task: task::Client) -> Result<(), Failure> {
    within(limits::CALL, task.resume_request().send()).await?;
    Ok(())
}

pub(crate) async fn remove(task: task::Client) -> Result<(), Failure> {
    within(limits::CALL, task.remove_request().send()).await?;
    Ok(())
}

pub(crate) async fn fork(
    task: task::Client,
    at: EventNumber,
    program: Option<&NewProgram>,
    key: &str,
) -> Result<Forked, Failure> {
    let mut request = task.fork_request();
    if let Some(new) = program {
        write::program(request.get().init_program(), &new.source, &new.entry);
    }
    request.get().set_at(at.0);
    request.get().set_key(key);
    let response = within(limits::CALL, request.send()).await?;
    let read = || read::fork(response.get()?.get_fork()?);
    read().map_err(unreadable)
}

pub(crate) async fn retry(
    task: task::Client,
    again: &[CallNumber],
    program: Option<&NewProgram>,
    key: &str,
) -> Result<Forked, Failure> {
    let mut request = task.retry_request();
    if let Some(new) = program {
        write::program(request.get().init_program(), &new.source, &new.entry);
    }
    request.get().set_key(key);
    numbers(request.get().init_again(write::len(again.len())), again);
    let response = within(limits::CALL, request.send()).await?;
    let read = || read::fork(response.get()?.get_fork()?);
    read().map_err(unreadable)
}

/// Tries another program. It takes as long as the replay takes.
pub(crate) async fn upgrade(task: task::Client, upgrade: &Upgrade) -> Result<Trial, Failure> {
    let mut request = task.upgrade_request();
    request.get().set_at(upgrade.at.0);
    request.get().set_dry_run(upgrade.dry_run);
    numbers(request.get().init_again(write::len(upgrade.again.len())), &upgrade.again);
    write::program(request.get().init_program(), &upgrade.source, &upgrade.entry);
    let response = within(limits::TRIAL, request.send()).await?;
    let read = || read::trial(response.get()?.get_trial()?);
    read().map_err(unreadable)
}

fn numbers(mut list: capnp::primitive_list::Builder<'_, u64>, calls: &[CallNumber]) {
    for (at, call) in (0..).zip(calls) {
        list.set(at, call.0);
    }
}

fn unreadable(malformed: Malformed) -> Failure {
    Failure::new(remit_core::Code::Failed, format!("the mesh's answer is {malformed}"))
}
