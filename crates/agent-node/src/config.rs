//! The configuration of an agent node.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::limits;

/// The settings of an operator. Every field has a default.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The folder of the node's credential.
    pub data: PathBuf,
    /// The orchestrator, host:port. Empty: the address at which the node joined.
    pub orchestrator: String,
    /// The kinds of agent that the node runs.
    pub kinds: Vec<String>,
    /// The labels of the node. A task with labels is placed only on a node that has all of them.
    pub labels: Vec<String>,
    /// The number of attempts that may run at once.
    pub capacity: u32,
    /// The longest that a script may compute between two awaits if its task sets no deadline, in
    /// milliseconds.
    pub deadline_ms: u32,
    /// The memory of a script if its task sets none, in bytes.
    pub memory_bytes: u64,
    /// The program that runs as worker. `None`: this program itself.
    pub worker: Option<PathBuf>,
    /// Whether the node refuses to start, and to run an agent, if this machine lacks a part of the
    /// sandbox.
    pub strict: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data: "remit-agent-node".into(),
            orchestrator: String::new(),
            kinds: vec!["script".into()],
            labels: Vec::new(),
            capacity: limits::CAPACITY,
            deadline_ms: u32::try_from(limits::DEADLINE.as_millis()).unwrap_or(u32::MAX),
            memory_bytes: limits::MEMORY_BYTES,
            worker: None,
            strict: false,
        }
    }
}

/// A file that is no configuration of an agent node.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {why}")]
pub struct BadConfig {
    path: String,
    why: String,
}

impl Config {
    /// Reads a TOML file. An unknown field is an error.
    pub fn read(path: &Path) -> Result<Self, BadConfig> {
        let bad = |why: String| BadConfig { path: path.display().to_string(), why };
        let text = std::fs::read_to_string(path).map_err(|error| bad(error.to_string()))?;
        toml::from_str(&text).map_err(|error| bad(error.to_string()))
    }
}
