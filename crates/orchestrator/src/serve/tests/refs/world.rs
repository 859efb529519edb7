//! An orchestrator on a disk, with a clock that the test moves, for the clients that a test plays.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use remit_authority::Authority;
use remit_core::audit::{Decision, Record};
use remit_core::reference::{Home, HostKey};
use remit_core::{Event, EventNumber, Identity, Reference, Role, TaskId};
use remit_identity::tls::Purpose;
use remit_journal::SledJournal;
use remit_journal::{Journal as _, MemoryJournal};
use remit_schema::mesh_capnp::mesh;
use remit_vat::connection::Connection;
use tokio::task::LocalSet;

use super::client::Mesh;
use crate::node::{Backends, build_on};
use crate::scheduler::registry::{Lease, ToolOffer};
use crate::serve::bootstrap::serve_role;
use crate::serve::fakes::{config, options, who};
use crate::serve::mesh as mesh_server;
use crate::serve::tests::lab::{Host, Tool, Transport, loopback, manifest};
use crate::services::context::Site;

thread_local! {
    /// How far the clock of this test is ahead.
    static AHEAD_MS: Cell<u64> = const { Cell::new(0) };
}

fn test_clock() -> u64 {
    crate::node::now_ms() + AHEAD_MS.get()
}

type Pair = (Vec<u8>, Vec<u8>);

pub(super) struct World {
    dir: tempfile::TempDir,
    kept: SledJournal,
    journal: Arc<MemoryJournal>,
    transport: Transport,
    seen: Rc<RefCell<Vec<String>>>,
    site: RefCell<Option<(Rc<Site>, Lease)>>,
    held: Rc<RefCell<Vec<Connection>>>,
}

/// Runs one body over both transports.
pub(super) async fn over_both(body: impl AsyncFn(&World)) {
    for transport in [Transport::SameProcess, Transport::Tls] {
        over(transport, &body).await;
    }
}

/// Runs one body over one of them.
pub(super) async fn over(transport: Transport, body: impl AsyncFn(&World)) {
    let run = async {
        let dir = tempfile::tempdir().unwrap();
        let world = World {
            kept: SledJournal::open(&dir.path().join("disk"), 4 << 20).unwrap(),
            dir,
            journal: Arc::new(MemoryJournal::new()),
            transport,
            seen: Rc::default(),
            site: RefCell::default(),
            held: Rc::default(),
        };
        world.restart().await;
        body(&world).await;
    };
    LocalSet::new().run_until(run).await;
}

impl World {
    /// Ends the orchestrator, if it runs, and starts another on the same disk.
    pub(super) async fn restart(&self) {
        for connection in self.held.borrow_mut().drain(..) {
            connection.abort("restart");
        }
        let site = self.site.borrow_mut().take();
        if let Some((site, _)) = site {
            site.tasks.shutdown().await;
        }
        let started = self.start().await;
        *self.site.borrow_mut() = Some(started);
    }

    async fn start(&self) -> (Rc<Site>, Lease) {
        let authority = Authority::load_or_create(&self.dir.path().join("ca"), "home").unwrap();
        let backends = Backends {
            audit: self.kept.audit(Box::new(test_clock)),
            meta: self.kept.meta(),
            authority,
            journal: Arc::<MemoryJournal>::clone(&self.journal),
            now_ms: test_clock,
        };
        let config = config(self.dir.path().to_owned());
        let (site, _) = build_on(backends, &config, "localhost:1".into()).await.unwrap();
        let (path, seen) = (String::new(), Rc::clone(&self.seen));
        let tool = Tool { path, keys: Rc::default(), seen, kept: Rc::default() };
        let host = Host { seen: Rc::clone(&self.seen), ..Host::default() };
        let offer = ToolOffer {
            tools: vec![(manifest(), capnp_rpc::new_client(tool))],
            labels: Vec::new(),
            address: String::new(),
            host: capnp_rpc::new_client(host),
            link: crate::scheduler::registry::Link::Here,
            instance: Vec::new(),
            changed: HashMap::new(),
        };
        let lease = site.registry.register_tools(&who(Role::ToolNode, "one").to_string(), offer);
        (site, lease.unwrap())
    }

