//! A tool node, the orchestrator that introduces agent nodes to it, and those at its port. One body,
//! two transports: in memory, and over mutual TLS on loopback.

mod another_tool_node;
mod caveats;
mod revoked;
mod ticket_forged;
mod ticket_of_another;
mod ticket_too_late;
mod ticket_twice;
mod token_of_another;
mod token_twice;

use std::rc::Rc;
use std::time::Duration;

use remit_authority::Authority;
use remit_core::grant::text::GrantText;
use remit_core::{Failure, Identity, Role, Value};
use remit_identity::membership::Member;
use remit_identity::ticket;
use remit_identity::tls::{self, Acceptor, DIRECT_ACCEPTED};
use remit_schema::direct_capnp::direct_port;
use remit_schema::object_capnp::object;
use remit_schema::tool_node_capnp::introduction;
use remit_vat::connection::{Connection, ConnectionOptions, within};
use remit_vat::exception::to_failure;
use remit_vat::limits::ConnectionLimits;
use remit_vat::wire;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::desk::{self, Desk, request, vat_for};
use super::lab::{Lab, tool};
use crate::limits;
use crate::node::Node;

/// How long an answer may take on a machine that is busy with other tests.
const SOON: Duration = Duration::from_secs(60);

/// A test that takes as long waits for something that does not come. One lets a ticket's time pass.
const HANGS: Duration = Duration::from_secs(150);

/// How everyone reaches the tool node.
#[derive(Debug, Clone, Copy)]
enum Transport {
    Memory,
    Tls,
}

/// A tool node that runs, as everyone else sees it.
struct Site {
    desk: Desk,
    lab: Rc<Lab>,
    door: Door,
    _dir: tempfile::TempDir,
}

/// Where agent nodes come in.
enum Door {
    Memory(Rc<Node>),
    Tls { address: String, authority: Box<Authority> },
}

/// What the orchestrator has of an introduction.
struct Introduced {
    ticket: [u8; 32],
    object: object::Client,
    lease: introduction::Client,
}

/// What an agent node has of it.
struct Direct {
    port: direct_port::Client,
    connection: Connection,
}

/// How a call was answered that says `direct`.
#[derive(Debug)]
enum Answer {
    Value(Value<u32>),
    /// With the token for a value that was kept.
    Kept(Vec<u8>),
}

fn who(role: Role, name: &str) -> Identity {
    Identity::new("home", "default", role, name).unwrap()
}

impl Site {
    async fn start(transport: Transport) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let lab = Rc::<Lab>::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let node = Node::open(vec![tool(&lab)], vec![], &dir.path().join("ledger")).await.unwrap();
        let bodies = dir.path().join("bodies");
        let node = Rc::new(node.listening(listener, address.clone(), &bodies).await.unwrap());
        let (desk, door) = match transport {
            Transport::Memory => (desk::connect(&node).await, Door::Memory(node)),
            Transport::Tls => {
                let authority = Authority::load_or_create(&dir.path().join("ca"), "home").unwrap();
                let desk = registered(&authority, node, dir.path()).await;
                (desk, Door::Tls { address, authority: Box::new(authority) })
            }
        };
        Self { desk, lab, door, _dir: dir }
    }

    /// Has the tool node expect an agent node, for the chain of grants with these caveats and the
    /// way from the root of each to that of the first.
    async fn introduce(&self, agent: &Identity, links: &[(&str, &str)]) -> Introduced {
        let ticket = ticket::fresh();
        let mut asked = self.desk.host.introduce_request();
        let mut spec = asked.get().init_spec();
        spec.set_ticket_hash(&ticket::hash(&ticket));
        spec.set_agent(agent.to_string());
        spec.set_tool("lab");
        spec.set_version("1.0.0");
        let mut list = spec.init_links(u32::try_from(links.len()).unwrap());
        for (at, (caveats, way)) in (0..).zip(links) {
            let caveats = GrantText::parse(&format!("lab?{caveats}"), 0).unwrap().caveats;
            let mut link = list.reborrow().get(at);
            link.set_way(way);
            let mut into = link.init_caveats(u32::try_from(caveats.len()).unwrap());
            for (at, caveat) in (0..).zip(&caveats) {
                wire::event::write_caveat(into.reborrow().get(at), caveat);
            }
        }
        let answer = within(SOON, asked.send()).await.unwrap();
        let answer = answer.get().unwrap();
        let (lease, object) = (answer.get_introduction().unwrap(), answer.get_object().unwrap());
        Introduced { ticket, object, lease }
    }

    /// Has it expect an agent node without any caveats.
    async fn expect(&self, agent: &str) -> Introduced {
        self.introduce(&who(Role::AgentNode, agent), &[]).await
    }

    /// Comes in as `who` and shows this. `None`: it is refused.
    async fn show(&self, who: &Identity, shown: &[u8]) -> Option<Direct> {
        match &self.door {
            Door::Memory(node) => {
                let (near, far) = tokio::io::duplex(64 << 10);
                let (node, who) = (Rc::clone(node), who.clone());
                tokio::task::spawn_local(async move { node.serve_introduced(far, &who).await });
                meet(near, shown).await
            }
            Door::Tls { address, authority } => {
                let own = authority.issue(who, Duration::from_secs(3_600)).unwrap();
                let node = super::introduced::who(Role::ToolNode, "one").to_string();
                let dialled = tls::dial_introduced((address, &node), &own, shown, SOON).await;
                meet(dialled.ok()?, shown).await
            }
        }
    }

    /// Comes in as an agent node. `None`: it is refused.
    async fn dial(&self, agent: &str, ticket: &[u8; 32]) -> Option<Direct> {
        self.show(&who(Role::AgentNode, agent), ticket).await
    }

    /// An agent node that was introduced and has come, for a call that is not held to anything.
    async fn met(&self, agent: &str) -> (Introduced, Direct) {
        let introduced = self.expect(agent).await;
        let direct = self.dial(agent, &introduced.ticket).await.unwrap();
        (introduced, direct)
    }
}

