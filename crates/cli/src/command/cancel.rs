//! `remit cancel`: ends a task.

use clap::Args;
use clap_complete::engine::ArgValueCandidates;

use super::task::{Among, choose};
use crate::complete;
use crate::embedded::Parts;
use crate::fault::Fault;
use crate::limits;
use crate::mesh::{Mesh, Place};
use crate::show::out;

/// End a task; it is on disk when the command ends
#[derive(Debug, Args)]
pub(super) struct Cancel {
    /// The task's id, the end of it, or its name
    #[arg(add = ArgValueCandidates::new(complete::tasks))]
    task: String,

    /// Why, for the log
    #[arg(long, default_value = "cancelled by hand")]
    reason: String,
}

impl Cancel {
    pub(super) async fn execute(self, place: &Place) -> Result<(), Fault> {
        let mesh = Mesh::reach(place, Parts::Orchestrator).await?;
        let done = async {
            let task = choose(&mesh.client, Some(&self.task), Among::Every).await?;
            task.cancel(&self.reason).await?;
            // What is under way is told to stop, and its answer awaited.
            let _ended = tokio::time::timeout(limits::CANCELLING, task.result()).await;
            Ok::<_, Fault>(task.info().await?)
        }
        .await;
        mesh.leave().await;
        let info = done?;
        out::note(&format!("remit: the task {} is {}", info.id, info.status));
        Ok(())
    }
}
