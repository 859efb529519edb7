//! The two ends of an introduction, as the orchestrator asks them.

use remit_core::{Caveat, Failure, Manifest};
use remit_identity::ticket;
use remit_schema::agent_node_capnp::run;
use remit_schema::object_capnp::object;
use remit_schema::tool_node_capnp::{introduction, tool_host};
use remit_vat::connection::within;
use remit_vat::exception::to_failure;
use remit_vat::wire;

use crate::limits;

/// Who is introduced, and for what.
pub struct Spec<'a> {
    /// What the agent node will show.
    pub ticket: &'a [u8; 32],
    /// The agent node, as a SPIFFE name.
    pub agent: &'a str,
    /// The tool at the grant's root.
    pub tool: &'a Manifest,
    /// The grant's path below that.
    pub path: &'a str,
    /// The caveats of the grant and of each above it, with the way from the root of each to that of
    /// the grant.
    pub links: &'a [(Vec<Caveat>, String)],
}

/// Has the tool node expect the agent node. Answers with the hold on that, and with the grant's root.
pub async fn at_tool_node(
    host: &tool_host::Client,
    spec: &Spec<'_>,
) -> Result<(introduction::Client, object::Client), Failure> {
    let mut request = host.introduce_request();
    let mut builder = request.get().init_spec();
    builder.set_ticket_hash(&ticket::hash(spec.ticket));
    builder.set_agent(spec.agent);
    builder.set_tool(&spec.tool.tool);
    builder.set_version(&spec.tool.version);
    builder.set_path(spec.path);
    let count = u32::try_from(spec.links.len()).unwrap_or(u32::MAX);
    let mut links = builder.init_links(count);
    for (at, (caveats, way)) in (0..count).zip(spec.links) {
        let mut link = links.reborrow().get(at);
        link.set_way(way);
        let count = u32::try_from(caveats.len()).unwrap_or(u32::MAX);
        let mut list = link.init_caveats(count);
        for (at, caveat) in (0..count).zip(caveats) {
            wire::event::write_caveat(list.reborrow().get(at), caveat);
        }
    }
    let response = within(limits::INTRODUCTION, request.send()).await?;
    let results = response.get().map_err(|error| to_failure(&error))?;
    let lease = results.get_introduction().map_err(|error| to_failure(&error))?;
    let object = results.get_object().map_err(|error| to_failure(&error))?;
    Ok((lease, object))
}

/// Has the agent node dial the tool node, `(address, identity)`, for one attempt.
pub async fn at_agent_node(
    run: &run::Client,
    path: u32,
    (address, node): (&str, &str),
    ticket: &[u8; 32],
) -> Result<(), Failure> {
    let mut request = run.introduce_request();
    let mut params = request.get();
    params.set_path(path);
    params.set_address(address);
    params.set_node(node);
    params.set_ticket(ticket);
    within(limits::INTRODUCTION, request.send()).await.map(|_| ())
}
