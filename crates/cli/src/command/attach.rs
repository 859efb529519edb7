//! `remit attach`: goes on with a task, and shows it to its end.

use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use remit_client::EventNumber;

use super::task::{Among, choose};
use crate::complete;
use crate::embedded::Parts;
use crate::fault::Fault;
use crate::follow::{self, From};
use crate::look::Look;
use crate::mesh::{Mesh, Place};

/// Go on with a task and follow it to its end
///
/// Starts a mesh if none runs. Shows what the task did so far and what it does now; the result goes
/// to standard output as JSON.
#[derive(Debug, Args)]
pub(super) struct Attach {
    /// The task's id, the end of it, its name, or a reference to it; by default the newest that has not ended
    #[arg(add = ArgValueCandidates::new(complete::tasks))]
    task: Option<String>,

    /// Show only events after this number
    #[arg(long, value_name = "N", default_value_t = 0)]
    from: u64,
}

impl Attach {
    pub(super) async fn execute(self, place: &Place, look: Look) -> Result<(), Fault> {
        let mut mesh = Mesh::reach(place, Parts::All).await?;
        let client = mesh.client.clone();
        let from = From { after: EventNumber(self.from) };
        let chosen = choose(&client, self.task.as_deref(), Among::Unfinished);
        match mesh.tending(place, chosen).await {
            Ok(task) => follow::to_the_end(mesh, place, task, from, look).await,
            Err(fault) => {
                mesh.leave().await;
                Err(fault)
            }
        }
    }
}
