//! The host of a client: creates tasks, sends them input, and follows them. After a crash it
//! continues from its cursor.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use remit_core::{Code, Fact, Failure, Role, TaskId, Value};
use remit_schema::mesh_capnp::{event_sink, mesh, task};
use remit_vat::connection::{Connection, within};
use remit_vat::exception::to_failure;
use remit_vat::wire;
use tokio::sync::Notify;

use crate::network::{connect, identity, pause};
use crate::past::{Happened, Past};
use crate::program::{self, Step};

const DEADLINE: Duration = Duration::from_secs(10);

/// The state of one of the client's tasks, on the client's disk.
pub(crate) struct Wish {
    pub(crate) seed: i64,
    pub(crate) key: String,
    pub(crate) known: Mutex<Known>,
}

#[derive(Default)]
pub(crate) struct Known {
    pub(crate) task: Option<TaskId>,
    pub(crate) cursor: u64,
    pub(crate) sent: usize,
    /// Whether its task was paused and has not been resumed.
    pub(crate) paused: bool,
    pub(crate) ended: bool,
}

/// The client's disk, which survives its process.
pub(crate) struct Desk {
    pub(crate) wishes: Vec<Wish>,
    pub(crate) past: Arc<Past>,
    /// The number of subscriptions in all lives.
    pub(crate) subscriptions: Mutex<u64>,
}

/// Runs one life of the host.
pub(crate) async fn run(desk: Arc<Desk>) -> turmoil::Result {
    let who = identity(Role::Client, "me");
    loop {
        let (mesh, connection) = connect::<mesh::Client>(&who).await;
        let working = futures::future::try_join_all(desk.wishes.iter().map(|wish| {
            let session = Session { desk: &desk, mesh: &mesh, connection: &connection, wish };
            async move { session.work().await }
        }));
        // If one fails, all begin again: only the state on the desk is kept.
        if working.await.is_ok() {
            return Ok(());
        }
        connection.abort("its session is over");
        pause().await;
    }
}

struct Session<'a> {
    desk: &'a Arc<Desk>,
    mesh: &'a mesh::Client,
    connection: &'a Connection,
    wish: &'a Wish,
}

