//! `remit rm`: ended tasks are removed.

use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use remit_client::Client;

use super::task::{Among, choose};
use crate::complete;
use crate::embedded::Parts;
use crate::fault::Fault;
use crate::mesh::{Mesh, Place};
use crate::show::out;
use crate::show::text::short;

/// Remove tasks that have ended, with all that was kept of them
///
/// Their journals are gone for good. A task that has not ended is refused, and the others are removed
/// all the same. `remit compact` gives the space back to the file system at once.
#[derive(Debug, Args)]
pub(super) struct Rm {
    /// The task's id, the end of it, or its name; may be given more than once
    #[arg(required = true)]
    #[arg(add = ArgValueCandidates::new(complete::tasks))]
    task: Vec<String>,
}

impl Rm {
    pub(super) async fn execute(self, place: &Place) -> Result<(), Fault> {
        let mesh = Mesh::reach(place, Parts::Orchestrator).await?;
        let mut refused = false;
        for named in &self.task {
            match remove(&mesh.client, named).await {
                Ok(removed) => out::note(&format!("remit: removed {removed}")),
                Err(fault) => {
                    refused = true;
                    if let Some(why) = fault.message() {
                        out::note(&format!("remit: {why}"));
                    }
                }
            }
        }
        mesh.leave().await;
        if refused { Err(Fault::Said) } else { Ok(()) }
    }
}

/// Removes a task; gives its id and its name.
async fn remove(client: &Client, named: &str) -> Result<String, Fault> {
    let task = choose(client, Some(named), Among::Every).await?;
    let info = task.info().await?;
    task.remove().await?;
    Ok(format!("the task {} ({})", info.id, short(&info.name, 32)))
}
