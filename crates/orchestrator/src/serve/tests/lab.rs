//! An orchestrator with a tool and an agent node in the same process, for tests that play the agent.
//! One body, two transports: in the same process, and over a stream.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use capnp::capability::RemotePromise;
use remit_core::event::{SourceFile, TimeLimits};
use remit_core::grant::text::GrantText;
use remit_core::manifest::{Interface, Method};
use remit_core::{Code, Failure, Manifest, Role, Value};
use remit_schema::agent_node_capnp::{agent_host, run};
use remit_schema::object_capnp::object;
use remit_schema::task_capnp::task_context;
use remit_schema::tool_node_capnp::tool_host;
use remit_vat::connection::Connection;
use remit_vat::exception::{to_exception, to_failure};
use remit_vat::wire;
use tokio::task::LocalSet;

use super::super::fakes::{options, who};
use crate::journal::{Journal, MemoryJournal};
use crate::owner::Owner;
use crate::owner::services::Timing;
use crate::registry::{AgentOffer, Registry, ToolOffer};
use crate::tasks::{GrantRoot, GrantSpec, TaskSpec, Tasks};
use crate::tickets::Tickets;

/// How an agent reaches its task.
#[derive(Debug, Clone, Copy)]
pub(super) enum Transport {
    SameProcess,
    Stream,
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
    /// The keys of all calls, as they came.
    pub(super) keys: Rc<RefCell<Vec<Vec<u8>>>>,
}

/// An orchestrator that runs.
pub(super) struct Site {
    pub(super) tasks: Rc<Tasks>,
    pub(super) tickets: Rc<RefCell<Vec<Vec<u8>>>>,
    pub(super) redeem: Rc<Tickets>,
    pub(super) leases: (crate::registry::Lease, crate::registry::Lease),
}

pub(super) struct Tool {
    pub(super) path: String,
    pub(super) keys: Rc<RefCell<Vec<Vec<u8>>>>,
    pub(super) seen: Rc<RefCell<Vec<String>>>,
    pub(super) kept: Rc<RefCell<Option<object::Client>>>,
}

/// Says that a call was stopped.
struct Stopped(Rc<RefCell<Vec<String>>>);

impl Drop for Stopped {
    fn drop(&mut self) {
        self.0.borrow_mut().push("stopped".into());
    }
}

struct Node {
    tickets: Rc<RefCell<Vec<Vec<u8>>>>,
}

/// A worker process that never ends by itself; dropping it is noticed by nobody here.
struct Process;

impl object::Server for Tool {
    async fn call(
        self: Rc<Self>,
        params: object::CallParams,
        mut results: object::CallResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let method = wire::text(params.get_method())?;
        let (args, table) = wire::value::read(params.get_args()?)?;
        self.seen.borrow_mut().push(format!("{}{method}", self.path));
        self.keys.borrow_mut().push(params.get_key()?.to_vec());
        let said = match method.as_str() {
            "open" | "make" => {
                let path = format!("{}{method}.", self.path);
                let (seen, kept) = (Rc::clone(&self.seen), Rc::clone(&self.kept));
                let keys = Rc::clone(&self.keys);
                results.get().set_object(capnp_rpc::new_client(Self { path, keys, seen, kept }));
                return Ok(());
            }
            // The first time it never answers.
            "once" if self.seen.borrow().iter().filter(|seen| *seen == "once").count() == 1 => {
                return std::future::pending().await;
            }
            "hang" => {
                let _stopped = Stopped(Rc::clone(&self.seen));
                return std::future::pending().await;
            }
            "fail" => return Err(to_exception(&Failure::new(Code::Failed, "as asked"))),
            "use" => {
                let lent =
                    table.into_iter().next().ok_or_else(|| capnp::Error::failed("none".into()))?;
                let answer = call(&lent, 0, "look").promise.await;
                *self.kept.borrow_mut() = Some(lent);
                wire::value::read(answer?.get()?.get_value()?)?.0
            }
            _ => {
                let _ = args;
                Value::Text(format!("{}{method}", self.path))
            }
        };
        wire::value::write(results.get().init_value(), &said, &[]);
        Ok(())
    }

    async fn describe(
        self: Rc<Self>,
        _: object::DescribeParams,
        _: object::DescribeResults,
    ) -> Result<(), capnp::Error> {
        Ok(())
    }
}

/// The tool node, as far as its ledger goes.
pub(super) struct Host {
    pub(super) seen: Rc<RefCell<Vec<String>>>,
    pub(super) started: Rc<Cell<bool>>,
}

impl tool_host::Server for Host {
    async fn settle(
        self: Rc<Self>,
        _: tool_host::SettleParams,
        mut results: tool_host::SettleResults,
    ) -> Result<(), capnp::Error> {
        match self.started.get() {
            true => results.get().init_state().set_started(()),
            false => results.get().init_state().set_never_started(()),
        }
        Ok(())
    }

    async fn reopen(
        self: Rc<Self>,
        _: tool_host::ReopenParams,
        _: tool_host::ReopenResults,
    ) -> Result<(), capnp::Error> {
        self.seen.borrow_mut().push("reopened".into());
        self.started.set(false);
        Ok(())
    }
}

