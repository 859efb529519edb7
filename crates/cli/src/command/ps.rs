//! `remit ps`: the tasks, and where they stand.

use clap::Args;
use remit_client::{Client, TaskFilter, TaskInfo};

use crate::clock::now_ms;
use crate::embedded::Parts;
use crate::fault::Fault;
use crate::limits;
use crate::look::Look;
use crate::mesh::{Mesh, Place};
use crate::show::text::{harmless, short, span};
use crate::show::{listed, out, table};

/// List tasks, newest first
///
/// Starts an orchestrator for the time of the command if none runs; tasks do not go on by this.
#[derive(Debug, Args)]
pub(super) struct Ps {
    /// Only tasks of this status: pending, running, waiting, halted, completed, failed, cancelled
    #[arg(long)]
    status: Option<String>,

    /// Show all, not just the newest
    #[arg(long)]
    all: bool,

    /// One JSON object a line, for programs
    #[arg(long)]
    json: bool,
}

impl Ps {
    pub(super) async fn execute(self, place: &Place, look: Look) -> Result<(), Fault> {
        let mesh = Mesh::reach(place, Parts::Orchestrator).await?;
        let tasks = self.list(&mesh.client).await;
        mesh.leave().await;
        let (tasks, now) = (tasks?, now_ms());
        if self.json {
            return listed::print(&tasks, listed::task);
        }
        let rows: Vec<Vec<String>> = tasks.iter().map(|task| row(task, now)).collect();
        if rows.is_empty() {
            out::note("remit: no tasks; start one with: remit run FILE");
            return Ok(());
        }
        let header = ["TASK", "NAME", "STATUS", "AGE", "CALLS", "EVENTS", "DETAIL"];
        table::lines(&header, &rows, look.out).iter().try_for_each(|line| out::line(line))
    }

    async fn list(&self, client: &Client) -> Result<Vec<TaskInfo>, Fault> {
        let mut filter = TaskFilter {
            status: self.status.clone().unwrap_or_default(),
            after: None,
            limit: limits::TASKS,
        };
        let mut tasks = client.tasks(filter.clone()).await?;
        if !self.all {
            return Ok(tasks);
        }
        loop {
            filter.after = tasks.last().map(|task| task.id);
            let more = client.tasks(filter.clone()).await?;
            if more.is_empty() {
                return Ok(tasks);
            }
            tasks.extend(more);
        }
    }
}

fn row(task: &TaskInfo, now_ms: u64) -> Vec<String> {
    vec![
        task.id.to_string(),
        short(&task.name, 32),
        harmless(&task.status),
        span(now_ms.saturating_sub(task.created_ms)),
        task.calls.to_string(),
        task.events.to_string(),
        short(&task.detail, 80),
    ]
}
