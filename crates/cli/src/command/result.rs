//! `remit result`: what a task came to.

use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use remit_client::{Client, Error, Value, value_to_json};

use super::task::{Among, choose};
use crate::complete;
use crate::embedded::Parts;
use crate::fault::Fault;
use crate::mesh::{Mesh, Place};
use crate::show::out;

/// Print the result of a task that has ended, as JSON
///
/// Exit code 1 if the task failed, was cancelled or has not ended.
#[derive(Debug, Args)]
pub(super) struct TaskResult {
    /// The task's id, the end of it, its name, or a reference to it; by default the newest
    #[arg(add = ArgValueCandidates::new(complete::tasks))]
    task: Option<String>,
}

impl TaskResult {
    pub(super) async fn execute(self, place: &Place) -> Result<(), Fault> {
        let mesh = Mesh::reach(place, Parts::Orchestrator).await?;
        let result = self.result(&mesh.client).await;
        mesh.leave().await;
        out::json_lines(&value_to_json(&result?))
    }

    async fn result(&self, client: &Client) -> Result<Value, Fault> {
        let task = choose(client, self.task.as_deref(), Among::Every).await?;
        let info = task.info().await?;
        if !info.has_ended() {
            return Err(Fault::Failed(format!(
                "the task {} is {} and has no result yet: wait for it with `remit attach {0}`",
                info.id, info.status
            )));
        }
        task.result().await.map_err(|error| match error {
            Error::Failed(failure) => Fault::Task(failure),
            other => other.into(),
        })
    }
}
