//! Events: the facts of which a task's state is made.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::failure::{Code, Failure};
use crate::grant::{Budgets, Caveat};
use crate::id::{Attempt, CallNumber, EventNumber, GrantId, InputId, ObjectId, TaskId};
use crate::manifest::Manifest;
use crate::value::{Outcome, Value};

mod control;

pub use self::control::{CancelRequested, TaskForked, TaskUpgraded, TimeLimits};
mod direct;
mod person;

pub use self::direct::{Introduced, OffloadedResult};

pub use self::person::{
    Approval, ApprovalDecided, ApprovalRequested, CapabilityDecided, CapabilityRequested, Ledger,
    OnUnknown, Remember, Settlement, SettlementDecided, SettlementRequested,
};

/// One fact in the life of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its place in the journal, from 1 without gaps.
    pub number: EventNumber,
    /// When it was recorded, in milliseconds since 1970. Never decreases within a task.
    pub time_ms: u64,
    /// What happened.
    pub fact: Fact,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Fact {
    /// The task exists from now on. Always the first event, and only that.
    TaskCreated(Box<TaskCreated>),
    /// An agent begins to work on it, on the node of this name.
    AttemptStarted { attempt: Attempt, node: String },
    /// That agent works no more. `fruitless`: it was lost without progress through a fault of its own
    /// or of its node.
    AttemptEnded { attempt: Attempt, reason: String, fruitless: bool },
    /// The task was handed a capability.
    GrantAdded(Box<Grant>),
    /// A capability was taken back, with all that was narrowed from it.
    GrantRevoked { grant: GrantId, reason: String, by: String },
    /// The tool changed and the change was accepted: the grant, and all that was narrowed from it,
    /// has this interface from now on, of a manifest with this hash.
    GrantRepinned { grant: GrantId, manifest: Arc<Manifest>, accepted: [u8; 32] },
    /// A capability is needed no more, nor is what was narrowed from it. What its purse still holds
    /// goes back to the grant that it was split from.
    GrantEnded { grant: GrantId, reason: String },
    /// A call was allowed and is about to be sent: the intent.
    CallRequested(Arc<CallRequested>),
    /// A call ended so, and cost so many units as the tool counts them. `refused`: the mesh itself
    /// refused it on its way, or withholds its result; a `denied` that the tool made is not that.
    CallCompleted { call: CallNumber, outcome: Outcome, cost: u64, refused: bool },
    /// The value of the call that the next event completes is not in the journal: the tool node
    /// keeps it.
    ResultOffloaded(Box<OffloadedResult>),
    /// An agent node was given a ticket for a tool node, so that large results go straight to it.
    Introduced(Box<Introduced>),
    /// No direct path came to stand: large results of calls on the grant go through the owner.
    NotIntroduced { grant: GrantId, attempt: Attempt, reason: String },
    /// A call was refused.
    CallDenied(Box<CallDenied>),
    /// A call was sent and nobody knows yet what became of it.
    CallUnknown { call: CallNumber, reason: String },
    /// A call of a pure method has the outcome that an earlier one had; nothing was sent.
    CallRecalled { call: CallNumber, from: CallNumber },
    /// A call is held until a person decides on it.
    ApprovalRequested(Box<ApprovalRequested>),
    /// A person decided on it, or its time ran out. The next event says what follows.
    ApprovalDecided(Box<ApprovalDecided>),
    /// The agent asks for a capability that it does not hold.
    CapabilityRequested(Box<CapabilityRequested>),
    /// A person gave one, by the event before this one, or refused.
    CapabilityDecided(Box<CapabilityDecided>),
    /// A person is asked what became of a call.
    SettlementRequested(Box<SettlementRequested>),
    /// A person decided on it.
    SettlementDecided(Box<SettlementDecided>),
    /// A question about a call is void: the tool node that could not be asked is back.
    SettlementWithdrawn { call: CallNumber, reason: String },
    /// The agent wrote a line of output.
    LogEmitted { line: u64, level: Level, text: String },
    /// Input for the agent was accepted.
    InputAccepted { input: InputId, value: Value, sender: String, key: String, steer: bool },
    /// The agent asked for its next input.
    InputRequested { operation: CallNumber },
    /// The agent was given an input.
    InputDelivered { operation: CallNumber, input: InputId },
    /// The agent asked for the steers that have come; `wait`: for at least one.
    SteersRequested { operation: CallNumber, wait: bool },
    /// The agent was given all steers that had come.
    SteersDelivered { operation: CallNumber, inputs: Vec<InputId> },
    /// The agent sleeps until then.
    TimerSet { operation: CallNumber, due_ms: u64 },
    /// Its sleep is over.
    TimerFired { operation: CallNumber },
    /// The task ended well, with this result.
    TaskCompleted(Value),
    /// The task ended badly.
    TaskFailed(Failure),
    /// The task was ended by someone, for this reason.
    TaskCancelled(String),
    /// Nothing new begins until the task is resumed. `who` is a SPIFFE name; empty: the owner itself.
    /// `call`: the one that could not be settled while its tool node was away, whose return ends the
    /// pause.
    TaskPaused { reason: String, who: String, call: Option<CallNumber> },
    /// It goes on.
    TaskResumed { who: String },
    /// The task is to end: what is under way is told to stop, then comes the end.
    CancelRequested(Box<CancelRequested>),
    /// The events before this one are a copy of another task's.
    TaskForked(Box<TaskForked>),
    /// Another program works on the task from now on.
    TaskUpgraded(Box<TaskUpgraded>),
}

