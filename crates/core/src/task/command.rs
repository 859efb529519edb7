//! What someone wants of a task, and what it leads to.

use std::sync::Arc;

use super::{CallCommand, CapabilityCommand, Delegation, Sent, Upgrade};
use crate::event::{
    ApprovalDecided, Fact, Grant, Introduced, Level, OffloadedResult, SettlementDecided,
    SettlementRequested,
};
use crate::failure::Failure;
use crate::id::{Attempt, CallNumber, EventNumber, GrantId};
use crate::manifest::Manifest;
use crate::value::Outcome;

/// Something that someone wants of a task.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// The owner placed the next attempt on this node. One that still runs is ended.
    StartAttempt { node: String },
    /// An attempt is over.
    EndAttempt { attempt: Attempt, reason: String, fruitless: bool },
    /// Someone with authority over the task hands it a capability. Its number is given here.
    AddGrant(Box<Grant>),
    /// A reference is passed on to another task or person.
    Delegation(Box<Delegation>),
    /// Someone takes one back.
    RevokeGrant { grant: GrantId, reason: String, by: String },
    /// Someone needs one no more, and what its purse still holds goes back.
    EndGrant { grant: GrantId, reason: String },
    /// The tool of a grant has another interface, which was accepted: this one.
    Repin { grant: GrantId, accepted: Arc<Manifest> },
    /// A call arrives at the membrane.
    Call(Box<CallCommand>),
    /// A call arrives whose tool is not what the grant was made for.
    RefuseCall(Box<(CallCommand, Failure)>),
    /// A forwarded call ended, and cost so many units as the tool counts them. `refused`: by the mesh.
    CompleteCall { call: CallNumber, outcome: Outcome, cost: u64, refused: bool },
    /// A forwarded call ended, and its value is with the tool node.
    KeepBody { kept: Box<OffloadedResult>, cost: u64 },
    /// An agent node is about to be given a ticket for a tool node.
    Introduce(Box<Introduced>),
    /// That came to nothing, for this reason.
    ForgoIntroduction { grant: GrantId, attempt: Attempt, reason: String },
    /// A forwarded call was lost sight of.
    LoseCall { call: CallNumber, reason: String },
    /// Someone decides on a held call.
    DecideApproval(Box<ApprovalDecided>),
    /// The agent asks for a capability that it does not hold.
    RequestCapability(Box<CapabilityCommand>),
    /// Someone gives it one. The grant's number is given here.
    GiveCapability { operation: CallNumber, grant: Box<Grant>, who: String },
    /// Someone refuses it.
    RefuseCapability { operation: CallNumber, reason: String, who: String },
    /// A person is to be asked what became of a call of unknown outcome.
    AskSettlement(Box<SettlementRequested>),
    /// Someone decides on it. `question`: the event that asked; 0: whichever did.
    Settle { decided: Box<SettlementDecided>, question: EventNumber },
    /// A question about a call is void: its tool node can be asked. `question`: the event that asked.
    WithdrawSettlement { call: CallNumber, question: EventNumber, reason: String },
    /// The time of a question may have come, or nobody may wait for its answer any more.
    Review { operation: CallNumber },
    /// The agent writes a line.
    Log { attempt: Attempt, line: u64, level: Level, text: String },
    /// Someone sends input.
    AcceptInput(Box<Sent>),
    /// The agent waits for input.
    RequestInput { attempt: Attempt, operation: CallNumber },
    /// The agent asks for the steers that have come; `wait`: for at least one.
    RequestSteers { attempt: Attempt, operation: CallNumber, wait: bool },
    /// The agent goes to sleep.
    SetTimer { attempt: Attempt, operation: CallNumber, duration_ms: u64 },
    /// A sleep is over.
    FireTimer { operation: CallNumber },
    /// The agent is done.
    Finish { attempt: Attempt, outcome: Outcome },
    /// The owner gives up on the task.
    Fail(Failure),
    /// Someone ends the task at once.
    Cancel { reason: String },
    /// Someone stops the task for a while, or the owner does after trying in vain. `call`: the one
    /// that its tool node, which is away, could not settle.
    Pause { reason: String, who: String, call: Option<CallNumber> },
    /// It goes on.
    Resume { who: String },
    /// The task is to end for this reason, once what is under way has been told.
    RequestCancel { why: Failure, who: String },
    /// What was under way has ended or been given up: the end that was asked for.
    FinishCancel,
    /// Someone gives the task another program.
    Upgrade(Box<Upgrade>),
}

/// What a command leads to.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// These facts, in this order, none of them before all are recorded.
    Record(Vec<Fact>),
    /// Nothing new: it was decided before, and the state says how.
    Recorded,
}
