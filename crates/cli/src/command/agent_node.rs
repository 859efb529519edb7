//! `remit agent-node`: a process that runs agents.

use std::path::PathBuf;
use std::rc::Rc;

use clap::Args;
use remit_agent_node::config::Config;
use remit_agent_node::node;
use remit_client::Role;
use remit_identity::join::Invite;
use remit_identity::membership::Member;
use remit_vat::vat::Vat;
use tokio_util::sync::CancellationToken;

use super::serving::{Ending, ready};
use crate::fault::{Fault, doing};

/// Run an agent node: it runs agents, each in a worker process of its own
#[derive(Debug, Args)]
pub(super) struct AgentNode {
    /// A line from `remit invite --role agent-node`; needed once
    #[arg(long, value_name = "LINE")]
    join: Option<String>,

    /// The orchestrator, host:port, if it is not where it was when the node joined
    #[arg(long, value_name = "ADDRESS")]
    orchestrator: Option<String>,

    /// Its configuration, as TOML; flags win over it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Where its credential is kept; by default remit-agent-node
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// How many attempts it runs at once
    #[arg(long, value_name = "N")]
    capacity: Option<u32>,

    /// What the node has, beside the labels of its configuration
    #[arg(long)]
    label: Vec<String>,

    #[command(flatten)]
    ending: Ending,
}

impl AgentNode {
    pub(super) fn execute(self) -> Result<(), Fault> {
        Vat::run(self.serve()).map_err(doing("no event loop"))?
    }

    async fn serve(self) -> Result<(), Fault> {
        let shutdown = self.ending.comes()?;
        let config = self.config()?;
        let member = Rc::new(self.member(&config).await?);
        let stop = CancellationToken::new();
        ready("agent-node", &member.identity().to_string());
        let serving = node::run(config, member, stop.clone());
        tokio::pin!(serving);
        let served = tokio::select! {
            biased;
            served = &mut serving => served,
            () = shutdown => {
                stop.cancel();
                serving.await
            }
        };
        served.map_err(doing("the node could not serve"))
    }

    fn config(&self) -> Result<Config, Fault> {
        let mut config = match &self.config {
            Some(file) => Config::read(file).map_err(|error| Fault::Usage(error.to_string()))?,
            None => Config::default(),
        };
        if let Some(data) = &self.data {
            config.data.clone_from(data);
        }
        if let Some(orchestrator) = &self.orchestrator {
            config.orchestrator.clone_from(orchestrator);
        }
        if let Some(capacity) = self.capacity {
            config.capacity = capacity;
        }
        config.labels.extend(self.label.iter().cloned());
        Ok(config)
    }

    async fn member(&self, config: &Config) -> Result<Member, Fault> {
        let failed = |error: &dyn std::fmt::Display| Fault::Failed(error.to_string());
        let invite = self.join.as_deref().map(str::parse::<Invite>).transpose();
        let invite = invite.map_err(|error| failed(&error))?;
        let (identity, address) = (config.data.join("identity"), &config.orchestrator);
        let member = Member::open(&identity, address, invite.as_ref(), Role::AgentNode).await;
        member.map_err(|error| failed(&error))
    }
}
