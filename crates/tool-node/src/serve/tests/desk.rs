//! The orchestrator's end of a node.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use remit_core::{Failure, Value};
use remit_schema::object_capnp::object;
use remit_schema::peer_capnp::peer;
use remit_schema::tool_node_capnp::{call_state, tool_host, tool_node_port, tool_registration};
use remit_vat::connection::{Connection, ConnectionOptions, within};
use remit_vat::exception::to_failure;
use remit_vat::unsettled::{NoReply, Unsettled};
use remit_vat::wire;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::task::LocalSet;

use crate::node::Node;

/// Longer than any call takes.
pub(super) const LONG: Duration = Duration::from_secs(20);

/// What the orchestrator has of a node that registered.
pub(super) struct Desk {
    pub(super) root: object::Client,
    pub(super) host: tool_host::Client,
    pub(super) output: mpsc::UnboundedReceiver<(Vec<u8>, String)>,
    pub(super) connection: Connection,
}

type Offered = (object::Client, tool_host::Client);

struct Port {
    offered: RefCell<Option<tokio::sync::oneshot::Sender<Offered>>>,
    output: mpsc::UnboundedSender<(Vec<u8>, String)>,
}

impl peer::Server for Port {
    async fn ping(
        self: Rc<Self>,
        _: peer::PingParams,
        _: peer::PingResults,
    ) -> Result<(), capnp::Error> {
        Ok(())
    }
}
impl remit_schema::join_capnp::credentials::Server for Port {}

impl tool_node_port::Server for Port {
    async fn register(
        self: Rc<Self>,
        params: tool_node_port::RegisterParams,
        mut results: tool_node_port::RegisterResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let root = params.get_offer()?.get_tools()?.get(0).get_root()?;
        if let Some(offered) = self.offered.take() {
            let _ = offered.send((root, params.get_host()?));
        }
        let registration = Registration { output: self.output.clone() };
        results.get().set_registration(capnp_rpc::new_client(registration));
        Ok(())
    }
}

struct Registration {
    output: mpsc::UnboundedSender<(Vec<u8>, String)>,
}

impl tool_registration::Server for Registration {
    async fn report(
        self: Rc<Self>,
        _: tool_registration::ReportParams,
        _: tool_registration::ReportResults,
    ) -> Result<(), capnp::Error> {
        Ok(())
    }

    async fn emit(
        self: Rc<Self>,
        params: tool_registration::EmitParams,
        _: tool_registration::EmitResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let piece = (params.get_key()?.to_vec(), params.get_text()?.to_string()?);
        let _ = self.output.send(piece);
        Ok(())
    }
}

/// Connects `node` to a desk in this process.
pub(super) async fn connect(node: &Rc<Node>) -> Desk {
    let (here, there) = tokio::io::duplex(64 << 10);
    let (port, own) = Connection::connect(here, None, options("orchestrator"));
    let node = Rc::clone(node);
    tokio::task::spawn_local(async move { node.serve(&port, own).await });
    Desk::serve(there).await
}

fn options(peer: &str) -> ConnectionOptions {
    ConnectionOptions { peer: peer.into(), limits: Default::default() }
}

impl Desk {
    /// Serves the node at the other end of `stream` and waits until it has registered.
    pub(super) async fn serve<S: AsyncRead + AsyncWrite + 'static>(stream: S) -> Self {
        let (offer, offered) = tokio::sync::oneshot::channel();
        let (output, pieces) = mpsc::unbounded_channel();
        let port: tool_node_port::Client =
            capnp_rpc::new_client(Port { offered: RefCell::new(Some(offer)), output });
        let connection = Connection::serve(stream, port.client, options("node"));
        let (root, host) = offered.await.unwrap();
        Self { root, host, output: pieces, connection }
    }
}

pub(super) fn request(
    on: &object::Client,
    method: &str,
    args: &Value<u32>,
    key: &[u8],
) -> capnp::capability::Request<object::call_params::Owned, object::call_results::Owned> {
    let mut request = on.call_request();
    request.get().set_method(method);
    request.get().set_key(key);
    wire::value::write(request.get().init_args(), args, &[]);
    request
}

pub(super) async fn call(
    on: &object::Client,
    method: &str,
    args: Value<u32>,
    key: &[u8],
) -> Result<Value<u32>, Failure> {
    let answer = within(LONG, request(on, method, &args, key).send()).await?;
    let answer = answer.get().map_err(|e| to_failure(&e))?;
    // The node's own word, which no text of a tool's can be.
    if let Some(why) = Unsettled::read(answer).unwrap() {
        return Err(Failure::from(NoReply::Unsettled(why)).with_detail(UNSETTLED));
    }
    if answer.has_refused() {
        return Err(wire::outcome::read_failure(answer.get_refused().unwrap()).unwrap());
    }
    Ok(wire::value::read(answer.get_value().unwrap()).unwrap().0)
}

/// The detail of a failure that stands for an unsettled call.
pub(super) const UNSETTLED: &str = "unsettled";

/// What a `ToolHost` says of a key.
pub(super) async fn settle(desk: &Desk, key: &[u8]) -> String {
    let mut request = desk.host.settle_request();
    request.get().set_key(key);
    let answer = within(LONG, request.send()).await.unwrap();
    let state = answer.get().unwrap().get_state().unwrap();
    match state.which().unwrap() {
        call_state::NeverStarted(()) => "never started".into(),
        call_state::Started(()) => "started".into(),
        call_state::Forgotten(()) => "forgotten".into(),
        call_state::Value(value) => {
            format!("{:?}", wire::value::read(value.unwrap()).unwrap().0)
        }
        call_state::Failure(failure) => {
            wire::outcome::read_failure(failure.unwrap()).unwrap().code.to_string()
        }
    }
}

/// Runs a test body as a vat does.
pub(super) fn vat<F: Future<Output = ()>>(body: F) {
    vat_for(Duration::from_secs(60), body);
}

/// The same for one that may take so long.
pub(super) fn vat_for<F: Future<Output = ()>>(limit: Duration, body: F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        tokio::time::timeout(limit, body).await.expect("in time");
    });
}
