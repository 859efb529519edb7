//! A run in one process and on one thread, over streams in memory.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use capnp::capability::FromClientHook;
use remit_agent_node::worker::{Options, attend};
use remit_authority::Authority;
use remit_core::{Event, EventNumber, Fact, Identity, Role, TaskId};
use remit_identity::tls::Acceptor;
use remit_journal::audit::Audit;
use remit_journal::meta::MemoryMeta;
use remit_journal::{Journal as _, MemoryJournal, TaskHead};
use remit_orchestrator::admission::listener::Listener;
use remit_orchestrator::config::Config;
use remit_orchestrator::node::{Backends, build_on, now_ms};
use remit_schema::agent_node_capnp::{agent_host, agent_node_port, run};
use remit_schema::mesh_capnp::mesh;
use remit_schema::tool_node_capnp::tool_node_port;
use remit_tool_node::Node;
use remit_vat::connection::{Connection, ConnectionOptions, within};
use remit_vat::limits::ConnectionLimits;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::oneshot;

use crate::example::{Answer, Place};
use crate::person;

const STREAM_BYTES: usize = 64 << 10;
const SOON: Duration = Duration::from_secs(60);

/// Runs the task with these first events to its end. Returns the journals of the task and of the
/// tasks that it spawned, by name.
pub(crate) async fn run(
    beginning: Vec<Event>,
    place: &Place,
    answers: Vec<Answer>,
) -> Vec<(String, Vec<Event>)> {
    let own = tempfile::tempdir().unwrap();
    let task = TaskId::new(now_ms(), [7; 10]);
    let journal = Arc::new(MemoryJournal::new());
    let Fact::TaskCreated(created) = &beginning[0].fact else { panic!("{beginning:?}") };
    let head = TaskHead { name: created.name.clone(), ..TaskHead::default() };
    journal.append("default", task, &beginning, head).await.unwrap();
    let listener = orchestrator(own.path(), Arc::clone(&journal)).await;
    let (port, connection) = connect::<tool_node_port::Client>(&listener, Role::ToolNode, "work");
    tools(place, &own.path().join("ledger"), port, connection).await;
    let (port, _agents) = connect::<agent_node_port::Client>(&listener, Role::AgentNode, "agents");
    let _registration = agents(&port, &listener).await;
    let (mesh, _client) = connect::<mesh::Client>(&listener, Role::Client, "me");
    let mut request = mesh.facets_request().send().pipeline.get_tasks().task_request();
    request.get().set_id(task.to_string());
    let found = request.send().pipeline.get_task();
    tokio::select! {
        biased;
        ended = within(SOON, found.result_request().send()) => drop(ended.unwrap()),
        () = person::answer(&found, answers) => {}
    }
    let all = journal.list("default", None, None, usize::MAX).unwrap();
    let read = |task| journal.read("default", task, EventNumber(0), usize::MAX).unwrap();
    all.into_iter().map(|(task, head)| (head.name, read(task))).collect()
}

async fn orchestrator(own: &std::path::Path, journal: Arc<MemoryJournal>) -> Rc<Listener> {
    let backends = Backends {
        meta: Arc::new(MemoryMeta::new()),
        authority: Authority::load_or_create(&own.join("authority"), "home").unwrap(),
        journal,
        audit: Audit::in_memory(Box::new(now_ms)),
        now_ms,
    };
    let (site, own) = build_on(backends, &Config::default(), "nowhere:1".into()).await.unwrap();
    Listener::new(site, Acceptor::new(&own, &[]).unwrap())
}

fn identity(role: Role, name: &str) -> Identity {
    Identity::new("home", "default", role, name).unwrap()
}

fn until() -> SystemTime {
    SystemTime::now() + Duration::from_secs(3600)
}

fn connect<C: FromClientHook>(listener: &Listener, role: Role, name: &str) -> (C, Connection) {
    let (near, far) = tokio::io::duplex(STREAM_BYTES);
    listener.serve_peer(far, &identity(role, name), until()).unwrap();
    let limits = ConnectionLimits::default();
    Connection::connect(near, None, ConnectionOptions { peer: "the orchestrator".into(), limits })
}

/// Serves the tools of the folder's configuration.
async fn tools(
    place: &Place,
    ledger: &std::path::Path,
    port: tool_node_port::Client,
    connection: Connection,
) {
    let config = place.path().join("remit.tools.toml");
    let (tools, labels) = remit_tool_node::config::Config::read(&config).unwrap().open().unwrap();
    let node = Node::open(tools, labels, ledger).await.unwrap();
    tokio::task::spawn_local(async move { node.serve(&port, connection).await });
}

async fn agents(port: &agent_node_port::Client, listener: &Rc<Listener>) -> impl Sized + use<> {
    let mut request = port.register_request();
    let host = Host { listener: Rc::clone(listener) };
    request.get().set_host(capnp_rpc::new_client(host));
    let mut offer = request.get().init_offer();
    offer.set_version("1.0.0");
    offer.set_capacity(8);
    offer.init_kinds(1).set(0, "script");
    let registered = within(SOON, request.send()).await.unwrap();
    registered.get().unwrap().get_registration().unwrap()
}

/// An agent node whose workers run in this process.
struct Host {
    listener: Rc<Listener>,
}

struct Run {
    ended: RefCell<Option<oneshot::Receiver<()>>>,
}

impl agent_host::Server for Host {
    async fn start(
        self: Rc<Self>,
        params: agent_host::StartParams,
        mut results: agent_host::StartResults,
    ) -> Result<(), capnp::Error> {
        let ticket = params.get()?.get_spec()?.get_ticket()?.to_vec();
        let (mut near, far) = tokio::io::duplex(STREAM_BYTES);
        let listener = Rc::clone(&self.listener);
        tokio::task::spawn_local(async move {
            let who = identity(Role::AgentNode, "agents");
            listener.serve_attempt(far, &who, until()).await.unwrap();
        });
        let (end, ended) = oneshot::channel();
        tokio::task::spawn_local(async move {
            near.write_all(&ticket).await.unwrap();
            attend(near, Options::default()).await.unwrap();
            // The receiver is gone if the orchestrator does not wait for the end of the attempt.
            let _unheard = end.send(());
        });
        let run = Run { ended: RefCell::new(Some(ended)) };
        results.get().set_run(capnp_rpc::new_client(run));
        Ok(())
    }
}

impl run::Server for Run {
    async fn wait(
        self: Rc<Self>,
        _: run::WaitParams,
        mut results: run::WaitResults,
    ) -> Result<(), capnp::Error> {
        let ended = self.ended.borrow_mut().take();
        if let Some(ended) = ended {
            let _end = ended.await;
        }
        results.get().init_end().set_exited(());
        Ok(())
    }
}
