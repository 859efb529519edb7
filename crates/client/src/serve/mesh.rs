//! Calls on the mesh itself: tasks, tools, nodes and health.

use remit_core::{Failure, TaskId};
use remit_schema::mesh_capnp::{creation, mesh, task, tasks};
use remit_vat::connection::within;
use remit_vat::exception::to_failure;
use remit_vat::wire::Malformed;

use super::session::Link;
use super::{read, write};
use crate::info::{Health, NodeInfo, TaskFilter, TaskInfo, ToolInfo};
use crate::limits;
use crate::spec::TaskSpec;
use crate::task::Way;

pub(crate) async fn create(
    creation: creation::Client,
    spec: &TaskSpec,
    key: &str,
    runtime: &tokio::runtime::Handle,
) -> Result<TaskId, Failure> {
    let mut request = creation.create_task_request();
    write::spec(request.get().init_spec(), spec, key, runtime)?;
    let response = within(limits::CALL, request.send()).await?;
    let results = response.get().map_err(|error| to_failure(&error))?;
    Ok(read::id(&read::text(results.get_id())?)?)
}

/// The task's capability. If there is no such task, calls on it fail.
pub(crate) fn task(link: &Link, way: &Way) -> task::Client {
    let id = match way {
        Way::Id(id) => id,
        Way::Saved(_, by) => return link.restored.live(&link.mesh, by).task,
    };
    let mut request = tasks::Client::from(link.clone()).task_request();
    request.get().set_id(id.to_string());
    request.send().pipeline.get_task()
}

/// Lists tasks, newest first. A filtered page of the mesh may be short or empty, so this requests
/// pages until the limit is reached.
pub(crate) async fn tasks(
    tasks: tasks::Client,
    filter: &TaskFilter,
) -> Result<Vec<TaskInfo>, Failure> {
    let mut found = Vec::new();
    let mut after = filter.after.map(|id| id.to_string()).unwrap_or_default();
    loop {
        let mut request = tasks.list_request();
        let mut params = request.get();
        params.set_status(&filter.status);
        params.set_after(&after);
        params.set_limit(filter.limit.saturating_sub(write::len(found.len())));
        let response = within(limits::CALL, request.send()).await?;
        let page: Vec<TaskInfo> =
            listed(|| response.get()?.get_tasks()?.iter().map(read::task).collect())?;
        after = listed(|| read::text(response.get()?.get_more()))?;
        found.extend(page);
        let full = match filter.limit {
            0 => !found.is_empty(),
            limit => found.len() >= limit as usize,
        };
        if full || after.is_empty() {
            return Ok(found);
        }
    }
}

pub(crate) async fn tools(mesh: mesh::Client) -> Result<Vec<ToolInfo>, Failure> {
    let response = within(limits::CALL, mesh.tools_request().send()).await?;
    listed(|| response.get()?.get_tools()?.iter().map(read::tool).collect())
}

pub(crate) async fn nodes(mesh: mesh::Client) -> Result<Vec<NodeInfo>, Failure> {
    let response = within(limits::CALL, mesh.nodes_request().send()).await?;
    listed(|| response.get()?.get_nodes()?.iter().map(read::node).collect())
}

pub(crate) async fn health(mesh: mesh::Client) -> Result<Health, Failure> {
    let response = within(limits::CALL, mesh.health_request().send()).await?;
    listed(|| read::health(response.get()?.get_health()?))
}

/// Reads a response; a malformed one becomes a failure.
pub(super) fn listed<R>(read: impl FnOnce() -> Result<R, Malformed>) -> Result<R, Failure> {
    read().map_err(|malformed| {
        Failure::new(remit_core::Code::Failed, format!("the mesh's answer is {malformed}"))
    })
}
