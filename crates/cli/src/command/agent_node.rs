//! `remit agent-node`: a process that runs agents.

use std::path::PathBuf;

use clap::Args;

use super::serving::{Ending, ready};
use crate::fault::Fault;

/// Run an agent node
#[derive(Debug, Args)]
pub(super) struct AgentNode {
    #[arg(long)]
    data: PathBuf,
    #[arg(long)]
    join: Option<String>,
    #[arg(long)]
    orchestrator: Option<String>,
    #[command(flatten)]
    ending: Ending,
}

impl AgentNode {
    pub(super) fn execute(self) -> Result<(), Fault> {
        remit_vat::vat::Vat::run(async move {
            let s = self.ending.comes()?;
            ready("agent-node", "x");
            s.await;
            Ok(())
        })?
    }
}
