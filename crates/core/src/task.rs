//! A task's state: a fold over its events.
//!
//! [`Task::decide`] turns a command into facts or a refusal, [`Task::apply`] turns an event into
//! state. Neither does I/O, reads a clock or waits.

mod allow;
mod apply;
mod approval;
mod call;
mod capability_request;
mod charge;
mod command;
mod control;
mod decide;
mod derive;
mod input;
mod memo;
mod narrow;
mod offloaded;
mod operation;
mod payload;
mod pending;
mod pin;
mod refusal;
mod room;
mod settle;
mod words;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

pub use apply::Rejected;
pub use call::CallCommand;
pub use capability_request::{CapabilityCommand, CapabilityRequest};
pub use command::{Command, Decision};
pub use control::{Paused, Rewind, Upgrade};
pub use derive::{ATTENUATE, Delegation, SPLIT};
pub use input::Sent;
pub use operation::{CallState, Operation};
pub use pending::{Hold, Question, Unsettled};
pub use pin::Pin;
pub use refusal::{Divergence, Refusal};
pub use settle::WhenUnknown;

use serde::{Deserialize, Serialize};

use crate::event::{CallRequested, Grant, OffloadedResult, TaskCreated};
use crate::failure::Failure;
use crate::grant::{Checker, Usage};
use crate::id::{Attempt, CallNumber, EventNumber, GrantId, InputId, ObjectId};
use crate::value::Value;

/// A hash of the program's rules: a state that another program folded may differ from this one's.
pub const FOLD_VERSION: &str = env!("REMIT_FOLD_VERSION");

/// What is known of a task. Its serialised form is a snapshot, which may outlive the events it stands
/// for: a field that is added later says by `serde(default)` what it was before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    created: Arc<TaskCreated>,
    created_ms: u64,
    head: Stamp,
    attempts: Attempt,
    running: Option<Attempt>,
    /// Where it runs; empty: nowhere.
    node: String,
    grants: BTreeMap<GrantId, Held>,
    operations: BTreeMap<CallNumber, Operation>,
    order: Vec<CallNumber>,
    /// What calls cost that did not come for free.
    costs: BTreeMap<CallNumber, u64>,
    /// Calls that were allowed and have not ended.
    open: BTreeSet<CallNumber>,
    /// Sleeps that are not over, with their due times.
    sleeping: BTreeMap<CallNumber, u64>,
    calls: u64,
    lines: u64,
    inputs: BTreeMap<InputId, Value>,
    undelivered: VecDeque<InputId>,
    asking: VecDeque<CallNumber>,
    steers: VecDeque<InputId>,
    asking_steers: VecDeque<CallNumber>,
    keys: BTreeMap<String, InputId>,
    /// Calls of holders that a grant was passed on to, by grant and key.
    delegated: BTreeMap<(GrantId, Vec<u8>), CallNumber>,
    /// Derived grants by the key of the request.
    derived_by: BTreeMap<Vec<u8>, GrantId>,
    /// Calls of pure methods by what was asked.
    memo: BTreeMap<[u8; 32], CallNumber>,
    ending: Option<Ending>,
    /// What people did to it as a whole.
    #[serde(default)]
    control: control::Control,
    /// What waits for people, and what they decided.
    #[serde(default)]
    pending: pending::PendingDecisions,
    /// Values of calls that are with the tool node.
    #[serde(default)]
    kept: BTreeMap<CallNumber, OffloadedResult>,
    /// Bytes of the values that it keeps in memory.
    #[serde(default)]
    held_bytes: u64,
    /// Bytes of the lines that it wrote.
    #[serde(default)]
    logged_bytes: u64,
    /// What is not in memory. A snapshot is of the whole.
    #[serde(skip)]
    unloaded: payload::Unloaded,
}

/// Which event it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Stamp {
    /// Its number.
    pub number: EventNumber,
    /// Its time, in milliseconds since 1970.
    pub time_ms: u64,
}

/// A grant with what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// The grant.
    pub grant: Arc<Grant>,
    /// What was used of it, grants narrowed from it included.
    pub usage: Usage,
    /// Its caveats, ready to be checked.
    pub checker: Arc<Checker>,
    /// Whether it was taken back itself. See [`Task::is_revoked`] for its ancestors.
    pub revoked: bool,
    /// Whether it was needed no more.
    pub ended: bool,
    /// What became of the interface that it was made for.
    #[serde(default)]
    pub pin: Pin,
}

