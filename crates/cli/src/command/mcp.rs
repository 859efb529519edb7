//! `remit mcp`: MCP servers and their tools.

mod add;

use clap::{Args, Subcommand};

use crate::fault::Fault;

/// Use the tools of MCP servers
#[derive(Debug, Args)]
pub(super) struct Mcp {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Add(add::Add),
}

impl Mcp {
    pub(super) fn execute(self) -> Result<(), Fault> {
        match self.action {
            Action::Add(add) => add.execute(),
        }
    }
}
