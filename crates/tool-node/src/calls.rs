//! The calls that run on this node, each key at most once.

// A match that decides names every variant, so that a new one cannot fall through to another arm.
#![cfg_attr(not(test), deny(clippy::wildcard_enum_match_arm))]

mod running;
mod turns;

use std::cell::{OnceCell, RefCell};
use std::collections::{HashMap, HashSet};
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;

use futures::FutureExt as _;
use remit_core::{Code, Failure, Outcome, TaskId, Value};
use remit_faults::crash::{self, Step};
use remit_store::DiskError;
use remit_store::fair;
use remit_vat::backoff::Backoff;
use remit_vat::turn;
use remit_vat::unsettled::{NoReply, Unsettled};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use self::running::{Counted, Ended, Running, contained, in_turn, stoppable};
pub(crate) use self::turns::Turn;
use self::turns::Turns;
use crate::kit::{CallContext, Entry, Instance, Output, Remote, Reply, fail};
use crate::ledger::{CallState, Ledger};
use crate::limits;

/// Tells whether the connection that a call came over was lost. A lost connection lets the call run
/// to its end; a call that is dropped while the connection lives was cancelled.
pub(crate) type Link = Rc<dyn Fn() -> bool>;

/// A call as it was asked for.
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) args: Value<u32>,
    pub(crate) objects: Vec<Remote>,
    pub(crate) key: Vec<u8>,
    /// When it may begin; `None`: at once.
    pub(crate) turn: Option<Turn>,
}

/// All calls of one node.
pub(crate) struct Calls {
    ledger: Ledger,
    /// Outcomes that are nowhere else, of calls that may be repeated; apart, so that they push no
    /// outcome of an effect out of the ledger.
    bodies: OnceCell<Ledger>,
    output: Output,
    running: RefCell<HashMap<Vec<u8>, Rc<Running>>>,
    /// Calls that were refused because their beginning could not be recorded. A record of it may
    /// be found later all the same; nothing was done.
    undone: RefCell<HashSet<Vec<u8>>>,
    turns: Rc<Turns>,
    in_flight: watch::Sender<u32>,
    tasks: TaskTracker,
    /// Whose call begins next: tasks take turns.
    begins: Rc<fair::Turns<TaskKey>>,
}

impl Calls {
    /// No calls, yet.
    pub(crate) fn new(ledger: Ledger, output: Output) -> Rc<Self> {
        Rc::new(Self {
            ledger,
            bodies: OnceCell::new(),
            output,
            running: RefCell::default(),
            undone: RefCell::default(),
            turns: Rc::default(),
            in_flight: watch::Sender::new(0),
            tasks: TaskTracker::new(),
            begins: fair::Turns::new(limits::BEGINS, limits::BEGINS_OF_TASK),
        })
    }

    /// Has a place for values that task owners do not record.
    pub(crate) fn keep_bodies_in(&self, bodies: Ledger) {
        let _first = self.bodies.set(bodies);
    }

    /// Puts an outcome on disk that is in no journal. That of a call with effects is in the ledger.
    pub(crate) async fn keep_body(
        &self,
        key: &[u8],
        reply: &Reply,
        repeatable: bool,
    ) -> Result<(), DiskError> {
        if !repeatable {
            return Ok(());
        }
        let nowhere = || DiskError("this node has no place for values".into());
        let outcome = Outcome::Value { value: Arc::clone(&reply.value), object: false };
        self.bodies.get().ok_or_else(nowhere)?.completed(key, outcome, reply.cost).await
    }

    /// How many calls run, as it changes.
    pub(crate) fn in_flight(&self) -> watch::Receiver<u32> {
        self.in_flight.subscribe()
    }

