//! Calls on the mesh itself.

use std::time::Duration;

use remit_core::{Failure, TaskId};
use remit_schema::mesh_capnp::{mesh, task};
use remit_vat::connection::within;
use remit_vat::exception::to_failure;
use remit_vat::wire::Malformed;

use super::session::Link;
use super::{read, write};
use crate::info::{Drained, Health, NodeInfo, TaskFilter, TaskInfo, ToolInfo};
use crate::limits;
use crate::spec::TaskSpec;
use crate::task::Way;

pub(crate) async fn create(
    mesh: mesh::Client,
    spec: &TaskSpec,
    key: &str,
    runtime: &tokio::runtime::Handle,
) -> Result<TaskId, Failure> {
    let mut request = mesh.create_task_request();
    write::spec(request.get().init_spec(), spec, key, runtime)?;
    let response = within(limits::CALL, request.send()).await?;
    let results = response.get().map_err(|error| to_failure(&error))?;
    Ok(read::id(&read::text(results.get_id())?)?)
}

/// The task. If there is none, calls on it fail.
pub(crate) fn task(link: &Link, way: &Way) -> task::Client {
    let id = match way {
        Way::Id(id) => id,
        Way::Saved(_, by) => return link.restored.live(&link.mesh, by).task,
    };
    let mut request = link.mesh.task_request();
    request.get().set_id(id.to_string());
    request.send().pipeline.get_task()
}

pub(crate) async fn tasks(
    mesh: mesh::Client,
    filter: &TaskFilter,
) -> Result<Vec<TaskInfo>, Failure> {
    let mut request = mesh.tasks_request();
    let mut params = request.get();
    params.set_status(&filter.status);
    params.set_after(filter.after.map(|id| id.to_string()).unwrap_or_default());
    params.set_limit(filter.limit);
    let response = within(limits::CALL, request.send()).await?;
    listed(|| response.get()?.get_tasks()?.iter().map(read::task).collect())
}

pub(crate) async fn tools(mesh: mesh::Client) -> Result<Vec<ToolInfo>, Failure> {
    let response = within(limits::CALL, mesh.tools_request().send()).await?;
    listed(|| response.get()?.get_tools()?.iter().map(read::tool).collect())
}

pub(crate) async fn accept_tool(
    mesh: mesh::Client,
    node: &str,
    hash: &[u8; 32],
) -> Result<(), Failure> {
    let mut request = mesh.accept_tool_request();
    request.get().set_node(node);
    request.get().set_hash(hash);
    within(limits::CALL, request.send()).await?;
    Ok(())
}

pub(crate) async fn nodes(mesh: mesh::Client) -> Result<Vec<NodeInfo>, Failure> {
    let response = within(limits::CALL, mesh.nodes_request().send()).await?;
    listed(|| response.get()?.get_nodes()?.iter().map(read::node).collect())
}

/// Drains a node. It takes as long as was given for it.
pub(crate) async fn drain(
    mesh: mesh::Client,
    node: &str,
    timeout: Duration,
) -> Result<Drained, Failure> {
    let mut request = mesh.drain_request();
    request.get().set_node(node);
    request.get().set_timeout_ms(u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX));
    let response = within(timeout.saturating_add(limits::DRAIN_MORE), request.send()).await?;
    listed(|| {
        let drained = response.get()?.get_drained()?;
        Ok(Drained { moved: drained.get_moved(), left: drained.get_left() })
    })
}

pub(crate) async fn undrain(mesh: mesh::Client, node: &str) -> Result<(), Failure> {
    let mut request = mesh.undrain_request();
    request.get().set_node(node);
    within(limits::CALL, request.send()).await?;
    Ok(())
}

pub(crate) async fn health(mesh: mesh::Client) -> Result<Health, Failure> {
    let response = within(limits::CALL, mesh.health_request().send()).await?;
    listed(|| read::health(response.get()?.get_health()?))
}

/// What an answer says, or that it cannot be read.
pub(super) fn listed<R>(read: impl FnOnce() -> Result<R, Malformed>) -> Result<R, Failure> {
    read().map_err(|malformed| {
        Failure::new(remit_core::Code::Failed, format!("the mesh's answer is {malformed}"))
    })
}
