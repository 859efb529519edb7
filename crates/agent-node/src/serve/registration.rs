//! The registration with the orchestrator, over one connection.

use std::rc::Rc;

use remit_schema::agent_node_capnp::{agent_node_port, agent_registration};
use remit_vat::connection::{Connection, within};
use remit_vat::exception::to_failure;

use super::host::Host;
use crate::limits;
use crate::node::Node;

/// Registers over one connection, and reports the load until the connection ends.
pub(crate) async fn keep(node: Rc<Node>, port: agent_node_port::Client, connection: Connection) {
    let registered = register(&node, &port).await;
    let registration = match registered {
        Ok(registration) => registration,
        Err(failure) => {
            tracing::error!(%failure, "not registered");
            connection.abort("the node could not register");
            return;
        }
    };
    tracing::info!("registered");
    let reporting = async {
        loop {
            let mut request = registration.report_request();
            request.get().set_running(node.running());
            if let Err(failure) = within(limits::PORT_DEADLINE, request.send()).await {
                return failure;
            }
            tokio::time::sleep(limits::REPORT_AT_MOST_EVERY).await;
            // A change is reported soon, and an unchanged load every few seconds.
            let _changed = tokio::time::timeout(limits::REPORT_EVERY, node.changed()).await;
        }
    };
    let leave = node.leave();
    leave.registered.set(leave.registered.get() + 1);
    tokio::select! {
        biased;
        _ = connection.ended() => {}
        failure = reporting => connection.abort(&format!("a report failed: {failure}")),
        () = farewell(&node, &registration) => {}
    }
    leave.registered.set(leave.registered.get() - 1);
    // The orchestrator has let the node go, or the connection to it has ended.
    if leave.wanted.is_cancelled() {
        leave.granted.cancel();
    }
}

/// When the node is about to leave, asks for no more attempts and for its attempts to be moved.
async fn farewell(node: &Node, registration: &agent_registration::Client) {
    node.leave().wanted.cancelled().await;
    let mut request = registration.drain_request();
    request.get().set_timeout_ms(u64::try_from(limits::FAREWELL.as_millis()).unwrap_or(u64::MAX));
    let patience = limits::FAREWELL + limits::FAREWELL_MORE;
    if let Err(failure) = within(patience, request.send()).await {
        tracing::warn!(%failure, "the node was not drained");
    }
}

async fn register(
    node: &Rc<Node>,
    port: &agent_node_port::Client,
) -> Result<agent_registration::Client, remit_core::Failure> {
    let mut request = port.register_request();
    let mut params = request.get();
    params.set_host(capnp_rpc::new_client(Host { node: Rc::clone(node) }));
    let mut offer = params.init_offer();
    offer.set_version(env!("CARGO_PKG_VERSION"));
    offer.set_capacity(node.config.capacity);
    offer.set_instance(&node.instance);
    let kinds = &node.config.kinds;
    let mut list = offer.reborrow().init_kinds(u32::try_from(kinds.len()).unwrap_or(u32::MAX));
    for (at, kind) in (0..).zip(kinds) {
        list.set(at, kind);
    }
    let labels = &node.config.labels;
    let mut list = offer.init_labels(u32::try_from(labels.len()).unwrap_or(u32::MAX));
    for (at, label) in (0..).zip(labels) {
        list.set(at, label);
    }
    let response = within(limits::PORT_DEADLINE, request.send()).await?;
    let registration = response.get().and_then(|results| results.get_registration());
    registration.map_err(|error| to_failure(&error))
}
