//! `mcp`: the tools of MCP servers. Each server is a tool, each of its tools a method.
//!
//! A server is a program that this node starts, confined, and talks to over its standard streams, or
//! a remote one that it reaches by HTTP. Nothing that a server says is trusted: see `limits`.

mod ask;
mod bounded;
mod content;
mod describe;
mod handler;
pub mod import;
mod launch;
mod lines;
mod listing;
mod objects;
mod secrets;
mod server;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use remit_confine::{Bounds, Network};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use self::server::Server;
use super::confiner::Confiner;
use crate::kit::Tool;

/// A `[[mcp]]` section: one server, which is a program (`command`) or elsewhere (`url`).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The tool's name.
    pub name: String,
    /// The tool's version. It is the operator's word: what the server says of its own version decides
    /// nothing.
    #[serde(default = "default_version", skip_serializing)]
    pub version: String,
    /// What the tool is for; by default in the words of the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The program with its arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Where a remote server is reached, by Streamable HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The folder in which the program runs, and which it may change; by default its home.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root: Option<PathBuf>,
    /// The program's own folder, its `HOME`; by default one below the folder of this node's data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub home: Option<PathBuf>,
    /// Where programs are looked for, and their `PATH`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub path: Vec<PathBuf>,
    /// The rest of the program's environment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// What the program may read and execute beside the system.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub read: Vec<PathBuf>,
    /// What it may change beside its folders.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub write: Vec<PathBuf>,
    /// Whom it may talk to.
    #[serde(default)]
    pub network: Network,
    /// What it may use.
    #[serde(default, skip_serializing)]
    pub limits: Bounds,
    /// Variables of its environment that are secrets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secret: Vec<SecretConfig>,
    /// Headers, with secrets, that a remote server is sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub header: Vec<SecretConfig>,
    /// The longest a call may take, in milliseconds.
    #[serde(default = "default_timeout_ms", skip_serializing)]
    pub timeout_ms: u64,
    /// The tools of the server that become methods; by default all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow: Option<BTreeSet<String>>,
    /// Annotations that count in place of those of the server, by the name of its tool.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub method: BTreeMap<String, Annotations>,
    /// Secrets that another program's configuration spells out: variables and headers.
    #[serde(skip)]
    spelled_out: SpelledOut,
    /// Files and folders that the program must not see.
    #[serde(skip)]
    hidden: Vec<PathBuf>,
}

/// A secret: where it is, and what it is for.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretConfig {
    /// The name of the variable or header.
    pub name: String,
    /// What stands before the secret, for example `Bearer `.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prefix: String,
    /// The file that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// The environment variable of this node that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env: Option<String>,
}

/// Annotations by the operator.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Annotations {
    /// It changes nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_only: Option<bool>,
    /// Doing it twice is the same as doing it once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotent: Option<bool>,
    /// It may destroy something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destructive: Option<bool>,
}

/// Variables and headers with their values, of which some are secrets.
#[derive(Clone, Default)]
struct SpelledOut {
    env: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    /// Variables of this node's environment that stand anywhere in the section.
    variables: Vec<(String, String)>,
}

impl std::fmt::Debug for SpelledOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(not shown)")
    }
}

fn default_version() -> String {
    "1".into()
}

const fn default_timeout_ms() -> u64 {
    60_000
}

impl Config {
    /// A section with nothing but a name.
    pub(crate) fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: default_version(),
            timeout_ms: default_timeout_ms(),
            ..Self::default()
        }
    }

    /// Whether its program is there now. Relative paths are below `base`.
    ///
    /// # Errors
    /// It is not, in words that say where it was looked for.
    pub fn check_program(&self, base: &Path) -> Result<(), String> {
        launch::check_program(self, base)
    }

    /// Hides a folder or a file from the program.
    pub(crate) fn hide(&mut self, place: &Path) {
        self.hidden.push(std::path::absolute(place).unwrap_or_else(|_| place.to_owned()));
    }

    /// Whether it starts a program.
    pub(crate) const fn starts_programs(&self) -> bool {
        !self.command.is_empty()
    }

    /// The files with secrets.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &Path> {
        self.secret.iter().chain(&self.header).filter_map(|secret| secret.file.as_deref())
    }
}

/// Makes the tool that `config` describes, and starts the server: on a `LocalSet`. Relative paths are
/// below `base`; `homes` is the folder below which servers have their homes.
///
/// # Errors
/// The section is wrong, in words. A server that does not start is tried again, and logged.
pub(crate) fn tool(
    config: &Config,
    base: &Path,
    homes: &Path,
    confiner: Option<&Rc<Confiner>>,
) -> Result<Tool, String> {
    let server = Server::new(config, base, homes, confiner)
        .map_err(|why| format!("the MCP server {}: {why}", config.name))?;
    let (sender, receiver) = watch::channel(None);
    tokio::task::spawn_local(Rc::new(server).run(sender));
    Ok(Tool::changing(&config.name, receiver))
}

#[cfg(test)]
mod tests;
