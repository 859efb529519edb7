//! `remit pause` and `remit resume`: a task stops for a while.

use clap::Args;
use clap_complete::engine::ArgValueCandidates;

use super::task::{Among, choose};
use crate::complete;
use crate::embedded::Parts;
use crate::fault::Fault;
use crate::mesh::{Mesh, Place};
use crate::show::out;

/// Stop a task for a while: no agent works on it and no new call goes out until `remit resume`
#[derive(Debug, Args)]
pub(super) struct Pause {
    /// The task's id, the end of it, or its name
    #[arg(add = ArgValueCandidates::new(complete::tasks))]
    task: String,

    /// Why, for the log
    #[arg(long, default_value = "paused by hand")]
    reason: String,
}

/// Let a paused task go on
#[derive(Debug, Args)]
pub(super) struct Resume {
    /// The task's id, the end of it, or its name
    #[arg(add = ArgValueCandidates::new(complete::tasks))]
    task: String,
}

impl Pause {
    pub(super) async fn execute(self, place: &Place) -> Result<(), Fault> {
        let mesh = Mesh::reach(place, Parts::Orchestrator).await?;
        let done = async {
            let task = choose(&mesh.client, Some(&self.task), Among::Every).await?;
            task.pause(&self.reason).await?;
            Ok::<_, Fault>(task.id())
        }
        .await;
        mesh.leave().await;
        let id = done?;
        out::note(&format!("remit: the task {id} is paused. Let it go on with: remit resume {id}"));
        Ok(())
    }
}

impl Resume {
    pub(super) async fn execute(self, place: &Place) -> Result<(), Fault> {
        let mesh = Mesh::reach(place, Parts::Orchestrator).await?;
        let done = async {
            let task = choose(&mesh.client, Some(&self.task), Among::Every).await?;
            task.resume().await?;
            Ok::<_, Fault>(task.info().await?)
        }
        .await;
        let embedded = mesh.embedded.is_some();
        mesh.leave().await;
        let info = done?;
        let more = if embedded {
            format!("; no mesh runs, so it waits. Go on with: remit attach {}", info.id)
        } else {
            String::new()
        };
        out::note(&format!("remit: the task {} may go on{more}", info.id));
        Ok(())
    }
}
