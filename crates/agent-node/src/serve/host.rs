//! `AgentHost`: the orchestrator's requests to an agent node.

use std::rc::Rc;

use remit_faults::crash::{self, Step};
use remit_schema::agent_node_capnp::{agent_host, run};
use remit_vat::exception::to_exception;
use remit_vat::wire;

use crate::node::{Attempt, Node, Start};
use crate::process::End;

/// The node, as an object that the orchestrator holds.
pub(super) struct Host {
    pub(super) node: Rc<Node>,
}

struct Run {
    node: Rc<Node>,
    attempt: Attempt,
}

impl agent_host::Server for Host {
    async fn start(
        self: Rc<Self>,
        params: agent_host::StartParams,
        mut results: agent_host::StartResults,
    ) -> Result<(), capnp::Error> {
        crash::point(Step::Received, "attempt");
        let spec = params.get()?.get_spec()?;
        let start = Start {
            task: wire::text(spec.get_task())?,
            attempt: spec.get_attempt(),
            kind: wire::text(spec.get_kind())?,
            ticket: spec.get_ticket()?.to_vec(),
            deadline_ms: spec.get_deadline_ms(),
            memory_bytes: spec.get_memory_bytes(),
        };
        let attempt = self.node.start(start).map_err(|failure| to_exception(&failure))?;
        crash::point_after_turn(Step::Replied, "attempt");
        let node = Rc::clone(&self.node);
        results.get().set_run(capnp_rpc::new_client(Run { node, attempt }));
        Ok(())
    }
}

impl run::Server for Run {
    async fn wait(
        self: Rc<Self>,
        _: run::WaitParams,
        mut results: run::WaitResults,
    ) -> Result<(), capnp::Error> {
        let mut end = self.attempt.end.clone();
        // The sender is dropped only when the node ends, and its connection ends with it.
        let end = end.wait_for(Option::is_some).await.map(|end| end.clone()).unwrap_or_default();
        let mut builder = results.get().init_end();
        match end {
            Some(End::Exited) => builder.set_exited(()),
            Some(End::Crashed(how)) => builder.set_crashed(how),
            Some(End::Deadline(what)) => builder.set_deadline(what),
            None => builder.set_crashed("the agent node ended"),
        }
        Ok(())
    }

    async fn introduce(
        self: Rc<Self>,
        params: run::IntroduceParams,
        _: run::IntroduceResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let (address, node) = (wire::text(params.get_address())?, wire::text(params.get_node())?);
        let (path, ticket) = (params.get_path(), params.get_ticket()?.to_vec());
        let introduced = self.node.introduce(&self.attempt, path, (&address, &node), &ticket);
        introduced.await.map_err(|failure| to_exception(&failure))
    }
}
