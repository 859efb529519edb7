//! `remit up`: keeps a mesh running on this machine.

use clap::Args;

use crate::embedded::Parts;
use crate::fault::Fault;
use crate::mesh::{Mesh, Place};
use crate::show::out;

/// Run a mesh on this machine until Ctrl-C: orchestrator, agent node and tool node
///
/// REMIT_WEBHOOKS, REMIT_WEBHOOK_SECRETS, REMIT_NOTIFY_URL and REMIT_NOTIFY_COMMAND in its environment
/// say what the options of `remit orchestrator` of these names do.
#[derive(Debug, Args)]
pub(super) struct Up {}

impl Up {
    pub(super) async fn execute(self, place: &Place) -> Result<(), Fault> {
        if place.address.is_some() {
            return Err(Fault::Usage(
                "--mesh names a mesh elsewhere, which this command cannot start: leave it out"
                    .into(),
            ));
        }
        let mut mesh = Mesh::reach(place, Parts::All).await?;
        let home = place.home.dir().display().to_string();
        let address = place.home.seen().map(|seen| seen.address).unwrap_or_default();
        if mesh.embedded.is_none() {
            return Err(Fault::Failed(format!(
                "the mesh of {home} runs already, at {address}: use it, or end the process that runs it"
            )));
        }
        out::note(&format!(
            "remit: the mesh of {home} runs at {address}; logs are in {home}/log. Ctrl-C stops it"
        ));
        let end = tokio::select! {
            biased;
            _ = tokio::signal::ctrl_c() => Ok(()),
            () = terminated() => Ok(()),
            end = mesh.tend(place, |text| out::note(&format!("remit: {text}"))) => end,
        };
        out::note("remit: stopping; tasks are safe on disk");
        tokio::select! {
            biased;
            () = mesh.leave() => end,
            _ = tokio::signal::ctrl_c() => Err(Fault::Interrupted),
        }
    }
}

/// Answers when the process is told to end by the system.
async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut told) => {
            told.recv().await;
        }
        Err(_) => std::future::pending().await,
    }
}