    /// Answers when no call with effects runs any more.
    pub(crate) async fn drained(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// The turn of a call that arrives now. Calls of one line begin in the order in which they
    /// arrived, and then run side by side; 0 is no line.
    pub(crate) fn arrive(&self, line: u64) -> Option<Turn> {
        (line != 0).then(|| self.turns.arrive(line))
    }

    /// Does what was asked for. A repeated key is answered from the ledger, or joins the call that
    /// runs. Dropping the future cancels the call, unless `link` says that the connection is lost.
    pub(crate) async fn call(
        self: &Rc<Self>,
        instance: &Instance,
        request: Request,
        link: Link,
    ) -> Result<Reply, NoReply> {
        let begins = self.begins.take(task_of(&request.key)).await;
        crash::point(Step::Received, "request");
        let entry = instance.method(&request.method)?;
        let (meta, promise) = (&entry.meta, Promise::of(entry));
        if request.key.len() > limits::MAX_KEY_BYTES {
            let most = limits::MAX_KEY_BYTES;
            return Err(fail::limit(format!("a key has at most {most} bytes")).into());
        }
        if meta.read_only {
            return Ok(self.read(instance, request, begins).await?);
        }
        let key = request.key.clone();
        let running = match self.find(&key)? {
            Found::Running(running) => {
                drop(request);
                running
            }
            Found::Completed(outcome, cost) => return Ok(repeated(outcome, cost)?),
            Found::Nothing => self.start(instance.clone(), request, promise),
        };
        drop(begins);
        running.wait(link).await
    }

    /// What became of the call with this key, which was sent so many milliseconds ago. Waits while
    /// it runs.
    pub(crate) async fn settle(&self, key: &[u8], age_ms: u64) -> Result<CallState, Failure> {
        let running = self.running.borrow().get(key).cloned();
        if let Some(running) = running {
            let (result, cost) = running.finished().await;
            return Ok(state_of(&result, cost));
        }
        let mut state = self.look_up(key).map_err(|e| unreadable(&e))?;
        if let (CallState::NeverStarted, Some(bodies)) = (&state, self.bodies.get()) {
            state = bodies.look_up(key).map_err(|e| unreadable(&e))?;
        }
        if state == CallState::NeverStarted && !self.ledger.remembers(age_ms) {
            return Ok(CallState::Forgotten);
        }
        Ok(state)
    }

    /// Forgets that the call with this key began, durably, so that it may be sent again. One that
    /// has ended, or runs, stays.
    pub(crate) async fn reopen(&self, key: &[u8]) -> Result<(), Failure> {
        if self.running.borrow().contains_key(key) {
            return Ok(());
        }
        match self.ledger.look_up(key).map_err(|e| unreadable(&e))? {
            CallState::Started => self.ledger.forget(key).await.map_err(|e| unwritable(&e)),
            CallState::NeverStarted | CallState::Forgotten | CallState::Completed(..) => Ok(()),
        }
    }

    /// What the ledger knows, and this process better.
    fn look_up(&self, key: &[u8]) -> Result<CallState, DiskError> {
        let state = self.ledger.look_up(key)?;
        let refused = state == CallState::Started && self.undone.borrow().contains(key);
        Ok(if refused { CallState::NeverStarted } else { state })
    }

    /// A call that changes nothing lives and dies with its caller.
    async fn read(
        &self,
        instance: &Instance,
        request: Request,
        begins: Begins,
    ) -> Result<Reply, Failure> {
        let _counted = Counted::new(&self.in_flight);
        let cancel = CancellationToken::new();
        let _gone = cancel.clone().drop_guard();
        let call = CallContext::new(&request.key, cancel.clone(), self.output.clone());
        let work = instance.run(&request.method, request.args, request.objects, call);
        let work = in_turn(request.turn, &cancel, contained(true, work));
        begun(begins, work).await
    }

    /// Records, durably, that from here on the call must not be done again.
    async fn begin(&self, key: &[u8]) -> Result<(), Failure> {
        let recorded = self.ledger.started(key).await;
        let mut undone = self.undone.borrow_mut();
        undone.remove(key);
        recorded.map_err(|e| {
            if undone.len() < limits::UNDONE_CALLS {
                undone.insert(key.to_vec());
            }
            unwritable(&e)
        })
    }

    /// Records, durably, how a call ended. Nobody learns of it before, so a disk that fails gets
    /// some time to be mended.
    async fn end(&self, key: &[u8], outcome: Outcome<u32>, cost: u64) -> Result<(), DiskError> {
        let most = Instant::now() + limits::LEDGER_PATIENCE;
        let mut backoff = Backoff::new(limits::LEDGER_RETRY_FIRST, limits::LEDGER_RETRY_MOST);
        loop {
            match self.ledger.completed(key, outcome.clone(), cost).await {
                Err(error) if Instant::now() < most => {
                    tracing::warn!(%error, "an outcome waits for the ledger");
                    tokio::time::sleep(backoff.next_wait()).await;
                }
                recorded => return recorded,
            }
        }
    }

    fn find(&self, key: &[u8]) -> Result<Found, NoReply> {
        if key.is_empty() {
            return Ok(Found::Nothing);
        }
        if let Some(running) = self.running.borrow().get(key) {
            return Ok(Found::Running(Rc::clone(running)));
        }
        match self.look_up(key).map_err(|e| not_begun(unreadable(&e)))? {
            CallState::NeverStarted | CallState::Forgotten => Ok(Found::Nothing),
            CallState::Completed(outcome, cost) => Ok(Found::Completed(outcome, cost)),
            CallState::Started => Err(NoReply::Unsettled(Unsettled::Unknown(
                "the call was interrupted when this node stopped: it may or may not have happened. Look, and call again under a new key if it is to be done".into(),
            ))),
        }
    }

    /// Runs the call as a task of its own, so that it outlives its caller's connection.
    fn start(
        self: &Rc<Self>,
        instance: Instance,
        request: Request,
        promise: Promise,
    ) -> Rc<Running> {
        let running = Running::new();
        let key = request.key.clone();
        if !key.is_empty() {
            self.running.borrow_mut().insert(key.clone(), Rc::clone(&running));
        }
        let (calls, run) = (Rc::clone(self), Rc::clone(&running));
        let span = span_of(&request);
        let work = async move {
            let _counted = Counted::new(&calls.in_flight);
            let result = calls.run(&run, &instance, request, promise).await;
            calls.running.borrow_mut().remove(&key);
            tracing::debug!(failed = result.0.is_err(), "call ended");
            run.done.send_replace(Some(result));
        };
        self.tasks.spawn_local(turn::timed("a call", work.instrument(span)));
        running
    }

    /// Does the call. If doing it twice would matter, its beginning is recorded before it is done,
    /// and its end before anyone learns of it; otherwise its end is recorded on the side, so that a
    /// repeated key is answered and not done again.
    async fn run(
        self: &Rc<Self>,
        running: &Running,
        instance: &Instance,
        request: Request,
        promise: Promise,
    ) -> Ended {
        let key = request.key.clone();
        let mut call = CallContext::new(&key, running.cancel.clone(), self.output.clone());
        let idempotent = promise == Promise::Repeatable;
        if !key.is_empty() && promise == Promise::Marks {
            let (calls, key) = (Rc::clone(self), key.clone());
            call = call.marking(Rc::new(move || {
                let (calls, key) = (Rc::clone(&calls), key.clone());
                async move { calls.begin(&key).await }.boxed_local()
            }));
        } else if !key.is_empty()
            && !idempotent
            && let Err(failure) = self.begin(&key).await
        {
            return (Err(not_begun(failure)), 0);
        }
        crash::point(Step::Begun, "effect");
        let work = instance.run(&request.method, request.args, request.objects, call.clone());
        let work = in_turn(request.turn, &running.cancel, contained(false, work));
        let result = stoppable(&running.cancel, work).await;
        crash::point(Step::Done, "effect");
        let cost = call.cost();
        if !key.is_empty() && idempotent {
            let outcome = outcome_of(&result);
            let calls = Rc::clone(self);
            self.tasks.spawn_local(turn::timed("an outcome", async move {
                if let Err(error) = calls.ledger.completed(&key, outcome, cost).await {
                    tracing::warn!(%error, "an outcome is not in the ledger: it may be repeated");
                }
            }));
            return (result.map_err(NoReply::Failed), cost);
        }
        // One that heard at its point of no return that it may not go on was refused.
        if let Err(failure) = &result
            && self.undone.borrow().contains(&key)
        {
            return (Err(not_begun(failure.clone())), cost);
        }
        if !key.is_empty() {
            if let Err(e) = self.end(&key, outcome_of(&result), cost).await {
                let how = if result.is_ok() { "succeeded" } else { "failed" };
                let why = format!("the call {how}, but the ledger cannot be written: {e}");
                return (Err(NoReply::Unsettled(Unsettled::Unknown(why))), cost);
            }
            crash::point(Step::Recorded, "effect");
        }
        (result.map_err(NoReply::Failed), cost)
    }
}

/// The turn in which a call begins.
type Begins = Option<fair::Turn<TaskKey>>;

/// The bytes of a key that say which task calls.
pub(crate) type TaskKey = [u8; 16];

/// Which task calls, by the key that its owner gave the call; all without one are one.
pub(crate) fn task_of(key: &[u8]) -> TaskKey {
    key.first_chunk().copied().unwrap_or_default()
}

/// Does the work, and gives the next call its turn when this one has run up to its first wait.
async fn begun<F: Future>(begins: Begins, work: F) -> F::Output {
    let (mut begins, mut work) = (begins, pin!(work));
    poll_fn(move |cx| {
        let polled = work.as_mut().poll(cx);
        drop(begins.take());
        polled
    })
    .await
}

/// What a method with effects promises about being interrupted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Promise {
    /// Doing it twice is the same as doing it once.
    Repeatable,
    /// It says itself from where on it must not be done again.
    Marks,
    /// Nothing.
    Nothing,
}

