//! What a task waits for people for, and what they decided.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::approval::RememberedApproval;
use super::{CallState, Operation, Stamp, Task};
use crate::event::{
    ApprovalDecided, CallRequested, CapabilityRequested, Ledger, SettlementDecided,
};
use crate::failure::{Code, Failure};
use crate::id::{CallNumber, GrantId};
use crate::limits;

/// Questions to people and their answers.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct PendingDecisions {
    /// Calls that are held.
    pub(super) held: BTreeMap<CallNumber, Arc<Hold>>,
    /// Decisions on calls that were held.
    pub(super) approvals: BTreeMap<CallNumber, Arc<ApprovalDecided>>,
    /// Decisions that count for later calls too.
    pub(super) remembered: Vec<RememberedApproval>,
    /// Requests for power that nobody answered.
    pub(super) capability_requests: BTreeMap<CallNumber, (Arc<CapabilityRequested>, Stamp)>,
    /// Grants that were given to such requests.
    pub(super) gifts: BTreeSet<GrantId>,
    /// When calls that have not ended were recorded, in milliseconds since 1970.
    pub(super) sent: BTreeMap<CallNumber, u64>,
    /// Calls of unknown outcome that a person is asked about.
    pub(super) unsettled: BTreeMap<CallNumber, Unsettled>,
    /// Decisions on calls of unknown outcome, the last one for each.
    pub(super) settlements: BTreeMap<CallNumber, Arc<SettlementDecided>>,
}

/// Why and how long a call is held.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hold {
    /// The caveat that asks for approval, in its text form.
    pub caveat: String,
    /// The call in words.
    pub summary: String,
    /// Whether the method says that it may destroy something.
    pub destructive: bool,
    /// Who asks: a SPIFFE name, or `task`: the task's own agent.
    pub user: String,
    /// When it is denied if nobody decided, in milliseconds since 1970.
    pub until_ms: u64,
    /// The event that says so.
    pub at: Stamp,
}

/// A question about a call of unknown outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unsettled {
    /// How it was lost.
    pub reason: String,
    /// What the ledger said.
    pub ledger: Ledger,
    /// The event that asks.
    pub at: Stamp,
}

/// Something that waits for a person.
#[derive(Debug, Clone, Copy)]
pub enum Question<'a> {
    /// Whether a call may be made.
    Approval(&'a Arc<CallRequested>, &'a Hold),
    /// Whether and which capability the agent gets.
    CapabilityRequest(&'a CapabilityRequested, Stamp),
    /// What became of a call, or what is to be done.
    Settlement(&'a Arc<CallRequested>, &'a Unsettled),
}

impl Question<'_> {
    /// The operation that waits.
    pub fn operation(&self) -> CallNumber {
        match self {
            Self::Approval(request, _) | Self::Settlement(request, _) => request.call,
            Self::CapabilityRequest(request, _) => request.operation,
        }
    }

    /// The event that asks.
    pub const fn at(&self) -> Stamp {
        match self {
            Self::Approval(_, hold) => hold.at,
            Self::CapabilityRequest(_, at) => *at,
            Self::Settlement(_, unsettled) => unsettled.at,
        }
    }

    /// When it is decided by itself, in milliseconds since 1970; `None`: never.
    pub const fn until_ms(&self) -> Option<u64> {
        match self {
            Self::Approval(_, hold) => Some(hold.until_ms),
            Self::CapabilityRequest(request, _) => Some(request.until_ms),
            Self::Settlement(..) => None,
        }
    }
}

