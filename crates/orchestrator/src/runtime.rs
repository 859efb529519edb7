//! The owner of a task: the one place that writes its journal.
//!
//! A command is decided on the state in memory, applied to it, and handed to the journal at once;
//! nobody outside learns of it before it is durable. When the journal cannot write, the owner
//! halts: what it did not write never happened, and a fresh owner starts from the disk.

// A match that decides names every variant, so that a new one cannot fall through to another arm.
#![cfg_attr(not(test), deny(clippy::wildcard_enum_match_arm))]

pub mod attempt;
mod away;
mod control;
pub mod delivery;
pub(crate) mod direct;
mod durability;
pub mod forward;
mod in_flight;
pub mod introduce;
pub(crate) mod loaded;
pub mod membrane;
pub mod objects;
pub mod outgoing;
pub mod output;
mod pin;
pub mod questions;
pub mod services;
mod settle;
mod snapshot;
mod standing;
pub mod task_context;
pub mod timers;
pub mod trial;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use remit_core::event::Event;
use remit_core::task::{Command, Decision, Refusal};
use remit_core::{CallNumber, Code, EventNumber, Failure, GrantId, Task, TaskId};
use remit_faults::crash::{self, Step};
use remit_vat::gate::Gate;
use remit_vat::watched::Watched;
use tokio::sync::{Notify, mpsc};
use tokio::task::AbortHandle;

use self::delivery::ReplayCursor;
use self::objects::Objects;
use self::output::Output;
use self::services::Services;
use crate::limits;
use crate::quota::account::{Charge, Resource};

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
    delivery: RefCell<ReplayCursor>,
    objects: RefCell<Objects>,
    gates: RefCell<HashMap<GrantId, Rc<Gate>>>,
    forwards: RefCell<BTreeMap<CallNumber, AbortHandle>>,
    /// Something changed that the attempt's keeper should look at.
    woken: Notify,
    /// Why no attempt runs, in words for a person.
    detail: RefCell<String>,
    outputs: RefCell<Vec<mpsc::Sender<Output>>>,
    membranes: crate::runtime::membrane::Membranes,
    closing: Cell<bool>,
    winding_down: Cell<bool>,
    /// Set in one that only tries a program.
    trial: Option<trial::Trial>,
    /// The timer of the next question that is decided by itself.
    next_review: RefCell<Option<questions::Alarm>>,
    snapshot: snapshot::Last,
    direct: RefCell<direct::Paths>,
    /// What the task takes in memory, charged to its creator.
    charge: Charge,
    /// What it is counted for on disk.
    stored: Cell<u64>,
    /// How many need program and inputs in memory.
    loads: Cell<usize>,
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
        let (head, stored) = (task.head().number, task.stored_bytes());
        let charge = services.accounts.charge_anyway(
            &task.created().creator,
            &key.tenant,
            Resource::TaskBytes,
            footprint(&task),
        );
        Rc::new(Self {
            key,
            services,
            task: RefCell::new(task),
            durable: Watched::new(Ok(head)),
            delivery: RefCell::new(ReplayCursor::default()),
            objects: RefCell::new(Objects::default()),
            gates: RefCell::new(HashMap::new()),
            forwards: RefCell::default(),
            woken: Notify::new(),
            detail: RefCell::new(String::new()),
            outputs: RefCell::new(Vec::new()),
            membranes: crate::runtime::membrane::Membranes::default(),
            closing: Cell::new(false),
            winding_down: Cell::new(false),
            trial,
            next_review: RefCell::new(None),
            snapshot: snapshot::Last::default(),
            direct: RefCell::default(),
            charge,
            stored: Cell::new(stored),
            loads: Cell::new(0),
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
    pub(crate) const fn membranes(&self) -> &crate::runtime::membrane::Membranes {
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
                let (operation, was) = (divergence.operation, &divergence.was);
                let now = format!("it is `{}`", divergence.is);
                let failure = self.with(|task| task.not_repeated(operation, was, &now));
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
        if let Some(broken) = self.with(Task::broken) {
            self.halt_on_defect("the state of a task", broken);
            return Err(Failure::new(Code::Unavailable, broken));
        }
        self.charge.set(self.with(footprint));
        self.count_stored();
        self.write(&events);
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

    /// Refuses so many bytes more if the task's creator has too much in memory already.
    pub fn check_account(&self, bytes: usize) -> Result<(), Failure> {
        let creator = self.with(|task| task.created().creator.clone());
        let accounts = &self.services.accounts;
        for resource in [Resource::TaskBytes, Resource::DiskBytes] {
            accounts.check(&creator, &self.key.tenant, resource, bytes as u64)?;
        }
        Ok(())
    }

    /// Counts what the task has come to take on disk.
    fn count_stored(&self) {
        let now = self.with(Task::stored_bytes);
        if now.abs_diff(self.stored.get()) < limits::STORED_STEP && !self.is_over() {
            return;
        }
        let creator = self.with(|task| task.created().creator.clone());
        let before = self.stored.replace(now);
        let accounts = &self.services.accounts;
        accounts.shrink(&creator, &self.key.tenant, Resource::DiskBytes, before);
        accounts.grow(&creator, &self.key.tenant, Resource::DiskBytes, now);
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
        self.woken.notify_waiters();
        self.woken.notify_one();
    }

    /// Whether it stopped or was told to.
    pub fn is_closing(&self) -> bool {
        self.closing.get()
    }

    /// Says why no attempt runs.
    pub(crate) fn explain(&self, detail: impl Into<String>) {
        *self.detail.borrow_mut() = detail.into();
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
                        tasks.revoke_dependents(self);
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
                Fact::TaskCompleted(_) | Fact::TaskFailed(_) => self.woken.notify_one(),
                Fact::TaskCancelled(reason) => {
                    self.abort_forwards(|_| true);
                    self.complete_aborted(Code::Cancelled, reason);
                    self.woken.notify_one();
                }
                Fact::AttemptEnded { .. } | Fact::TimerFired { .. } => self.woken.notify_one(),
                Fact::InputDelivered { .. } | Fact::SteersDelivered { .. } => {
                    self.woken.notify_one();
                }
                fact @ (Fact::TaskCreated(_)
                | Fact::AttemptStarted { .. }
                | Fact::GrantRepinned { .. }
                | Fact::CallRequested(_)
                | Fact::CallCompleted { .. }
                | Fact::ResultOffloaded(_)
                | Fact::Introduced(_)
                | Fact::NotIntroduced { .. }
                | Fact::CallDenied(_)
                | Fact::CallUnknown { .. }
                | Fact::CallRecalled { .. }
                | Fact::ApprovalRequested(_)
                | Fact::ApprovalDecided(_)
                | Fact::CapabilityRequested(_)
                | Fact::CapabilityDecided(_)
                | Fact::SettlementRequested(_)
                | Fact::SettlementDecided(_)
                | Fact::SettlementWithdrawn { .. }
                | Fact::LogEmitted { .. }
                | Fact::InputAccepted { .. }
                | Fact::InputRequested { .. }
                | Fact::SteersRequested { .. }
                | Fact::TaskPaused { .. }
                | Fact::TaskForked(_)) => self.after_question(fact),
            }
        }
    }
}

/// About how many bytes a task takes in memory.
pub(crate) fn footprint(task: &Task) -> u64 {
    limits::TASK_BYTES.saturating_add(task.resident_bytes())
}
