//! What an operator may set of an agent node.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::limits;

/// What an operator may set. Every field has a default.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where its credential is kept.
    pub data: PathBuf,
    /// The orchestrator, host:port, if it is not where it was when the node joined.
    pub orchestrator: String,
    /// The kinds of agent it runs.
    pub kinds: Vec<String>,
    /// What the node has: a task with labels is placed only where all of them are.
    pub labels: Vec<String>,
    /// How many attempts it runs at once.
    pub capacity: u32,
    /// How long a script may compute between two awaits if its task says nothing, in milliseconds.
    pub deadline_ms: u32,
    /// Memory of one script if its task says nothing, in bytes.
    pub memory_bytes: u64,
    /// The program that runs as worker; without it, this very program.
    pub worker: Option<PathBuf>,
    /// Whether to refuse to start, and to run an agent, when this machine lacks a part of the sandbox.
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

/// The file is no configuration of an agent node.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {why}")]
pub struct BadConfig {
    path: String,
    why: String,
}

impl Config {
    /// Reads a TOML file.
    pub fn read(path: &Path) -> Result<Self, BadConfig> {
        let bad = |why: String| BadConfig { path: path.display().to_string(), why };
        let text = std::fs::read_to_string(path).map_err(|error| bad(error.to_string()))?;
        toml::from_str(&text).map_err(|error| bad(error.to_string()))
    }
}
