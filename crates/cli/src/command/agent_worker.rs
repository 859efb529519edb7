//! `remit agent-worker`: one running agent, started by an agent node.

use clap::Args;

use crate::fault::Fault;

/// Run one agent over an inherited socket; for agent nodes
#[derive(Debug, Args)]
#[command(hide = true)]
pub(super) struct AgentWorker {}

impl AgentWorker {
    pub(super) fn execute(self) -> Result<(), Fault> {
        Err(Fault::Failed(format!("{self:?}")))
    }
}
