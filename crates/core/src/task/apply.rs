//! *Apply*: an event, and the state after it.

mod grants;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::{CallState, Ending, Operation, Stamp, Task};
use crate::event::{CallDenied, CallRequested, Delegate, Event, Fact};
use crate::id::{Attempt, CallNumber, EventNumber};
use crate::value::Outcome;

/// The event cannot follow on what is known: the journal is damaged, or was written by a program
/// with other rules.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("event {number} ({fact}) cannot follow: {why}")]
pub struct Rejected {
    /// The event's number.
    pub number: EventNumber,
    /// The event's name.
    pub fact: &'static str,
    /// What is wrong.
    pub why: &'static str,
}

pub(super) type Applied = Result<(), &'static str>;

impl Task {
    /// The state after the events of a journal, from its first one.
    pub fn fold<'a>(events: impl IntoIterator<Item = &'a Event>) -> Result<Option<Self>, Rejected> {
        let mut task: Option<Self> = None;
        for event in events {
            match &mut task {
                None => task = Some(Self::begin(event)?),
                Some(task) => task.apply(event)?,
            }
        }
        Ok(task)
    }

    /// The state after a journal's first event.
    pub fn begin(event: &Event) -> Result<Self, Rejected> {
        let Fact::TaskCreated(created) = &event.fact else {
            return Err(rejected(event, "a journal begins with task-created"));
        };
        if event.number != EventNumber(1) {
            return Err(rejected(event, "the first event has the number 1"));
        }
        Ok(Self {
            created: Arc::new((**created).clone()),
            created_ms: event.time_ms,
            head: stamp(event),
            attempts: Attempt(0),
            running: None,
            node: String::new(),
            grants: BTreeMap::new(),
            operations: BTreeMap::new(),
            order: Vec::new(),
            costs: BTreeMap::new(),
            open: BTreeSet::new(),
            sleeping: BTreeMap::new(),
            calls: 0,
            lines: 0,
            inputs: BTreeMap::new(),
            undelivered: VecDeque::new(),
            asking: VecDeque::new(),
            steers: VecDeque::new(),
            asking_steers: VecDeque::new(),
            keys: BTreeMap::new(),
            delegated: BTreeMap::new(),
            derived_by: BTreeMap::new(),
            memo: BTreeMap::new(),
            ending: None,
            control: super::control::Control::default(),
            pending: super::pending::PendingDecisions::default(),
            kept: BTreeMap::new(),
            held_bytes: 0,
            logged_bytes: 0,
            unloaded: super::payload::Unloaded::default(),
        })
    }

    /// Moves on by one event. On an error nothing has changed.
    pub fn apply(&mut self, event: &Event) -> Result<(), Rejected> {
        if event.number != self.head.number.next() {
            return Err(rejected(event, "its number is not the next one"));
        }
        if event.time_ms < self.head.time_ms {
            return Err(rejected(event, "it is older than the one before"));
        }
        if self.ending.is_some() && !may_follow_the_end(&event.fact) {
            return Err(rejected(event, "the task has ended"));
        }
        self.apply_fact(&event.fact, stamp(event)).map_err(|why| rejected(event, why))?;
        self.head = stamp(event);
        Ok(())
    }

    fn apply_fact(&mut self, fact: &Fact, at: Stamp) -> Applied {
        match fact {
            Fact::TaskCreated(_) => Err("the task exists already"),
            Fact::AttemptStarted { attempt, node } => self.start(*attempt, node),
            Fact::AttemptEnded { attempt, fruitless, .. } => self.end_attempt(*attempt, *fruitless),
            Fact::GrantAdded(grant) => self.add_grant(grant, at),
            Fact::GrantRevoked { grant, .. } => self.revoke(*grant),
            Fact::GrantRepinned { grant, manifest, accepted } => {
                self.repin(*grant, manifest, *accepted)
            }
            Fact::GrantEnded { grant, .. } => self.end_grant(*grant),
            Fact::CallRequested(request) => self.request_call(request, at),
            Fact::CallCompleted { call, outcome, cost, .. } => {
                self.complete(*call, outcome, *cost, at)
            }
            Fact::ResultOffloaded(kept) => self.apply_offloaded(kept),
            Fact::Introduced(introduced) => self.apply_introduction(introduced.grant),
            Fact::NotIntroduced { grant, .. } => self.apply_introduction(*grant),
            Fact::CallDenied(denied) => self.deny(denied, at),
            Fact::ApprovalRequested(pending) => self.apply_hold(pending, at),
            Fact::ApprovalDecided(decided) => self.apply_approval(decided, at),
            Fact::CapabilityRequested(pending) => self.apply_capability_request(pending, at),
            Fact::CapabilityDecided(decided) => self.apply_capability_decision(decided, at),
            Fact::SettlementRequested(pending) => self.apply_question(pending, at),
            Fact::SettlementDecided(decided) => self.apply_settlement(decided),
            Fact::SettlementWithdrawn { call, .. } => self.apply_withdrawal(*call),
            Fact::CallRecalled { call, from } => self.recall(*call, *from, at),
            Fact::CallUnknown { call, .. } => self.lose(*call),
            Fact::LogEmitted { line, text, .. } => {
                if *line != self.lines + 1 {
                    return Err("its line is not the next one");
                }
                self.lines += 1;
                self.logged_bytes = self.logged_bytes.saturating_add(text.len() as u64);
                Ok(())
            }
            Fact::InputAccepted { input, value, key, steer, .. } => {
                self.accept(*input, value, key, *steer)
            }
            Fact::SteersRequested { operation, wait } => {
                let pending = Operation::Steers { wait: *wait, delivered: None };
                self.add_operation(*operation, pending)?;
                self.asking_steers.push_back(*operation);
                Ok(())
            }
            Fact::SteersDelivered { operation, inputs } => {
                self.deliver_steers(*operation, inputs, at)
            }
            Fact::InputRequested { operation } => {
                self.add_operation(*operation, Operation::Input { delivered: None })?;
                self.asking.push_back(*operation);
                Ok(())
            }
            Fact::InputDelivered { operation, input } => self.deliver(*operation, *input, at),
            Fact::TimerSet { operation, due_ms } => {
                let sleep = Operation::Sleep { due_ms: *due_ms, fired: None };
                self.add_operation(*operation, sleep)?;
                self.sleeping.insert(*operation, *due_ms);
                Ok(())
            }
            Fact::TimerFired { operation } => self.fire(*operation, at),
            Fact::TaskCompleted(value) => self.end(Ending::Completed(value.clone())),
            Fact::TaskFailed(failure) => self.end(Ending::Failed(failure.clone())),
            Fact::TaskCancelled(reason) => self.end(Ending::Cancelled(reason.clone())),
            Fact::TaskPaused { reason, who, call } => self.pause(reason, who, *call, at),
            Fact::TaskResumed { .. } => self.resume(at),
            Fact::CancelRequested(cancel) => self.stop(cancel),
            Fact::TaskForked(forked) => self.fork(forked, at),
            Fact::TaskUpgraded(upgraded) => self.upgrade(upgraded),
        }
    }

    fn start(&mut self, attempt: Attempt, node: &str) -> Applied {
        if self.running.is_some() {
            return Err("another attempt is running");
        }
        if self.paused().is_some() || self.cancelling().is_some() {
            return Err("the task is paused or being cancelled");
        }
        if attempt != self.attempts.next() {
            return Err("its attempt is not the next one");
        }
        self.attempts = attempt;
        self.running = Some(attempt);
        node.clone_into(&mut self.node);
        Ok(())
    }

    fn end_attempt(&mut self, attempt: Attempt, fruitless: bool) -> Applied {
        if self.running != Some(attempt) {
            return Err("that attempt is not running");
        }
        self.running = None;
        let node = std::mem::take(&mut self.node);
        if fruitless {
            self.note_fruitless(node);
        }
        Ok(())
    }

    fn deny(&mut self, denied: &CallDenied, at: Stamp) -> Applied {
        self.take_held(denied.call, &denied.digest);
        let operation = Operation::Denied { denied: Arc::new(denied.clone()), at };
        self.add_operation(denied.call, operation)?;
        self.calls += 1;
        self.note_delegate(denied.delegate.as_ref(), denied.call);
        self.told_in_order(denied.call);
        Ok(())
    }

    /// Makes way for what becomes of a held call, if it is this one.
    fn take_held(&mut self, call: CallNumber, digest: &[u8; 32]) {
        if let Some(Operation::Call { request, state: CallState::Held }) =
            self.operations.get(&call)
            && request.digest == *digest
        {
            if let Some(held) = self.operations.remove(&call) {
                self.let_go(&held);
            }
            self.pending.held.remove(&call);
        }
    }

    /// Operations of the agent are told to it in the order of their outcomes. Lent objects and
    /// grants that were passed on are used by others, who have no turns to keep.
    pub(super) fn told_in_order(&mut self, operation: CallNumber) {
        if operation < CallNumber::FIRST_LENT {
            self.order.push(operation);
            self.note_progress();
        }
    }

    pub(super) fn note_delegate(&mut self, delegate: Option<&Delegate>, call: CallNumber) {
        if let Some(delegate) = delegate {
            self.delegated.insert((delegate.grant, delegate.key.clone()), call);
        }
    }

    fn request_call(&mut self, request: &Arc<CallRequested>, at: Stamp) -> Applied {
        if !self.grants.contains_key(&request.grant) {
            return Err("its grant is not there");
        }
        self.take_held(request.call, &request.digest);
        let operation =
            Operation::Call { request: Arc::clone(request), state: CallState::Requested };
        self.add_operation(request.call, operation)?;
        self.hold_value(&request.args);
        self.note_delegate(request.delegate.as_ref(), request.call);
        self.open.insert(request.call);
        self.pending.sent.insert(request.call, at.time_ms);
        self.calls += 1;
        self.charge_request(request, at.time_ms);
        Ok(())
    }

    pub(super) fn complete(
        &mut self,
        call: CallNumber,
        outcome: &Outcome,
        cost: u64,
        at: Stamp,
    ) -> Applied {
        match self.operations.get_mut(&call) {
            Some(Operation::Call { state: CallState::Completed(..), .. }) => {
                Err("that call has ended already")
            }
            Some(Operation::Call { state: CallState::Held, .. }) => {
                Err("that call was not sent yet")
            }
            Some(Operation::Call { state, request }) => {
                *state = CallState::Completed(Arc::new(outcome.clone()), at);
                let request = Arc::clone(request);
                if let Outcome::Value { value, .. } = outcome {
                    self.hold_value(value);
                }
                let elsewhere = self.kept.get(&call).map(|kept| kept.bytes);
                self.charge_outcome(&request, (outcome, elsewhere), cost);
                let cost = request.charged(outcome, cost);
                if cost > 0 {
                    self.costs.insert(call, cost);
                }
                self.open.remove(&call);
                self.pending.unsettled.remove(&call);
                self.pending.sent.remove(&call);
                self.told_in_order(call);
                self.memorise(call);
                Ok(())
            }
            _ => Err("there is no such call"),
        }
    }

    fn lose(&mut self, call: CallNumber) -> Applied {
        match self.operations.get_mut(&call) {
            Some(Operation::Call { state, .. }) if *state == CallState::Requested => {
                *state = CallState::Unknown;
                Ok(())
            }
            _ => Err("there is no such call in flight"),
        }
    }

    fn fire(&mut self, operation: CallNumber, at: Stamp) -> Applied {
        match self.operations.get_mut(&operation) {
            Some(Operation::Sleep { fired, .. }) if fired.is_none() => {
                *fired = Some(at);
                self.sleeping.remove(&operation);
                self.told_in_order(operation);
                Ok(())
            }
            _ => Err("there is no such sleep"),
        }
    }

    fn end(&mut self, ending: Ending) -> Applied {
        if self.running.is_some() {
            return Err("an attempt is still running");
        }
        self.ending = Some(ending);
        Ok(())
    }

    pub(super) fn add_operation(&mut self, number: CallNumber, operation: Operation) -> Applied {
        if number == CallNumber(0) {
            return Err("operations are numbered from 1");
        }
        if self.operations.contains_key(&number) {
            return Err("its number was used already");
        }
        self.operations.insert(number, operation);
        self.note_generation(number);
        Ok(())
    }
}