    pub(super) fn site(&self) -> Rc<Site> {
        Rc::clone(&self.site.borrow().as_ref().unwrap().0)
    }

    pub(super) fn now_ms(&self) -> u64 {
        test_clock()
    }

    pub(super) fn advance(&self, ms: u64) {
        AHEAD_MS.set(AHEAD_MS.get() + ms);
    }

    pub(super) fn seen(&self) -> Vec<String> {
        self.seen.borrow().clone()
    }

    /// The names of all events of a task.
    pub(super) fn told(&self, task: &str) -> Vec<&'static str> {
        self.events(task, EventNumber(0)).iter().map(|event| event.fact.name()).collect()
    }

    /// The events of a task after this one.
    pub(super) fn events(&self, task: &str, after: EventNumber) -> Vec<Event> {
        let task: TaskId = task.parse().unwrap();
        self.journal.read("default", task, after, 1_000).unwrap()
    }

    /// What the mesh's own audit log says was decided.
    pub(super) fn audited(&self) -> Vec<Decision> {
        self.records().into_iter().map(|record| record.decision).collect()
    }

    /// The mesh's own audit log.
    pub(super) fn records(&self) -> Vec<Record> {
        self.site().audit.read("default", 0, 1_000).unwrap()
    }

    /// Refuses if anything was done at the tool, or anybody was handed anything more.
    pub(super) fn nothing_was_done(&self) {
        assert_eq!(self.seen(), Vec::<String>::new(), "no call reached the tool");
        assert!(!self.audited().contains(&Decision::Restored), "{:?}", self.audited());
    }

    pub(super) async fn stored(&self) -> Vec<Pair> {
        self.site().meta.scan(b"", 10_000).await.unwrap()
    }

    /// The mesh as the client of this name sees it.
    pub(super) fn mesh(&self, name: &str) -> Mesh {
        self.mesh_as(who(Role::Client, name))
    }

    /// The mesh as this client sees it.
    pub(super) fn mesh_as(&self, identity: Identity) -> Mesh {
        let site = self.site();
        let until = SystemTime::now() + Duration::from_secs(3_600);
        let grant = site.members.greet(&identity, None, until).unwrap().grant();
        let mesh = match self.transport {
            Transport::SameProcess => mesh_server::client(site, identity, grant),
            Transport::Tls => {
                let held = Rc::clone(&self.held);
                capnp_rpc::new_future_client(async move {
                    let (ours, theirs) = loopback::connect(&identity, Purpose::Peer).await;
                    let served = serve_role(ours, &site, &identity, grant).unwrap();
                    let (mesh, connection): (mesh::Client, _) =
                        Connection::connect(theirs, None, options());
                    held.borrow_mut().extend([served, connection]);
                    Ok(mesh)
                })
            }
        };
        Mesh::new(mesh)
    }
}

/// A reference that was saved nowhere.
pub(super) fn stranger() -> Reference {
    let home = Home { mesh: "home".into(), tenant: "default".into(), address: String::new() };
    Reference::issue(&HostKey::new([1; 32]), home, [2; 32]).unwrap()
}

/// Makes two tests of each body: in memory, and over mutual TLS on loopback.
macro_rules! must_fail {
    ($($name:ident),+ $(,)?) => {
        mod in_memory {
            $(#[tokio::test]
            async fn $name() {
                use crate::serve::tests::lab::Transport;
                crate::serve::tests::refs::world::over(Transport::SameProcess, super::$name).await;
            })+
        }
        mod over_tls {
            $(#[tokio::test]
            async fn $name() {
                use crate::serve::tests::lab::Transport;
                crate::serve::tests::refs::world::over(Transport::Tls, super::$name).await;
            })+
        }
    };
}

pub(super) use must_fail;
