//! `ToolHost`: what the orchestrator may ask of this node.

use std::rc::Rc;

use remit_core::grant::Links;
use remit_core::{Code, Failure, Value};
use remit_schema::object_capnp::object;
use remit_schema::tool_node_capnp::{introduction, introduction_spec, tool_host};
use remit_vat::exception::to_exception;
use remit_vat::wire::{self, Malformed, text};

use super::object::Served;
use super::state;
use crate::calls::{Calls, Link, Request};
use crate::introductions::{Guard, Introductions, Lease};
use crate::kit::{Instance, OpenTool, fail};
use crate::limits;

/// Answers from the running calls and the ledger, and expects whom it is told to.
pub(crate) struct Host {
    pub(crate) calls: Rc<Calls>,
    pub(crate) tools: Rc<[Rc<OpenTool>]>,
    pub(crate) introductions: Rc<Introductions>,
    /// Tells whether the orchestrator's connection was lost.
    pub(crate) link: Link,
}

/// An introduction, as its owner holds it.
struct Held {
    _lease: Lease,
}

impl introduction::Server for Held {}

/// Who may come, and for what.
struct Spec {
    hash: [u8; 32],
    agent: String,
    tool: String,
    version: String,
    path: String,
    links: Links,
}

impl Host {
    /// The host, as a capability.
    pub(crate) fn client(self) -> tool_host::Client {
        capnp_rpc::new_client(self)
    }

    async fn expect(&self, spec: Spec) -> Result<(Lease, object::Client), Failure> {
        let root = self.open(&spec).await?;
        let lease = self.introductions.expect(spec.hash, spec.agent, spec.links)?;
        let guard = Guard::root(Rc::clone(lease.introduction()));
        let (calls, link) = (Rc::clone(&self.calls), Rc::clone(&self.link));
        Ok((lease, Served::guarded(root, calls, link, guard)))
    }

    /// The root of a grant.
    async fn open(&self, spec: &Spec) -> Result<Instance, Failure> {
        let same = |tool: &&Rc<OpenTool>| {
            tool.manifest().tool == spec.tool && tool.manifest().version == spec.version
        };
        let tool = self.tools.iter().find(same).ok_or_else(|| {
            let why = format!("this node does not serve {} {}", spec.tool, spec.version);
            Failure::new(Code::NotFound, why)
        })?;
        if spec.path.is_empty() {
            return Ok(tool.root());
        }
        let request = Request {
            method: tool.manifest().descend.clone(),
            args: Value::Fields(vec![("path".into(), Value::Text(spec.path.clone()))]),
            objects: Vec::new(),
            key: Vec::new(),
            turn: None,
        };
        let opened = self.calls.call(&tool.root(), request, Rc::clone(&self.link)).await?;
        opened.object.ok_or_else(|| fail::failed("the tool opened no object for the path"))
    }
}

impl tool_host::Server for Host {
    async fn settle(
        self: Rc<Self>,
        params: tool_host::SettleParams,
        mut results: tool_host::SettleResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let (key, age_ms) = (params.get_key()?.to_vec(), params.get_age_ms());
        let settled = self.calls.settle(&key, age_ms).await.map_err(|e| to_exception(&e))?;
        state::write(results.get().init_state(), &settled);
        Ok(())
    }

    async fn reopen(
        self: Rc<Self>,
        params: tool_host::ReopenParams,
        _: tool_host::ReopenResults,
    ) -> Result<(), capnp::Error> {
        let key = params.get()?.get_key()?.to_vec();
        self.calls.reopen(&key).await.map_err(|e| to_exception(&e))
    }

    async fn introduce(
        self: Rc<Self>,
        params: tool_host::IntroduceParams,
        mut results: tool_host::IntroduceResults,
    ) -> Result<(), capnp::Error> {
        let spec = read(params.get()?.get_spec()?)?;
        let (lease, object) = self.expect(spec).await.map_err(|e| to_exception(&e))?;
        let mut results = results.get();
        results.set_introduction(capnp_rpc::new_client(Held { _lease: lease }));
        results.set_object(object);
        Ok(())
    }
}

fn read(spec: introduction_spec::Reader<'_>) -> Result<Spec, Malformed> {
    let links = spec.get_links()?;
    if links.len() as usize > limits::LINKS {
        return Err(Malformed(format!("a chain of {} grants", links.len())));
    }
    let mut chain = Vec::new();
    for link in links {
        let caveats = link.get_caveats()?.iter().map(wire::event::read_caveat);
        chain.push((caveats.collect::<Result<_, _>>()?, text(link.get_way())?));
    }
    let hash = spec.get_ticket_hash()?;
    let hash = hash.try_into().map_err(|_| Malformed("a hash has 32 bytes".into()))?;
    Ok(Spec {
        hash,
        agent: text(spec.get_agent())?,
        tool: text(spec.get_tool())?,
        version: text(spec.get_version())?,
        path: text(spec.get_path())?,
        links: Links::new(chain),
    })
}
