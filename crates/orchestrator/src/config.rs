//! What an operator may set of an orchestrator.

use std::path::{Path, PathBuf};
use std::time::Duration;

use remit_journal::Retention;
use serde::Deserialize;

use crate::runtime::services::Timing;
use crate::services::notify::{self, SinkConfig};

/// What an operator may set. Every field has a default.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where to listen, host:port.
    pub listen: String,
    /// Where others reach it, host:port, as invites say it; empty: where it listens.
    pub advertise: String,
    /// The folder with authority, journal and all else that must not be lost.
    pub data: PathBuf,
    /// The name of the mesh. It is in every certificate and cannot be changed later.
    pub mesh: String,
    /// How long a certificate of a node is good, in seconds. It is renewed at half of that.
    pub certificate_seconds: u64,
    /// The same of a client, which people may leave alone for weeks. It is renewed by using it.
    pub client_certificate_seconds: u64,
    /// How long a call waits for its tool's node to come back, in milliseconds.
    pub tool_grace_ms: u64,
    /// How long an agent that waits only for time or input keeps its process, in milliseconds.
    pub idle_grace_ms: u64,
    /// How long a task that is cancelled waits for the answers of tools, in milliseconds.
    pub cancel_grace_ms: u64,
    /// Where to listen for posts to webhooks, host:port, in plain HTTP; empty: nowhere.
    pub webhooks: String,
    /// The folder with the secrets of signed webhooks: a file `CLIENT/NAME` for each trigger.
    pub webhook_secrets: Option<PathBuf>,
    /// Whom to tell when something waits for a person or a task ends.
    pub notify: Vec<SinkConfig>,
    /// Memory of the journal's cache, in bytes.
    pub cache_bytes: u64,
    /// How long ended tasks, and the history of those that go on, are kept; by default for ever.
    pub retention: Retention,
    /// At start, while nobody administers the mesh, write the invite for its first administrator into
    /// this folder, as `client.invite`. It is good for an hour, and removed when it was used.
    pub bootstrap_dir: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:7474".into(),
            advertise: String::new(),
            data: "remit-data".into(),
            mesh: "home".into(),
            certificate_seconds: 86_400,
            client_certificate_seconds: 90 * 86_400,
            tool_grace_ms: 10_000,
            idle_grace_ms: 30_000,
            cancel_grace_ms: 10_000,
            webhooks: String::new(),
            webhook_secrets: None,
            notify: Vec::new(),
            cache_bytes: 64 << 20,
            retention: Retention::default(),
            bootstrap_dir: None,
        }
    }
}

/// The file is no configuration of an orchestrator.
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
        let config: Self = toml::from_str(&text).map_err(|error| bad(error.to_string()))?;
        if config.certificate_seconds < 2 || config.client_certificate_seconds < 2 {
            let why = "certificate_seconds and client_certificate_seconds must be at least 2";
            return Err(bad(why.into()));
        }
        notify::check(&config.notify).map_err(bad)?;
        Ok(config)
    }

    /// How long a certificate is good.
    pub const fn certificate_life(&self) -> Duration {
        Duration::from_secs(self.certificate_seconds)
    }

    /// How long a client's certificate is good.
    pub const fn client_certificate_life(&self) -> Duration {
        Duration::from_secs(self.client_certificate_seconds)
    }

    /// The times that owners go by.
    pub fn timing(&self) -> Timing {
        Timing {
            tool_grace: Duration::from_millis(self.tool_grace_ms),
            idle_grace: Duration::from_millis(self.idle_grace_ms),
            cancel_grace: Duration::from_millis(self.cancel_grace_ms),
            ..Timing::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let error = toml::from_str::<Config>("lisen = \"x\"").unwrap_err().to_string();
        assert!(error.contains("lisen"), "{error}");
    }
}