/// How a task ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Ending {
    /// With a result.
    Completed(Value),
    /// With a failure.
    Failed(Failure),
    /// By someone, for this reason.
    Cancelled(String),
}

impl Task {
    /// What the task was made from.
    pub const fn created(&self) -> &Arc<TaskCreated> {
        &self.created
    }

    /// When it was made, in milliseconds since 1970.
    pub const fn created_ms(&self) -> u64 {
        self.created_ms
    }

    /// The last event.
    pub const fn head(&self) -> Stamp {
        self.head
    }

    /// How many attempts there were.
    pub const fn attempts(&self) -> Attempt {
        self.attempts
    }

    /// The attempt that runs now.
    pub const fn running(&self) -> Option<Attempt> {
        self.running
    }

    /// The node where it runs; empty: nowhere now.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// How it ended, if it has.
    pub const fn ending(&self) -> Option<&Ending> {
        self.ending.as_ref()
    }

    /// Its grants, revoked ones included.
    pub fn grants(&self) -> impl Iterator<Item = &Held> {
        self.grants.values()
    }

    /// One grant.
    pub fn grant(&self, grant: GrantId) -> Option<&Held> {
        self.grants.get(&grant)
    }

    /// A grant and its ancestors, itself first.
    pub fn chain(&self, grant: GrantId) -> impl Iterator<Item = &Held> {
        std::iter::successors(self.grants.get(&grant), |held| {
            held.grant.parent.and_then(|parent| self.grants.get(&parent))
        })
    }

    /// One operation.
    pub fn operation(&self, number: CallNumber) -> Option<&Operation> {
        self.operations.get(&number)
    }

    /// All operations, by number.
    pub fn operations(&self) -> impl Iterator<Item = (CallNumber, &Operation)> {
        self.operations.iter().map(|(number, operation)| (*number, operation))
    }

    /// The agent's settled operations in the order in which they were recorded.
    pub fn order(&self) -> &[CallNumber] {
        &self.order
    }

    /// What a call cost, in units as the tool counts them.
    pub fn cost(&self, call: CallNumber) -> u64 {
        self.costs.get(&call).copied().unwrap_or_default()
    }

    /// The value of an input.
    pub fn input(&self, input: InputId) -> Option<&Value> {
        self.inputs.get(&input)
    }

    /// The input that was accepted under this key.
    pub fn input_of_key(&self, key: &str) -> Option<InputId> {
        self.keys.get(key).copied()
    }

    /// The last input that was accepted.
    pub fn last_input(&self) -> InputId {
        self.inputs.keys().next_back().copied().unwrap_or_default()
    }

    /// The sleeps that are not over: number and due time.
    pub fn timers(&self) -> impl Iterator<Item = (CallNumber, u64)> {
        self.sleeping.iter().map(|(number, due_ms)| (*number, *due_ms))
    }

    /// The calls that were allowed and have not ended.
    pub fn open_calls(&self) -> impl Iterator<Item = (CallNumber, &Arc<CallRequested>)> {
        self.open.iter().filter_map(|call| self.request(*call).map(|request| (*call, request)))
    }

    /// Whether the agent waits for nothing but time, input or a person.
    pub fn waits(&self) -> bool {
        let asks = !self.asking.is_empty()
            || !self.asking_steers.is_empty()
            || !self.sleeping.is_empty()
            || self.count_questions() > 0;
        asks && self.open.iter().all(|call| self.pending.unsettled.contains_key(call))
    }

    /// How many calls the task made, refused ones included.
    pub const fn calls(&self) -> u64 {
        self.calls
    }

    /// The grant through which the task came to hold an object.
    pub fn grant_of(&self, object: ObjectId) -> Option<GrantId> {
        match object {
            ObjectId::Grant(grant) => self.grants.contains_key(&grant).then_some(grant),
            ObjectId::Result(call) | ObjectId::Part(call, _) => {
                match self.operations.get(&call)? {
                    Operation::Call { request, .. } => Some(request.grant),
                    Operation::Denied { denied, .. } => Some(denied.grant),
                    Operation::Derived { grant, .. } => Some(*grant),
                    Operation::CapabilityRequest { .. } => self.granted_to(call),
                    Operation::Sleep { .. }
                    | Operation::Input { .. }
                    | Operation::Steers { .. } => None,
                }
            }
            ObjectId::CallerCapability(..) => None,
        }
    }

