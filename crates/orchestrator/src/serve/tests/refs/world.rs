//! An orchestrator on a disk, with a clock that the test moves, and its clients.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use remit_core::audit::{Decision, Record};
use remit_core::reference::{Home, HostKey};
use remit_core::{Event, EventNumber, Failure, Identity, Reference, Role, TaskId, Value};
use remit_schema::mesh_capnp::{event_sink, mesh, task};
use remit_schema::object_capnp::object;
use remit_schema::reference_capnp::ref_spec;
use remit_vat::authority::Authority;
use remit_vat::connection::Connection;
use remit_vat::disk::Disk;
use remit_vat::exception::to_failure;
use remit_vat::tls::Purpose;
use remit_vat::wire;
use tokio::task::LocalSet;

use super::super::lab::{Host, Tool, Transport, loopback, manifest};
use crate::audit::Audit;
use crate::journal::{Journal as _, MemoryJournal};
use crate::node::{Ground, build_on};
use crate::registry::{Lease, ToolOffer};
use crate::serve::bootstrap::serve_role;
use crate::serve::fakes::{config, options, who};
use crate::serve::mesh::MeshServer;
use crate::site::Site;

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
    disk: Disk,
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
            disk: Disk::open(&dir.path().join("disk"), 4 << 20).unwrap(),
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
        *self.site.borrow_mut() = Some(self.start());
    }

    fn start(&self) -> (Rc<Site>, Lease) {
        let disk = self.disk.clone();
        let authority = Authority::load_or_create(&self.dir.path().join("ca"), "home").unwrap();
        let ground = Ground {
            audit: Audit::new(disk.clone(), Box::new(test_clock)),
            disk,
            authority,
            journal: Arc::<MemoryJournal>::clone(&self.journal),
            now_ms: test_clock,
        };
        let config = config(self.dir.path().to_owned());
        let (site, _) = build_on(ground, &config, "localhost:1".into()).unwrap();
        let (path, seen) = (String::new(), Rc::clone(&self.seen));
        let tool = Tool { path, keys: Rc::default(), seen, kept: Rc::default() };
        let host = Host { seen: Rc::clone(&self.seen), ..Host::default() };
        let offer = ToolOffer {
            tools: vec![(manifest(), capnp_rpc::new_client(tool))],
            labels: Vec::new(),
            address: String::new(),
            host: capnp_rpc::new_client(host),
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

    pub(super) fn stored(&self) -> Vec<Pair> {
        self.site().disk.scan(b"", b"", 10_000).unwrap()
    }

    /// The mesh as the client of this name sees it.
    pub(super) fn mesh(&self, name: &str) -> Mesh {
        self.mesh_as(who(Role::Client, name))
    }

    /// The mesh as this client sees it.
    pub(super) fn mesh_as(&self, identity: Identity) -> Mesh {
        let site = self.site();
        let mesh = match self.transport {
            Transport::SameProcess => capnp_rpc::new_client(MeshServer::new(site, identity)),
            Transport::Tls => {
                let held = Rc::clone(&self.held);
                capnp_rpc::new_future_client(async move {
                    let (ours, theirs) = loopback::connect(&identity, Purpose::Peer).await;
                    let served = serve_role(ours, &site, &identity).unwrap();
                    let (mesh, connection): (mesh::Client, _) =
                        Connection::connect(theirs, None, options());
                    held.borrow_mut().extend([served, connection]);
                    Ok(mesh)
                })
            }
        };
        Mesh(mesh)
    }
}

/// A reference that was saved nowhere.
pub(super) fn stranger() -> Reference {
    let home = Home { mesh: "home".into(), tenant: "default".into(), address: String::new() };
    Reference::issue(&HostKey::new([1; 32]), home, [2; 32]).unwrap()
}

#[derive(Clone)]
pub(super) struct Spec {
    pub(super) label: &'static str,
    /// The name of a client; empty: who saves.
    pub(super) owner: &'static str,
    pub(super) until_ms: u64,
    pub(super) unused_ms: u64,
    pub(super) viewer: bool,
}

impl Spec {
    pub(super) const fn new(label: &'static str) -> Self {
        Self { label, owner: "", until_ms: 0, unused_ms: 0, viewer: false }
    }

    fn write(&self, mut spec: ref_spec::Builder<'_>) {
        spec.set_label(self.label);
        if !self.owner.is_empty() {
            spec.set_owner(who(Role::Client, self.owner).to_string());
        }
        spec.set_until_ms(self.until_ms);
        spec.set_unused_ms(self.unused_ms);
        spec.set_viewer(self.viewer);
    }
}

pub(super) struct Mesh(mesh::Client);

/// What was restored.
pub(super) struct Live {
    task: Option<Held>,
    object: Option<object::Client>,
}

impl Live {
    pub(super) fn task(self) -> Held {
        assert!(self.object.is_none());
        self.task.unwrap()
    }

    pub(super) fn object(self) -> object::Client {
        assert!(self.task.is_none());
        self.object.unwrap()
    }
}

impl Mesh {
    pub(super) async fn create(&self) -> Held {
        self.create_with(&[]).await
    }

    /// A task whose one grant has these caveats.
    pub(super) async fn create_with(&self, caveats: &[&str]) -> Held {
        let mut request = self.0.create_task_request();
        let mut spec = request.get().init_spec();
        spec.set_name("test");
        spec.set_agent("script");
        spec.set_entry("main.js");
        let mut file = spec.reborrow().init_source(1).get(0);
        file.set_path("main.js");
        file.set_text("export default async () => 1");
        let mut grant = spec.init_grants(1).get(0);
        grant.set_name("lab");
        let mut list = grant.reborrow().init_caveats(u32::try_from(caveats.len()).unwrap());
        for (at, caveat) in (0..).zip(caveats) {
            let caveat = remit_core::grant::text::parse_caveat(caveat, 0).unwrap();
            wire::event::write_caveat(list.reborrow().get(at), &caveat);
        }
        grant.init_tool().set_tool("lab");
        let response = request.send().promise.await.unwrap();
        let created = response.get().unwrap();
        let id = created.get_id().unwrap().to_str().unwrap().to_owned();
        Held { task: created.get_task().unwrap(), id }
    }

    pub(super) async fn restore(&self, reference: &Reference) -> Result<Live, Failure> {
        self.restore_bytes(&reference.to_bytes()).await
    }

    pub(super) async fn restore_bytes(&self, bytes: &[u8]) -> Result<Live, Failure> {
        let mut request = self.0.restore_request();
        request.get().set_ref(bytes);
        let response = request.send().promise.await.map_err(|error| to_failure(&error))?;
        let results = response.get().unwrap();
        let id = results.get_info().unwrap().get_task().unwrap().to_str().unwrap().to_owned();
        let task = results.has_task().then(|| Held { task: results.get_task().unwrap(), id });
        let object = results.has_object().then(|| results.get_object().unwrap());
        Ok(Live { task, object })
    }

    pub(super) async fn revoke(&self, reference: &Reference) -> Result<(), Failure> {
        let mut request = self.0.revoke_ref_request();
        request.get().set_id(reference.id().to_string());
        request.send().promise.await.map(|_| ()).map_err(|error| to_failure(&error))
    }

    /// Id, label, state and uses of all that was saved.
    pub(super) async fn refs(&self) -> Vec<(String, String, String, u64)> {
        let response = self.0.refs_request().send().promise.await.unwrap();
        let text = |text: capnp::Result<capnp::text::Reader<'_>>| {
            text.unwrap().to_str().unwrap().to_owned()
        };
        let list = response.get().unwrap().get_refs().unwrap();
        let one = |info: remit_schema::reference_capnp::ref_info::Reader<'_>| {
            (text(info.get_id()), text(info.get_label()), text(info.get_state()), info.get_uses())
        };
        list.iter().map(one).collect()
    }
}

