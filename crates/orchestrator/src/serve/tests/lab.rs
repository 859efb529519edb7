//! An orchestrator with a tool and an agent node in the same process, for tests that play the agent.
//! One body, two transports: in memory, and over mutual TLS on loopback.

mod ask;
mod begun;
mod liar;
pub(super) mod loopback;
mod tool;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use remit_core::event::{SourceFile, TimeLimits};
use remit_core::grant::text::GrantText;
use remit_core::{Role, Value};
use remit_identity::tls::Purpose;
use remit_journal::{Journal, MemoryJournal};
use remit_schema::agent_node_capnp::{agent_host, run};
use remit_schema::object_capnp::object;
use remit_schema::task_capnp::task_context;
use remit_vat::connection::Connection;
use tokio::task::LocalSet;

use super::super::fakes::{options, who};
use crate::admission::tickets::Tickets;
use crate::runtime::Owner;
use crate::runtime::services::Timing;
use crate::scheduler::registry::{AgentOffer, Registry, ToolOffer};
use crate::tasks::{GrantRoot, GrantSpec, TaskSpec, Tasks};

pub(super) use ask::{Call, attenuate, call, lend, said, spawn, split, with};
pub(super) use tool::{Host, Tool, manifest};

/// How an agent reaches its task, and the orchestrator the tool.
#[derive(Debug, Clone, Copy)]
pub(super) enum Transport {
    SameProcess,
    /// Each has a connection of its own on loopback, with a certificate at both ends.
    Tls,
}

/// An orchestrator with one tool and one agent node, both in this process.
pub(super) struct Lab {
    pub(super) journal: Arc<MemoryJournal>,
    pub(super) transport: Transport,
    pub(super) seen: Rc<RefCell<Vec<String>>>,
    pub(super) kept: Rc<RefCell<Option<object::Client>>>,
    /// How far the orchestrator's clock is ahead, in milliseconds.
    pub(super) ahead_ms: Rc<Cell<u64>>,
    /// Whether the tool node's ledger says of every call that it began.
    pub(super) started: Rc<Cell<bool>>,
    /// The value that the tool node's ledger has for every call, if it has one.
    pub(super) ledger: Rc<RefCell<Option<Value<u32>>>>,
    /// How many agent nodes the tool node expects or serves.
    pub(super) introduced: Rc<Cell<usize>>,
    /// The tickets of all introductions, as the agent node was told them.
    pub(super) introductions: Rc<RefCell<Vec<Vec<u8>>>>,
    /// The keys of all calls, as they came.
    pub(super) keys: Rc<RefCell<Vec<Vec<u8>>>>,
    /// Where agent nodes may dial the tool node; empty: nowhere.
    pub(super) address: RefCell<String>,
    /// What the tool node serves in place of the tool.
    root: RefCell<Option<object::Client>>,
}

/// An orchestrator that runs.
pub(super) struct Site {
    pub(super) tasks: Rc<Tasks>,
    pub(super) tickets: Rc<RefCell<Vec<Vec<u8>>>>,
    pub(super) redeem: Rc<Tickets>,
    pub(super) leases:
        (Option<crate::scheduler::registry::Lease>, crate::scheduler::registry::Lease),
}

struct Node {
    tickets: Rc<RefCell<Vec<Vec<u8>>>>,
    introductions: Rc<RefCell<Vec<Vec<u8>>>>,
}

/// A worker process that never ends by itself; dropping it is noticed by nobody here.
struct Process(Rc<RefCell<Vec<Vec<u8>>>>);

impl agent_host::Server for Node {
    async fn start(
        self: Rc<Self>,
        params: agent_host::StartParams,
        mut results: agent_host::StartResults,
    ) -> Result<(), capnp::Error> {
        let ticket = params.get()?.get_spec()?.get_ticket()?.to_vec();
        self.tickets.borrow_mut().push(ticket);
        results.get().set_run(capnp_rpc::new_client(Process(Rc::clone(&self.introductions))));
        Ok(())
    }
}

impl run::Server for Process {
    async fn introduce(
        self: Rc<Self>,
        params: run::IntroduceParams,
        _: run::IntroduceResults,
    ) -> Result<(), capnp::Error> {
        self.0.borrow_mut().push(params.get()?.get_ticket()?.to_vec());
        Ok(())
    }

