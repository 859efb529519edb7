//! Real mutual TLS on loopback, both ends in this process.

use std::sync::OnceLock;
use std::time::Duration;

use remit_authority::Authority;
use remit_core::{Identity, Role};
use remit_identity::credential::Credential;
use remit_identity::tls::{Acceptor, Purpose, dial};
use remit_schema::object_capnp::object;
use remit_vat::connection::{Connection, ConnectionOptions};
use remit_vat::limits::ConnectionLimits;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;

use super::super::super::fakes::{options, who};

/// How long a handshake may take on a machine that is busy with other tests.
const HANDSHAKE: Duration = Duration::from_secs(60);

/// What is made once for all tests: the authority of the mesh, and its orchestrator's end.
struct Home {
    authority: Authority,
    acceptor: Acceptor,
}

fn home() -> &'static Home {
    static HOME: OnceLock<Home> = OnceLock::new();
    HOME.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::load_or_create(&dir.path().join("ca"), "home").unwrap();
        let own = credential(&authority, &who(Role::Orchestrator, "one"));
        let roles = [Role::Client, Role::AgentNode, Role::ToolNode];
        Home { acceptor: Acceptor::new(&own, &roles).unwrap(), authority }
    })
}

fn credential(authority: &Authority, who: &Identity) -> Credential {
    authority.issue(who, Duration::from_secs(3_600)).unwrap()
}

/// One end of a connection.
pub(in super::super) trait Wire: AsyncRead + AsyncWrite + Unpin + 'static {}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Wire for S {}

/// Two ends of a connection on which `peer` proved who it is: the orchestrator's, and the peer's.
pub(in super::super) async fn connect(peer: &Identity, purpose: Purpose) -> (impl Wire, impl Wire) {
    let home = home();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let credential = credential(&home.authority, peer);
    let accept = async {
        let (tcp, _) = listener.accept().await.unwrap();
        home.acceptor.accept(tcp, HANDSHAKE).await.unwrap()
    };
    let (accepted, dialled) = tokio::join!(accept, dial(&address, &credential, purpose, HANDSHAKE));
    let (stream, server) = dialled.unwrap();
    assert_eq!(server.role(), Role::Orchestrator);
    assert_eq!(accepted.peer.unwrap().0, *peer, "it is who it says");
    (accepted.stream, stream)
}

/// An object of the tool node `one`, as the orchestrator holds it.
pub(super) fn served_by_a_node(root: object::Client) -> object::Client {
    capnp_rpc::new_future_client(async move { Ok(dialled(root).await) })
}

/// The same, when the connection stands: what is called on it goes straight to capnp-rpc's own
/// client, as it does where a node has registered.
pub(in super::super) async fn dialled(root: object::Client) -> object::Client {
    let (near, far) = connect(&who(Role::ToolNode, "one"), Purpose::Peer).await;
    wired(root, near, far)
}

/// The same, over a pipe in this process.
pub(in super::super) fn piped(root: object::Client) -> object::Client {
    let (near, far) = tokio::io::duplex(64 << 10);
    wired(root, near, far)
}

fn wired(root: object::Client, near: impl Wire, far: impl Wire) -> object::Client {
    // The tool's object answers no ping, as a node's port would.
    let unwatched = || ConnectionOptions { limits: ConnectionLimits::attempt(), ..options() };
    Connection::serve(far, root.client, unwatched());
    Connection::connect(near, None, unwatched()).0
}
