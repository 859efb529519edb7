//! `remit orchestrator`: the process that owns tasks.

use std::path::PathBuf;

use clap::Args;
use remit_orchestrator::config::Config;
use remit_orchestrator::node::{self, Started};
use remit_orchestrator::services::notify::{self, SinkConfig};
use remit_vat::vat::Vat;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::serving::{Ending, ready};
use crate::fault::{Fault, doing};

/// Run an orchestrator: it owns tasks, registers nodes and serves clients
#[derive(Debug, Args)]
pub(super) struct Orchestrator {
    /// Its configuration, as TOML; flags win over it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// The folder with authority and journal
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// Where to listen, host:port; port 0: any that is free
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,

    /// Where to listen for posts to webhooks, host:port, in plain HTTP; by default nowhere
    #[arg(long, env = "REMIT_WEBHOOKS", value_name = "ADDRESS")]
    webhooks: Option<String>,

    /// The folder with the secrets of signed webhooks: a file CLIENT/NAME for each trigger
    #[arg(long, env = "REMIT_WEBHOOK_SECRETS", value_name = "DIR")]
    webhook_secrets: Option<PathBuf>,

    /// Where to post when something waits for a person or a task ends; beside the [[notify]] sections
    /// of the configuration, which can do more
    #[arg(long, env = "REMIT_NOTIFY_URL", value_name = "URL")]
    notify_url: Option<String>,

    /// A program to start then, with the message on standard input
    #[arg(long, env = "REMIT_NOTIFY_COMMAND", value_name = "PROGRAM")]
    notify_command: Option<String>,

    /// Where others reach it, host:port, if that is not where it listens
    #[arg(long, value_name = "ADDRESS")]
    advertise: Option<String>,

    /// While the mesh has no administrator, leave the invite for the first one in this folder, as
    /// client.invite
    #[arg(long, value_name = "DIR")]
    bootstrap_dir: Option<PathBuf>,

    #[command(flatten)]
    ending: Ending,
}

impl Orchestrator {
    pub(super) fn execute(self) -> Result<(), Fault> {
        Vat::run(self.serve()).map_err(doing("no event loop"))?
    }

    async fn serve(self) -> Result<(), Fault> {
        let shutdown = self.ending.comes()?;
        let config = self.config()?;
        let listen = &config.listen;
        let tcp = TcpListener::bind(listen).await.map_err(doing(format_args!(
            "{listen} cannot be listened on (choose another with --listen)"
        )))?;
        let address =
            tcp.local_addr().map_err(doing("the address that is listened on"))?.to_string();
        let failed = |error: node::CannotServe| Fault::Failed(error.to_string());
        let started = Started::at(&config, tcp).await.map_err(failed)?;
        ready("orchestrator", &address);
        let stop = CancellationToken::new();
        let serving = started.serve(&config, stop.clone());
        tokio::pin!(serving);
        tokio::select! {
            biased;
            end = &mut serving => return end.map_err(failed),
            () = shutdown => stop.cancel(),
        }
        serving.await.map_err(failed)
    }

    fn config(&self) -> Result<Config, Fault> {
        let mut config = match &self.config {
            Some(file) => Config::read(file).map_err(|error| Fault::Usage(error.to_string()))?,
            None => Config::default(),
        };
        if let Some(data) = &self.data {
            config.data.clone_from(data);
        }
        if let Some(webhooks) = &self.webhooks {
            config.webhooks.clone_from(webhooks);
        }
        if let Some(listen) = &self.listen {
            config.listen.clone_from(listen);
        }
        if let Some(advertise) = &self.advertise {
            config.advertise.clone_from(advertise);
        }
        if self.bootstrap_dir.is_some() {
            config.bootstrap_dir.clone_from(&self.bootstrap_dir);
        }
        if self.webhook_secrets.is_some() {
            config.webhook_secrets.clone_from(&self.webhook_secrets);
        }
        let url = self.notify_url.clone().map(|url| SinkConfig::post("--notify-url", url));
        let command = self.notify_command.clone();
        let command = command.map(|program| SinkConfig::start("--notify-command", program));
        config.notify.extend(url.into_iter().chain(command));
        notify::check(&config.notify).map_err(Fault::Usage)?;
        Ok(config)
    }
}