    async fn wait(
        self: Rc<Self>,
        _: run::WaitParams,
        _: run::WaitResults,
    ) -> Result<(), capnp::Error> {
        std::future::pending().await
    }
}

impl Lab {
    pub(super) fn new(transport: Transport) -> Self {
        let journal = Arc::new(MemoryJournal::new());
        let (seen, kept) = (Rc::default(), Rc::default());
        Self {
            journal,
            transport,
            seen,
            kept,
            ahead_ms: Rc::default(),
            started: Rc::new(Cell::new(true)),
            ledger: Rc::default(),
            introduced: Rc::default(),
            introductions: Rc::default(),
            keys: Rc::default(),
            address: RefCell::new("nobody dials:1".into()),
            root: RefCell::default(),
        }
    }

    /// The tool node, as far as its ledger and introductions go.
    pub(super) fn host(&self) -> Host {
        Host {
            seen: Rc::clone(&self.seen),
            started: Rc::clone(&self.started),
            ledger: Rc::clone(&self.ledger),
            root: Some(self.tool()),
            introduced: Rc::clone(&self.introduced),
        }
    }

    /// The tool's root, as the orchestrator gets it when the tool node registers.
    pub(super) fn tool(&self) -> object::Client {
        let honest = || {
            capnp_rpc::new_client(Tool {
                path: String::new(),
                keys: Rc::clone(&self.keys),
                seen: Rc::clone(&self.seen),
                kept: Rc::clone(&self.kept),
            })
        };
        let root = self.root.borrow().clone().unwrap_or_else(honest);
        match self.transport {
            Transport::SameProcess => root,
            Transport::Tls => loopback::served_by_a_node(root),
        }
    }

    /// The tool node registers.
    pub(super) fn register_tool(&self, registry: &Registry) -> crate::scheduler::registry::Lease {
        let offer = ToolOffer {
            tools: vec![(manifest(), self.tool())],
            changed: HashMap::new(),
            labels: Vec::new(),
            address: self.address.borrow().clone(),
            host: capnp_rpc::new_client(self.host()),
            link: crate::scheduler::registry::Link::Here,
            instance: Vec::new(),
        };
        registry.register_tools(&who(Role::ToolNode, "one").to_string(), offer).unwrap()
    }

    /// Starts the orchestrator, or starts it again on the same journal.
    pub(super) fn start(&self) -> Site {
        let registry = Registry::new(Box::new(crate::node::now_ms));
        let tickets = Rc::default();
        let tools = self.register_tool(&registry);
        let node =
            Node { tickets: Rc::clone(&tickets), introductions: Rc::clone(&self.introductions) };
        let offer = AgentOffer {
            kinds: vec!["script".into()],
            version: "1".into(),
            labels: Vec::new(),
            capacity: 9,
            host: capnp_rpc::new_client(node),
            instance: Vec::new(),
        };
        let agents = registry.register_agents(&node_name(), offer);
        let redeem = Tickets::new();
        let journal: Arc<dyn Journal> = Arc::<MemoryJournal>::clone(&self.journal);
        let ahead_ms = Rc::clone(&self.ahead_ms);
        let clock = Box::new(move || crate::node::now_ms() + ahead_ms.get());
        let audit = remit_journal::audit::Audit::in_memory(Box::new(|| 7));
        let opened =
            Tasks::open(journal, audit, registry, Rc::clone(&redeem), Timing::default(), clock);
        Site { tasks: opened.unwrap(), tickets, redeem, leases: (Some(tools), agents.unwrap()) }
    }

    /// The next attempt, as its worker sees it: the task, and the object it was granted.
    pub(super) async fn attempt(&self, site: &Site) -> (task_context::Client, object::Client) {
        while site.tickets.borrow().is_empty() {
            tokio::task::yield_now().await;
        }
        let ticket = site.tickets.borrow_mut().remove(0);
        let redeemed = site.redeem.redeem(&ticket, &node_name()).unwrap();
        let context = match self.transport {
            Transport::SameProcess => redeemed.bootstrap,
            Transport::Tls => {
                let node = who(Role::AgentNode, "one");
                let (ours, theirs) = loopback::connect(&node, Purpose::Attempt).await;
                let served = Connection::serve(ours, redeemed.bootstrap.client, options());
                let _wanted = redeemed.connected.send(served);
                Connection::connect(theirs, None, options()).0
            }
        };
        let granted = granted(&context, 0).await;
        (context, granted)
    }
}

