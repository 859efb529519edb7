//! `remit grants`: what a task may do.

use clap::Args;

use super::task::{Among, choose};
use crate::embedded::Parts;
use crate::fault::Fault;
use crate::look::Look;
use crate::mesh::{Mesh, Place};
use crate::show::{listed, out, tree};

/// Show what a task was handed, as a tree: each grant below the one it was narrowed from
#[derive(Debug, Args)]
pub(super) struct Grants {
    /// The task's id, the end of it, or its name; by default the newest
    task: Option<String>,

    /// One JSON object a line, for programs
    #[arg(long)]
    json: bool,
}

impl Grants {
    pub(super) async fn execute(self, place: &Place, look: Look) -> Result<(), Fault> {
        let mesh = Mesh::reach(place, Parts::Orchestrator).await?;
        let grants = async {
            let task = choose(&mesh.client, self.task.as_deref(), Among::Every).await?;
            Ok::<_, Fault>(task.grants().await?)
        }
        .await;
        mesh.leave().await;
        let grants = grants?;
        if self.json {
            return listed::print(&grants, listed::grant);
        }
        if grants.is_empty() {
            out::note("remit: the task holds nothing");
        }
        tree::lines(&grants, look.out).iter().try_for_each(|line| out::line(line))
    }
}