impl Promise {
    const fn of(entry: &Entry) -> Self {
        match (entry.meta.idempotent, entry.marks) {
            (true, _) => Self::Repeatable,
            (false, true) => Self::Marks,
            (false, false) => Self::Nothing,
        }
    }
}

enum Found {
    Nothing,
    Running(Rc<Running>),
    Completed(Outcome<u32>, u64),
}

fn outcome_of(result: &Result<Reply, Failure>) -> Outcome<u32> {
    match result {
        Ok(reply) => {
            Outcome::Value { value: Arc::clone(&reply.value), object: reply.object.is_some() }
        }
        Err(failure) => Outcome::Failure(failure.clone()),
    }
}

/// What is known of a call that has just ended.
fn state_of(result: &Result<Reply, NoReply>, cost: u64) -> CallState {
    match result {
        Ok(reply) => CallState::Completed(
            Outcome::Value { value: Arc::clone(&reply.value), object: reply.object.is_some() },
            cost,
        ),
        Err(NoReply::Failed(failure)) => {
            CallState::Completed(Outcome::Failure(failure.clone()), cost)
        }
        Err(NoReply::Unsettled(Unsettled::NotBegun(_))) => CallState::NeverStarted,
        Err(NoReply::Unsettled(Unsettled::Unknown(_))) => CallState::Started,
    }
}

