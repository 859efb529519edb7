//! The projection of a task's events into audit records: no second log, another view of the one.

mod person;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Decision, Record};
use crate::event::{CallDenied, CallRequested, Delegate, Event, Fact, Grant};
use crate::failure::Code;
use crate::id::{CallNumber, GrantId, ObjectId, TaskId};
use crate::task::{Question, Task};
use crate::value::Outcome;

/// Walks over the events of one task, in order, and tells which of them exercise authority.
#[derive(Debug, Clone)]
pub struct Projection {
    task: TaskId,
    creator: String,
    grants: BTreeMap<GrantId, Arc<Grant>>,
    /// Calls that lend objects to a tool, by the grant they are charged to.
    lending: BTreeMap<CallNumber, GrantId>,
    /// Calls in flight whose end may be a refusal.
    open: BTreeMap<CallNumber, (GrantId, String, ObjectId, [u8; 32])>,
}

impl Projection {
    /// The projection of the task's events from the first on.
    pub const fn new(task: TaskId) -> Self {
        Self {
            task,
            creator: String::new(),
            grants: BTreeMap::new(),
            lending: BTreeMap::new(),
            open: BTreeMap::new(),
        }
    }

    /// The projection of the events that follow on a state.
    pub fn after(id: TaskId, task: &Task) -> Self {
        let mut next = Self::new(id);
        next.creator.clone_from(&task.created().creator);
        for held in task.grants() {
            next.grants.insert(held.grant.grant, Arc::clone(&held.grant));
        }
        for (_, request) in task.open_calls() {
            next.note_request(request);
        }
        for question in task.questions() {
            if let Question::Approval(request, _) = question {
                next.note_request(request);
            }
        }
        next
    }

    /// The record of the next event, if it exercises authority or refuses it. Every kind of event is
    /// named here, so that no new one is left out by oversight.
    pub fn next(&mut self, event: &Event) -> Option<Record> {
        let record = match &event.fact {
            Fact::TaskCreated(created) => {
                self.creator.clone_from(&created.creator);
                None
            }
            Fact::GrantAdded(grant) => Some(self.granted(grant)),
            Fact::GrantRevoked { grant, reason, by } => {
                let who = if by.is_empty() { self.agent() } else { by.clone() };
                let holder = self.grants.get(grant).map(|g| g.holder.clone()).unwrap_or_default();
                let record = Record::new(who, Decision::Revoked).because(reason).about(holder);
                Some(self.with_grant(record, *grant))
            }
            Fact::GrantRepinned { grant, accepted, .. } => {
                let record =
                    Record::new(self.agent(), Decision::Repinned).about(hex::encode(accepted));
                Some(self.with_grant(record, *grant))
            }
            Fact::GrantEnded { grant, reason } => {
                let record = Record::new(self.agent(), Decision::Ended).because(reason);
                Some(self.with_grant(record, *grant))
            }
            Fact::CallRequested(request) => Some(self.requested(request)),
            Fact::CallDenied(denied) => Some(self.denied(denied)),
            Fact::Introduced(introduced) => {
                let record = Record::new(self.agent(), Decision::Introduced);
                Some(self.with_grant(record.about(introduced.agent.clone()), introduced.grant))
            }
            Fact::CallCompleted { call, outcome, refused, .. } => {
                self.completed(*call, outcome, *refused)
            }
            Fact::ApprovalRequested(pending) => Some(self.held(pending)),
            Fact::ApprovalDecided(decided) => Some(self.decided(decided)),
            Fact::CapabilityRequested(pending) => Some(self.wanted(pending)),
            Fact::CapabilityDecided(decided) => Some(self.gift(decided)),
            Fact::SettlementDecided(decided) => Some(self.settled(decided)),
            Fact::AttemptStarted { .. }
            | Fact::AttemptEnded { .. }
            | Fact::CallUnknown { .. }
            | Fact::ResultOffloaded(_)
            | Fact::CallRecalled { .. }
            | Fact::SettlementRequested(_)
            | Fact::SettlementWithdrawn { .. }
            | Fact::NotIntroduced { .. }
            | Fact::LogEmitted { .. }
            | Fact::SteersRequested { .. }
            | Fact::SteersDelivered { .. }
            | Fact::InputAccepted { .. }
            | Fact::InputRequested { .. }
            | Fact::InputDelivered { .. }
            | Fact::TimerSet { .. }
            | Fact::TimerFired { .. }
            | Fact::TaskCompleted(_)
            | Fact::TaskFailed(_)
            | Fact::TaskCancelled(_)
            | Fact::TaskPaused { .. }
            | Fact::TaskResumed { .. }
            | Fact::CancelRequested(_)
            | Fact::TaskForked(_)
            | Fact::TaskUpgraded(_) => None,
        };
        record.map(|record| Record {
            number: event.number.0,
            time_ms: event.time_ms,
            task: Some(self.task),
            ..record
        })
    }

