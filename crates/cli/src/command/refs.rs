//! `remit refs`: what was saved, and taking it back.

use clap::{Args, Subcommand};

use crate::embedded::Parts;
use crate::fault::Fault;
use crate::look::Look;
use crate::mesh::{Mesh, Place};
use crate::show::text::harmless;
use crate::show::{out, table};

/// List the tasks and grants that were saved, or revoke one
#[derive(Debug, Args)]
pub(super) struct Refs {
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Every one, oldest first
    List,
    /// Take one back: it restores nothing any more, and what was obtained with it is cut
    Revoke {
        /// Its id, as `remit refs` shows it
        id: String,

        /// Why, for the log
        #[arg(long, default_value = "revoked by hand")]
        reason: String,
    },
}

impl Refs {
    pub(super) async fn execute(self, place: &Place, look: Look) -> Result<(), Fault> {
        let mesh = Mesh::reach(place, Parts::Orchestrator).await?;
        let done = match &self.what {
            Some(What::Revoke { id, reason }) => revoke(&mesh, id, reason).await,
            Some(What::List) | None => list(&mesh, look).await,
        };
        mesh.leave().await;
        done
    }
}

async fn revoke(mesh: &Mesh, id: &str, reason: &str) -> Result<(), Fault> {
    mesh.client.revoke_ref(id, reason).await?;
    out::note(&format!("remit: the reference {id} is revoked"));
    Ok(())
}

async fn list(mesh: &Mesh, look: Look) -> Result<(), Fault> {
    let saved = mesh.client.refs().await?;
    let rows: Vec<Vec<String>> = saved
        .iter()
        .map(|saved| {
            let what = match (saved.grant, saved.viewer) {
                (Some(grant), _) => format!("grant {grant} of {}", saved.task),
                (None, true) => format!("viewer of {}", saved.task),
                (None, false) => saved.task.to_string(),
            };
            let (label, uses) = (harmless(&saved.label), saved.uses.to_string());
            vec![saved.id.clone(), saved.state.clone(), uses, what, saved.owner.clone(), label]
        })
        .collect();
    let header = ["ID", "STATE", "USES", "WHAT", "OWNER", "LABEL"];
    table::lines(&header, &rows, look.out).iter().try_for_each(|line| out::line(line))
}
