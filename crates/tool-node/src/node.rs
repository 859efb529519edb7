//! The node: its tools, its calls, and one registration after another.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::path::Path;
use std::rc::Rc;

use futures::FutureExt as _;
use futures::future::{join_all, select_all};
use remit_core::{Failure, Identity};
use remit_identity::membership::Member;
use remit_identity::tls::{Hint, Refused};
use remit_schema::tool_node_capnp::tool_node_port;
use remit_store::DiskError;
use remit_vat::connection::{Connection, Ended};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;

use crate::calls::Calls;
use crate::introductions::Introductions;
use crate::kit::{BadTool, OpenTool, Output, Piece, Source, Tool};
use crate::ledger::Ledger;
use crate::limits;
use crate::listener;
use crate::serve::direct;
use crate::serve::registration::{Offered, Registration};

/// A tool node without its connection. It outlives connections: calls that run when one is lost run
/// to their end, and the next one finds their outcomes.
pub struct Node {
    tools: Vec<Source>,
    labels: Vec<String>,
    calls: Rc<Calls>,
    introductions: Rc<Introductions>,
    listener: RefCell<Option<TcpListener>>,
    /// Where agent nodes may dial it; empty: nowhere.
    address: String,
    /// What tells this process from others of its name.
    instance: [u8; 16],
    output: Mutex<mpsc::Receiver<Piece>>,
    leaving: CancellationToken,
    /// Answers a node that leaves: no more calls are on their way to it.
    left: CancellationToken,
    registered: Cell<u32>,
}

