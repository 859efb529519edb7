//! The owner of a task: the one place that writes its journal.
//!
//! A command is decided on the state in memory, applied to it, and handed to the journal at once;
//! nobody outside learns of it before it is durable. When the journal cannot write, the owner
//! halts: what it did not write never happened, and a fresh owner starts from the disk.

pub mod attempt;
mod control;
pub mod delivery;
pub(crate) mod direct;
pub mod forward;
pub mod gate;
pub mod objects;
mod pin;
pub mod questions;
pub mod services;
mod settle;
mod snapshot;
mod standing;
pub mod timers;
pub mod trial;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use remit_core::event::Event;
use remit_core::task::{Command, Decision, Refusal};
use remit_core::{CallNumber, Code, EventNumber, Failure, GrantId, Task, TaskId};
use remit_vat::crash::{self, Step};
use remit_vat::watched::{Watched, Watcher};
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use self::delivery::Delivery;
use self::gate::Gate;
use self::objects::Objects;
use self::services::Services;

/// Which task it is, in which tenant.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskKey {
    /// The tenant.
    pub tenant: String,
    /// The task.
    pub task: TaskId,
}

/// The owner of one task.
pub struct Owner {
    key: TaskKey,
    services: Rc<Services>,
    task: RefCell<Task>,
    /// Up to which event the journal has answered for; an error when it has failed.
    durable: Watched<Result<EventNumber, Failure>>,
    delivery: RefCell<Delivery>,
    objects: RefCell<Objects>,
    gates: RefCell<HashMap<GrantId, Rc<Gate>>>,
    forwards: RefCell<BTreeMap<CallNumber, AbortHandle>>,
    /// Something changed that the attempt's keeper should look at.
    stirred: Notify,
    /// Why no attempt runs, in words for a person.
    detail: RefCell<String>,
    outputs: RefCell<Vec<tokio::sync::mpsc::Sender<Output>>>,
    membranes: crate::serve::object::Membranes,
    closing: Cell<bool>,
    winding_down: Cell<bool>,
    /// Set in one that only tries a program.
    trial: Option<trial::Trial>,
    /// The timer of the next question that is decided by itself.
    next_review: RefCell<Option<questions::Alarm>>,
    snapshot: snapshot::Last,
    direct: RefCell<direct::Paths>,
}

/// A piece of output of a call in flight.
#[derive(Debug, Clone)]
pub struct Output {
    /// The call.
    pub call: CallNumber,
    /// The piece.
    pub text: String,
}

/// What a command led to.
#[derive(Debug)]
pub struct Recorded {
    /// The events that record it; empty if it was recorded before.
    pub events: Vec<Event>,
    /// The event that must be durable before anyone learns of it.
    pub number: EventNumber,
}

impl Owner {
    /// The owner of a task whose journal reads so. Its attempts begin with [`Owner::keep`].
    pub fn new(key: TaskKey, task: Task, services: Rc<Services>) -> Rc<Self> {
        Self::build(key, task, services, None)
    }

    fn build(
        key: TaskKey,
        task: Task,
        services: Rc<Services>,
        trial: Option<trial::Trial>,
    ) -> Rc<Self> {
        let head = task.head().number;
        Rc::new(Self {
            key,
            services,
            task: RefCell::new(task),
            durable: Watched::new(Ok(head)),
            delivery: RefCell::new(Delivery::default()),
            objects: RefCell::new(Objects::default()),
            gates: RefCell::new(HashMap::new()),
            forwards: RefCell::default(),
            stirred: Notify::new(),
            detail: RefCell::new(String::new()),
            outputs: RefCell::new(Vec::new()),
            membranes: crate::serve::object::Membranes::default(),
            closing: Cell::new(false),
            winding_down: Cell::new(false),
            trial,
            next_review: RefCell::new(None),
            snapshot: snapshot::Last::default(),
            direct: RefCell::default(),
        })
    }

    /// Which task it is.
    pub const fn key(&self) -> &TaskKey {
        &self.key
    }

    /// What every owner shares.
    pub const fn services(&self) -> &Rc<Services> {
        &self.services
    }

    /// The membranes that this owner made, by which it knows them again.
    pub(crate) const fn membranes(&self) -> &crate::serve::object::Membranes {
        &self.membranes
    }

    /// Looks at the state. `look` must not call back into the owner.
    pub fn with<R>(&self, look: impl FnOnce(&Task) -> R) -> R {
        look(&self.task.borrow())
    }

