//! A mesh with several tool nodes, each node behind a link of its own that can be slowed and cut.

use std::path::{Path, PathBuf};
use std::time::Duration;

use remit_client::{Client, Role};

use crate::looking::look_until;
use crate::mesh::{Start, start_agent, start_orchestrator, start_tools};
use crate::process::Process;
use crate::relay::Link;

/// A mesh on loopback, in a folder of its own.
pub struct Fleet {
    /// A client with every permission.
    pub client: Client,
    /// The orchestrator; `None` while it is dead.
    pub orchestrator: Option<Process>,
    /// Its nodes: agent nodes first, then tool nodes.
    pub nodes: Vec<Node>,
    address: String,
    dir: tempfile::TempDir,
}

/// A node of a fleet.
pub struct Node {
    /// The last part of its identity.
    pub name: String,
    /// Whether it is an agent node or a tool node.
    pub role: Role,
    /// Its process; `None` while it is dead.
    pub process: Option<Process>,
    /// Its link to the orchestrator.
    pub link: Link,
}

impl Fleet {
    /// Starts a mesh of so many nodes. `config` is the orchestrator's configuration, in TOML.
    pub async fn start(agents: usize, tools: usize, config: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("orchestrator.toml"), config).unwrap();
        let orchestrator = start_orchestrator(dir.path(), "127.0.0.1:0", None);
        let address = orchestrator.ready.rsplit(' ').next().unwrap().to_owned();
        let line = std::fs::read_to_string(dir.path().join("invites/client.invite")).unwrap();
        Client::join(&line, &dir.path().join("client")).await.unwrap();
        let client = Client::connect(&address, dir.path().join("client")).await.unwrap();
        let agents = (0..agents).map(|number| (Role::AgentNode, format!("agents-{number}")));
        let tools = (0..tools).map(|number| (Role::ToolNode, format!("tools-{number}")));
        let mut nodes = Vec::new();
        for (role, name) in agents.chain(tools) {
            let line = client.invite(role, &name, Duration::from_secs(60)).await.unwrap();
            let link = Link::start(address.clone(), Duration::ZERO).await;
            let mut node = Node { name, role, process: None, link };
            node.start(dir.path(), Some(&line));
            nodes.push(node);
        }
        let fleet = Self { client, orchestrator: Some(orchestrator), nodes, address, dir };
        fleet.until_complete().await;
        // The first node that serves a tool holds its name until a person accepts others.
        for tool in fleet.client.tools().await.unwrap() {
            if tool.accepted.is_some() {
                fleet.client.accept_tool(&tool).await.unwrap();
            }
        }
        fleet
    }

    /// The data folder of a node.
    pub fn dir_of(&self, node: &Node) -> PathBuf {
        self.dir.path().join(&node.name)
    }

    /// Restarts dead processes, continues stopped ones, and removes all delays and disk limits.
    pub fn heal(&mut self) {
        if let Some(orchestrator) = &self.orchestrator {
            orchestrator.go_on();
            orchestrator.bound_files(None);
        } else {
            self.orchestrator = Some(start_orchestrator(self.dir.path(), &self.address, None));
        }
        for node in &mut self.nodes {
            node.link.slow(Duration::ZERO);
            match &node.process {
                Some(process) => {
                    process.go_on();
                    process.bound_files(None);
                }
                None => node.start(self.dir.path(), None),
            }
        }
    }

    /// Waits until every node is registered.
    pub async fn until_complete(&self) {
        look_until("the nodes register", async || {
            let nodes = self.client.nodes().await.unwrap();
            let connected = nodes.iter().filter(|node| node.state == "connected").count();
            connected == self.nodes.len()
        })
        .await;
    }
}

impl Node {
    fn start(&mut self, dir: &Path, line: Option<&str>) {
        let address = self.link.address.as_str();
        let start = Start { address, line, crash: None, advertise: None, offer: None };
        self.process = Some(match self.role {
            Role::AgentNode => start_agent(dir, &self.name, &start),
            _ => start_tools(dir, &self.name, &start),
        });
    }
}