    /// The interface of an object; `None` if nobody said.
    pub fn interface_of(&self, object: ObjectId) -> Option<&str> {
        let name = match object {
            ObjectId::Grant(grant) => {
                let grant = &self.grants.get(&grant)?.grant;
                let root = &grant.manifest.root;
                if grant.interface == Grant::UNSAID {
                    return None;
                } else if !grant.interface.is_empty() {
                    &grant.interface
                } else if grant.path.is_empty() {
                    root
                } else {
                    &grant.manifest.method(root, &grant.manifest.descend)?.returns
                }
            }
            ObjectId::Result(call) => match self.derived_operation(call) {
                Some(grant) => return self.interface_of(ObjectId::Grant(grant)),
                None => &self.request(call)?.returns,
            },
            ObjectId::Part(..) | ObjectId::CallerCapability(..) => return None,
        };
        (!name.is_empty()).then_some(name)
    }

    /// Where an object stands, seen from its grant's root; `None` if nobody can tell.
    pub fn path_of(&self, object: ObjectId) -> Option<&str> {
        match object {
            ObjectId::Grant(grant) => {
                (self.grants.get(&grant)?.grant.interface != Grant::UNSAID).then_some("")
            }
            ObjectId::Result(call) => match self.derived_operation(call) {
                Some(grant) => self.path_of(ObjectId::Grant(grant)),
                None => Some(&self.request(call)?.path),
            },
            ObjectId::Part(..) | ObjectId::CallerCapability(..) => None,
        }
    }

    /// What was asked in an allowed call.
    pub fn request(&self, call: CallNumber) -> Option<&Arc<CallRequested>> {
        let Operation::Call { request, .. } = self.operations.get(&call)? else { return None };
        Some(request)
    }

    /// What does not hold of the state although every event keeps it so: a defect of this program.
    /// Takes constant time, so that an owner can ask after each event.
    pub fn broken(&self) -> Option<&'static str> {
        let last_is = |call: Option<&CallNumber>, is: fn(&Operation) -> bool| {
            call.is_none_or(|call| self.operations.get(call).is_some_and(is))
        };
        let is_open = |operation: &Operation| {
            matches!(operation, Operation::Call { .. }) && operation.settled().is_none()
        };
        if self.ending.is_some() && self.running.is_some() {
            Some("an attempt runs although the task has ended")
        } else if self.order.len() > self.operations.len() {
            Some("more operations are settled than were asked for")
        } else if !last_is(self.order.last(), |operation| operation.settled().is_some()) {
            Some("the last reply is of an operation that is not settled")
        } else if !last_is(self.open.last(), is_open) {
            Some("a call is in flight that is settled or was never made")
        } else if !last_is(self.sleeping.keys().next_back(), |operation| {
            operation.settled().is_none()
        }) {
            Some("a timer runs that has fired or was never set")
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, Fact, TimeLimits};

    fn begun() -> Task {
        let created = TaskCreated {
            name: String::new(),
            agent: "script".into(),
            source: Vec::new(),
            entry: String::new(),
            input: Value::Null,
            seed: Vec::new(),
            labels: Vec::new(),
            creator: String::new(),
            deadline_ms: 0,
            memory_bytes: 0,
            export: String::new(),
            parent: None,
            detached: false,
            limits: TimeLimits::default(),
        };
        let fact = Fact::TaskCreated(Box::new(created));
        Task::begin(&Event { number: EventNumber(1), time_ms: 1, fact }).unwrap()
    }

    /// A change of the state that no event makes.
    type Breach = fn(&mut Task);

    #[test]
    fn a_state_that_no_event_leads_to_is_named() {
        assert_eq!(begun().broken(), None);
        let sleep = |fired| Operation::Sleep { due_ms: 9, fired };
        let breaches: [(Breach, &str); 5] = [
            (
                |task| {
                    task.running = Some(Attempt(1));
                    task.ending = Some(Ending::Cancelled(String::new()));
                },
                "ended",
            ),
            (|task| task.order.push(CallNumber(1)), "more operations"),
            (|task| task.order.push(CallNumber(1)), "settled"),
            (|task| task.open.extend([CallNumber(1)]), "in flight"),
            (|task| task.sleeping.extend([(CallNumber(1), 9)]), "fired"),
        ];
        for (breach, named) in breaches {
            let mut task = begun();
            if named == "settled" {
                task.operations.insert(CallNumber(1), sleep(None));
            } else if named != "more operations" {
                task.operations.insert(CallNumber(1), sleep(Some(Stamp::default())));
            }
            breach(&mut task);
            let broken = task.broken().unwrap_or_default();
            assert!(broken.contains(named), "{named}: {broken}");
        }
    }
}