    /// Decides `command` and records what it leads to. The state moves on at once; see
    /// [`Owner::durable`] for when others may learn of it.
    pub fn record(self: &Rc<Self>, command: &Command) -> Result<Recorded, Failure> {
        self.check_journal()?;
        let now_ms = (self.services.now_ms)().max(self.with(|task| task.head().time_ms));
        let decision = self.task.borrow().decide(command, now_ms);
        if let Some(trial) = &self.trial {
            return self.try_out(trial, command, decision);
        }
        let facts = match decision {
            Ok(Decision::Record(facts)) => facts,
            Ok(Decision::Recorded) => {
                let number = self.with(|task| task.head().number);
                return Ok(Recorded { events: Vec::new(), number });
            }
            Err(Refusal::Failure(failure)) => return Err(failure),
            Err(Refusal::Diverged(divergence)) => {
                let failure = divergence.failure();
                self.fail(failure.clone());
                return Err(failure);
            }
        };
        let first = facts.first().map_or("", remit_core::Fact::name);
        crash::point(Step::Decided, first);
        let mut events = Vec::with_capacity(facts.len());
        {
            let mut task = self.task.borrow_mut();
            for fact in facts {
                let event = Event { number: task.head().number.next(), time_ms: now_ms, fact };
                if let Err(rejected) = task.apply(&event) {
                    // Decide and apply disagree: a bug, caught before it is on disk.
                    drop(task);
                    let failure = Failure::new(Code::Failed, rejected.to_string());
                    self.halt(failure.clone());
                    return Err(failure);
                }
                events.push(event);
            }
        }
        self.write(events.clone());
        crash::point(Step::Appended, first);
        self.after(&events);
        self.review();
        let number = self.with(|task| task.head().number);
        Ok(Recorded { events, number })
    }

    /// Records `command` and waits until it is durable.
    pub async fn record_durably(self: &Rc<Self>, command: &Command) -> Result<Recorded, Failure> {
        let recorded = self.record(command)?;
        self.durable(recorded.number).await?;
        Ok(recorded)
    }

    /// Waits until the journal answers for everything up to `number`.
    pub async fn durable(&self, number: EventNumber) -> Result<(), Failure> {
        let mut durable = self.durable.subscribe();
        let reached = durable
            .wait_for(|reached| reached.as_ref().map_or(true, |reached| *reached >= number))
            .await
            .map_err(|_| Failure::new(Code::Unavailable, "the owner has ended"))?;
        reached.clone().map(|_| ())
    }

    /// A view of how far the journal is, for followers.
    pub fn progress(&self) -> Watcher<Result<EventNumber, Failure>> {
        self.durable.subscribe()
    }

    /// Fails the task, if it has not ended.
    pub fn fail(self: &Rc<Self>, failure: Failure) {
        if let Err(error) = self.record(&Command::Fail(failure)) {
            tracing::warn!(task = %self.key.task, %error, "the task could not be failed");
        }
    }

    /// Stops for good: in memory only, the journal says what is left to do.
    pub fn close(&self) {
        self.closing.set(true);
        self.abort_forwards(|_| true);
        self.forget_paths();
        self.delivery.borrow_mut().dismiss();
        self.stirred.notify_waiters();
        self.stirred.notify_one();
    }

    /// Waits until no call is on its way any more. Calls that nobody awaited may outlive a script.
    pub async fn settle_forwards(&self) {
        let mut progress = self.progress();
        while !self.forwards.borrow().is_empty() && !self.is_closing() {
            if progress.changed().await.is_err() {
                return;
            }
        }
    }

    /// Whether it stopped or was told to.
    pub fn is_closing(&self) -> bool {
        self.closing.get()
    }

    /// Says why no attempt runs.
    pub(crate) fn explain(&self, detail: impl Into<String>) {
        *self.detail.borrow_mut() = detail.into();
    }

    /// A feed of the output of calls in flight. A reader that is slow misses some.
    pub fn outputs(&self) -> tokio::sync::mpsc::Receiver<Output> {
        let (sender, receiver) = tokio::sync::mpsc::channel(crate::limits::OUTPUT_QUEUE);
        self.outputs.borrow_mut().push(sender);
        receiver
    }

    /// Passes on a piece of output.
    pub fn emit(&self, output: &Output) {
        use tokio::sync::mpsc::error::TrySendError;
        self.outputs.borrow_mut().retain(|sender| {
            !matches!(sender.try_send(output.clone()), Err(TrySendError::Closed(_)))
        });
    }

    fn check_journal(&self) -> Result<(), Failure> {
        match &*self.durable.borrow() {
            Ok(_) => Ok(()),
            Err(failure) => Err(failure.clone()),
        }
    }