/// A task as its holder has it.
pub(super) struct Held {
    task: task::Client,
    pub(super) id: String,
}

impl Held {
    pub(super) async fn save(&self, spec: Spec) -> Result<Reference, Failure> {
        let mut request = self.task.save_request();
        spec.write(request.get().init_spec());
        let response = request.send().promise.await.map_err(|error| to_failure(&error))?;
        Ok(Reference::from_bytes(response.get().unwrap().get_ref().unwrap()).unwrap())
    }

    /// The same for whoever this says.
    pub(super) async fn save_for(&self, owner: &str, spec: Spec) -> Result<Reference, Failure> {
        let mut request = self.task.save_request();
        let mut written = request.get().init_spec();
        spec.write(written.reborrow());
        written.set_owner(owner);
        let response = request.send().promise.await.map_err(|error| to_failure(&error))?;
        Ok(Reference::from_bytes(response.get().unwrap().get_ref().unwrap()).unwrap())
    }

    pub(super) async fn save_grant(&self, grant: u32, spec: Spec) -> Result<Reference, Failure> {
        let mut request = self.task.save_grant_request();
        request.get().set_grant(grant);
        spec.write(request.get().init_spec());
        let response = request.send().promise.await.map_err(|error| to_failure(&error))?;
        Ok(Reference::from_bytes(response.get().unwrap().get_ref().unwrap()).unwrap())
    }

