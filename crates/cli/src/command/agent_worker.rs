//! `remit agent-worker`: one running agent, started by an agent node.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use remit_agent_node::worker::{self, Options};

/// Run one agent over the socket on standard input; for agent nodes
#[derive(Debug, Args)]
pub(super) struct AgentWorker {
    /// The longest the script may compute between two waits, in milliseconds
    #[arg(long, value_name = "MS")]
    deadline_ms: Option<u64>,

    /// The most memory the script may use, in bytes
    #[arg(long, value_name = "BYTES")]
    memory_bytes: Option<u64>,

    /// End if this machine lacks a part of the sandbox
    #[arg(long)]
    strict: bool,
}

impl AgentWorker {
    pub(super) fn execute(self) -> ExitCode {
        let default = Options::default();
        worker::main(Options {
            deadline: self.deadline_ms.map_or(default.deadline, Duration::from_millis),
            memory_bytes: self.memory_bytes.unwrap_or(default.memory_bytes),
            strict: self.strict,
        })
    }
}