/// What an attempt is handed at this place.
pub(super) async fn granted(context: &task_context::Client, at: u32) -> object::Client {
    let begun = context.begin_request().send().promise.await.unwrap();
    let script = begun.get().unwrap().get_script().unwrap();
    script.get_grants().unwrap().get(at).get_object().unwrap()
}

fn node_name() -> String {
    who(Role::AgentNode, "one").to_string()
}

pub(super) async fn create(site: &Site) -> Rc<Owner> {
    create_within(site, TimeLimits::default()).await
}

pub(super) async fn create_within(site: &Site, limits: TimeLimits) -> Rc<Owner> {
    create_from(site, "lab", limits).await
}

/// A task whose first grant is this, in the text form.
pub(super) async fn create_with(site: &Site, grant: &str) -> Rc<Owner> {
    create_from(site, grant, TimeLimits::default()).await
}

/// A capability to be handed out, in the text form.
pub(super) fn grant(text: &str) -> GrantSpec {
    let text = GrantText::parse(text, crate::node::now_ms()).unwrap();
    GrantSpec {
        name: text.tool.clone(),
        root: GrantRoot::Tool { tool: text.tool, version: text.version, path: text.path },
        caveats: text.caveats,
        on_unknown: text.on_unknown,
    }
}

async fn create_from(site: &Site, first: &str, limits: TimeLimits) -> Rc<Owner> {
    let tasks = (!first.starts_with("tasks")).then(|| grant("tasks:detached"));
    let spec = TaskSpec {
        name: "test".into(),
        agent: "script".into(),
        source: vec![SourceFile { path: "main.js".into(), text: String::new() }],
        entry: "main.js".into(),
        input: Value::Null,
        labels: Vec::new(),
        grants: [grant(first)].into_iter().chain(tasks).collect(),
        key: String::new(),
        limits,
        ..TaskSpec::default()
    };
    site.tasks.create(spec, &who(Role::Client, "me")).await.unwrap()
}

/// Takes a grant back, durably.
pub(super) async fn revoke(owner: &Rc<Owner>, grant: u32) {
    let (grant, reason, by) = (remit_core::GrantId(grant), "enough".into(), "me".into());
    let cut = remit_core::task::Command::RevokeGrant { grant, reason, by };
    owner.record_durably(&cut).await.unwrap();
}

/// All events of a task so far.
pub(super) fn events(lab: &Lab, key: &crate::runtime::TaskKey) -> Vec<remit_core::Event> {
    lab.journal.read(&key.tenant, key.task, remit_core::EventNumber(0), 10_000).unwrap()
}

/// A test that takes as long waits for something that does not come.
const HANGS: std::time::Duration = std::time::Duration::from_secs(120);

/// Runs one body over both transports.
pub(super) async fn over_both<F: Future<Output = ()>>(body: impl Fn(Lab) -> F) {
    for transport in [Transport::SameProcess, Transport::Tls] {
        over(transport, &body).await;
    }
}

/// Runs one body over one of them.
pub(super) async fn over<F: Future<Output = ()>>(transport: Transport, body: impl Fn(Lab) -> F) {
    let run = tokio::time::timeout(HANGS, body(Lab::new(transport)));
    LocalSet::new().run_until(run).await.expect("the test does not hang");
}

/// Makes two tests of each body: in memory, and over mutual TLS on loopback.
macro_rules! over_both_transports {
    ($($name:ident),+ $(,)?) => {
        mod in_memory {
            $(#[tokio::test]
            async fn $name() {
                use crate::serve::tests::lab::{Transport, over};
                over(Transport::SameProcess, super::$name).await;
            })+
        }
        mod over_tls {
            $(#[tokio::test]
            async fn $name() {
                use crate::serve::tests::lab::{Transport, over};
                over(Transport::Tls, super::$name).await;
            })+
        }
    };
}

pub(super) use over_both_transports;