impl agent_host::Server for Node {
    async fn start(
        self: Rc<Self>,
        params: agent_host::StartParams,
        mut results: agent_host::StartResults,
    ) -> Result<(), capnp::Error> {
        let ticket = params.get()?.get_spec()?.get_ticket()?.to_vec();
        self.tickets.borrow_mut().push(ticket);
        results.get().set_run(capnp_rpc::new_client(Process));
        Ok(())
    }
}

impl run::Server for Process {
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
            keys: Rc::default(),
        }
    }

    /// The tool node, as far as its ledger goes.
    pub(super) fn host(&self) -> Host {
        Host { seen: Rc::clone(&self.seen), started: Rc::clone(&self.started) }
    }

    /// Starts the orchestrator, or starts it again on the same journal.
    pub(super) fn start(&self) -> Site {
        let registry = Registry::new(Box::new(crate::node::now_ms));
        let tool = || Tool {
            path: String::new(),
            keys: Rc::clone(&self.keys),
            seen: Rc::clone(&self.seen),
            kept: Rc::clone(&self.kept),
        };
        let tickets = Rc::default();
        let offer = ToolOffer {
            tools: vec![(manifest(), capnp_rpc::new_client(tool()))],
            changed: HashMap::new(),
            labels: Vec::new(),
            host: capnp_rpc::new_client(self.host()),
        };
        let tools = registry.register_tools(&who(Role::ToolNode, "one").to_string(), offer);
        let node = Node { tickets: Rc::clone(&tickets) };
        let offer = AgentOffer {
            kinds: vec!["script".into()],
            version: "1".into(),
            labels: Vec::new(),
            capacity: 9,
            host: capnp_rpc::new_client(node),
        };
        let agents = registry.register_agents(&node_name(), offer);
        let redeem = Tickets::new();
        let journal: Arc<dyn Journal> = Arc::<MemoryJournal>::clone(&self.journal);
        let ahead_ms = Rc::clone(&self.ahead_ms);
        let clock = Box::new(move || crate::node::now_ms() + ahead_ms.get());
        let audit = crate::audit::Audit::in_memory(Box::new(|| 7));
        let opened =
            Tasks::open(journal, audit, registry, Rc::clone(&redeem), Timing::default(), clock);
        Site { tasks: opened.unwrap(), tickets, redeem, leases: (tools.unwrap(), agents.unwrap()) }
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
            Transport::Stream => {
                let (ours, theirs) = tokio::io::duplex(1 << 16);
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

pub(super) fn manifest() -> Manifest {
    let method = |name: &str, read_only: bool, returns: &str| Method {
        name: name.into(),
        read_only,
        returns: returns.into(),
        ..Method::default()
    };
    let thing = Interface {
        name: "Thing".into(),
        methods: vec![
            method("open", true, "Thing"),
            method("make", false, "Thing"),
            method("look", true, ""),
            method("put", false, ""),
            method("fail", false, ""),
            method("hang", false, ""),
            method("once", false, ""),
            Method { idempotent: true, ..method("set", false, "") },
            Method {
                params: vec![remit_core::manifest::Param {
                    name: "what".into(),
                    ..Default::default()
                }],
                ..method("use", false, "")
            },
        ],
        ..Interface::default()
    };
    Manifest {
        tool: "lab".into(),
        version: "1".into(),
        root: "Thing".into(),
        interfaces: vec![thing],
        ..Manifest::default()
    }
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
    let spec = TaskSpec {
        name: "test".into(),
        agent: "script".into(),
        source: vec![SourceFile { path: "main.js".into(), text: String::new() }],
        entry: "main.js".into(),
        input: Value::Null,
        labels: Vec::new(),
        grants: vec![grant(first), grant("tasks")],
        key: String::new(),
        limits,
        ..TaskSpec::default()
    };
    site.tasks.create(spec, &who(Role::Client, "me")).await.unwrap()
}

pub(super) fn call(
    object: &object::Client,
    number: u64,
    method: &str,
) -> RemotePromise<object::call_results::Owned> {
    let mut request = object.call_request();
    request.get().set_method(method);
    request.get().set_key(&number.to_be_bytes());
    request.get().init_args().set_null(());
    request.send()
}

/// What a call said, or how it failed.
pub(super) async fn said(
    promise: RemotePromise<object::call_results::Owned>,
) -> Result<(Value<u32>, u64), Failure> {
    let response = promise.promise.await.map_err(|error| to_failure(&error))?;
    let results = response.get().unwrap();
    let value = wire::value::read(results.get_value().unwrap()).unwrap().0;
    Ok((value, results.get_recorded().unwrap().get_number()))
}

/// Runs one body over both transports.
pub(super) async fn over_both<F: Future<Output = ()>>(body: impl Fn(Lab) -> F) {
    for transport in [Transport::SameProcess, Transport::Stream] {
        LocalSet::new().run_until(body(Lab::new(transport))).await;
    }
}
