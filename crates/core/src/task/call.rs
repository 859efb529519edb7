//! The decision on one call: recorded, allowed or refused.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::command::{Command, Decision};
use super::derive::{ATTENUATE, SPLIT};
use super::refusal::Refusal;
use super::words::args;
use super::{CallState, Operation, Task};
use crate::event::{CallDenied, CallRequested, Delegate, Fact};
use crate::failure::{Code, Failure};
use crate::grant::resolved_call::ResolvedCall;
use crate::id::{Attempt, CallNumber, GrantId, ObjectId};
use crate::limits;
use crate::value::{Outcome, Value, digest_object};

/// A call as it arrives at the membrane.
#[derive(Debug, Clone, PartialEq)]
pub struct CallCommand {
    /// The attempt that makes it.
    pub attempt: Attempt,
    /// Its number.
    pub call: CallNumber,
    /// On which object.
    pub object: ObjectId,
    /// Which method.
    pub method: String,
    /// The arguments as the agent gave them.
    pub args: Value,
    /// The call that lent the object to the tool now using it; `None`: the agent itself calls.
    pub through: Option<CallNumber>,
    /// By whom, when it is neither the agent nor a tool that was lent the object.
    pub delegate: Option<Delegate>,
}

impl CallCommand {
    /// SHA-256 over object, method and arguments.
    pub fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        digest_object(self.object, &mut hash);
        hash.update((self.method.len() as u64).to_be_bytes());
        hash.update(self.method.as_bytes());
        self.args.digest_into(&mut hash);
        hash.finalize().into()
    }

    pub(super) fn check_size(&self) -> Result<(), Failure> {
        if self.method.len() > limits::MAX_NAME_BYTES {
            let why = format!("a method name of more than {} bytes", limits::MAX_NAME_BYTES);
            return Err(Failure::new(Code::InvalidArgument, why));
        }
        if self.args.weight() > limits::MAX_VALUE_BYTES {
            let why = format!(
                "arguments of more than {} bytes: pass large contents in parts",
                limits::MAX_VALUE_BYTES
            );
            return Err(Failure::new(Code::Limit, why));
        }
        Ok(())
    }
}

impl Task {
    /// Recorded, allowed or refused; for sure refused if its tool is not what it was.
    pub(super) fn decide_call(
        &self,
        call: &CallCommand,
        changed: Option<&Failure>,
        now_ms: u64,
    ) -> Result<Decision, Refusal> {
        let digest = call.digest();
        if self.admit(call, &digest)? {
            return Ok(Decision::Recorded);
        }
        call.check_size()?;
        let Some(grant) = self.grant_of(call.object) else {
            let why = format!("the task does not hold {}", call.object);
            return Err(Failure::new(Code::ObjectLost, why).into());
        };
        let denied = |failure: Failure| {
            Fact::CallDenied(Box::new(CallDenied {
                call: call.call,
                attempt: call.attempt,
                object: call.object,
                method: call.method.clone(),
                digest,
                grant,
                failure: failure.bounded(),
                through: call.through,
                delegate: call.delegate.clone(),
            }))
        };
        if [ATTENUATE, SPLIT].contains(&call.method.as_str()) {
            let fact = self.attenuated(call, grant, now_ms).unwrap_or_else(denied);
            return Ok(Decision::Record(vec![fact]));
        }
        let allowed = match changed {
            _ if let Err(full) = self.check_room(&call.args) => Err(full),
            Some(failure) => {
                self.check_usable(call.object, grant).and_then(|()| Err(failure.clone()))
            }
            None => self.allow(call, grant, now_ms),
        };
        let fact = allowed.and_then(|(resolved, approval)| match approval {
            None => {
                let request = requested(call, (digest, grant), resolved, None);
                Ok(Fact::CallRequested(Arc::new(request)))
            }
            Some(caveat) => {
                let request = requested(call, (digest, grant), resolved.clone(), None);
                self.hold(request, &resolved, (caveat, self.user(call)), now_ms)
            }
        });
        Ok(Decision::Record(self.recalling(fact.unwrap_or_else(denied))))
    }

    /// Whether the call may be made under its number and by this caller; `true`: it was made before.
    fn admit(&self, call: &CallCommand, digest: &[u8; 32]) -> Result<bool, Refusal> {
        match (call.through, &call.delegate) {
            (None, Some(delegate)) => {
                if let Some(known) = self.delegated_call(delegate.grant, &delegate.key) {
                    return self.same_delegated(known, digest).map(|()| true);
                }
                self.check_beyond(call.call)?;
            }
            (None, None) => {
                self.check_attempt(call.attempt)?;
                if call.call >= CallNumber::FIRST_LENT {
                    let why = format!("operation {} has a number that no agent gives", call.call);
                    return Err(Failure::new(Code::InvalidArgument, why).into());
                }
                if let Some(recorded) = self.operations.get(&call.call) {
                    return same_call(recorded, call, digest).map(|()| true);
                }
                self.check_number(call.call)?;
            }
            (Some(lender), _) => self.check_lent(call.call, lender)?,
        }
        Ok(false)
    }