/// The orchestrator's end of a node that joined a mesh and serves agent nodes at its port.
async fn registered(authority: &Authority, node: Rc<Node>, dir: &std::path::Path) -> Desk {
    let issue = |role| authority.issue(&who(role, "one"), Duration::from_secs(3_600)).unwrap();
    let identity = dir.join("identity");
    issue(Role::ToolNode).save(&identity).unwrap();
    let acceptor = Acceptor::new(&issue(Role::Orchestrator), &[Role::ToolNode]).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::task::spawn_local(async move {
        let member = Member::open(&identity, &address, None, Role::ToolNode).await.unwrap();
        crate::run(&member, &node, std::future::pending()).await;
    });
    let accepted = acceptor.accept(listener.accept().await.unwrap().0, SOON).await.unwrap();
    Desk::serve(accepted.stream).await
}

/// Shows a ticket, as an agent node does. `None`: the tool node hung up.
async fn meet<S>(mut stream: S, shown: &[u8]) -> Option<Direct>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    stream.write_all(shown).await.ok()?;
    stream.flush().await.ok()?;
    if shown.len() < 32 {
        stream.shutdown().await.ok()?;
    }
    let answer = tokio::time::timeout(SOON, stream.read_u8()).await.expect("it answers");
    assert_eq!(answer.ok()?, DIRECT_ACCEPTED);
    let options = ConnectionOptions { peer: "node".into(), limits: ConnectionLimits::attempt() };
    let (port, connection) = Connection::connect(stream, None, options);
    Some(Direct { port, connection })
}

impl Direct {
    /// The value for a token.
    async fn body(&self, token: &[u8]) -> Result<Value<u32>, Failure> {
        let mut request = self.port.body_request();
        request.get().set_token(token);
        let answer = within(SOON, request.send()).await?;
        let answer = answer.get().map_err(|error| to_failure(&error))?;
        Ok(wire::value::read(answer.get_value().unwrap()).unwrap().0)
    }
}

/// Makes a call that says `direct`, under this key.
async fn call(
    on: &object::Client,
    method: &str,
    args: Value<u32>,
    key: &[u8],
) -> Result<Answer, Failure> {
    let mut asked = request(on, method, &args, key);
    asked.get().set_direct(true);
    let answer = within(SOON, asked.send()).await?;
    let answer = answer.get().map_err(|error| to_failure(&error))?;
    if answer.has_kept() {
        return Ok(Answer::Kept(answer.get_kept().unwrap().get_token().unwrap().to_vec()));
    }
    if answer.has_refused() {
        return Err(wire::outcome::read_failure(answer.get_refused().unwrap()).unwrap());
    }
    Ok(Answer::Value(wire::value::read(answer.get_value().unwrap()).unwrap().0))
}

fn size(bytes: usize) -> Value<u32> {
    Value::Fields(vec![("bytes".into(), Value::Integer(i64::try_from(bytes).unwrap()))])
}

/// The token for a value that stays with the tool node.
async fn kept(on: &object::Client, key: &[u8]) -> Vec<u8> {
    match call(on, "large", size(limits::KEPT_FROM_BYTES), key).await.unwrap() {
        Answer::Kept(token) => token,
        Answer::Value(_) => panic!("it was not kept"),
    }
}

/// Runs one body over one transport.
fn over<F: Future<Output = ()>>(transport: Transport, body: impl FnOnce(Site) -> F) {
    vat_for(HANGS, async move { body(Site::start(transport).await).await });
}

/// Makes two tests of each body: in memory, and over mutual TLS on loopback.
macro_rules! over_both_transports {
    ($($name:ident),+ $(,)?) => {
        mod in_memory {
            $(#[test]
            fn $name() {
                use crate::serve::tests::introduced::{Transport, over};
                over(Transport::Memory, super::$name);
            })+
        }
        mod over_tls {
            $(#[test]
            fn $name() {
                use crate::serve::tests::introduced::{Transport, over};
                over(Transport::Tls, super::$name);
            })+
        }
    };
}

use over_both_transports;
