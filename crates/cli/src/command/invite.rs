//! `remit invite`: a line by which someone can join the mesh.

use std::time::Duration;

use clap::Args;
use remit_client::Role;

use crate::clock;
use crate::fault::Fault;
use crate::mesh::{Mesh, Place};
use crate::show::out;

/// Print a line with which a node or a client can join the mesh that runs, once
///
/// Whoever has the line can join in its role and name: send it as you would a password.
#[derive(Debug, Args)]
pub(super) struct Invite {
    /// What it will be: client, agent-node or tool-node
    #[arg(long, value_parser = |text: &str| text.parse::<Role>())]
    role: Role,

    /// How it will be called
    #[arg(long)]
    name: String,

    /// How long the line can be used: 90s, 10m, 2h, 7d
    #[arg(long, default_value = "10m", value_parser = clock::span)]
    ttl: Duration,
}

impl Invite {
    pub(super) async fn execute(self, place: &Place) -> Result<(), Fault> {
        let Some(mesh) = Mesh::find(place).await? else {
            return Err(Fault::Failed(format!(
                "no mesh runs for {}, so there is nothing to join: start one with `remit up`",
                place.home.dir().display()
            )));
        };
        out::line(&mesh.client.invite(self.role, &self.name, self.ttl).await?)
    }
}
