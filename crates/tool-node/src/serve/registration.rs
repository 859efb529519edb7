//! This node's registration with the orchestrator, over one connection.

use std::rc::Rc;

use futures::stream::{FuturesUnordered, StreamExt};
use remit_core::Failure;
use remit_schema::tool_node_capnp::{tool_node_port, tool_registration};
use remit_vat::connection::{Connection, Ended, within};
use remit_vat::exception::to_failure;
use remit_vat::wire;
use tokio::sync::{Mutex, mpsc};
use tokio::time::{Instant, timeout_at};

use super::host::Host;
use super::object::Served;
use crate::calls::{Calls, Link};
use crate::introductions::Introductions;
use crate::kit::{OpenTool, Piece};
use crate::limits;

/// Pieces of output on their way at once, so that one round trip each does not slow them down.
const OUTPUT_IN_FLIGHT: usize = 16;

/// A live registration: dropping it takes the node off the orchestrator's list.
pub(crate) struct Registration {
    client: tool_registration::Client,
    connection: Connection,
}

/// What a node offers.
pub(crate) struct Offered<'a> {
    pub(crate) tools: &'a Rc<[Rc<OpenTool>]>,
    pub(crate) labels: &'a [String],
    /// Where agent nodes may dial it; empty: nowhere.
    pub(crate) address: &'a str,
    /// What tells this process from others of its name.
    pub(crate) instance: &'a [u8],
    pub(crate) calls: &'a Rc<Calls>,
    pub(crate) introductions: &'a Rc<Introductions>,
}

impl Registration {
    /// Offers `tools` to the orchestrator behind `port`.
    pub(crate) async fn open(
        port: &tool_node_port::Client,
        connection: Connection,
        offered: &Offered<'_>,
    ) -> Result<Self, Failure> {
        let Offered { tools, labels, address, instance, calls, introductions } = offered;
        let watched = connection.clone();
        let link: Link = Rc::new(move || watched.is_closed());
        let mut request = port.register_request();
        let mut offer = request.get().init_offer();
        let mut list = offer.reborrow().init_tools(length(tools.len()));
        for (at, tool) in (0..).zip(tools.iter()) {
            let mut builder = list.reborrow().get(at);
            wire::manifest::write(builder.reborrow().init_manifest(), tool.manifest());
            builder.set_root(Served::client(tool.root(), Rc::clone(calls), Rc::clone(&link)));
        }
        offer.set_address(address);
        offer.set_instance(instance);
        let mut list = offer.init_labels(length(labels.len()));
        for (at, label) in (0..).zip(*labels) {
            list.set(at, label);
        }
        let host = Host {
            calls: Rc::clone(calls),
            tools: Rc::clone(tools),
            introductions: Rc::clone(introductions),
            link,
        };
        request.get().set_host(host.client());
        let response = within(limits::PORT_DEADLINE, request.send()).await?;
        let results = response.get().map_err(|e| to_failure(&e))?;
        let client = results.get_registration().map_err(|e| to_failure(&e))?;
        Ok(Self { client, connection })
    }

    /// Keeps the registration: reports the load and sends output until the connection ends.
    pub(crate) async fn keep(&self, calls: &Calls, output: &Mutex<mpsc::Receiver<Piece>>) -> Ended {
        tokio::select! {
            biased;
            ended = self.connection.ended() => ended,
            failure = self.report(calls) => self.give_up(&failure).await,
            () = self.send_output(output) => self.connection.ended().await,
        }
    }

    /// Asks that no more calls are sent here, and waits for those in flight.
    pub(crate) async fn drain(&self) {
        let mut request = self.client.drain_request();
        request.get().set_timeout_ms(u64::try_from(limits::DRAIN.as_millis()).unwrap_or(u64::MAX));
        let patience = limits::DRAIN + limits::PORT_DEADLINE;
        if let Err(failure) = within(patience, request.send()).await {
            tracing::warn!(%failure, "the node was not drained");
        }
    }

    async fn give_up(&self, failure: &Failure) -> Ended {
        self.connection.abort(&format!("the orchestrator takes no reports: {failure}"));
        self.connection.ended().await
    }

    /// Reports the load when it changes and every few seconds, until a report fails.
    async fn report(&self, calls: &Calls) -> Failure {
        let mut in_flight = calls.in_flight();
        loop {
            let now = *in_flight.borrow_and_update();
            let sent = Instant::now();
            let mut request = self.client.report_request();
            request.get().set_in_flight(now);
            if let Err(failure) = within(limits::PORT_DEADLINE, request.send()).await {
                return failure;
            }
            // Whether it changed or the time is over: the next report is due.
            let _ = timeout_at(sent + limits::REPORT_EVERY, in_flight.changed()).await;
            tokio::time::sleep_until(sent + limits::REPORT_AT_MOST_EVERY).await;
        }
    }

    /// Sends pieces of output. One that is not taken is lost, as output may be. Where an older
    /// registration still lives, it is the one that sends.
    async fn send_output(&self, output: &Mutex<mpsc::Receiver<Piece>>) {
        let mut output = output.lock().await;
        let mut on_their_way = FuturesUnordered::new();
        loop {
            tokio::select! {
                biased;
                Some(_) = on_their_way.next() => {}
                piece = output.recv(), if on_their_way.len() < OUTPUT_IN_FLIGHT => {
                    let Some(piece) = piece else { return };
                    let mut request = self.client.emit_request();
                    request.get().set_key(&piece.key);
                    request.get().set_text(&piece.text);
                    on_their_way.push(within(limits::PORT_DEADLINE, request.send()));
                }
            }
        }
    }
}

/// A list's length as the wire counts it. A node has few tools and labels.
fn length(items: usize) -> u32 {
    u32::try_from(items).unwrap_or(u32::MAX)
}