/// What a task is made from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskCreated {
    /// A name for people.
    pub name: String,
    /// The kind of agent, for example `script`.
    pub agent: String,
    /// The agent's program.
    pub source: Vec<SourceFile>,
    /// The path, among `source`, of the file that is run.
    pub entry: String,
    /// The second argument of the program.
    pub input: Value,
    /// 32 bytes from which the agent's random numbers come.
    #[serde(with = "serde_bytes")]
    pub seed: Vec<u8>,
    /// What an agent node must have to be given this task.
    pub labels: Vec<String>,
    /// Who created it, as a SPIFFE name.
    pub creator: String,
    /// The longest an attempt may compute without waiting on the outside, in milliseconds; 0: the
    /// node's default.
    pub deadline_ms: u32,
    /// The most memory an attempt may use, in bytes; 0: the node's default.
    pub memory_bytes: u64,
    /// The name of the export that is run; empty: the default one.
    pub export: String,
    /// The task that spawned it.
    pub parent: Option<TaskId>,
    /// Whether it outlives the task that spawned it.
    pub detached: bool,
    /// How long it and its parts may take.
    pub limits: TimeLimits,
}

/// One file of an agent's program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFile {
    /// Where it stands, with `/` between the parts.
    pub path: String,
    /// What it says.
    pub text: String,
}

/// A capability that a task holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Grant {
    /// Its number within the task.
    pub grant: GrantId,
    /// The grant that it was narrowed from.
    pub parent: Option<GrantId>,
    /// By which the agent sees it.
    pub name: String,
    /// The tool at its root.
    pub tool: String,
    /// The tool's version.
    pub version: String,
    /// Who serves the tool, as a SPIFFE name.
    pub node: String,
    /// The path below the tool's root; empty: the root.
    pub path: String,
    /// Its caveats, all of which must hold.
    pub caveats: Vec<Caveat>,
    /// The tool's interface when the grant was made.
    pub manifest: Arc<Manifest>,
    /// Who holds it: a SPIFFE name, `task` for the task's own agent, or `task:` and the id of a
    /// task that it was passed to.
    pub holder: String,
    /// How it came from an object that the task held; `None`: a person gave it.
    pub derived: Option<Derivation>,
    /// The grant of another task that it passes on; `None`: it leads to the tool itself.
    pub origin: Option<Origin>,
    /// The interface of its root; empty: what the manifest says; [`Grant::UNSAID`]: nobody knows.
    pub interface: String,
    /// A purse: charged to the grants above when it is added, spent by its own calls, which are
    /// refused when it is empty. What is left goes back when it is revoked or ends.
    pub reserve: Budgets,
    /// The identity that handed it out; empty: the task's creator, or whoever holds its parent.
    pub by: String,
    /// What is done about a call of which nobody knows whether it happened.
    #[serde(default)]
    pub on_unknown: OnUnknown,
}

impl Grant {
    /// The interface of a root of which no manifest says what it is.
    pub const UNSAID: &str = "?";
}

/// How a grant came from an object that its task held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Derivation {
    /// The object that is its root.
    pub object: ObjectId,
    /// The operation that asked for it; `None`: it was made on the way to another task or person.
    pub operation: Option<CallNumber>,
    /// SHA-256 over the operation's content, as of a call.
    pub digest: [u8; 32],
    /// Under which a repeated request finds it; empty: the operation's number serves.
    pub key: Vec<u8>,
}

/// The grant of another task in whose journal every use is checked and charged first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The task that passed it on.
    pub task: TaskId,
    /// The grant in that task's journal.
    pub grant: GrantId,
}

