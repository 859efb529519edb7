//! `remit save`: a task or a grant as one line of text.

use std::time::Duration;

use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use remit_client::{RefSpec, TaskHandle};

use super::task::{Among, choose};
use crate::clock;
use crate::complete;
use crate::embedded::Parts;
use crate::fault::Fault;
use crate::mesh::{Mesh, Place};
use crate::show::out;

/// Print a line with which one identity can come back to a task, or to what a grant leads to
///
/// Whoever has the line and that identity has the authority: keep it as you would a password. It is
/// shown this once.
#[derive(Debug, Args)]
pub(super) struct Save {
    /// The task's id, the end of it, or its name
    #[arg(add = ArgValueCandidates::new(complete::tasks))]
    task: String,

    /// The grant of this name, in place of the task
    #[arg(long, value_name = "NAME")]
    grant: Option<String>,

    /// What it is for
    #[arg(long)]
    label: String,

    /// The one identity that may use it, as a SPIFFE name; by default your own
    #[arg(long = "for", value_name = "IDENTITY", default_value = "")]
    owner: String,

    /// For how long it is good: 90s, 10m, 2h, 7d
    #[arg(long, value_parser = clock::span)]
    until: Option<Duration>,

    /// For how long it may go unused
    #[arg(long, value_parser = clock::span)]
    unused: Option<Duration>,

    /// Only for looking at the task
    #[arg(long, conflicts_with = "grant")]
    viewer: bool,
}

impl Save {
    pub(super) async fn execute(self, place: &Place) -> Result<(), Fault> {
        let mesh = Mesh::reach(place, Parts::Orchestrator).await?;
        let saved = self.save(&mesh).await;
        mesh.leave().await;
        out::line(&saved?)
    }

    async fn save(&self, mesh: &Mesh) -> Result<String, Fault> {
        let task = choose(&mesh.client, Some(&self.task), Among::Every).await?;
        let ms = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let spec = RefSpec {
            owner: self.owner.clone(),
            until_ms: self.until.map(|until| clock::now_ms().saturating_add(ms(until))),
            unused_ms: self.unused.map(ms),
            viewer: self.viewer,
            ..RefSpec::new(&self.label)
        };
        let saved = match &self.grant {
            None => task.save(spec).await?,
            Some(name) => task.save_grant(named(&task, name).await?, spec).await?,
        };
        Ok(saved.to_line())
    }
}

async fn named(task: &TaskHandle, name: &str) -> Result<remit_client::GrantId, Fault> {
    let grants = task.grants().await?;
    let found = grants.iter().find(|grant| grant.name == name);
    found.map(|grant| grant.grant).ok_or_else(|| {
        Fault::Failed(format!("the task has no grant `{name}`: `remit grants` lists them"))
    })
}