/// A call in flight when the task ended still gets its outcome, a grant can still be cut, and one
/// that was passed on serves its holder until then.
fn may_follow_the_end(fact: &Fact) -> bool {
    match fact {
        Fact::CallCompleted { .. }
        | Fact::ResultOffloaded(_)
        | Fact::CallRecalled { .. }
        | Fact::CallUnknown { .. }
        | Fact::GrantRevoked { .. }
        | Fact::GrantRepinned { .. }
        | Fact::GrantEnded { .. } => true,
        Fact::CallRequested(request) => request.delegate.is_some(),
        Fact::CallDenied(denied) => denied.delegate.is_some(),
        Fact::GrantAdded(grant) => grant.derived.is_some(),
        Fact::ApprovalRequested(pending) => pending.request.delegate.is_some(),
        Fact::ApprovalDecided(decided) => decided.call >= CallNumber::FIRST_LENT,
        Fact::SettlementRequested(pending) => pending.call >= CallNumber::FIRST_LENT,
        Fact::SettlementDecided(decided) => decided.call >= CallNumber::FIRST_LENT,
        Fact::SettlementWithdrawn { call, .. } => *call >= CallNumber::FIRST_LENT,
        Fact::TaskCreated(_)
        | Fact::AttemptStarted { .. }
        | Fact::AttemptEnded { .. }
        | Fact::Introduced(_)
        | Fact::NotIntroduced { .. }
        | Fact::CapabilityRequested(_)
        | Fact::CapabilityDecided(_)
        | Fact::LogEmitted { .. }
        | Fact::InputAccepted { .. }
        | Fact::InputRequested { .. }
        | Fact::InputDelivered { .. }
        | Fact::SteersRequested { .. }
        | Fact::SteersDelivered { .. }
        | Fact::TimerSet { .. }
        | Fact::TimerFired { .. }
        | Fact::TaskCompleted(_)
        | Fact::TaskFailed(_)
        | Fact::TaskCancelled(_)
        | Fact::TaskPaused { .. }
        | Fact::TaskResumed { .. }
        | Fact::CancelRequested(_)
        | Fact::TaskForked(_)
        | Fact::TaskUpgraded(_) => false,
    }
}

const fn stamp(event: &Event) -> Stamp {
    Stamp { number: event.number, time_ms: event.time_ms }
}

const fn rejected(event: &Event, why: &'static str) -> Rejected {
    Rejected { number: event.number, fact: event.fact.name(), why }
}