    pub(super) async fn info(&self) -> Result<String, Failure> {
        let response = self.task.info_request().send().promise.await;
        let response = response.map_err(|error| to_failure(&error))?;
        let info = response.get().unwrap().get_info().unwrap();
        Ok(info.get_id().unwrap().to_str().unwrap().to_owned())
    }

    pub(super) async fn grants(&self) -> Result<u32, Failure> {
        let response = self.task.grants_request().send().promise.await;
        let response = response.map_err(|error| to_failure(&error))?;
        Ok(response.get().unwrap().get_grants().unwrap().len())
    }

    pub(super) fn result(&self) -> impl Future<Output = Result<(), Failure>> + use<> {
        let promise = self.task.result_request().send().promise;
        async move {
            let response = promise.await.map_err(|error| to_failure(&error))?;
            let outcome = response.get().unwrap().get_outcome().unwrap();
            match wire::outcome::read(outcome).unwrap().0 {
                remit_core::Outcome::Value { .. } => Ok(()),
                remit_core::Outcome::Failure(failure) => Err(failure),
            }
        }
    }

    pub(super) async fn send(&self) -> Result<(), Failure> {
        let mut request = self.task.send_request();
        request.get().init_value().set_null(());
        request.send().promise.await.map(|_| ()).map_err(|error| to_failure(&error))
    }

    pub(super) async fn cancel(&self) -> Result<(), Failure> {
        let request = self.task.cancel_request();
        request.send().promise.await.map(|_| ()).map_err(|error| to_failure(&error))
    }

    pub(super) async fn pause(&self) -> Result<(), Failure> {
        let request = self.task.pause_request();
        request.send().promise.await.map(|_| ()).map_err(|error| to_failure(&error))
    }

    pub(super) async fn revoke(&self, grant: u32) -> Result<(), Failure> {
        let mut request = self.task.revoke_request();
        request.get().set_grant(grant);
        request.send().promise.await.map(|_| ()).map_err(|error| to_failure(&error))
    }

    /// The name of the first event that a follower is sent.
    pub(super) async fn first_event(&self) -> Result<String, Failure> {
        let (told, hear) = tokio::sync::oneshot::channel();
        let mut request = self.task.events_request();
        let sink = Sink(RefCell::new(Some(told)));
        request.get().set_sink(capnp_rpc::new_client(sink));
        let _lease = request.send().promise.await.map_err(|error| to_failure(&error))?;
        Ok(hear.await.unwrap())
    }
}

struct Sink(RefCell<Option<tokio::sync::oneshot::Sender<String>>>);

impl event_sink::Server for Sink {
    async fn events(
        self: Rc<Self>,
        params: event_sink::EventsParams,
        _: event_sink::EventsResults,
    ) -> Result<(), capnp::Error> {
        let event = wire::event::read(params.get()?.get_events()?.get(0)).unwrap();
        if let Some(told) = self.0.borrow_mut().take() {
            told.send(event.fact.name().to_owned()).unwrap();
        }
        Ok(())
    }

    async fn caught_up(
        self: Rc<Self>,
        _: event_sink::CaughtUpParams,
        _: event_sink::CaughtUpResults,
    ) -> Result<(), capnp::Error> {
        Ok(())
    }
}

/// What a call under this key said.
pub(super) async fn said(
    object: &object::Client,
    method: &str,
    key: &[u8],
) -> Result<Value<u32>, Failure> {
    let mut request = object.call_request();
    request.get().set_method(method);
    request.get().set_key(key);
    request.get().init_args().set_null(());
    let response = request.send().promise.await.map_err(|error| to_failure(&error))?;
    let value = response.get().unwrap().get_value().unwrap();
    Ok(wire::value::read(value).unwrap().0)
}

/// The object that `open` returns.
pub(super) async fn opened(object: &object::Client) -> object::Client {
    let mut request = object.call_request();
    request.get().set_method("open");
    request.get().set_key(b"open");
    request.get().init_args().set_null(());
    let response = request.send().promise.await.unwrap();
    response.get().unwrap().get_object().unwrap()
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
