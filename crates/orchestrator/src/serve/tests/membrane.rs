//! The membrane and the owner behind it, as an agent and a tool see them. One body, two transports:
//! in the same process, and over a stream.

mod family;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use capnp::capability::RemotePromise;
use remit_core::event::SourceFile;
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
enum Transport {
    SameProcess,
    Stream,
}

/// An orchestrator with one tool and one agent node, both in this process.
struct Lab {
    journal: Arc<MemoryJournal>,
    transport: Transport,
    seen: Rc<RefCell<Vec<String>>>,
    kept: Rc<RefCell<Option<object::Client>>>,
}

/// An orchestrator that runs.
struct Site {
    tasks: Rc<Tasks>,
    tickets: Rc<RefCell<Vec<Vec<u8>>>>,
    redeem: Rc<Tickets>,
    _leases: (crate::registry::Lease, crate::registry::Lease),
}

struct Tool {
    path: String,
    seen: Rc<RefCell<Vec<String>>>,
    kept: Rc<RefCell<Option<object::Client>>>,
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
        let said = match method.as_str() {
            "open" | "make" => {
                let path = format!("{}{method}.", self.path);
                let (seen, kept) = (Rc::clone(&self.seen), Rc::clone(&self.kept));
                results.get().set_object(capnp_rpc::new_client(Self { path, seen, kept }));
                return Ok(());
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

impl tool_host::Server for Tool {
    async fn settle(
        self: Rc<Self>,
        _: tool_host::SettleParams,
        mut results: tool_host::SettleResults,
    ) -> Result<(), capnp::Error> {
        results.get().init_state().set_started(());
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
    fn new(transport: Transport) -> Self {
        let journal = Arc::new(MemoryJournal::new());
        Self { journal, transport, seen: Rc::default(), kept: Rc::default() }
    }

    /// Starts the orchestrator, or starts it again on the same journal.
    fn start(&self) -> Site {
        let registry = Registry::new(Box::new(crate::node::now_ms));
        let tool = || Tool {
            path: String::new(),
            seen: Rc::clone(&self.seen),
            kept: Rc::clone(&self.kept),
        };
        let tickets = Rc::default();
        let offer = ToolOffer {
            tools: vec![(manifest(), capnp_rpc::new_client(tool()))],
            labels: Vec::new(),
            host: capnp_rpc::new_client(tool()),
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
        let clock = Box::new(crate::node::now_ms);
        let audit = crate::audit::Audit::in_memory(Box::new(|| 7));
        let opened =
            Tasks::open(journal, audit, registry, Rc::clone(&redeem), Timing::default(), clock);
        Site { tasks: opened.unwrap(), tickets, redeem, _leases: (tools.unwrap(), agents.unwrap()) }
    }

    /// The next attempt, as its worker sees it: the task, and the object it was granted.
    async fn attempt(&self, site: &Site) -> (task_context::Client, object::Client) {
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
async fn granted(context: &task_context::Client, at: u32) -> object::Client {
    let begun = context.begin_request().send().promise.await.unwrap();
    let script = begun.get().unwrap().get_script().unwrap();
    script.get_grants().unwrap().get(at).get_object().unwrap()
}

fn node_name() -> String {
    who(Role::AgentNode, "one").to_string()
}

fn manifest() -> Manifest {
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

async fn create(site: &Site) -> Rc<Owner> {
    let tool = |tool: &str| GrantSpec {
        name: tool.into(),
        root: GrantRoot::Tool { tool: tool.into(), version: String::new(), path: String::new() },
        caveats: Vec::new(),
    };
    let spec = TaskSpec {
        name: "test".into(),
        agent: "script".into(),
        source: vec![SourceFile { path: "main.js".into(), text: String::new() }],
        entry: "main.js".into(),
        input: Value::Null,
        labels: Vec::new(),
        grants: vec![tool("lab"), tool("tasks")],
        key: String::new(),
        ..TaskSpec::default()
    };
    site.tasks.create(spec, &who(Role::Client, "me")).await.unwrap()
}

fn call(
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
async fn said(
    promise: RemotePromise<object::call_results::Owned>,
) -> Result<(Value<u32>, u64), Failure> {
    let response = promise.promise.await.map_err(|error| to_failure(&error))?;
    let results = response.get().unwrap();
    let value = wire::value::read(results.get_value().unwrap()).unwrap().0;
    Ok((value, results.get_recorded().unwrap().get_number()))
}

/// Runs one body over both transports.
async fn over_both<F: Future<Output = ()>>(body: impl Fn(Lab) -> F) {
    for transport in [Transport::SameProcess, Transport::Stream] {
        LocalSet::new().run_until(body(Lab::new(transport))).await;
    }
}

#[tokio::test]
async fn a_replay_gets_what_was_recorded_and_nothing_is_done_again() {
    over_both(|lab| async move {
        let site = lab.start();
        create(&site).await;
        let (_context, granted) = lab.attempt(&site).await;
        let made = call(&granted, 1, "make");
        let put = call(&made.pipeline.get_object(), 2, "put");
        let failed = call(&granted, 3, "fail");
        let (first, second) = (said(made).await.unwrap(), said(put).await.unwrap());
        assert_eq!(second.0, Value::Text("make.put".into()));
        assert!(first.1 < second.1, "told in the order in which they were recorded");
        assert_eq!(said(failed).await.unwrap_err().message, "as asked");
        let before = lab.seen.borrow().clone();
        site.tasks.shutdown().await;
        drop(site);

        let site = lab.start();
        let (_context, granted) = lab.attempt(&site).await;
        // Asked for in another order, told in the recorded one.
        let failed = call(&granted, 3, "fail");
        let made = call(&granted, 1, "make");
        let put = call(&made.pipeline.get_object(), 2, "put");
        assert_eq!(said(made).await.unwrap(), first);
        assert_eq!(said(put).await.unwrap(), second);
        assert_eq!(said(failed).await.unwrap_err().message, "as asked");
        assert_eq!(*lab.seen.borrow(), before, "the tool heard nothing of it");
    })
    .await;
}

#[tokio::test]
async fn an_agent_that_does_something_else_on_replay_fails_with_both_calls_shown() {
    over_both(|lab| async move {
        let site = lab.start();
        let owner = create(&site).await;
        let key = owner.key().clone();
        let (_context, granted) = lab.attempt(&site).await;
        said(call(&granted, 1, "put")).await.unwrap();
        drop(owner);
        site.tasks.shutdown().await;
        drop(site);

        let site = lab.start();
        let owner = site.tasks.get(&key).unwrap();
        let (_context, granted) = lab.attempt(&site).await;
        let failure = said(call(&granted, 1, "look")).await.unwrap_err();
        assert!(failure.message.contains("not deterministic"), "{failure}");
        assert!(failure.message.contains("`put") && failure.message.contains("`look"), "{failure}");
        owner.over().await;
        assert!(owner.with(|task| task.ending().is_some()), "the task failed");
    })
    .await;
}

#[tokio::test]
async fn an_agent_that_leaves_out_on_replay_what_it_did_fails() {
    over_both(|lab| async move {
        let site = lab.start();
        create(&site).await;
        let (_context, granted) = lab.attempt(&site).await;
        said(call(&granted, 1, "put")).await.unwrap();
        site.tasks.shutdown().await;
        drop(site);

        let site = lab.start();
        let (context, _granted) = lab.attempt(&site).await;
        let mut finish = context.finish_request();
        finish.get().init_outcome().init_value().set_null(());
        finish.send().promise.await.unwrap();
        let listed = site.tasks.list("default", None, None, 9).unwrap();
        assert!(listed[0].1.detail.contains("ended without it"), "{:?}", listed[0].1);
    })
    .await;
}

#[tokio::test]
async fn after_a_replay_an_object_is_got_again_only_if_that_changes_nothing() {
    over_both(|lab| async move {
        let site = lab.start();
        create(&site).await;
        let (_context, granted) = lab.attempt(&site).await;
        said(call(&granted, 1, "open")).await.unwrap();
        said(call(&granted, 2, "make")).await.unwrap();
        site.tasks.shutdown().await;
        drop(site);

        let site = lab.start();
        let (_context, granted) = lab.attempt(&site).await;
        let (opened, made) = (call(&granted, 1, "open"), call(&granted, 2, "make"));
        let objects = (opened.pipeline.get_object(), made.pipeline.get_object());
        said(opened).await.unwrap();
        said(made).await.unwrap();
        let look = said(call(&objects.0, 3, "look")).await.unwrap();
        assert_eq!(look.0, Value::Text("open.look".into()));
        let lost = said(call(&objects.1, 4, "look")).await.unwrap_err();
        assert_eq!(lost.code, Code::ObjectLost, "{lost}");
        assert_eq!(lab.seen.borrow().iter().filter(|seen| *seen == "make").count(), 1);
    })
    .await;
}

#[tokio::test]
async fn what_is_pipelined_on_a_failed_call_fails_with_the_same_cause() {
    over_both(|lab| async move {
        let site = lab.start();
        create(&site).await;
        let (_context, granted) = lab.attempt(&site).await;
        let nothing = call(&granted, 1, "nothing");
        let after = call(&nothing.pipeline.get_object(), 2, "look");
        let (first, second) = (said(nothing).await.unwrap_err(), said(after).await.unwrap_err());
        assert_eq!(first.code, Code::NotFound);
        assert_eq!(first, second);
        assert!(lab.seen.borrow().is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_lent_object_is_good_for_one_call() {
    over_both(|lab| async move {
        let site = lab.start();
        let owner = create(&site).await;
        let (_context, granted) = lab.attempt(&site).await;
        let opened = call(&granted, 1, "open");
        let mut request = granted.call_request();
        request.get().set_method("use");
        request.get().set_key(&2_u64.to_be_bytes());
        request.get().init_args().init_list(1).get(0).set_object(opened.pipeline.get_object());
        let used = said(request.send()).await.unwrap();
        assert_eq!(used.0, Value::Text("open.look".into()), "the tool used what it was lent");
        let through = owner.with(|task| {
            task.operations().filter(|(_, op)| op.describe().contains("look")).count()
        });
        assert_eq!(through, 1, "and that is in the journal");
        let kept = lab.kept.borrow_mut().take().unwrap();
        let later = said(call(&kept, 0, "look")).await.unwrap_err();
        assert_eq!(later.code, Code::Revoked, "{later}");
    })
    .await;
}

#[tokio::test]
async fn an_object_that_the_task_does_not_hold_is_refused_in_arguments() {
    over_both(|lab| async move {
        let site = lab.start();
        create(&site).await;
        let (_context, granted) = lab.attempt(&site).await;
        let stranger = Tool { path: "x".into(), seen: Rc::clone(&lab.seen), kept: Rc::default() };
        let mut request = granted.call_request();
        request.get().set_method("use");
        request.get().set_key(&1_u64.to_be_bytes());
        let mut args = request.get().init_args().init_list(1);
        args.reborrow().get(0).set_object(capnp_rpc::new_client(stranger));
        let refused = said(request.send()).await.unwrap_err();
        assert_eq!(refused.code, Code::InvalidArgument, "{refused}");
        assert!(lab.seen.borrow().is_empty());
    })
    .await;
}

#[tokio::test]
async fn revoked_attempt_can_do_nothing() {
    over_both(|lab| async move {
        let site = lab.start();
        let owner = create(&site).await;
        let (context, granted) = lab.attempt(&site).await;
        said(call(&granted, 1, "look")).await.unwrap();
        let next = remit_core::task::Command::StartAttempt { node: "elsewhere".into() };
        owner.record_durably(&next).await.unwrap();
        let refused = said(call(&granted, 2, "put")).await.unwrap_err();
        assert_eq!(refused.code, Code::Revoked, "{refused}");
        let mut finish = context.finish_request();
        finish.get().init_outcome().init_value().set_null(());
        let refused = finish.send().promise.await.err().unwrap();
        assert_eq!(to_failure(&refused).code, Code::Revoked);
        assert!(!lab.seen.borrow().contains(&"put".to_owned()));
        assert!(owner.with(|task| task.ending().is_none()));
    })
    .await;
}

#[tokio::test]
async fn an_operation_asked_for_twice_is_refused() {
    over_both(|lab| async move {
        let site = lab.start();
        create(&site).await;
        let (_context, granted) = lab.attempt(&site).await;
        let (one, two) = (call(&granted, 1, "put"), call(&granted, 1, "put"));
        assert!(said(one).await.is_ok());
        assert_eq!(said(two).await.unwrap_err().code, Code::InvalidArgument);
        assert_eq!(lab.seen.borrow().len(), 1);
    })
    .await;
}