impl Session<'_> {
    /// Works until the task has ended, or a request fails.
    async fn work(&self) -> Result<(), Failure> {
        if self.wish.known.lock().unwrap().ended {
            return Ok(());
        }
        let known = self.wish.known.lock().unwrap().task;
        let id = match known {
            Some(id) => id,
            None => self.create().await?,
        };
        let mut request = self.mesh.facets_request().send().pipeline.get_tasks().task_request();
        request.get().set_id(id.to_string());
        let found = within(DEADLINE, request.send()).await?;
        let task = found.get().and_then(|found| found.get_task()).map_err(|e| to_failure(&e))?;
        futures::future::try_join(self.send_all(&task, id), self.follow(&task, id)).await?;
        Ok(())
    }

    async fn create(&self) -> Result<TaskId, Failure> {
        let mut request =
            self.mesh.facets_request().send().pipeline.get_creation().create_task_request();
        let mut spec = request.get().init_spec();
        spec.set_name("simulated");
        spec.set_agent("script");
        spec.set_entry("main.js");
        spec.set_key(&self.wish.key);
        wire::value::write(spec.reborrow().init_input(), &Value::Integer(self.wish.seed), &[]);
        let mut file = spec.reborrow().init_source(1).get(0);
        file.set_path("main.js");
        let mut grant = spec.init_grants(1).get(0);
        grant.set_name("book");
        // After a call of unknown outcome the program itself looks before it repeats the call.
        grant.set_on_unknown(remit_schema::event_capnp::OnUnknown::Fail);
        grant.init_tool().set_tool("book");
        let made = within(DEADLINE, request.send()).await?;
        let id = made.get().and_then(|made| made.get_id()).map_err(|e| to_failure(&e))?;
        let task: TaskId = id.to_str().unwrap().parse().unwrap();
        self.wish.known.lock().unwrap().task = Some(task);
        self.desk.past.note(Happened::Created { key: self.wish.key.clone(), task });
        Ok(task)
    }

    /// Sends the inputs that the program will ask for, each until it is acknowledged.
    async fn send_all(&self, task: &task::Client, id: TaskId) -> Result<(), Failure> {
        let steps = program::plan(self.wish.seed);
        let all = steps.iter().filter(|step| **step == Step::Input).count();
        loop {
            let next = self.wish.known.lock().unwrap().sent;
            if next == all {
                return Ok(());
            }
            let key = format!("input {next}");
            let mut request = task.send_request();
            request.get().set_key(&key);
            let value = Value::Integer(i64::try_from(next).unwrap());
            wire::value::write(request.get().init_value(), &value, &[]);
            match within(DEADLINE, request.send()).await {
                Ok(_) => self.desk.past.note(Happened::Accepted { task: id, key }),
                // The task failed before it asked for all of them.
                Err(failure) if failure.code == Code::InvalidArgument => return Ok(()),
                Err(failure) => return Err(failure),
            }
            // Only after the acknowledgement: after a crash the same key is sent again.
            self.wish.known.lock().unwrap().sent = next + 1;
        }
    }

    async fn follow(&self, task: &task::Client, id: TaskId) -> Result<(), Failure> {
        let subscription = {
            let mut subscriptions = self.desk.subscriptions.lock().unwrap();
            *subscriptions += 1;
            *subscriptions
        };
        let after = self.wish.known.lock().unwrap().cursor;
        self.desk.past.note(Happened::Subscribed { subscription, task: id, after });
        let progress = Rc::new(Progress { ended: Cell::new(false), change: Notify::new() });
        let mut request = task.events_request();
        request.get().set_after(after);
        let index = self.desk.wishes.iter().position(|wish| wish.key == self.wish.key).unwrap();
        let desk = Arc::clone(self.desk);
        let sink = Sink { desk, index, subscription, progress: Rc::clone(&progress) };
        request.get().set_sink(capnp_rpc::new_client(sink));
        let subscribed = within(DEADLINE, request.send()).await?;
        let _lease = subscribed.get().and_then(|s| s.get_subscription());
        while !progress.ended.get() {
            self.resume(task).await?;
            tokio::select! {
                biased;
                () = progress.change.notified() => {}
                ended = self.connection.ended() => {
                    return Err(Failure::new(Code::Unavailable, ended.cause));
                }
            }
        }
        self.wish.known.lock().unwrap().ended = true;
        self.desk.past.note(Happened::Ended { task: id });
        Ok(())
    }

    /// Resumes the task if it was paused because too many attempts died, which happens by chance.
    async fn resume(&self, task: &task::Client) -> Result<(), Failure> {
        if !self.wish.known.lock().unwrap().paused {
            return Ok(());
        }
        within(DEADLINE, task.resume_request().send()).await?;
        self.wish.known.lock().unwrap().paused = false;
        Ok(())
    }
}

struct Progress {
    ended: Cell<bool>,
    change: Notify,
}

struct Sink {
    desk: Arc<Desk>,
    index: usize,
    subscription: u64,
    progress: Rc<Progress>,
}

impl event_sink::Server for Sink {
    async fn events(
        self: Rc<Self>,
        params: event_sink::EventsParams,
        _: event_sink::EventsResults,
    ) -> Result<(), capnp::Error> {
        for event in params.get()?.get_events()? {
            let event = wire::event::read(event)?;
            let mut known = self.desk.wishes[self.index].known.lock().unwrap();
            known.cursor = known.cursor.max(event.number.0);
            match &event.fact {
                Fact::TaskPaused { .. } => known.paused = true,
                Fact::TaskResumed { .. } => known.paused = false,
                _ => {}
            }
            if crate::history::is_last(&event.fact) {
                self.progress.ended.set(true);
            }
            let (subscription, event) = (self.subscription, Box::new(event));
            self.desk.past.note(Happened::Seen { subscription, event });
        }
        self.progress.change.notify_one();
        Ok(())
    }

    async fn caught_up(
        self: Rc<Self>,
        params: event_sink::CaughtUpParams,
        _: event_sink::CaughtUpResults,
    ) -> Result<(), capnp::Error> {
        let (subscription, number) = (self.subscription, params.get()?.get_number());
        self.desk.past.note(Happened::CaughtUp { subscription, number });
        Ok(())
    }

    async fn output(
        self: Rc<Self>,
        _: event_sink::OutputParams,
        _: event_sink::OutputResults,
    ) -> Result<(), capnp::Error> {
        Ok(())
    }
}
