//! `remit ps`: the tasks, and where they stand.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;
use remit_client::{Client, TaskFilter, TaskId, TaskInfo};

use crate::clock::now_ms;
use crate::embedded::Parts;
use crate::fault::Fault;
use crate::limits;
use crate::look::Look;
use crate::mesh::{Mesh, Place};
use crate::show::table::Keep;
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

    /// Show each sub-task below the task that spawned it, the oldest first
    #[arg(long)]
    tree: bool,

    /// One JSON object a line, for programs
    #[arg(long)]
    json: bool,
}

const HEADER: [(&str, Keep); 7] = [
    ("TASK", Keep::End),
    ("NAME", Keep::Start),
    ("STATUS", Keep::All),
    ("AGE", Keep::All),
    ("CALLS", Keep::All),
    ("EVENTS", Keep::All),
    ("DETAIL", Keep::Start),
];

impl Ps {
    pub(super) async fn execute(self, place: &Place, look: Look) -> Result<(), Fault> {
        let mesh = Mesh::reach(place, Parts::Orchestrator).await?;
        let tasks = self.list(&mesh.client).await;
        mesh.leave().await;
        let (tasks, now) = (tasks?, now_ms());
        let shown: Vec<(String, TaskInfo)> = match self.tree {
            true => tree(tasks),
            false => tasks.into_iter().map(|task| (String::new(), task)).collect(),
        };
        if self.json {
            let tasks: Vec<TaskInfo> = shown.into_iter().map(|(_, task)| task).collect();
            return listed::print(&tasks, listed::task);
        }
        if shown.is_empty() {
            out::note("remit: no tasks; start one with: remit run FILE");
            return Ok(());
        }
        // What is read by a program is whole.
        let most = if look.columns.is_some() { limits::CELL } else { usize::MAX };
        let rows: Vec<_> =
            shown.iter().map(|(branch, task)| row(branch, task, now, most)).collect();
        table::lines(&HEADER, &rows, look).iter().try_for_each(|line| out::line(line))
    }

    /// The tasks to show, newest first. Of a tree, so many that no one spawned; what they spawned is
    /// newer than they are, and so comes before.
    async fn list(&self, client: &Client) -> Result<Vec<TaskInfo>, Fault> {
        let (most, counts) =
            (limits::TASKS as usize, |task: &TaskInfo| !self.tree || task.parent.is_none());
        let limit = if self.all || self.tree { 0 } else { limits::TASKS };
        let status = self.status.clone().unwrap_or_default();
        let mut filter = TaskFilter { status, after: None, limit };
        let mut tasks = Vec::new();
        let mut counted = 0;
        loop {
            let page = client.tasks(filter.clone()).await?;
            let Some(last) = page.last() else { return Ok(tasks) };
            filter.after = Some(last.id);
            for task in page {
                counted += usize::from(counts(&task));
                tasks.push(task);
                if counted == most && !self.all {
                    return Ok(tasks);
                }
            }
        }
    }
}

/// The tasks in the order of a tree, each with the branch that leads to it. Those whose parent is not
/// among them stand at the top.
fn tree(tasks: Vec<TaskInfo>) -> Vec<(String, TaskInfo)> {
    let here: BTreeSet<TaskId> = tasks.iter().map(|task| task.id).collect();
    let mut below: BTreeMap<Option<TaskId>, Vec<TaskInfo>> = BTreeMap::new();
    for task in tasks {
        // An older parent: a list from a mesh cannot make this go round in a circle.
        let parent = task.parent.filter(|parent| *parent < task.id && here.contains(parent));
        below.entry(parent).or_default().push(task);
    }
    let mut lines = Vec::new();
    // What is still to be shown, the next one last: with what stands before its branch.
    let top = below.remove(&None).unwrap_or_default();
    let mut next: Vec<(String, String, TaskInfo)> =
        top.into_iter().rev().map(|task| (String::new(), String::new(), task)).collect();
    while let Some((branch, indent, task)) = next.pop() {
        // Newest first as they came, so the last one that is shown is the first.
        let children = below.remove(&Some(task.id)).unwrap_or_default();
        for (at, child) in children.into_iter().enumerate() {
            let (end, more) = if at == 0 { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            next.push((format!("{indent}{end}"), format!("{indent}{more}"), child));
        }
        lines.push((branch, task));
    }
    lines
}

fn row(branch: &str, task: &TaskInfo, now_ms: u64, most: usize) -> Vec<String> {
    vec![
        task.id.to_string(),
        format!("{branch}{}", short(&task.name, most)),
        harmless(&task.status),
        span(now_ms.saturating_sub(task.created_ms)),
        task.calls.to_string(),
        task.events.to_string(),
        short(&task.detail, most),
    ]
}

#[cfg(test)]
mod tests {
    use remit_client::EventNumber;

    use super::*;

    fn task(id: u8, parent: Option<u8>, name: &str) -> TaskInfo {
        let id_of = |byte: u8| TaskId::from_bytes([byte; 16]);
        TaskInfo {
            id: id_of(id),
            name: name.into(),
            status: "running".into(),
            created_ms: 0,
            events: EventNumber(1),
            attempt: 1,
            node: String::new(),
            detail: String::new(),
            calls: 0,
            parent: parent.map(id_of),
            trigger: String::new(),
        }
    }

    #[test]
    fn sub_tasks_stand_below_the_task_that_spawned_them() {
        let tasks = vec![
            task(9, None, "new"),
            task(7, Some(5), "c"),
            task(6, Some(2), "b"),
            task(5, Some(2), "a"),
            task(4, Some(1), "its parent is gone"),
            task(2, None, "old"),
        ];
        let lines = tree(tasks);
        let shown: Vec<String> =
            lines.iter().map(|(branch, task)| format!("{branch}{}", task.name)).collect();
        let wanted = ["new", "its parent is gone", "old", "├─ a", "│  └─ c", "└─ b"];
        assert_eq!(shown, wanted);
    }

    #[test]
    fn what_a_program_reads_is_whole() {
        let detail = "why ".repeat(100);
        let task = TaskInfo { detail: detail.clone(), ..task(1, None, "a") };
        assert_eq!(row("", &task, 0, usize::MAX)[6], detail);
        assert!(row("", &task, 0, limits::CELL)[6].contains("--json shows all"));
    }

    #[test]
    fn a_list_that_names_a_circle_is_shown_all_the_same() {
        let lines = tree(vec![task(3, Some(2), "x"), task(2, Some(3), "y")]);
        assert_eq!(lines.len(), 2);
    }
}