    fn granted(&mut self, grant: &Grant) -> Record {
        self.grants.insert(grant.grant, Arc::new(grant.clone()));
        let who = match (&grant.derived, grant.by.is_empty()) {
            (_, false) => grant.by.clone(),
            (Some(_), true) => self.agent(),
            (None, true) => self.creator.clone(),
        };
        let mut record = Record::new(who, Decision::Granted).about(grant.holder.clone());
        if let Some(derived) = &grant.derived {
            record.operation = derived.operation;
            record.object = derived.object.to_string();
            record.digest = derived.operation.map(|_| derived.digest);
        }
        self.with_grant(record, grant.grant)
    }

    fn requested(&mut self, request: &CallRequested) -> Record {
        self.note_request(request);
        let who = self.caller(request.through, request.delegate.as_ref());
        let mut record = Record::new(who, Decision::Allowed);
        record.object = request.object.to_string();
        record.method.clone_from(&request.method);
        record.operation = Some(request.call);
        record.digest = Some(request.digest);
        record.subject.clone_from(&request.path);
        self.with_grant(record, request.grant)
    }

    fn note_request(&mut self, request: &CallRequested) {
        if request.args.holds_object() {
            self.lending.insert(request.call, request.grant);
        }
        let pending = (request.grant, request.method.clone(), request.object, request.digest);
        self.open.insert(request.call, pending);
    }

    fn denied(&self, denied: &CallDenied) -> Record {
        let who = self.caller(denied.through, denied.delegate.as_ref());
        let mut record = Record::new(who, Decision::Denied).because(denied.failure.to_string());
        record.object = denied.object.to_string();
        record.method.clone_from(&denied.method);
        record.operation = Some(denied.call);
        record.digest = Some(denied.digest);
        if denied.failure.code == Code::Denied {
            record.caveat.clone_from(&denied.failure.detail);
        }
        self.with_grant(record, denied.grant)
    }

    /// A call that was allowed and then refused on its way by the mesh: cut by a revocation, not sent
    /// because its tool had become another, or of a result that a caveat withholds. What a tool fails
    /// with says nothing here, whatever its code.
    fn completed(&mut self, call: CallNumber, outcome: &Outcome, refused: bool) -> Option<Record> {
        let (grant, method, object, digest) = self.open.remove(&call)?;
        let Outcome::Failure(failure) = outcome else { return None };
        if !refused {
            return None;
        }
        let mut record = Record::new(self.agent(), Decision::Denied).because(failure.to_string());
        record.object = object.to_string();
        record.method = method;
        record.operation = Some(call);
        record.digest = Some(digest);
        Some(self.with_grant(record, grant))
    }

    fn with_grant(&self, mut record: Record, grant: GrantId) -> Record {
        let chain = std::iter::successors(self.grants.get(&grant), |grant| {
            grant.parent.and_then(|parent| self.grants.get(&parent))
        });
        record.chain = chain.map(|grant| grant.grant).collect();
        if let Some(grant) = self.grants.get(&grant) {
            record.name.clone_from(&grant.name);
            record.tool.clone_from(&grant.tool);
            record.node.clone_from(&grant.node);
        }
        record
    }

    /// Who called: the task's agent, the tool that was lent the object, or whom a grant was passed
    /// on to.
    fn caller(&self, through: Option<CallNumber>, delegate: Option<&Delegate>) -> String {
        let holder = delegate.and_then(|delegate| self.grants.get(&delegate.grant));
        let tool = through.and_then(|call| self.grants.get(self.lending.get(&call)?));
        match (tool, holder) {
            (Some(tool), _) => tool.node.clone(),
            (None, Some(held)) if held.holder != "task" => held.holder.clone(),
            _ => self.agent(),
        }
    }

    fn agent(&self) -> String {
        format!("task:{}", self.task)
    }
}
