//! `remit drain`: a node is given nothing new, and what it does comes to its end.

use std::time::Duration;

use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use remit_client::{Client, Drained};

use crate::clock;
use crate::complete;
use crate::fault::Fault;
use crate::limits;
use crate::mesh::{Mesh, Place};
use crate::show::out;
use crate::show::text::count;

/// Give a node nothing new and wait until it does nothing any more
///
/// Attempts that still run after the time go on elsewhere; calls in flight end where they are. The
/// node stays drained until `--undo`, or until it is started again.
#[derive(Debug, Args)]
pub(super) struct Drain {
    /// The node, by its name or its whole identity
    #[arg(add = ArgValueCandidates::new(complete::nodes))]
    node: String,

    /// How long to wait for what runs there: 90s, 10m, 2h
    #[arg(long, value_name = "SPAN", default_value = "30s", value_parser = clock::span)]
    timeout: Duration,

    /// Give it work again
    #[arg(long)]
    undo: bool,
}

impl Drain {
    pub(super) async fn execute(self, place: &Place) -> Result<(), Fault> {
        let Some(mesh) = Mesh::find(place).await? else {
            return Err(Fault::Failed(format!(
                "no mesh runs for {}, so there is no node to drain",
                place.home.dir().display()
            )));
        };
        if self.undo {
            mesh.client.undrain(&self.node).await?;
            out::note(&format!("remit: {} is given work again", self.node));
            return Ok(());
        }
        let drain = mesh.client.drain(&self.node, self.timeout);
        tokio::pin!(drain);
        let Drained { moved, left } = loop {
            tokio::select! {
                biased;
                drained = &mut drain => break drained?,
                () = tokio::time::sleep(limits::PROGRESS) => self.report(&mesh.client).await,
            }
        };
        let (moved, left) = (count(moved as usize, "attempt"), count(left as usize, "call"));
        out::note(&format!("remit: {} is drained: {moved} moved, {left} left", self.node));
        Ok(())
    }

    async fn report(&self, client: &Client) {
        let Ok(nodes) = client.nodes().await else { return };
        let named = |identity: &str| {
            identity == self.node || identity.rsplit('/').next() == Some(&self.node)
        };
        if let Some(node) = nodes.iter().find(|node| named(&node.identity)) {
            out::note(&format!(
                "remit: {} still does {}",
                self.node,
                count(node.load as usize, "thing")
            ));
        }
    }
}
