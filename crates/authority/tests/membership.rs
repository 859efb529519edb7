//! Staying a member: dialling again, and renewing without a gap.
#![expect(clippy::unwrap_used, reason = "a test that unwraps says what it expected")]

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use capnp::capability::Client;
use remit_authority::Authority;
use remit_core::{Identity, Role};
use remit_identity::credential::Credential;
use remit_identity::membership::{CannotJoin, Member};
use remit_identity::tls::Refused;
use remit_schema::join_capnp::credentials;
use remit_schema::peer_capnp::peer;
use remit_schema::tool_node_capnp::tool_node_port;
use remit_vat::connection::{Connection, ConnectionOptions};
use remit_vat::limits::ConnectionLimits;
use tokio::sync::mpsc;
use tokio::task::LocalSet;
use tokio_util::sync::CancellationToken;

/// An orchestrator that only issues certificates.
struct Mesh {
    authority: Authority,
    dir: tempfile::TempDir,
    life: Duration,
    renewals: Cell<usize>,
    dialled: RefCell<Vec<Credential>>,
    served: mpsc::UnboundedSender<Connection>,
}

struct Port(Rc<Mesh>);

impl peer::Server for Port {
    async fn ping(
        self: Rc<Self>,
        _: peer::PingParams,
        _: peer::PingResults,
    ) -> Result<(), capnp::Error> {
        Ok(())
    }
}

impl credentials::Server for Port {
    async fn renew(
        self: Rc<Self>,
        params: credentials::RenewParams,
        mut results: credentials::RenewResults,
    ) -> Result<(), capnp::Error> {
        let mesh = &self.0;
        let request = params.get()?.get_signing_request()?;
        let leaf = mesh.authority.sign(request, &name(), None, mesh.life).unwrap();
        let mut chain = results.get().init_certificate();
        chain.set_leaf(&leaf);
        chain.set_authority(mesh.authority.certificate());
        mesh.renewals.set(mesh.renewals.get() + 1);
        Ok(())
    }
}

impl tool_node_port::Server for Port {
    async fn register(
        self: Rc<Self>,
        _: tool_node_port::RegisterParams,
        _: tool_node_port::RegisterResults,
    ) -> Result<(), capnp::Error> {
        Err(capnp::Error::unimplemented("nothing is registered here".into()))
    }
}

fn name() -> Identity {
    Identity::new("home", "default", Role::ToolNode, "one").unwrap()
}

fn mesh(life: Duration) -> (Rc<Mesh>, mpsc::UnboundedReceiver<Connection>) {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::load_or_create(&dir.path().join("ca"), "home").unwrap();
    authority.issue(&name(), life).unwrap().save(&dir.path().join("node")).unwrap();
    let (served, connections) = mpsc::unbounded_channel();
    let mesh =
        Mesh { authority, dir, life, renewals: Cell::new(0), dialled: RefCell::default(), served };
    (Rc::new(mesh), connections)
}

impl Mesh {
    async fn open(&self) -> Result<Member, CannotJoin> {
        Member::open(&self.dir.path().join("node"), "mesh:7474", None, Role::ToolNode).await
    }

    fn dial(self: &Rc<Self>, credential: Credential) -> (Client, Connection) {
        let options =
            || ConnectionOptions { peer: "the other".into(), limits: ConnectionLimits::default() };
        let (here, there) = tokio::io::duplex(64 << 10);
        let port: tool_node_port::Client = capnp_rpc::new_client(Port(Rc::clone(self)));
        self.dialled.borrow_mut().push(credential);
        self.served.send(Connection::serve(there, port.client, options())).ok();
        Connection::connect(here, None, options())
    }
}

/// Runs `test` while `member` stays connected, with sessions that last as long as their connection.
async fn staying<T>(mesh: &Rc<Mesh>, member: &Member, test: impl Future<Output = T>) -> T {
    let stop = CancellationToken::new();
    let dial = |credential| {
        let made = mesh.dial(credential);
        async { Ok::<_, Refused>(made) }
    };
    let session = |_: tool_node_port::Client, connection: Connection| async move {
        connection.ended().await;
    };
    let testing = async {
        let result = test.await;
        stop.cancel();
        result
    };
    tokio::join!(member.stay_by(dial, &stop, session), testing).1
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_is_made_again() {
    LocalSet::new()
        .run_until(async {
            let (mesh, mut connections) = mesh(Duration::from_secs(86_400));
            let member = mesh.open().await.unwrap();
            staying(&mesh, &member, async {
                for _ in 0..5 {
                    connections.recv().await.unwrap().abort("lost");
                }
                assert!(!connections.recv().await.unwrap().is_closed());
            })
            .await;
            assert_eq!(mesh.renewals.get(), 0);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_certificate_is_replaced_before_the_old_connection_goes() {
    LocalSet::new()
        .run_until(async {
            let (mesh, mut connections) = mesh(Duration::from_secs(3600));
            let member = mesh.open().await.unwrap();
            let first = member.credential();
            staying(&mesh, &member, async {
                let old = connections.recv().await.unwrap();
                let new = connections.recv().await.unwrap();
                assert!(!old.is_closed());
                let why = old.ended().await;
                assert!(why.cause.contains("renewed"), "{why}");
                assert!(!new.is_closed());
            })
            .await;
            let dialled = mesh.dialled.borrow();
            assert_eq!(dialled[0].not_after(), first.not_after());
            assert_eq!(dialled[1].identity(), first.identity());
            let kept = Credential::load(&mesh.dir.path().join("node")).unwrap().unwrap();
            assert_eq!(kept.not_after(), member.credential().not_after());
            assert!(mesh.renewals.get() >= 1);
        })
        .await;
}

#[tokio::test]
async fn a_missing_credential_is_reported_with_the_remedy() {
    let (mesh, _connections) = mesh(Duration::ZERO);
    let expired = mesh.open().await.unwrap_err();
    assert!(matches!(expired, CannotJoin::Expired(_)), "{expired}");
    let none = Member::open(&mesh.dir.path().join("none"), "mesh:7474", None, Role::ToolNode)
        .await
        .unwrap_err();
    assert!(matches!(none, CannotJoin::NoCredential(_)), "{none}");
    assert!(none.to_string().contains("remit invite"));
}
