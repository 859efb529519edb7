//! The embedded mesh: orchestrator, agent node and tool node as children of this process.

pub(crate) mod node;

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use remit_client::{Client, Credential};

use self::node::Node;
use crate::fault::{Fault, doing};
use crate::home::{Home, Seen};
use crate::limits;

/// How much of a mesh a command needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parts {
    /// The orchestrator alone: to look at tasks and to tell them something.
    Orchestrator,
    /// All of it: to run tasks.
    All,
}

/// A mesh whose processes belong to this one.
pub(crate) struct Embedded {
    /// In the order in which they were started.
    nodes: Vec<Node>,
    address: String,
    /// The right to run this folder's mesh.
    _claim: File,
}

/// The one node that is told what to serve.
const TOOL_NODE: &str = "tool-node";

/// The nodes beside the orchestrator, as commands and as roles.
const OTHERS: [&str; 2] = ["agent-node", TOOL_NODE];

impl Embedded {
    /// Starts what `parts` asks for, on the port where it was last seen if that is free.
    pub(crate) async fn start(
        home: &Home,
        claim: File,
        parts: Parts,
    ) -> Result<(Self, Client), Fault> {
        let (node, address) = orchestrator(home).await?;
        let client = client(home, &address).await?;
        let mut nodes = vec![node];
        if parts == Parts::All {
            for role in OTHERS {
                nodes.push(other(home, role, &address).await?);
            }
        }
        home.see(&Seen { address: address.clone() })?;
        Ok((Self { nodes, address, _claim: claim }, client))
    }

    /// Starts again each node that has ended. Gives their roles.
    pub(crate) async fn mend(&mut self, home: &Home) -> Result<Vec<&'static str>, Fault> {
        let mut mended = Vec::new();
        for node in &mut self.nodes {
            if !node.has_ended() {
                continue;
            }
            *node = match node.role() {
                "orchestrator" => orchestrator(home).await?.0,
                role => other(home, role, &self.address).await?,
            };
            mended.push(node.role());
        }
        Ok(mended)
    }

    /// Stops all, the orchestrator last: what is in flight comes to its end first.
    pub(crate) async fn stop(mut self) {
        while let Some(node) = self.nodes.pop() {
            node.stop(limits::STOP).await;
        }
    }
}

async fn orchestrator(home: &Home) -> Result<(Node, String), Fault> {
    let (data, invites) = (home.node("orchestrator"), home.invites());
    let last = home.seen().map(|seen| seen.address);
    let port_is_free = |address: &String| std::net::TcpListener::bind(address).is_ok();
    let listen = last.filter(port_is_free).unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let mut args: Vec<&OsStr> =
        vec!["--data".as_ref(), data.as_os_str(), "--listen".as_ref(), listen.as_ref()];
    let members = [home.client(), identity(home, "agent-node"), identity(home, "tool-node")];
    if !members.iter().all(|folder| is_good(folder)) {
        args.extend::<[&OsStr; 2]>(["--bootstrap-dir".as_ref(), invites.as_os_str()]);
    }
    let (node, ready) = Node::start(home, "orchestrator", &args).await?;
    let address = ready.rsplit(' ').next().unwrap_or_default().to_owned();
    Ok((node, address))
}

async fn client(home: &Home, address: &str) -> Result<Client, Fault> {
    let folder = home.client();
    member(home, "client", &folder).await?;
    Ok(Client::connect(address, folder).await?)
}

async fn other(home: &Home, role: &'static str, address: &str) -> Result<Node, Fault> {
    let data = home.node(role);
    // Not by `--join`: every process of the machine can read the arguments of every other.
    member(home, role, &identity(home, role)).await?;
    let mut args: Vec<&OsStr> =
        vec!["--data".as_ref(), data.as_os_str(), "--orchestrator".as_ref(), address.as_ref()];
    let tools = Path::new("remit.tools.toml");
    if role == TOOL_NODE {
        if tools.is_file() {
            args.extend::<[&OsStr; 2]>(["--config".as_ref(), tools.as_os_str()]);
        } else {
            args.push("--here".as_ref());
        }
    }
    Ok(Node::start(home, role, &args).await?.0)
}

/// Sees to it that there is a good credential for `role` in `folder`.
async fn member(home: &Home, role: &str, folder: &Path) -> Result<(), Fault> {
    if !is_good(folder) {
        Client::join(&invite(home, role)?, folder).await?;
    }
    Ok(())
}

/// The invite that the orchestrator left for `role`.
fn invite(home: &Home, role: &str) -> Result<String, Fault> {
    let file = home.invites().join(format!("{role}.invite"));
    let line = std::fs::read_to_string(&file)
        .map_err(doing(format_args!("the invite {} cannot be read", file.display())))?;
    Ok(line.trim().to_owned())
}

/// Where a node keeps its credential.
fn identity(home: &Home, role: &str) -> PathBuf {
    home.node(role).join("identity")
}

/// Whether there is a credential in `folder` that is good for a while yet.
fn is_good(folder: &Path) -> bool {
    let soon = SystemTime::now() + limits::READY;
    matches!(Credential::load(folder), Ok(Some(credential)) if credential.not_after() > soon)
}