    /// The failure of the call that was to return the object: what was pipelined on it fails so too.
    pub(super) fn cause_of(&self, object: ObjectId) -> Option<&Failure> {
        let (ObjectId::Result(call) | ObjectId::Part(call, _)) = object else { return None };
        match self.operations.get(&call)? {
            Operation::Denied { denied, .. } => Some(&denied.failure),
            Operation::Call { state: CallState::Completed(outcome, _), .. } => match &**outcome {
                Outcome::Failure(failure) => Some(failure),
                Outcome::Value { .. } => None,
            },
            Operation::Call { .. }
            | Operation::Derived { .. }
            | Operation::Sleep { .. }
            | Operation::Input { .. }
            | Operation::Steers { .. }
            | Operation::CapabilityRequest { .. } => None,
        }
    }

    pub(super) fn check_number(&self, number: CallNumber) -> Result<(), Refusal> {
        if self.operations.len() >= limits::MAX_OPERATIONS {
            let why = format!("a task may do at most {} operations", limits::MAX_OPERATIONS);
            return Err(Failure::new(Code::Limit, why).into());
        }
        let highest = self
            .operations
            .range(..CallNumber::FIRST_LENT)
            .next_back()
            .map_or(0, |(number, _)| number.0);
        let possible = 1..=(highest + limits::MAX_AHEAD);
        if possible.contains(&number.0) {
            return Ok(());
        }
        let why = format!("operation {number} cannot follow on {highest}: they are counted from 1");
        Err(Failure::new(Code::InvalidArgument, why).into())
    }

    fn check_lent(&self, number: CallNumber, lender: CallNumber) -> Result<(), Refusal> {
        let in_flight = matches!(
            self.operations.get(&lender),
            Some(Operation::Call { state: CallState::Requested | CallState::Unknown, .. })
        );
        if self.ending.is_some() || !in_flight {
            let why = "an object is lent for one call, and that call is over";
            return Err(Failure::new(Code::Revoked, why).into());
        }
        self.check_beyond(number)
    }

    /// Whether a call that is not the agent's own may have this number.
    fn check_beyond(&self, number: CallNumber) -> Result<(), Refusal> {
        if number < CallNumber::FIRST_LENT || self.operations.contains_key(&number) {
            return Err(Failure::new(Code::InvalidArgument, "not a number for a lent call").into());
        }
        if self.cancelling().is_some() {
            return Err(Failure::new(Code::Revoked, "the task is being cancelled").into());
        }
        self.check_unpaused()?;
        if self.operations.len() >= limits::MAX_OPERATIONS {
            let why = format!("a task may do at most {} operations", limits::MAX_OPERATIONS);
            return Err(Failure::new(Code::Limit, why).into());
        }
        Ok(())
    }

    /// Whether a call that was made under the same key before is this very call.
    fn same_delegated(&self, known: CallNumber, digest: &[u8; 32]) -> Result<(), Refusal> {
        if self.operations.get(&known).and_then(Operation::digest) == Some(digest) {
            return Ok(());
        }
        let why = "another call was made under this idempotency key: a key is for one call";
        Err(Failure::new(Code::InvalidArgument, why).into())
    }

    /// The next number for a call that is not the agent's own.
    pub fn next_lent(&self) -> CallNumber {
        self.operations
            .range(CallNumber::FIRST_LENT..)
            .next_back()
            .map_or(CallNumber::FIRST_LENT, |(number, _)| number.next())
    }
}

impl From<CallCommand> for Command {
    fn from(call: CallCommand) -> Self {
        Self::Call(Box::new(call))
    }
}

/// A call as it is recorded when it is made.
pub(super) fn requested(
    call: &CallCommand,
    (digest, grant): ([u8; 32], GrantId),
    resolved: ResolvedCall,
    approval: Option<CallNumber>,
) -> CallRequested {
    CallRequested {
        call: call.call,
        attempt: call.attempt,
        object: call.object,
        method: call.method.clone(),
        args: resolved.args,
        digest,
        grant,
        path: resolved.path,
        returns: resolved.returns,
        read_only: resolved.read_only,
        idempotent: resolved.idempotent,
        through: call.through,
        delegate: call.delegate.clone(),
        approval,
        max_cost: resolved.max_cost,
    }
}

/// Whether a recorded operation is this very call. If not, the agent is not deterministic.
fn same_call(recorded: &Operation, call: &CallCommand, digest: &[u8; 32]) -> Result<(), Refusal> {
    if recorded.digest() == Some(digest) {
        return Ok(());
    }
    let mut recorded_args = String::new();
    if let Operation::Call { request, .. } = recorded {
        recorded_args = format!(" with {}", args(&request.args));
    }
    Err(Refusal::diverged(
        call.call,
        &format!("{}{recorded_args}", recorded.describe()),
        &format!("{} on {} with {}", call.method, call.object, args(&call.args)),
    ))
}
