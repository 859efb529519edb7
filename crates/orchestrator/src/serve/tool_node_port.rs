//! What a tool node can do here.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use remit_core::{Code, Failure, Identity};
use remit_schema::tool_node_capnp::{tool_node_port, tool_registration};
use remit_vat::connection::Connection;
use remit_vat::exception::to_exception;
use remit_vat::wire::{self, Malformed};

use super::credentials::member;
use super::texts;
use crate::limits;
use crate::scheduler::registry::{Lease, Link, ToolOffer};
use crate::services::context::Site;

/// The bootstrap object of a tool node.
pub(super) struct ToolNodePort {
    site: Rc<Site>,
    who: Identity,
    /// Set before the first call arrives.
    connection: Rc<OnceCell<Connection>>,
}

impl ToolNodePort {
    pub(super) const fn new(
        site: Rc<Site>,
        who: Identity,
        connection: Rc<OnceCell<Connection>>,
    ) -> Self {
        Self { site, who, connection }
    }

    /// The offer with what of it is not what was accepted. One that the registry would refuse is
    /// not judged at all.
    async fn judged(&self, mut offer: ToolOffer) -> Result<ToolOffer, Failure> {
        offer.check()?;
        for (at, (manifest, _)) in offer.tools.iter().enumerate() {
            if let Some(accepted) = self.site.pins.judge(&self.who, manifest).await? {
                offer.changed.insert(at, accepted);
            }
        }
        Ok(offer)
    }
}

member!(ToolNodePort);

impl tool_node_port::Server for ToolNodePort {
    async fn register(
        self: Rc<Self>,
        params: tool_node_port::RegisterParams,
        mut results: tool_node_port::RegisterResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let offer = params.get_offer()?;
        let mut tools = Vec::new();
        for tool in offer.get_tools()?.iter().take(limits::TOOLS_PER_NODE + 1) {
            tools.push((wire::manifest::read(tool.get_manifest()?)?, tool.get_root()?));
        }
        let labels = texts(offer.get_labels()?)?;
        let address = wire::text(offer.get_address())?;
        let (changed, host) = (HashMap::new(), params.get_host()?);
        let instance = offer.get_instance()?.to_vec();
        let link = self.connection.get().cloned().map_or(Link::Here, Link::Over);
        let offer = ToolOffer { tools, changed, labels, address, host, link, instance };
        let offer = self.judged(offer).await.map_err(|failure| to_exception(&failure))?;
        let lease = self.site.registry.register_tools(&self.who.to_string(), offer);
        let lease = lease.map_err(|failure| to_exception(&failure))?;
        results.get().set_registration(capnp_rpc::new_client(Registration { lease }));
        Ok(())
    }
}

struct Registration {
    lease: Lease,
}

impl tool_registration::Server for Registration {
    async fn report(
        self: Rc<Self>,
        params: tool_registration::ReportParams,
        _: tool_registration::ReportResults,
    ) -> Result<(), capnp::Error> {
        self.lease.report(params.get()?.get_in_flight());
        Ok(())
    }

    async fn emit(
        self: Rc<Self>,
        params: tool_registration::EmitParams,
        _: tool_registration::EmitResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let text = params.get_text()?.to_str().map_err(Malformed::from)?;
        if text.len() > limits::OUTPUT_BYTES {
            let why = format!("a piece of output of {} bytes", text.len());
            return Err(to_exception(&Failure::new(Code::Limit, why)));
        }
        self.lease.emit(params.get_key()?, text.to_owned());
        Ok(())
    }

    async fn drain(
        self: Rc<Self>,
        params: tool_registration::DrainParams,
        _: tool_registration::DrainResults,
    ) -> Result<(), capnp::Error> {
        let time = Duration::from_millis(params.get()?.get_timeout_ms()).min(limits::DRAIN_LONGEST);
        self.lease.drain(time).await.map_err(|failure| to_exception(&failure))?;
        Ok(())
    }
}
