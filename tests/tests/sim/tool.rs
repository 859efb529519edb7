//! The host of the tool node: the real kit, on a ledger and a file that survive it.

use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use capnp::capability::FromClientHook as _;
use remit_core::Role;
use remit_schema::object_capnp::object;
use remit_schema::tool_node_capnp::tool_node_port;
use remit_tool_node::Node;
use remit_tool_node::kit::{CallContext, Failure, Interface, Manifest, Method, NoArgs, Tool};
use remit_tool_node::ledger::Ledger;
use remit_vat::chance;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::disk::{Mounted, SimJournal, SimStore};
use crate::network::{connect, identity, pause};
use crate::past::{Happened, Past};
use crate::world::TOOLS;

/// The tool node's disk, which survives its process.
pub(crate) struct Shelf {
    pub(crate) ledger: Arc<SimStore>,
    pub(crate) file: Mutex<Vec<String>>,
    pub(crate) journal: Arc<SimJournal>,
    pub(crate) past: Arc<Past>,
}

struct Book {
    shelf: Arc<Shelf>,
}

#[derive(Deserialize, JsonSchema)]
struct Line {
    text: String,
}

impl Book {
    /// Appends a line. The pauses let the host crash before and after the effect.
    async fn append(self: Rc<Self>, line: Line, call: CallContext) -> Result<(), Failure> {
        moment().await;
        let (key, line) = (call.key().to_vec(), line.text);
        let intended = self.shelf.journal.intends(&key, &line);
        self.shelf.file.lock().unwrap().push(line.clone());
        self.shelf.past.note(Happened::Effect { key, line, intended });
        moment().await;
        Ok(())
    }

    async fn lines(self: Rc<Self>, _: NoArgs, _: CallContext) -> Result<Vec<String>, Failure> {
        Ok(self.shelf.file.lock().unwrap().clone())
    }

    async fn put(self: Rc<Self>, line: Line, _: CallContext) -> Result<usize, Failure> {
        moment().await;
        Ok(line.text.len())
    }

    async fn echo(self: Rc<Self>, line: Line, _: CallContext) -> Result<String, Failure> {
        moment().await;
        Ok(line.text)
    }

    async fn open(self: Rc<Self>, _: NoArgs, _: CallContext) -> Result<Rc<Self>, Failure> {
        Ok(self)
    }
}

async fn moment() {
    tokio::time::sleep(Duration::from_millis(40).mul_f64(chance::fraction())).await;
}

fn book(shelf: Arc<Shelf>) -> Tool {
    let interface = Interface::<Book>::new("Book", "Lines that stay.")
        .method("append", Method::effect("Appends a line."), Book::append)
        .method("lines", Method::read_only("The lines."), Book::lines)
        .method("put", Method::idempotent("Measures a line."), Book::put)
        .method("echo", Method::read_only("Says the same."), Book::echo)
        .opens("open", Method::read_only("The same again."), Book::open);
    Tool::new("book", "1.0.0", "For worlds.").interface(interface).root(Rc::new(Book { shelf }))
}

/// The manifest of the tool that the host offers.
pub(crate) fn manifest() -> Manifest {
    let past = Arc::new(Past::default());
    let shelf = Shelf {
        ledger: SimStore::new(0),
        file: Mutex::default(),
        journal: SimJournal::new(0, Arc::clone(&past)),
        past,
    };
    book(Arc::new(shelf)).open().unwrap().manifest().clone()
}

/// Runs one life of the host.
pub(crate) async fn run(shelf: Arc<Shelf>) -> turmoil::Result {
    let ledger = Ledger::over(Rc::new(Mounted(Arc::clone(&shelf.ledger))))?;
    let node = Node::with(vec![book(Arc::clone(&shelf))], Vec::new(), ledger)?;
    let who = identity(Role::ToolNode, TOOLS);
    loop {
        let (port, connection) = connect::<tool_node_port::Client>(&who).await;
        let tapped = Tap { port, past: Arc::clone(&shelf.past) };
        // The node connects again, whatever ended the connection.
        let _ended = node.serve(&capnp_rpc::new_client(tapped), connection.clone()).await;
        connection.abort("its session is over");
        pause().await;
    }
}

/// A port that wraps the roots of the tools, to observe calls that the ledger answers too.
struct Tap {
    port: tool_node_port::Client,
    past: Arc<Past>,
}

impl tool_node_port::Server for Tap {
    async fn register(
        self: Rc<Self>,
        params: tool_node_port::RegisterParams,
        mut results: tool_node_port::RegisterResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let mut request = self.port.register_request();
        request.get().set_host(params.get_host()?);
        request.get().set_offer(params.get_offer()?)?;
        for (at, tool) in (0..).zip(params.get_offer()?.get_tools()?) {
            let ear = Ear { inner: tool.get_root()?, past: Arc::clone(&self.past) };
            let mut tools = request.get().get_offer()?.get_tools()?;
            tools.reborrow().get(at).set_root(capnp_rpc::new_client(ear));
        }
        let response = request.send().promise.await?;
        results.get().set_registration(response.get()?.get_registration()?);
        Ok(())
    }
}

impl remit_schema::peer_capnp::peer::Server for Tap {}
impl remit_schema::join_capnp::credentials::Server for Tap {}

struct Ear {
    inner: object::Client,
    past: Arc<Past>,
}

impl object::Server for Ear {
    async fn call(
        self: Rc<Self>,
        params: object::CallParams,
        mut results: object::CallResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let method = params.get_method()?.to_string()?;
        self.past.note(Happened::Arrived { key: params.get_key()?.to_vec(), method });
        let mut request = self.inner.call_request();
        request.set(params)?;
        let response = request.send().promise.await?;
        results.set(response.get()?)?;
        if response.get()?.has_object() {
            let inner = response.get()?.get_object()?;
            let ear = Self { inner, past: Arc::clone(&self.past) };
            let heard: object::Client = capnp_rpc::new_client(ear);
            results.get().set_object(object::Client::new(heard.client.hook));
        }
        Ok(())
    }

    async fn describe(
        self: Rc<Self>,
        _: object::DescribeParams,
        mut results: object::DescribeResults,
    ) -> Result<(), capnp::Error> {
        let response = self.inner.describe_request().send().promise.await?;
        results.set(response.get()?)
    }
}
