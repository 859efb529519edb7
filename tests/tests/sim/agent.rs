//! The host of an agent node: an attempt is a small program in Rust with a connection of its own.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use remit_core::{Identity, Outcome, Role, TaskId};
use remit_schema::agent_node_capnp::{agent_host, agent_node_port, run};
use remit_schema::task_capnp::task_context;
use remit_vat::connection::{Connection, ConnectionOptions, within};
use remit_vat::limits::ConnectionLimits;
use remit_vat::{chance, wire};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::network::{ORCHESTRATOR, Purpose, connect, dial, identity, pause};
use crate::past::{Happened, Past};
use crate::program::{self, Over};

const DEADLINE: Duration = Duration::from_secs(10);

/// Runs one life of the host.
pub(crate) async fn run(name: &'static str, past: Arc<Past>) -> turmoil::Result {
    let who = identity(Role::AgentNode, name);
    loop {
        let (port, connection) = connect::<agent_node_port::Client>(&who).await;
        let host = Host { who: who.clone(), past: Arc::clone(&past) };
        let mut request = port.register_request();
        request.get().set_host(capnp_rpc::new_client(host));
        let mut offer = request.get().init_offer();
        offer.set_version("1.0.0");
        offer.set_capacity(4);
        offer.init_kinds(1).set(0, "script");
        let registered = within(DEADLINE, request.send()).await;
        if let Ok(registered) = registered {
            let _lease = registered.get()?.get_registration()?;
            connection.ended().await;
        }
        connection.abort("not registered");
        pause().await;
    }
}

struct Host {
    who: Identity,
    past: Arc<Past>,
}

/// A running attempt. Dropping it ends the attempt at once, like killing a process.
struct Run {
    worker: AbortHandle,
    end: watch::Receiver<Option<Result<(), String>>>,
}

impl Drop for Run {
    fn drop(&mut self) {
        self.worker.abort();
    }
}

impl agent_host::Server for Host {
    async fn start(
        self: Rc<Self>,
        params: agent_host::StartParams,
        mut results: agent_host::StartResults,
    ) -> Result<(), capnp::Error> {
        let spec = params.get()?.get_spec()?;
        let worker = Worker {
            who: self.who.clone(),
            past: Arc::clone(&self.past),
            task: wire::text(spec.get_task())?.parse().unwrap(),
            attempt: spec.get_attempt(),
        };
        let ticket = spec.get_ticket()?.to_vec();
        let (ended, end) = watch::channel(None);
        let worker = tokio::task::spawn_local(async move {
            let end = worker.run(ticket).await.map_err(|over| over.0);
            ended.send_replace(Some(end));
        });
        results.get().set_run(capnp_rpc::new_client(Run { worker: worker.abort_handle(), end }));
        Ok(())
    }
}

impl run::Server for Run {
    async fn wait(
        self: Rc<Self>,
        _: run::WaitParams,
        mut results: run::WaitResults,
    ) -> Result<(), capnp::Error> {
        let mut end = self.end.clone();
        let end = end.wait_for(Option::is_some).await.map(|end| end.clone());
        let mut builder = results.get().init_end();
        match end {
            Ok(Some(Ok(()))) => builder.set_exited(()),
            Ok(Some(Err(how))) => builder.set_crashed(how),
            Ok(None) | Err(_) => builder.set_crashed("killed"),
        }
        Ok(())
    }
}

struct Worker {
    who: Identity,
    past: Arc<Past>,
    task: TaskId,
    attempt: u32,
}

/// A connection that ends when its worker ends, as that of a process does.
struct Socket(Connection);

impl Drop for Socket {
    fn drop(&mut self) {
        self.0.abort("the worker's process ended");
    }
}

impl Worker {
    async fn run(self, ticket: Vec<u8>) -> Result<(), Over> {
        let stream = dial(&self.who, Purpose::Attempt).await;
        let mut stream = stream.ok_or_else(|| Over("the orchestrator cannot be reached".into()))?;
        stream.write_all(&ticket).await.map_err(|error| Over(error.to_string()))?;
        let limits = ConnectionLimits::attempt();
        let options = ConnectionOptions { peer: ORCHESTRATOR.into(), limits };
        let (context, connection): (task_context::Client, _) =
            Connection::connect(stream, None, options);
        let socket = Socket(connection);
        let begun = context.begin_request().send().promise.await;
        let begun = begun.map_err(|error| Over(error.to_string()))?;
        let script = begun.get().unwrap().get_script().unwrap();
        let (seed, _) = wire::value::read(script.get_input().unwrap()).unwrap();
        let root = script.get_grants().unwrap().get(0).get_object().unwrap();
        let (task, attempt) = (self.task, self.attempt);
        self.past.note(Happened::Begun { task, attempt });
        let told = move |operation, asked_ms| {
            self.past.note(Happened::Told { task, attempt, operation, asked_ms });
            // A worker may die between any two operations.
            if chance::fraction() < 0.02 { Err(Over("killed by chance".into())) } else { Ok(()) }
        };
        let outcome = program::run(&seed, context.clone(), root, &socket.0, &told).await?;
        let mut request = context.finish_request();
        let outcome = match outcome {
            Ok(value) => Outcome::value(value),
            Err(failure) => Outcome::Failure(failure),
        };
        wire::outcome::write(request.get().init_outcome(), &outcome, &[]);
        within(DEADLINE, request.send()).await.map_err(|failure| Over(failure.to_string()))?;
        Ok(())
    }
}
