//! What an agent node can do here.

use std::rc::Rc;
use std::time::Duration;

use remit_core::Identity;
use remit_schema::agent_node_capnp::{agent_node_port, agent_registration};
use remit_vat::exception::to_exception;
use remit_vat::wire::Malformed;

use super::credentials::member;
use super::texts;
use crate::limits;
use crate::scheduler::registry::{AgentOffer, Lease};
use crate::services::context::Site;

/// The bootstrap object of an agent node.
pub(super) struct AgentNodePort {
    site: Rc<Site>,
    who: Identity,
}

impl AgentNodePort {
    pub(super) const fn new(site: Rc<Site>, who: Identity) -> Self {
        Self { site, who }
    }
}

member!(AgentNodePort);

impl agent_node_port::Server for AgentNodePort {
    async fn register(
        self: Rc<Self>,
        params: agent_node_port::RegisterParams,
        mut results: agent_node_port::RegisterResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let offer = params.get_offer()?;
        let offer = AgentOffer {
            kinds: texts(offer.get_kinds()?)?,
            version: offer.get_version()?.to_str().map_err(Malformed::from)?.to_owned(),
            labels: texts(offer.get_labels()?)?,
            capacity: offer.get_capacity(),
            host: params.get_host()?,
            instance: offer.get_instance()?.to_vec(),
        };
        let lease = self.site.registry.register_agents(&self.who.to_string(), offer);
        let lease = lease.map_err(|failure| to_exception(&failure))?;
        results.get().set_registration(capnp_rpc::new_client(Registration { lease }));
        Ok(())
    }
}

struct Registration {
    lease: Lease,
}

impl agent_registration::Server for Registration {
    async fn report(
        self: Rc<Self>,
        params: agent_registration::ReportParams,
        _: agent_registration::ReportResults,
    ) -> Result<(), capnp::Error> {
        self.lease.report(params.get()?.get_running());
        Ok(())
    }

    async fn drain(
        self: Rc<Self>,
        params: agent_registration::DrainParams,
        _: agent_registration::DrainResults,
    ) -> Result<(), capnp::Error> {
        let time = Duration::from_millis(params.get()?.get_timeout_ms()).min(limits::DRAIN_LONGEST);
        self.lease.drain(time).await.map_err(|failure| to_exception(&failure))?;
        Ok(())
    }
}