/// Why a node could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CannotServe {
    /// A tool is not well described.
    #[error(transparent)]
    Tool(#[from] BadTool),
    /// The ledger cannot be opened.
    #[error("the node's ledger: {0}")]
    Ledger(#[from] DiskError),
}

/// Serves `node` to the mesh of `member` until `shutdown`, then lets calls in flight end, for ten
/// seconds at most. A connection that is lost is made again. Runs on a vat: see [`main_with`] for a
/// program that is nothing but a node.
///
/// [`main_with`]: crate::main_with
pub async fn run(member: &Member, node: &Rc<Node>, shutdown: impl Future<Output = ()>) {
    let stop = CancellationToken::new();
    let stay = member.stay(&stop, |port: tool_node_port::Client, connection| {
        let node = Rc::clone(node);
        async move {
            if let Err(failure) = node.serve(&port, connection.clone()).await {
                tracing::warn!(%failure, "not registered");
                connection.abort("the orchestrator did not take the registration");
            }
        }
    });
    let stopping = async {
        shutdown.await;
        node.leave().await;
        stop.cancel();
    };
    let listening = async {
        let tcp = node.listener.take();
        if let Some(tcp) = tcp {
            listener::run(node, &tcp, member, &stop).await;
        }
    };
    tokio::join!(stay, stopping, listening);
    node.drain().await;
}

impl Node {
    /// A node that serves `tools` and keeps its ledger in the folder `ledger`. `labels` say what
    /// the node has, for people and for placement.
    ///
    /// # Errors
    /// [`CannotServe::Tool`] if a tool is not well described; [`CannotServe::Ledger`] if the folder
    /// cannot be opened or another node has it.
    pub async fn open(
        tools: Vec<Tool>,
        labels: Vec<String>,
        ledger: &Path,
    ) -> Result<Self, CannotServe> {
        let ledger = Ledger::open(ledger).await?;
        Ok(Self::with(tools, labels, ledger)?)
    }

    /// As [`Node::open`], with a ledger that is open already.
    ///
    /// # Errors
    /// A tool is not well described.
    pub fn with(tools: Vec<Tool>, labels: Vec<String>, ledger: Ledger) -> Result<Self, BadTool> {
        let mut titles = BTreeSet::new();
        for tool in &tools {
            if !titles.insert((tool.name(), tool.version())) {
                return Err(tool.bad("two tools of the node have its name and version"));
            }
        }
        let tools = tools.into_iter().map(Tool::into_source).collect::<Result<_, _>>()?;
        let (output, pieces) = Output::channel();
        let calls = Calls::new(ledger, output);
        Ok(Self {
            tools,
            labels,
            calls,
            introductions: Rc::default(),
            listener: RefCell::new(None),
            address: String::new(),
            instance: remit_vat::chance::bytes(),
            output: Mutex::new(pieces),
            leaving: CancellationToken::new(),
            left: CancellationToken::new(),
            registered: Cell::new(0),
        })
    }

    /// Lets agent nodes that the orchestrator introduces dial in at `listener`, which they reach at
    /// `address` (host:port), and keeps in the folder `bodies` what they then get.
    ///
    /// # Errors
    /// [`CannotServe::Ledger`] if `bodies` cannot be opened.
    pub async fn listening(
        mut self,
        listener: TcpListener,
        address: String,
        bodies: &Path,
    ) -> Result<Self, CannotServe> {
        self.calls.keep_bodies_in(Ledger::open(bodies).await?);
        self.listener = RefCell::new(Some(listener));
        self.address = address;
        Ok(self)
    }

    /// Serves an agent node whose identity was verified, over a stream that begins with its ticket.
    ///
    /// # Errors
    /// The ticket is unknown, was used, is too old or was made for somebody else.
    pub async fn serve_introduced<S>(
        &self,
        stream: S,
        identity: &Identity,
    ) -> Result<Connection, Refused>
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        direct::serve(&self.introductions, stream, identity).await
    }

    /// Whether an agent node that shows this in its first message was introduced.
    pub(crate) fn awaits(&self, hint: Hint) -> bool {
        self.introductions.awaits(hint)
    }

    /// Registers over one connection and serves it until it ends.
    ///
    /// # Errors
    /// What the orchestrator said of the registration, or `unavailable` if it said nothing.
    pub async fn serve(
        &self,
        port: &tool_node_port::Client,
        connection: Connection,
    ) -> Result<Ended, Failure> {
        let mut sources = self.tools.clone();
        let all = join_all(sources.iter_mut().map(Source::there));
        if tokio::time::timeout(limits::FIRST_TOOLS, all).await.is_err() {
            tracing::warn!("not all tools are there yet: they are registered when they come");
        }
        let mut registration = None;
        loop {
            let tools = sources.iter_mut().filter_map(Source::now).collect();
            // The earlier registration is given up when the next one has taken its place.
            let next = Registration::open(port, connection.clone(), &self.offered(&tools)).await?;
            let registration = registration.insert(next);
            let titles: Vec<String> = tools.iter().map(|tool| tool.title()).collect();
            tracing::info!(tools = %titles.join(", "), "registered");
            tokio::select! {
                biased;
                ended = self.hold(registration) => return Ok(ended),
                () = any_changed(&mut sources) => {}
            }
        }
    }

    /// Keeps a registration until its connection ends.
    async fn hold(&self, registration: &Registration) -> Ended {
        let _counted = Registered::new(&self.registered);
        let farewell = async {
            self.leaving.cancelled().await;
            registration.drain().await;
            self.left.cancel();
            std::future::pending().await
        };
        let ended = tokio::select! {
            biased;
            ended = registration.keep(&self.calls, &self.output) => ended,
            ended = farewell => ended,
        };
        if self.leaving.is_cancelled() {
            self.left.cancel();
        }
        ended
    }

    fn offered<'a>(&'a self, tools: &'a Rc<[Rc<OpenTool>]>) -> Offered<'a> {
        Offered {
            tools,
            labels: &self.labels,
            address: &self.address,
            instance: &self.instance,
            calls: &self.calls,
            introductions: &self.introductions,
        }
    }

    /// Tells the orchestrator that the node is about to go, and waits until its calls have ended.
    async fn leave(&self) {
        self.leaving.cancel();
        if self.registered.get() > 0 {
            let patience = limits::DRAIN + limits::PORT_DEADLINE;
            let _late = tokio::time::timeout(patience, self.left.cancelled()).await;
        }
    }

    /// Waits for the calls in flight, for as long as a node that is told to stop may take.
    pub async fn drain(&self) {
        if tokio::time::timeout(limits::DRAIN, self.calls.drained()).await.is_err() {
            tracing::warn!("calls were still running at the end: the ledger has them as started");
        }
    }
}

/// One registration that is counted, for as long as it lives.
struct Registered<'a>(&'a Cell<u32>);

impl<'a> Registered<'a> {
    fn new(count: &'a Cell<u32>) -> Self {
        count.set(count.get() + 1);
        Self(count)
    }
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// Answers when one of the tools has changed.
async fn any_changed(sources: &mut [Source]) {
    let changes = sources.iter_mut().map(|source| source.changed().boxed_local());
    match changes.collect::<Vec<_>>() {
        none if none.is_empty() => std::future::pending().await,
        changes => drop(select_all(changes).await),
    }
}
