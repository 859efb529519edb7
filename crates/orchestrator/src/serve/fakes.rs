//! Peers' ends as tests need them: objects that do nothing, and an orchestrator to connect to.

use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use capnp::capability::FromClientHook;
use futures::executor::block_on;
use remit_core::manifest::Interface;
use remit_core::{Identity, Manifest, Role};
use remit_identity::tls::Acceptor;
use remit_schema::agent_node_capnp::agent_host;
use remit_schema::audit_capnp::audit;
use remit_schema::member_capnp::members;
use remit_schema::mesh_capnp::{creation, mesh, tasks};
use remit_schema::object_capnp::object;
use remit_schema::task_capnp::task_context;
use remit_schema::tool_node_capnp::tool_host;
use remit_vat::connection::{Connection, ConnectionOptions};
use remit_vat::limits::ConnectionLimits;

use crate::admission::listener::Listener;
use crate::config::Config;
use crate::node;
use crate::scheduler::registry::{AgentOffer, ToolOffer};
use crate::services::context::Site;

struct Idle;

impl object::Server for Idle {}
impl tool_host::Server for Idle {}
impl agent_host::Server for Idle {}
impl task_context::Server for Idle {}

impl remit_schema::peer_capnp::peer::Server for Idle {
    async fn ping(
        self: Rc<Self>,
        _: remit_schema::peer_capnp::peer::PingParams,
        _: remit_schema::peer_capnp::peer::PingResults,
    ) -> Result<(), capnp::Error> {
        Ok(())
    }
}

pub(crate) fn context() -> task_context::Client {
    capnp_rpc::new_client(Idle)
}

pub(crate) fn manifest(tool: &str, version: &str) -> Manifest {
    let root = Interface { name: "Root".into(), ..Interface::default() };
    Manifest {
        tool: tool.into(),
        version: version.into(),
        root: "Root".into(),
        interfaces: vec![root],
        ..Manifest::default()
    }
}

/// An offer of tools, given as name and version.
pub(crate) fn tools(offered: &[(&str, &str)]) -> ToolOffer {
    let tool = |(tool, version): &(&str, &str)| {
        let root: object::Client = capnp_rpc::new_client(Idle);
        (manifest(tool, version), root)
    };
    ToolOffer {
        tools: offered.iter().map(tool).collect(),
        changed: HashMap::new(),
        labels: Vec::new(),
        address: String::new(),
        host: capnp_rpc::new_client(Idle),
        link: crate::scheduler::registry::Link::Here,
        instance: Vec::new(),
    }
}

/// An offer to run `capacity` scripts.
pub(crate) fn scripts(capacity: u32, labels: &[&str]) -> AgentOffer {
    AgentOffer {
        kinds: vec!["script".into()],
        version: "1.0.0".into(),
        labels: labels.iter().map(|&label| label.into()).collect(),
        capacity,
        host: capnp_rpc::new_client(Idle),
        instance: Vec::new(),
    }
}

pub(crate) fn who(role: Role, name: &str) -> Identity {
    Identity::new("home", "default", role, name).unwrap()
}

/// An orchestrator whose listener is reached over streams in memory.
pub(crate) struct Here {
    pub(crate) site: Rc<Site>,
    pub(crate) listener: Rc<Listener>,
    _dir: tempfile::TempDir,
}

pub(crate) fn config(data: PathBuf) -> Config {
    Config { data, cache_bytes: 4 << 20, ..Config::default() }
}

impl Here {
    pub(crate) fn new() -> Self {
        Self::by(node::now_ms)
    }

    /// One by this wall clock.
    pub(crate) fn by(now_ms: fn() -> u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path().join("data"));
        let backends = node::backends(&config, now_ms).unwrap();
        let (site, own) =
            block_on(node::build_on(backends, &config, "localhost:1".into())).unwrap();
        let acceptor = Acceptor::new(&own, &[]).unwrap();
        let listener = Listener::new(Rc::clone(&site), acceptor);
        Self { site, listener, _dir: dir }
    }

    /// Connects as a member of this role and name.
    pub(crate) fn connect<C: FromClientHook>(&self, role: Role, name: &str) -> (C, Connection) {
        let until = SystemTime::now() + Duration::from_secs(60);
        self.connect_until(role, name, until).0
    }

    /// The same, with a certificate that ends then; with the orchestrator's end of the connection.
    pub(crate) fn connect_until<C: FromClientHook>(
        &self,
        role: Role,
        name: &str,
        until: SystemTime,
    ) -> ((C, Connection), Connection) {
        let (near, far) = tokio::io::duplex(64 << 10);
        let served = self.listener.serve_peer(far, &who(role, name), until).unwrap();
        (Connection::connect(near, None, options()), served)
    }
}

/// The facets of a client, asked for together with the first call on them.
pub(crate) trait Granted {
    fn creation(&self) -> creation::Client;
    fn tasks(&self) -> tasks::Client;
    fn members(&self) -> members::Client;
    fn audit(&self) -> audit::Client;
}

impl Granted for mesh::Client {
    fn creation(&self) -> creation::Client {
        self.facets_request().send().pipeline.get_creation()
    }

    fn tasks(&self) -> tasks::Client {
        self.facets_request().send().pipeline.get_tasks()
    }

    fn members(&self) -> members::Client {
        self.facets_request().send().pipeline.get_members()
    }

    fn audit(&self) -> audit::Client {
        self.facets_request().send().pipeline.get_audit()
    }
}

pub(crate) fn options() -> ConnectionOptions {
    ConnectionOptions { peer: "the orchestrator".into(), limits: ConnectionLimits::default() }
}
