//! `ToolHost`: what the orchestrator may ask of this node.

use std::rc::Rc;

use remit_schema::tool_node_capnp::tool_host;
use remit_vat::exception::to_exception;

use super::state;
use crate::calls::Calls;

/// Answers from the running calls and the ledger.
pub(crate) struct Host {
    calls: Rc<Calls>,
}

impl Host {
    /// The host of these calls, as a capability.
    pub(crate) fn client(calls: Rc<Calls>) -> tool_host::Client {
        capnp_rpc::new_client(Self { calls })
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
}