/// What keeps this node from beginning a call.
fn not_begun(failure: Failure) -> NoReply {
    NoReply::Unsettled(Unsettled::NotBegun(failure.message))
}

/// The answer to a repeated key.
fn repeated(outcome: Outcome<u32>, cost: u64) -> Result<Reply, Failure> {
    match outcome {
        Outcome::Value { value, object: false } => Ok(Reply { value, object: None, cost }),
        Outcome::Value { object: true, .. } => Err(Failure::new(
            Code::ObjectLost,
            "the call was done before, and the object that it opened is gone",
        )),
        Outcome::Failure(failure) => Err(failure),
    }
}

fn unwritable(error: &DiskError) -> Failure {
    fail::unavailable(format!("the ledger cannot be written, so nothing was done: {error}"))
}

fn unreadable(error: &DiskError) -> Failure {
    fail::unavailable(format!("the ledger cannot be read, so nothing was done: {error}"))
}

/// What the lines of a log about a call say of it: its key begins with the id of its task, and ends
/// with its number.
fn span_of(request: &Request) -> tracing::Span {
    let key = request.key.as_slice();
    let task = key.first_chunk().map(|bytes| TaskId::from_bytes(*bytes).to_string());
    let call = key.last_chunk().map(|bytes| u64::from_be_bytes(*bytes));
    let method = request.method.as_str();
    tracing::info_span!("call", task, call, method)
}
