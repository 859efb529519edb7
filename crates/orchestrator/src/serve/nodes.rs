//! The facet `nodes`: operates nodes.

use std::rc::Rc;
use std::time::Duration;

use remit_core::{Code, Facet, FacetUse, Failure, Identity};
use remit_schema::node_capnp::{node, nodes};
use remit_vat::run_detached::run_detached;
use remit_vat::wire::text;

use super::caller::Caller;
use super::good;
use crate::limits;

/// The nodes, for a client that operates them.
struct NodesServer(Rc<Caller>);

/// One of them.
struct NodeServer {
    caller: Rc<Caller>,
    identity: String,
}

/// The nodes, for this client.
pub(super) fn client(caller: &Rc<Caller>) -> nodes::Client {
    capnp_rpc::new_client(NodesServer(Rc::clone(caller)))
}

impl NodesServer {
    /// The node of this name, which the client may operate.
    fn find(&self, name: &str) -> Result<String, Failure> {
        let caller = &self.0;
        let identity = caller.site.registry.find(name)?;
        let tenant =
            identity.parse::<Identity>().is_ok_and(|of| of.tenant() == caller.who.tenant());
        if !tenant {
            let why = format!("no node is called `{name}`: `remit nodes` lists them");
            return Err(Failure::new(Code::NotFound, why));
        }
        caller.check(Facet::Nodes, &FacetUse { node: &identity, ..FacetUse::default() })?;
        Ok(identity)
    }
}

impl nodes::Server for NodesServer {
    async fn node(
        self: Rc<Self>,
        params: nodes::NodeParams,
        mut results: nodes::NodeResults,
    ) -> Result<(), capnp::Error> {
        let identity = good(self.find(&text(params.get()?.get_identity())?))?;
        let caller = Rc::clone(&self.0);
        results.get().set_node(capnp_rpc::new_client(NodeServer { caller, identity }));
        Ok(())
    }
}

impl node::Server for NodeServer {
    async fn drain(
        self: Rc<Self>,
        params: node::DrainParams,
        mut results: node::DrainResults,
    ) -> Result<(), capnp::Error> {
        let time = Duration::from_millis(params.get()?.get_timeout_ms());
        let time = time.min(limits::DRAIN_LONGEST);
        let drained = good(self.caller.site.registry.drain(&self.identity, time).await)?;
        let mut said = results.get().init_drained();
        said.set_moved(drained.moved);
        said.set_left(drained.left);
        Ok(())
    }

    async fn undrain(
        self: Rc<Self>,
        _: node::UndrainParams,
        _: node::UndrainResults,
    ) -> Result<(), capnp::Error> {
        good(self.caller.site.registry.undrain(&self.identity))
    }

    async fn accept(
        self: Rc<Self>,
        params: node::AcceptParams,
        _: node::AcceptResults,
    ) -> Result<(), capnp::Error> {
        let hash = params.get()?.get_manifest()?.to_vec();
        let accepted = run_detached(async move {
            self.caller.site.accept(&self.caller.who, &self.identity, &hash).await
        });
        good(accepted.await)
    }
}