/// A call that was allowed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CallRequested {
    /// Its number.
    pub call: CallNumber,
    /// The attempt that made it.
    pub attempt: Attempt,
    /// On which object.
    pub object: ObjectId,
    /// Which method.
    pub method: String,
    /// The arguments by name, paths normalised, as they are sent to the tool.
    pub args: Value,
    /// SHA-256 over object, method and arguments as the agent gave them.
    #[serde(with = "serde_bytes")]
    pub digest: [u8; 32],
    /// The grant it is charged to.
    pub grant: GrantId,
    /// Where it acts, seen from the grant's root; empty: the root itself.
    pub path: String,
    /// The interface of the object it will return; empty: none is promised.
    pub returns: String,
    /// Whether it changes nothing.
    pub read_only: bool,
    /// Whether doing it twice is the same as doing it once.
    pub idempotent: bool,
    /// The call that lent the object to the tool now using it; `None`: the agent itself called.
    pub through: Option<CallNumber>,
    /// By whom, when it is neither the agent nor a tool that was lent the object.
    pub delegate: Option<Delegate>,
    /// The call on which a person decided so that this one may be made: itself, or an earlier one
    /// whose decision was to be remembered; `None`: none was asked for.
    #[serde(default)]
    pub approval: Option<CallNumber>,
    /// The most that it costs, which is reserved until it ends; 0: its method does not say.
    #[serde(default)]
    pub max_cost: u64,
}

impl CallRequested {
    /// What is charged for the call once it has ended so and the tool says that it cost `told`. It
    /// is never more than what was reserved, if anything was, and all of that if nobody knows
    /// whether it happened, or may still happen.
    pub fn charged(&self, outcome: &Outcome, told: u64) -> u64 {
        match (self.max_cost, outcome) {
            (0, _) => told,
            (most, Outcome::Failure(failure))
                if matches!(failure.code, Code::Unknown | Code::TimedOut) =>
            {
                most
            }
            (most, _) => told.min(most),
        }
    }
}

/// A call by the holder of a grant that was passed on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delegate {
    /// The grant that it holds.
    pub grant: GrantId,
    /// Its idempotency key: a call repeated under it is answered with what was recorded.
    pub key: Vec<u8>,
}

/// A call that was refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CallDenied {
    /// Its number.
    pub call: CallNumber,
    /// The attempt that made it.
    pub attempt: Attempt,
    /// On which object.
    pub object: ObjectId,
    /// Which method.
    pub method: String,
    /// SHA-256 over object, method and arguments as the agent gave them.
    #[serde(with = "serde_bytes")]
    pub digest: [u8; 32],
    /// The grant that refused it.
    pub grant: GrantId,
    /// Why; the detail names the caveat.
    pub failure: Failure,
    /// The call that lent the object, if a tool called.
    pub through: Option<CallNumber>,
    /// By whom, as in [`CallRequested`].
    pub delegate: Option<Delegate>,
}

/// How much a line of output matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Level {
    /// For the author.
    Debug,
    /// For whoever follows.
    Info,
    /// Something is odd.
    Warn,
    /// Something failed.
    Error,
}

impl Fact {
    /// The event's name, for example `call-requested`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::TaskCreated(_) => "task-created",
            Self::AttemptStarted { .. } => "attempt-started",
            Self::AttemptEnded { .. } => "attempt-ended",
            Self::GrantAdded(_) => "grant-added",
            Self::GrantRevoked { .. } => "grant-revoked",
            Self::GrantRepinned { .. } => "grant-repinned",
            Self::GrantEnded { .. } => "grant-ended",
            Self::CallRequested(_) => "call-requested",
            Self::CallCompleted { .. } => "call-completed",
            Self::ResultOffloaded(_) => "result-offloaded",
            Self::Introduced(_) => "introduced",
            Self::NotIntroduced { .. } => "not-introduced",
            Self::CallDenied(_) => "call-denied",
            Self::CallUnknown { .. } => "call-unknown",
            Self::CallRecalled { .. } => "call-recalled",
            Self::ApprovalRequested(_) => "approval-requested",
            Self::ApprovalDecided(_) => "approval-decided",
            Self::CapabilityRequested(_) => "capability-requested",
            Self::CapabilityDecided(_) => "capability-decided",
            Self::SettlementRequested(_) => "settlement-requested",
            Self::SettlementDecided(_) => "settlement-decided",
            Self::SettlementWithdrawn { .. } => "settlement-withdrawn",
            Self::LogEmitted { .. } => "log-emitted",
            Self::InputAccepted { .. } => "input-accepted",
            Self::InputRequested { .. } => "input-requested",
            Self::InputDelivered { .. } => "input-delivered",
            Self::SteersRequested { .. } => "steers-requested",
            Self::SteersDelivered { .. } => "steers-delivered",
            Self::TimerSet { .. } => "timer-set",
            Self::TimerFired { .. } => "timer-fired",
            Self::TaskCompleted(_) => "task-completed",
            Self::TaskFailed(_) => "task-failed",
            Self::TaskCancelled(_) => "task-cancelled",
            Self::TaskPaused { .. } => "task-paused",
            Self::TaskResumed { .. } => "task-resumed",
            Self::CancelRequested(_) => "cancel-requested",
            Self::TaskForked(_) => "task-forked",
            Self::TaskUpgraded(_) => "task-upgraded",
        }
    }
}
