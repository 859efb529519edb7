//! `remit send`: input for a task.

use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use remit_client::Input;

use super::task::{Among, choose, json_or_text};
use crate::complete;
use crate::embedded::Parts;
use crate::fault::Fault;
use crate::mesh::{Mesh, Place};
use crate::show::out;

/// Send input to a task; it is on disk when the command ends
#[derive(Debug, Args)]
pub(super) struct Send {
    /// The task's id, the end of it, or its name
    #[arg(add = ArgValueCandidates::new(complete::tasks))]
    task: String,

    /// The input as JSON; what is no JSON is taken as text
    input: String,

    /// Hand it to the agent in what it is doing (`remit.steers()`); else it waits until the agent
    /// asks for its next input (`remit.input()`)
    #[arg(long)]
    steer: bool,

    /// A key of your own: sent twice under the same, it is accepted once
    #[arg(long)]
    key: Option<String>,
}

impl Send {
    pub(super) async fn execute(self, place: &Place) -> Result<(), Fault> {
        let value = json_or_text(&self.input)?;
        let mesh = Mesh::reach(place, Parts::Orchestrator).await?;
        let sent = async {
            let task = choose(&mesh.client, Some(&self.task), Among::Every).await?;
            let mut input = Input::new(value);
            input.steer = self.steer;
            input.key = self.key.unwrap_or(input.key);
            Ok::<_, Fault>(task.send_input(input).await?)
        }
        .await;
        mesh.leave().await;
        out::note(&format!("remit: input {} is accepted", sent?));
        Ok(())
    }
}
