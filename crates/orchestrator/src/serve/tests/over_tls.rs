//! A whole orchestrator behind its TCP port: joining, connecting, registering; and its end.

use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use remit_authority::Authority;
use remit_core::Role;
use remit_identity::join::{Invite, redeem};
use remit_identity::limits;
use remit_identity::membership::Member;
use remit_identity::tls::{Purpose, dial, dial_attempt};
use remit_schema::mesh_capnp::mesh;
use remit_schema::tool_node_capnp::tool_node_port;
use remit_vat::connection::{Connection, within};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, LocalSet};
use tokio_util::sync::CancellationToken;

use super::{SOON, ping, register_tools};
use crate::node::{self, CannotServe};
use crate::serve::fakes::Granted as _;
use crate::serve::fakes::{config, who};

struct Running {
    address: String,
    stop: CancellationToken,
    end: JoinHandle<Result<(), CannotServe>>,
}

async fn start(dir: &Path) -> Running {
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap().to_string();
    let mut config = config(dir.join("data"));
    config.bootstrap_dir = Some(dir.join("invites"));
    std::fs::create_dir_all(dir.join("invites")).unwrap();
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let end = tokio::task::spawn_local(async move { node::run(&config, tcp, stopped).await });
    Running { address, stop, end }
}

impl Running {
    async fn stop(self) {
        self.stop.cancel();
        self.end.await.unwrap().unwrap();
    }
}

/// The invite for the first administrator, once it is there.
async fn first_invite(dir: &Path) -> Invite {
    let file = dir.join("invites/client.invite");
    loop {
        match std::fs::read_to_string(&file).map(|line| line.parse::<Invite>()) {
            Ok(Ok(invite)) => return invite,
            // The commit thread is at work; the vat has nothing else to wait for.
            _ => tokio::task::yield_now().await,
        }
    }
}

/// Joins as the first administrator.
async fn join(dir: &Path) -> Rc<Member> {
    let invite = first_invite(dir).await;
    let folder = dir.join("client");
    Rc::new(Member::open(&folder, "", Some(&invite), Role::Client).await.unwrap())
}

/// An invite that this client makes.
async fn invited(mesh: &mesh::Client, role: Role, name: &str) -> Invite {
    let mut request = mesh.members().invite_request();
    request.get().set_role(role.as_str());
    request.get().set_name(name);
    request.get().set_ttl_ms(60_000);
    let response = within(SOON, request.send()).await.unwrap();
    response.get().unwrap().get_line().unwrap().to_str().unwrap().parse().unwrap()
}

async fn connect<C: capnp::capability::FromClientHook>(member: &Member) -> (C, Connection) {
    member.connect().await.unwrap()
}

async fn states(mesh: &mesh::Client) -> Vec<(String, String)> {
    let nodes = within(SOON, mesh.nodes_request().send()).await.unwrap();
    let nodes = nodes.get().unwrap().get_nodes().unwrap();
    let text =
        |text: capnp::Result<capnp::text::Reader<'_>>| text.unwrap().to_str().unwrap().to_owned();
    nodes.iter().map(|node| (text(node.get_identity()), text(node.get_state()))).collect()
}

#[tokio::test]
async fn members_join_connect_and_register_and_are_known_after_a_restart() {
    let work = async {
        let dir = tempfile::tempdir().unwrap();
        let running = start(dir.path()).await;
        let client = join(dir.path()).await;
        let (mesh, _held) = connect::<mesh::Client>(&client).await;
        let invite = invited(&mesh, Role::ToolNode, "local").await;
        let folder = dir.path().join("node");
        let node = Member::open(&folder, "", Some(&invite), Role::ToolNode).await.unwrap();
        let (port, _node) = connect::<tool_node_port::Client>(&node).await;
        let _registration = register_tools(&port, &[("fs", "1")]).await.unwrap();
        let expected = (node.identity().to_string(), "connected".to_owned());
        assert_eq!(states(&mesh).await, [expected]);
        running.stop().await;
        assert!(ping(&mesh.client).await.is_err());

        let again = start(dir.path()).await;
        let (stream, _) =
            dial(&again.address, &client.credential(), Purpose::Peer, SOON).await.unwrap();
        let (mesh, _held): (mesh::Client, _) =
            Connection::connect(stream, None, crate::serve::fakes::options());
        assert_eq!(states(&mesh).await, []);
        let health = within(SOON, mesh.health_request().send()).await.unwrap();
        let health = health.get().unwrap().get_health().unwrap();
        assert_eq!(health.get_journal().unwrap(), "ok");
        again.stop().await;
    };
    LocalSet::new().run_until(work).await;
}