impl Task {
    /// What waits for a person, oldest first.
    pub fn questions(&self) -> Vec<Question<'_>> {
        let pending = &self.pending;
        let held = pending
            .held
            .iter()
            .filter_map(|(call, hold)| Some(Question::Approval(self.request(*call)?, hold)));
        let unsettled = pending.unsettled.iter().filter_map(|(call, unsettled)| {
            Some(Question::Settlement(self.request(*call)?, unsettled))
        });
        let capability_requests = pending
            .capability_requests
            .values()
            .map(|(request, at)| Question::CapabilityRequest(request, *at));
        let mut all: Vec<_> = held.chain(unsettled).chain(capability_requests).collect();
        // What was asked for the agent of a task that has ended waits for nobody any more.
        all.retain(|question| self.has_asker(question.operation()));
        all.sort_by_key(|question| question.at().number);
        all
    }

    /// How many questions wait for a person.
    pub fn count_questions(&self) -> usize {
        match self.ending {
            None if self.cancelling().is_none() => {
                self.pending.held.len()
                    + self.pending.capability_requests.len()
                    + self.pending.unsettled.len()
            }
            _ => self.questions().len(),
        }
    }

    /// Whether nothing may be decided about an object yet: the operation that will return it waits
    /// for a person.
    pub fn is_undecided(&self, operation: CallNumber) -> bool {
        self.pending.held.contains_key(&operation)
            || self.pending.capability_requests.contains_key(&operation)
    }

    /// Whether a person is asked about a call of unknown outcome.
    pub fn is_unsettled(&self, call: CallNumber) -> bool {
        self.pending.unsettled.contains_key(&call)
    }

    /// When a call that has not ended was recorded, in milliseconds since 1970.
    pub fn sent_ms(&self, call: CallNumber) -> Option<u64> {
        self.pending.sent.get(&call).copied()
    }

    /// What a person decided last on a call of unknown outcome.
    pub fn settlement(&self, call: CallNumber) -> Option<&SettlementDecided> {
        self.pending.settlements.get(&call).map(|decided| &**decided)
    }

    /// Whether anyone still waits for what becomes of a held call: the agent of a task that has
    /// ended, or is about to, does not.
    pub(super) fn has_asker(&self, call: CallNumber) -> bool {
        (self.ending.is_none() && self.cancelling().is_none()) || self.is_delegated(call)
    }

    /// Whether another than the agent, that a grant was passed on to, made a call.
    pub(super) fn is_delegated(&self, call: CallNumber) -> bool {
        self.request(call).is_some_and(|request| request.delegate.is_some())
    }

    pub(super) fn check_questions(&self) -> Result<(), Failure> {
        if self.count_questions() < limits::MAX_QUESTIONS {
            return Ok(());
        }
        let why = format!(
            "{} questions of this task wait for a person already: see `remit inbox`",
            limits::MAX_QUESTIONS
        );
        Err(Failure::new(Code::Limit, why))
    }

    /// Whether the object's operation waits for a person: nothing can be said of the object yet.
    pub(super) fn check_decided(&self, operation: CallNumber) -> Result<(), Failure> {
        if !self.is_undecided(operation) {
            return Ok(());
        }
        let why =
            format!("operation {operation}, which is to return the object, waits for a person");
        Err(Failure::new(Code::Unavailable, why))
    }

    /// Held calls and requests whose time has come, or that lead nowhere any more.
    pub fn overdue(&self, now_ms: u64) -> Vec<CallNumber> {
        let held = self.pending.held.iter().filter(|(call, hold)| {
            self.has_asker(**call) && (hold.until_ms <= now_ms || self.why_void(**call).is_some())
        });
        let capability_requests = self
            .pending
            .capability_requests
            .iter()
            .filter(|(_, (request, _))| self.ending.is_none() && request.until_ms <= now_ms);
        held.map(|(call, _)| *call)
            .chain(capability_requests.map(|(operation, _)| *operation))
            .collect()
    }

    /// When the next question is decided by itself, in milliseconds since 1970.
    pub fn next_overdue_ms(&self) -> Option<u64> {
        self.questions().iter().filter_map(Question::until_ms).min()
    }

    /// Why a held call can never be made any more.
    pub(super) fn why_void(&self, call: CallNumber) -> Option<Failure> {
        let request = self.request(call)?;
        if self.is_revoked(request.grant) {
            let why = "the grant was revoked while the call waited for approval";
            return Some(Failure::new(Code::Revoked, why));
        }
        let lender = request.through?;
        let in_flight = matches!(
            self.operations.get(&lender),
            Some(Operation::Call { state: CallState::Requested | CallState::Unknown, .. })
        );
        (!in_flight).then(|| {
            let why = "the call that lent the object ended while this one waited for approval";
            Failure::new(Code::Revoked, why)
        })
    }

    /// Forgets what was asked and decided about an operation that is dropped.
    pub(super) fn forget_question(&mut self, operation: CallNumber) {
        self.pending.held.remove(&operation);
        self.pending.capability_requests.remove(&operation);
        self.pending.unsettled.remove(&operation);
        self.pending.sent.remove(&operation);
        self.pending.approvals.remove(&operation);
        self.pending.settlements.remove(&operation);
    }
}