    /// Hands events to the journal. They are queued in the order of the calls of this function.
    fn write(self: &Rc<Self>, events: Vec<Event>) {
        let (Some(first), Some(last)) = (events.first(), events.last()) else { return };
        let (first, last) = (first.fact.name(), last.number);
        let append =
            self.services.journal.append(&self.key.tenant, self.key.task, events, self.head());
        let owner = Rc::clone(self);
        tokio::task::spawn_local(async move {
            match append.await {
                Ok(()) => {
                    crash::point(Step::Flushed, first);
                    owner.reached(last);
                }
                Err(error) => owner.halt(Failure::new(
                    Code::Unavailable,
                    format!("the task is halted, its journal cannot be written: {error}"),
                )),
            }
        });
    }

    fn reached(self: &Rc<Self>, number: EventNumber) {
        self.durable.send_if_modified(|durable| match durable {
            Ok(before) if *before < number => {
                *before = number;
                true
            }
            _ => false,
        });
        self.deliver();
        self.take_snapshot_if_due(number);
    }

    /// Takes nothing, for this reason: it is there to be looked at.
    pub(crate) fn stand_still(&self, why: Failure) {
        self.durable.send_if_modified(|durable| {
            *durable = Err(why);
            true
        });
        self.close();
    }

    /// The journal failed: what is in memory is worth nothing from here on.
    fn halt(&self, failure: Failure) {
        let first = self.durable.send_if_modified(|durable| {
            let first = durable.is_ok();
            if first {
                *durable = Err(failure.clone());
            }
            first
        });
        if first {
            tracing::error!(task = %self.key.task, %failure, "halted");
            self.close();
            (self.services.halted)(&self.key, &failure);
        }
    }

    /// What follows at once from events, beside the state.
    fn after(self: &Rc<Self>, events: &[Event]) {
        use remit_core::Fact;
        for event in events {
            match &event.fact {
                Fact::GrantRevoked { .. } | Fact::GrantEnded { .. } => self.cut_revoked(),
                Fact::GrantAdded(grant) => {
                    self.introduce_soon(grant.grant);
                    if let Some(tasks) = self.services.tasks.upgrade() {
                        tasks.end_needy(self);
                    }
                }
                Fact::TimerSet { operation, due_ms } => self.arm(*operation, *due_ms),
                Fact::TaskResumed { .. } => {
                    self.arm_all();
                    self.arm_limit();
                    self.forward_open();
                }
                Fact::CancelRequested(_) => self.wind_down(),
                Fact::TaskUpgraded(upgraded) => self.forget_dropped(&upgraded.dropped),
                Fact::TaskCompleted(_) | Fact::TaskFailed(_) => self.stirred.notify_one(),
                Fact::TaskCancelled(reason) => {
                    self.abort_forwards(|_| true);
                    self.complete_aborted(Code::Cancelled, reason);
                    self.stirred.notify_one();
                }
                Fact::AttemptEnded { .. } | Fact::TimerFired { .. } => self.stirred.notify_one(),
                Fact::InputDelivered { .. } | Fact::SteersDelivered { .. } => {
                    self.stirred.notify_one();
                }
                fact => self.after_question(fact),
            }
        }
    }

    fn cut_revoked(self: &Rc<Self>) {
        self.cut_paths();
        self.abort_forwards(|grant| self.with(|task| task.is_revoked(grant)));
        self.objects.borrow_mut().forget(|object| {
            self.with(|task| task.grant_of(object).is_none_or(|g| task.is_revoked(g)))
        });
        self.complete_aborted(Code::Revoked, "the grant was revoked while the call was in flight");
    }

    fn abort_forwards(&self, which: impl Fn(GrantId) -> bool) {
        let calls: Vec<CallNumber> = self.forwards.borrow().keys().copied().collect();
        for call in calls {
            let grant = self.with(|task| task.request(call).map(|request| request.grant));
            if grant.is_none_or(&which)
                && let Some(handle) = self.forwards.borrow_mut().remove(&call)
            {
                handle.abort();
            }
        }
    }

    /// Calls that are open and no longer forwarded end with this code: the tool was told to stop,
    /// and how far it had come nobody knows.
    fn complete_aborted(self: &Rc<Self>, code: Code, why: &str) {
        let aborted: Vec<CallNumber> = self.with(|task| {
            let open = task.open_calls();
            open.filter(|(call, request)| {
                !self.forwards.borrow().contains_key(call)
                    && (code != Code::Revoked || task.is_revoked(request.grant))
            })
            .map(|(call, _)| call)
            .collect()
        });
        for call in aborted {
            let outcome = remit_core::Outcome::Failure(Failure::new(code, why));
            if let Err(error) = self.record(&Command::CompleteCall { call, outcome, cost: 0 }) {
                tracing::warn!(task = %self.key.task, %call, %error, "its end could not be recorded");
            }
        }
    }
}