#[tokio::test]
async fn an_invite_from_the_mesh_works_once() {
    let work = async {
        let dir = tempfile::tempdir().unwrap();
        let running = start(dir.path()).await;
        let client = join(dir.path()).await;
        let (mesh, _held) = connect::<mesh::Client>(&client).await;
        let invite = invited(&mesh, Role::ToolNode, "builds").await;
        let redeem = || redeem(&invite, Role::ToolNode, SOON);
        let (one, two) = tokio::join!(redeem(), redeem());
        let (joined, refused) = if one.is_ok() { (one, two) } else { (two, one) };
        assert_eq!(*joined.unwrap().identity(), who(Role::ToolNode, "builds"));
        let why = refused.unwrap_err();
        assert!(why.0.contains("it was used"), "{why}");
        running.stop().await;
    };
    LocalSet::new().run_until(work).await;
}

#[tokio::test]
async fn an_invite_for_a_role_or_a_time_that_cannot_be_is_refused() {
    let work = async {
        let dir = tempfile::tempdir().unwrap();
        let running = start(dir.path()).await;
        let client = join(dir.path()).await;
        let (mesh, _held) = connect::<mesh::Client>(&client).await;
        for (role, name, ttl_ms) in [
            ("orchestrator", "two", 60_000),
            ("king", "two", 60_000),
            ("client", "../two", 60_000),
            ("client", "two", 0),
            ("client", "two", u64::MAX),
        ] {
            let mut request = mesh.members().invite_request();
            request.get().set_role(role);
            request.get().set_name(name);
            request.get().set_ttl_ms(ttl_ms);
            let refused = within(SOON, request.send()).await.err().unwrap();
            assert_eq!(refused.code, remit_core::Code::InvalidArgument, "{role} {name} {ttl_ms}");
        }
        running.stop().await;
    };
    LocalSet::new().run_until(work).await;
}

#[tokio::test]
async fn peer_of_another_authority_gets_no_object() {
    let work = async {
        let dir = tempfile::tempdir().unwrap();
        let running = start(dir.path()).await;
        let other = Authority::load_or_create(&dir.path().join("other"), "home").unwrap();
        let forged = other.issue(&who(Role::Client, "me"), SOON).unwrap();
        assert!(dial(&running.address, &forged, Purpose::Peer, SOON).await.is_err());
        // It trusts this mesh, and only its own certificate is forged: TLS 1.3 lets the client
        // finish first, and then the connection ends without an answer.
        let trusted = std::fs::read(dir.path().join("data/authority/authority.der")).unwrap();
        let forged = forged.trusting(trusted);
        if let Ok((mut stream, _)) = dial(&running.address, &forged, Purpose::Peer, SOON).await {
            let mut answer = Vec::new();
            let reading = stream.read_to_end(&mut answer);
            let _cut = tokio::time::timeout(SOON, reading).await.expect("it is cut off");
            assert!(answer.is_empty());
        }
        running.stop().await;
    };
    LocalSet::new().run_until(work).await;
}

#[tokio::test]
async fn second_orchestrator_on_one_folder_is_refused() {
    let work = async {
        let dir = tempfile::tempdir().unwrap();
        let running = start(dir.path()).await;
        let _ready = first_invite(dir.path()).await;
        let second = start(dir.path()).await;
        let error = second.end.await.unwrap().unwrap_err();
        let (kind, said) = (matches!(error, CannotServe::Journal(_)), error.to_string());
        assert!(kind && said.contains(&dir.path().display().to_string()), "{said}");
        running.stop().await;
    };
    LocalSet::new().run_until(work).await;
}

