//! `remit tool-node`: a process that serves tools to a mesh.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use clap::Args;
use remit_tool_node::config::Config;
use remit_tool_node::run;
use remit_tool_node::start::Arguments;
use remit_tool_node::tools::mcp::import;
use remit_vat::vat::Vat;

use super::serving::{Ending, ready};
use crate::fault::{Fault, doing};
use crate::home::Home;

/// Run a tool node: it serves the tools that its configuration names
#[derive(Debug, Args)]
pub(super) struct ToolNode {
    /// A line from `remit invite --role tool-node`; needed once
    #[arg(long, value_name = "LINE")]
    join: Option<String>,

    /// The orchestrator, host:port, if it is not where it was when the node joined
    #[arg(long, value_name = "ADDRESS")]
    orchestrator: Option<String>,

    /// What is served, as TOML
    #[arg(long, value_name = "FILE", required_unless_present_any = ["here", "mcp", "mcp_config"])]
    config: Option<PathBuf>,

    /// Serve the current folder: `fs`, and `git` if it is a repository
    #[arg(long, conflicts_with = "config")]
    here: bool,

    /// Serve the tools of an MCP server, NAME=COMMAND or NAME=URL; may be repeated. A command reaches
    /// the network and the folders that it names; `remit mcp add` writes a section to be narrowed
    #[arg(long, value_name = "SERVER")]
    mcp: Vec<String>,

    /// Serve the MCP servers in a file of another program, as `mcpServers`; may be repeated
    #[arg(long, value_name = "FILE")]
    mcp_config: Vec<PathBuf>,

    /// Where credential and ledger are kept; by default remit-tool-node
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// What the node has, beside the labels of its configuration
    #[arg(long)]
    label: Vec<String>,

    /// Let agent nodes fetch large results here, for grants that say route=direct
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,

    /// Where agent nodes reach it, host:port, if not where it listens
    #[arg(long, value_name = "ADDRESS")]
    advertise: Option<String>,

    #[command(flatten)]
    ending: Ending,
}

impl ToolNode {
    pub(super) fn execute(self, home: &Home) -> Result<(), Fault> {
        Vat::run(self.serve(home)).map_err(doing("no event loop"))?
    }

    async fn serve(self, home: &Home) -> Result<(), Fault> {
        let shutdown = self.ending.comes()?;
        let failed = |error: &dyn std::fmt::Display| Fault::Failed(error.to_string());
        let mut config = self.tools()?;
        let dir = self.data.or_else(|| config.data.take());
        let mut arguments = Arguments {
            join: self.join,
            dir: dir.unwrap_or_else(|| "remit-tool-node".into()),
            address: self.orchestrator.or_else(|| config.orchestrator.take()),
            labels: Vec::new(),
            listen: self.listen.or_else(|| config.listen.take()),
            advertise: self.advertise.or_else(|| config.advertise.take()),
        };
        if arguments.advertise.is_some() && arguments.listen.is_none() {
            let why = "`advertise` says where agent nodes reach what `listen` opens: give both";
            return Err(Fault::Usage(why.into()));
        }
        // Its own keys, and those of the person whose mesh this is, for all meshes.
        for keys in [arguments.dir.as_path(), home.dir()].into_iter().chain(home.meshes()) {
            config = config.hiding(keys);
        }
        config = config.keeping(&arguments.dir);
        let (tools, labels) = config.open().map_err(|error| failed(&error))?;
        arguments.labels.extend(labels.into_iter().chain(self.label));
        // The node first: an invite is not spent on one that cannot serve.
        let node = Rc::new(arguments.node(tools).await.map_err(|error| failed(&error))?);
        let member = arguments.member().await.map_err(|error| failed(&error))?;
        ready("tool-node", &member.identity().to_string());
        run(&member, &node, shutdown).await;
        Ok(())
    }

    fn tools(&self) -> Result<Config, Fault> {
        let read = match (&self.config, self.here) {
            (Some(file), _) => Config::read(file),
            (None, true) => Config::parse(Path::new("the current folder"), here(Path::new("."))),
            (None, false) => Config::parse(Path::new("the command line"), String::new()),
        };
        let mut config = read.map_err(|error| Fault::Failed(error.to_string()))?;
        let folder = std::path::absolute(".").map_err(doing("the current folder"))?;
        config.mcp_config.extend(self.mcp_config.iter().map(|file| folder.join(file)));
        for word in &self.mcp {
            let server = import::word(word, &folder).map_err(Fault::Usage)?;
            config = config.with_server(server);
        }
        Ok(config)
    }
}

/// What is served of a folder that has no configuration: its files, without the mesh's own, and its
/// repository. Nothing that runs programs or reaches the network.
pub(super) fn here(folder: &Path) -> String {
    let mut text =
        "[[fs]]\nroot = '.'\nhidden = ['.remit', 'remit.tools.toml']\nwritable = true\n".to_owned();
    if folder.join(".git").exists() {
        text += "\n[[git]]\nroot = '.'\n";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_a_configuration_serves_its_files_alone() {
        let dir = tempfile::tempdir().unwrap();
        let config = Config::parse(&dir.path().join("x"), here(dir.path())).unwrap();
        let (tools, _) = config.open().unwrap();
        assert_eq!(tools.iter().map(|tool| tool.name()).collect::<Vec<_>>(), ["fs"]);
    }
}
