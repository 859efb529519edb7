//! The embedded mesh: orchestrator, agent node and tool node as children of this process.

pub(crate) mod node;

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use remit_client::{Client, Credential, Facets, Role};
use remit_identity::join::Invite;
use remit_identity::membership::Member;
use remit_orchestrator::config::Config;
use remit_orchestrator::node::invite_at_rest;
use remit_orchestrator::services::membership::NewInvite;

use self::node::Node;
use crate::fault::{Fault, doing};
use crate::home::{Home, Seen};
use crate::limits;
use crate::mesh::{is_refusal, refused};

/// The configuration of the tools of a mesh, in the folder in which it is started.
pub(crate) const CONFIGURATION: &str = "remit.tools.toml";

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
    /// Others may join for as long as this is held.
    door: File,
    /// The right to run this folder's mesh.
    _claim: File,
}

/// The name of every member of a mesh on one machine.
const NAME: &str = "local";

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
        outlast_earlier(home).await?;
        let invite = own_invite(home).await?;
        let (node, address) = orchestrator(home).await?;
        let client = client(home, &address, invite).await?;
        let mut nodes = vec![node];
        if parts == Parts::All {
            for role in OTHERS {
                admit(home, role, &client).await?;
                nodes.push(other(home, role, &address).await?);
            }
        }
        home.see(&Seen { address: address.clone() })?;
        let door = home.open_door()?;
        Ok((Self { nodes, address, door, _claim: claim }, client))
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
        // First, so that no other command joins a mesh that ends.
        drop(self.door);
        while let Some(node) = self.nodes.pop() {
            node.stop(limits::STOP).await;
        }
    }
}

/// Waits for the nodes of a process that ended before they did.
async fn outlast_earlier(home: &Home) -> Result<(), Fault> {
    let began = Instant::now();
    while home.is_ending() {
        if began.elapsed() > limits::ENDING {
            return Err(Fault::Failed(format!(
                "nodes of an earlier mesh of {0} have not ended within {1} s: see the logs in {0}/log, \
                 and end the processes `remit --home {0} ...`",
                home.dir().display(),
                limits::ENDING.as_secs()
            )));
        }
        tokio::time::sleep(limits::LOOK_AGAIN).await;
    }
    Ok(())
}

async fn orchestrator(home: &Home) -> Result<(Node, String), Fault> {
    let data = home.node("orchestrator");
    let last = home.seen().map(|seen| seen.address);
    let port_is_free = |address: &String| std::net::TcpListener::bind(address).is_ok();
    let listen = last.filter(port_is_free).unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let args: [&OsStr; 4] =
        ["--data".as_ref(), data.as_os_str(), "--listen".as_ref(), listen.as_ref()];
    let (node, ready) = Node::start(home, "orchestrator", &args).await?;
    let address = ready.rsplit(' ').next().unwrap_or_default().to_owned();
    Ok((node, address))
}

/// An invite that makes the owner of this folder an administrator, if there is no good credential
/// for that. It is made before the orchestrator runs: who can write its folder needs no other leave.
async fn own_invite(home: &Home) -> Result<Option<Invite>, Fault> {
    if is_good(&home.client()) {
        return Ok(None);
    }
    let config = Config { data: home.node("orchestrator"), ..Config::default() };
    let wanted = NewInvite {
        role: Role::Client,
        name: NAME.to_owned(),
        grant: Facets::ALL.into(),
        again: true,
        ttl: limits::OWN_INVITE,
    };
    let invite = invite_at_rest(&config, wanted).await;
    invite.map(Some).map_err(|error| Fault::Failed(error.to_string()))
}

async fn client(home: &Home, address: &str, invite: Option<Invite>) -> Result<Client, Fault> {
    let folder = home.client();
    if let Some(invite) = invite {
        // Where it listens was not known before.
        let invite = Invite { address: address.to_owned(), ..invite };
        Client::join(&invite.to_string(), &folder).await?;
    }
    let client = Client::connect(address, folder).await?;
    match client.health().await {
        Err(error) if is_refusal(&error) => Err(refused(home, &error)),
        _ => Ok(client),
    }
}

/// Sees to it that the node of this role has a good credential.
async fn admit(home: &Home, role: &str, client: &Client) -> Result<(), Fault> {
    let folder = identity(home, role);
    if is_good(&folder) {
        return Ok(());
    }
    let role: Role = role.parse().map_err(doing("a node"))?;
    let wanted = remit_client::Invite {
        ttl: limits::OWN_INVITE,
        // An earlier one of this folder may have been away for longer than its certificate was good.
        again: true,
        ..remit_client::Invite::new(role, NAME)
    };
    let line = client.invite_as(&wanted).await?;
    let invite: Invite = line.parse().map_err(doing("the invite of a node"))?;
    let member = Member::open(&folder, "", Some(&invite), role).await;
    member.map(drop).map_err(|error| Fault::Failed(error.to_string()))
}

async fn other(home: &Home, role: &'static str, address: &str) -> Result<Node, Fault> {
    let data = home.node(role);
    // It has its credential already, and no `--join`: every process of the machine can read the
    // arguments of every other.
    let mut args: Vec<&OsStr> =
        vec!["--data".as_ref(), data.as_os_str(), "--orchestrator".as_ref(), address.as_ref()];
    let tools = Path::new(CONFIGURATION);
    if role == TOOL_NODE {
        if tools.is_file() {
            args.extend::<[&OsStr; 2]>(["--config".as_ref(), tools.as_os_str()]);
        } else {
            args.push("--here".as_ref());
        }
    }
    Ok(Node::start(home, role, &args).await?.0)
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