#[tokio::test]
async fn the_first_invite_is_alone_for_its_owner_and_gone_when_it_was_used() {
    use std::os::unix::fs::PermissionsExt as _;
    let work = async {
        let dir = tempfile::tempdir().unwrap();
        let invites = dir.path().join("invites");
        let running = start(dir.path()).await;
        let used = first_invite(dir.path()).await;
        let left = || -> Vec<_> {
            let files = std::fs::read_dir(&invites).unwrap();
            files.map(|file| file.unwrap().file_name()).collect()
        };
        assert_eq!(left(), ["client.invite"], "one, and none for nodes");
        let mode = std::fs::metadata(invites.join("client.invite")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let _client = join(dir.path()).await;
        while !left().is_empty() {
            tokio::task::yield_now().await;
        }
        let again = redeem(&used, Role::Client, SOON).await.unwrap_err();
        assert!(again.0.contains("it was used"), "{again}");
        running.stop().await;

        let running = start(dir.path()).await;
        let _up = dial_when_up(&running.address).await;
        assert_eq!(left(), Vec::<std::ffi::OsString>::new(), "the mesh has an administrator");
        running.stop().await;
    };
    LocalSet::new().run_until(work).await;
}

/// Waits until the orchestrator accepts.
async fn dial_when_up(address: &str) -> tokio::net::TcpStream {
    loop {
        if let Ok(stream) = tokio::net::TcpStream::connect(address).await {
            return stream;
        }
    }
}

#[tokio::test]
async fn an_invite_for_another_role_or_folder_is_not_burnt() {
    let work = async {
        let dir = tempfile::tempdir().unwrap();
        let running = start(dir.path()).await;
        let client = join(dir.path()).await;
        let (mesh, _held) = connect::<mesh::Client>(&client).await;
        let invite = invited(&mesh, Role::Client, "carol").await;
        let folder = dir.path().join("node");
        let wrong = Member::open(&folder, "", Some(&invite), Role::ToolNode).await.unwrap_err();
        assert!(wrong.to_string().contains("is for a client"), "{wrong}");
        let file = dir.path().join("file");
        std::fs::write(&file, "in the way").unwrap();
        let wrong = Member::open(&file.join("in"), "", Some(&invite), Role::Client).await;
        assert!(wrong.is_err());
        let carol = redeem(&invite, Role::Client, SOON).await.unwrap();
        assert_eq!(*carol.identity(), who(Role::Client, "carol"));
        running.stop().await;
    };
    LocalSet::new().run_until(work).await;
}

#[tokio::test]
async fn a_renewed_orchestrator_is_still_trusted() {
    let work = async {
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(dir.path().join("data"));
        config.certificate_seconds = 2;
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap().to_string();
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let data = config.data.clone();
        let end = tokio::task::spawn_local(async move { node::run(&config, tcp, stopped).await });
        tokio::task::yield_now().await;
        let authority = Authority::load_or_create(&data.join("authority"), "home").unwrap();
        let me = authority.issue(&who(Role::Client, "me"), Duration::from_secs(60)).unwrap();
        let connect = async || {
            let (stream, _) = dial(&address, &me, Purpose::Peer, SOON).await.unwrap();
            Connection::connect::<mesh::Client, _>(stream, None, crate::serve::fakes::options())
        };
        let ends_ms = async |mesh: &mesh::Client| {
            let health = within(SOON, mesh.health_request().send()).await.unwrap();
            health.get().unwrap().get_health().unwrap().get_certificate_ends_ms()
        };
        let (mesh, _held) = connect().await;
        let first = ends_ms(&mesh).await;
        while ends_ms(&mesh).await == first {}
        let (mesh, _held) = connect().await;
        assert!(ends_ms(&mesh).await > first);
        stop.cancel();
        end.await.unwrap().unwrap();
    };
    LocalSet::new().run_until(work).await;
}

/// Connects again and again, says nothing, and keeps what it has, until it is dropped.
fn silent_strangers(address: &str, most: usize) -> tokio_util::task::AbortOnDropHandle<()> {
    let address = address.to_owned();
    let flood = async move {
        let mut held = std::collections::VecDeque::new();
        loop {
            if let Ok(stream) = tokio::net::TcpStream::connect(&address).await {
                held.push_back(stream);
            }
            if held.len() > most {
                held.pop_front();
            }
            tokio::task::yield_now().await;
        }
    };
    tokio_util::task::AbortOnDropHandle::new(tokio::task::spawn_local(flood))
}

#[tokio::test]
async fn silent_strangers_do_not_keep_members_or_joiners_out() {
    let work = async {
        let dir = tempfile::tempdir().unwrap();
        let running = start(dir.path()).await;
        let client = join(dir.path()).await;
        let (mesh, _held) = connect::<mesh::Client>(&client).await;
        let invite = invited(&mesh, Role::AgentNode, "late").await;
        let _flood = silent_strangers(&running.address, 300);
        for _ in 0..400 {
            tokio::task::yield_now().await;
        }
        // All places would be held for as long as a handshake may take.
        let soon = limits::HANDSHAKE / 2;
        let dialled = dial(&running.address, &client.credential(), Purpose::Peer, soon).await;
        assert!(dialled.is_ok(), "{:?}", dialled.err());
        let credential = client.credential();
        let attempt = dial_attempt(&running.address, &credential, &[1; 32], soon).await;
        assert!(attempt.is_ok(), "{:?}", attempt.err());
        let joined = redeem(&invite, Role::AgentNode, soon).await;
        assert!(joined.is_ok(), "a joiner is a stranger too, and is let in all the same");
        running.stop().await;
    };
    LocalSet::new().run_until(work).await;
}
