//! A mesh in memory for the tests of this crate. It keeps state across connections, and loses
//! connections on demand.

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard};

use futures::future::LocalBoxFuture;
use remit_core::{Event, Outcome, TaskId, Value};
use remit_schema::join_capnp::credentials;
use remit_schema::mesh_capnp::{creation, event_sink, mesh, subscription, task, tasks};
use remit_schema::peer_capnp::peer;
use remit_vat::connection::{Connection, ConnectionOptions};
use remit_vat::limits::ConnectionLimits;
use remit_vat::wire;

use super::session::{Dial, Link};
use crate::error::Error;

/// Events per page, few so that a test has seams between pages.
const PAGE: usize = 3;

/// State that outlives connections, as on the disk of a real mesh, and the faults to inject.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) events: Vec<Event>,
    pub(crate) created: HashMap<String, TaskId>,
    pub(crate) inputs: HashMap<String, u64>,
    pub(crate) outcome: Option<Outcome<u32>>,
    /// How many connections were made.
    pub(crate) dials: usize,
    /// For each of the next responses, whether the connection is lost before it is sent.
    pub(crate) losses: VecDeque<bool>,
    /// The responses of granted objects to `double(21)` and to `missing()`.
    pub(crate) answers: Vec<Result<Value<u32>, String>>,
}

/// The world, shared by the test and the fake.
#[derive(Clone, Default)]
pub(crate) struct Fake(Arc<Mutex<World>>);

impl Fake {
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }
}

impl Dial for Fake {
    fn dial(&self) -> LocalBoxFuture<'_, Result<Link, Error>> {
        Box::pin(async {
            self.world().dials += 1;
            let (here, there) = tokio::io::duplex(64 << 10);
            let options = |peer: &str| ConnectionOptions {
                peer: peer.into(),
                limits: ConnectionLimits::default(),
            };
            let line = Rc::new(Line::default());
            let server = Server { fake: self.clone(), line: Rc::clone(&line) };
            let bootstrap: mesh::Client = capnp_rpc::new_client(server);
            let served = Connection::serve(there, bootstrap.client, options("client"));
            let _ = line.connection.set(served);
            let (mesh, connection) = Connection::connect(here, None, options("mesh"));
            Ok(Link::new(mesh, connection))
        })
    }

    fn attend<'a>(&'a self, _: &'a Link) -> LocalBoxFuture<'a, ()> {
        Box::pin(std::future::pending())
    }
}

/// One connection, which can be cut.
#[derive(Default)]
struct Line {
    connection: std::cell::OnceCell<Connection>,
}

struct Server {
    fake: Fake,
    line: Rc<Line>,
}

impl Server {
    /// Cuts the connection now if the world says so for this response.
    async fn answer(&self) {
        let lost = self.fake.world().losses.pop_front().unwrap_or(false);
        if lost && let Some(connection) = self.line.connection.get() {
            connection.abort("as the test wants it");
            std::future::pending::<()>().await;
        }
    }
}

impl peer::Server for Server {
    async fn ping(
        self: Rc<Self>,
        _: peer::PingParams,
        _: peer::PingResults,
    ) -> Result<(), capnp::Error> {
        Ok(())
    }
}

impl credentials::Server for Server {}

impl mesh::Server for Server {
    async fn facets(
        self: Rc<Self>,
        _: mesh::FacetsParams,
        mut results: mesh::FacetsResults,
    ) -> Result<(), capnp::Error> {
        let server = || Self { fake: self.fake.clone(), line: Rc::clone(&self.line) };
        results.get().set_creation(capnp_rpc::new_client(server()));
        results.get().set_tasks(capnp_rpc::new_client(server()));
        Ok(())
    }
}

impl creation::Server for Server {
    async fn create_task(
        self: Rc<Self>,
        params: creation::CreateTaskParams,
        mut results: creation::CreateTaskResults,
    ) -> Result<(), capnp::Error> {
        let key = params.get()?.get_spec()?.get_key()?.to_str()?.to_owned();
        let id = {
            let mut world = self.fake.world();
            let fresh = u8::try_from(world.created.len()).unwrap();
            *world.created.entry(key).or_insert(TaskId::new(1, [fresh; 10]))
        };
        self.answer().await;
        results.get().set_id(id.to_string());
        Ok(())
    }
}

impl tasks::Server for Server {
    async fn task(
        self: Rc<Self>,
        _: tasks::TaskParams,
        mut results: tasks::TaskResults,
    ) -> Result<(), capnp::Error> {
        let server = Self { fake: self.fake.clone(), line: Rc::clone(&self.line) };
        results.get().set_task(capnp_rpc::new_client(server));
        Ok(())
    }
}

impl task::Server for Server {
    async fn send(
        self: Rc<Self>,
        params: task::SendParams,
        mut results: task::SendResults,
    ) -> Result<(), capnp::Error> {
        let key = params.get()?.get_key()?.to_str()?.to_owned();
        let input = {
            let mut world = self.fake.world();
            let next = world.inputs.len() as u64 + 1;
            *world.inputs.entry(key).or_insert(next)
        };
        self.answer().await;
        results.get().set_input(input);
        Ok(())
    }

    async fn events(
        self: Rc<Self>,
        params: task::EventsParams,
        mut results: task::EventsResults,
    ) -> Result<(), capnp::Error> {
        let after = params.get()?.get_after();
        let sink = params.get()?.get_sink()?;
        tokio::task::spawn_local(async move {
            // The test does not care about a follower that is gone.
            let _ = self.feed(usize::try_from(after).unwrap(), sink).await;
        });
        results.get().set_subscription(capnp_rpc::new_client(Lease));
        Ok(())
    }

    async fn result(
        self: Rc<Self>,
        _: task::ResultParams,
        mut results: task::ResultResults,
    ) -> Result<(), capnp::Error> {
        self.answer().await;
        let outcome = self.fake.world().outcome.clone().unwrap();
        wire::outcome::write(results.get().init_outcome(), &outcome, &[]);
        Ok(())
    }

    async fn grant(
        self: Rc<Self>,
        params: task::GrantParams,
        mut results: task::GrantResults,
    ) -> Result<(), capnp::Error> {
        self.answer().await;
        if let Ok(remit_schema::mesh_capnp::grant_spec::Own(own)) =
            params.get()?.get_spec()?.which()
        {
            for method in ["double", "missing"] {
                let mut request = own.get_object()?.call_request();
                request.get().set_method(method);
                let args = Value::<u32>::List(vec![Value::Integer(21)]);
                wire::value::write(request.get().init_args(), &args, &[]);
                let answer = match request.send().promise.await {
                    Ok(response) => Ok(wire::value::read(response.get()?.get_value()?)?.0),
                    Err(error) => Err(remit_vat::exception::to_failure(&error).to_string()),
                };
                self.fake.world().answers.push(answer);
            }
        }
        results.get().set_grant(1);
        Ok(())
    }
}

impl Server {
    async fn feed(&self, after: usize, sink: event_sink::Client) -> Result<(), capnp::Error> {
        let events = self.fake.world().events.clone();
        for page in events[after..].chunks(PAGE) {
            let mut request = sink.events_request();
            let mut list = request.get().init_events(u32::try_from(page.len()).unwrap());
            for (at, event) in (0..).zip(page) {
                wire::event::write(list.reborrow().get(at), event);
            }
            request.send().promise.await?;
            self.answer().await;
        }
        let mut request = sink.caught_up_request();
        request.get().set_number(events.len() as u64);
        request.send().promise.await?;
        Ok(())
    }
}

struct Lease;

impl subscription::Server for Lease {}
