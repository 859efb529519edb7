//! Attacks by a hostile node that is a member of the mesh.

use std::rc::Rc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use remit_client::{Client, GrantSpec, Role, TaskSpec, Value};
use remit_identity::membership::Member;
use remit_schema::agent_node_capnp::{agent_host, agent_node_port, agent_registration};
use remit_schema::object_capnp::object;
use remit_tool_node::kit::{CallContext, Failure, Interface, Method, NoArgs, Tool};
use remit_tool_node::run;
use remit_tool_node::start::Arguments;
use remit_vat::connection::{Connection, within};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::{Backends, SOON, Stage, scaled};
use crate::looking::look_until;
use crate::mesh::now_ms;

/// How long an invite for a hostile node is valid.
const MINUTE: Duration = Duration::from_secs(60);

/// Bytes of one piece of output.
const PIECE: usize = 16 << 10;

/// The root of the hostile tools.
pub(super) struct Nothing;

impl Nothing {
    /// An object that implements no method.
    pub(super) fn object() -> object::Client {
        capnp_rpc::new_client(Self)
    }

    async fn look(self: Rc<Self>, _: NoArgs, _: CallContext) -> Result<u32, Failure> {
        Ok(2)
    }

    /// Writes output until it is cancelled.
    async fn talk(self: Rc<Self>, _: NoArgs, call: CallContext) -> Result<(), Failure> {
        let piece = "x".repeat(PIECE);
        loop {
            for _ in 0..32 {
                call.emit(&piece);
            }
            tokio::select! {
                biased;
                () = call.cancelled() => return Ok(()),
                () = tokio::time::sleep(Duration::from_millis(5)) => {}
            }
        }
    }
}

impl object::Server for Nothing {}

/// A tool with one method, `look`, which returns 2; that of the probe returns 1.
pub(super) fn tool(name: &str, version: &str, description: &str) -> Tool {
    let interface = Interface::<Nothing>::new("Nothing", "Does nothing.").method(
        "look",
        Method::read_only("Looks."),
        Nothing::look,
    );
    Tool::new(name, version, description).interface(interface).root(Rc::new(Nothing))
}

/// A tool whose one method writes output without end.
pub(super) fn talker() -> Tool {
    let interface = Interface::<Nothing>::new("Talker", "Talks.").method(
        "talk",
        Method::idempotent("Talks."),
        Nothing::talk,
    );
    Tool::new("talker", "1.0.0", "Talks.").interface(interface).root(Rc::new(Nothing))
}

/// A tool node in this process.
pub(super) struct ToolNode {
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
}

impl ToolNode {
    /// Stops the node, and waits until it has left the mesh.
    pub(super) async fn leave(self) {
        drop(self.stop);
        self.running.await.unwrap();
    }
}

/// Serves `tools` from this thread, and returns when they are listed.
pub(super) async fn serve_tools(
    backends: &Backends,
    client: &Client,
    name: &str,
    tools: Vec<Tool>,
) -> ToolNode {
    let join = Some(client.invite(Role::ToolNode, name, MINUTE).await.unwrap());
    let (dir, address) = (backends.dir.join(name), Some(backends.address.clone()));
    let arguments = Arguments { join, dir, address, ..Arguments::default() };
    let member = arguments.member().await.unwrap();
    let node = Rc::new(arguments.node(tools).await.unwrap());
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::task::spawn_local(async move {
        let over = async {
            let _dropped = stopped.await;
        };
        run(&member, &node, over).await;
    });
    let suffix = format!("/{name}");
    look_until("the tools are listed", async || {
        let tools = client.tools().await.unwrap();
        tools.iter().any(|tool| tool.available && tool.node.ends_with(&suffix))
    })
    .await;
    ToolNode { stop, running }
}

/// Serves a newer version of a tool whose name another node already holds.
pub fn newer_version(backends: Backends, stage: Stage) -> LocalBoxFuture<'static, ()> {
    async move {
        let client = backends.client().await;
        let newer = tool("probe", "99.0.0", "The newest.");
        let node = serve_tools(&backends, &client, "impostor", vec![newer]).await;
        let run = async || {
            let grant = GrantSpec::parse("probe", "probe", now_ms()).unwrap();
            let script = "export default (remit) => remit.probe.look()";
            let spec = TaskSpec::script("looks", script).grant(grant);
            match client.create_task(spec).await {
                Ok(task) => task.result().await,
                Err(error) => Err(error),
            }
        };
        let during = run().await;
        node.leave().await;
        let after = run().await;
        let one = |looked: &Result<Value, _>| matches!(looked, Ok(Value::Integer(1)));
        let met = one(&during) && one(&after);
        let text = if met {
            "grants without a version stay with the first node".to_owned()
        } else {
            format!("while it was there {during:?}, afterwards {after:?}")
        };
        stage.hold(text, met).await;
    }
    .boxed_local()
}

/// The host of an agent node that refuses every attempt.
struct Refuser;

impl agent_host::Server for Refuser {
    async fn start(
        self: Rc<Self>,
        _: agent_host::StartParams,
        _: agent_host::StartResults,
    ) -> Result<(), capnp::Error> {
        Err(capnp::Error::failed("not today".into()))
    }
}

/// A registered agent node that refuses every attempt.
struct HostileAgent {
    registration: agent_registration::Client,
    _connection: Connection,
}

async fn register(backends: &Backends, client: &Client, name: &str, kind: &str) -> HostileAgent {
    let line = client.invite(Role::AgentNode, name, MINUTE).await.unwrap();
    let invite = line.parse().unwrap();
    let dir = backends.dir.join(name);
    let member =
        Member::open(&dir, &backends.address, Some(&invite), Role::AgentNode).await.unwrap();
    let (port, connection): (agent_node_port::Client, _) = member.connect().await.unwrap();
    let mut request = port.register_request();
    request.get().set_host(capnp_rpc::new_client(Refuser));
    let mut offer = request.get().init_offer();
    offer.reborrow().init_kinds(1).set(0, kind);
    offer.set_version("1.0.0");
    offer.set_capacity(1_000);
    offer.set_instance(&[1; 16]);
    let registered = within(SOON, request.send()).await.unwrap();
    let registration = registered.get().unwrap().get_registration().unwrap();
    HostileAgent { registration, _connection: connection }
}

/// Offers a thousand places, and refuses every attempt.
pub fn failing_agent(backends: Backends, stage: Stage) -> LocalBoxFuture<'static, ()> {
    async move {
        let client = backends.client().await;
        let _hostile = register(&backends, &client, "refuser", "script").await;
        let mut done = 0;
        for _ in 0..8 {
            let spec = TaskSpec::script("small", "export default () => 1");
            let result = client.create_task(spec).await.unwrap().result().await;
            done += usize::from(result.is_ok());
        }
        stage.hold(format!("{done} of 8 tasks completed beside it"), done == 8).await;
    }
    .boxed_local()
}

/// Reports another load each time, so that the scheduler examines the waiting tasks again. Returns
/// the number of reports.
pub(super) async fn flip_load(backends: &Backends, client: &Client) -> usize {
    let hostile = register(backends, client, "flipper", "other").await;
    let flips = scaled(2_000);
    for at in 0..flips {
        let mut request = hostile.registration.report_request();
        request.get().set_running(u32::try_from(at % 2).unwrap());
        within(SOON, request.send()).await.unwrap();
    }
    flips
}
