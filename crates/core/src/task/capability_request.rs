//! Power: a capability that the agent asks a person for.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::command::Decision;
use super::refusal::Refusal;
use super::{Operation, Stamp, Task};
use crate::event::{CapabilityDecided, CapabilityRequested, Fact, Grant};
use crate::failure::{Code, Failure};
use crate::id::{Attempt, CallNumber, GrantId};
use crate::limits;

/// A request for a capability, as it arrives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CapabilityCommand {
    /// The attempt that asks.
    pub attempt: Attempt,
    /// Its number.
    pub operation: CallNumber,
    /// Of which tool.
    pub tool: String,
    /// What for.
    pub reason: String,
}

/// What became of a request for a capability.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum CapabilityRequest {
    /// It was given this.
    Granted(GrantId),
    /// It was refused.
    Refused(Failure),
}

type Applied = Result<(), &'static str>;

impl Task {
    pub(super) fn decide_capability_request(
        &self,
        pending: &CapabilityCommand,
        now_ms: u64,
    ) -> Result<Decision, Refusal> {
        self.check_attempt(pending.attempt)?;
        let now = format!("a request for {} ({})", pending.tool, pending.reason);
        match self.operations.get(&pending.operation) {
            Some(Operation::CapabilityRequest { tool, reason, .. })
                if (tool, reason) == (&pending.tool, &pending.reason) =>
            {
                return Ok(Decision::Recorded);
            }
            Some(other) => {
                return Err(Refusal::diverged(pending.operation, &other.describe(), &now));
            }
            None => self.check_number(pending.operation)?,
        }
        let names = 1..=limits::MAX_NAME_BYTES;
        if !names.contains(&pending.tool.len()) || pending.reason.len() > limits::MAX_REASON_BYTES {
            let why = format!(
                "a request names a tool, and its reason has at most {} bytes",
                limits::MAX_REASON_BYTES
            );
            return Err(Failure::new(Code::InvalidArgument, why).into());
        }
        self.check_questions()?;
        Ok(Decision::Record(vec![Fact::CapabilityRequested(Box::new(CapabilityRequested {
            operation: pending.operation,
            tool: pending.tool.clone(),
            reason: pending.reason.clone(),
            until_ms: now_ms.saturating_add(limits::QUESTION_LIFE_MS),
        }))]))
    }

    /// What a person's gift leads to. The grant's number, and its name if it has none, are given
    /// here.
    pub(super) fn decide_gift(
        &self,
        operation: CallNumber,
        grant: &Grant,
        who: &str,
        now_ms: u64,
    ) -> Result<Decision, Refusal> {
        if let Some(given) = self.capability_request(operation)? {
            let same = match given {
                CapabilityRequest::Granted(given) => self.grants.get(given).is_some_and(|held| {
                    let given = &held.grant;
                    (&given.tool, &given.version, &given.node, &given.path, &given.caveats)
                        == (&grant.tool, &grant.version, &grant.node, &grant.path, &grant.caveats)
                }),
                CapabilityRequest::Refused(_) => false,
            };
            return if same { Ok(Decision::Recorded) } else { Err(answered(operation, given)) };
        }
        let request = self.check_asked(operation, now_ms)?;
        if grant.tool != request.tool {
            let why =
                format!("request {operation} is for {}, not for {}", request.tool, grant.tool);
            return Err(Failure::new(Code::InvalidArgument, why).with_detail("tool").into());
        }
        let mut grant = grant.clone();
        if grant.name.is_empty() {
            let letters =
                request.tool.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' });
            grant.name = format!("_{}_{operation}", letters.take(40).collect::<String>());
        }
        let added = self.decide_grant(&grant)?;
        let Fact::GrantAdded(given) = &added else { return Ok(Decision::Recorded) };
        let decided = Fact::CapabilityDecided(Box::new(CapabilityDecided {
            operation,
            grant: Some(given.grant),
            reason: String::new(),
            who: who.to_owned(),
        }));
        Ok(Decision::Record(vec![added, decided]))
    }

    pub(super) fn decide_refusal(
        &self,
        operation: CallNumber,
        reason: &str,
        who: &str,
        now_ms: u64,
    ) -> Result<Decision, Refusal> {
        match self.capability_request(operation)? {
            Some(CapabilityRequest::Refused(_)) => return Ok(Decision::Recorded),
            Some(given) => return Err(answered(operation, given)),
            None => self.check_asked(operation, now_ms)?,
        };
        let refused = CapabilityDecided {
            operation,
            grant: None,
            reason: reason.chars().take(limits::MAX_REASON_BYTES).collect(),
            who: who.to_owned(),
        };
        Ok(Decision::Record(vec![Fact::CapabilityDecided(Box::new(refused))]))
    }

    /// What becomes of a request whose time ran out.
    pub(super) fn review_capability(&self, operation: CallNumber, now_ms: u64) -> Decision {
        match self.pending.capability_requests.get(&operation) {
            Some((request, _)) if now_ms >= request.until_ms && self.ending.is_none() => {
                Decision::Record(vec![Fact::CapabilityDecided(Box::new(CapabilityDecided {
                    operation,
                    grant: None,
                    reason: "nobody decided in time".into(),
                    who: String::new(),
                }))])
            }
            _ => Decision::Recorded,
        }
    }

    /// The grant that a request was given, if one was.
    pub fn granted_to(&self, operation: CallNumber) -> Option<GrantId> {
        let Operation::CapabilityRequest {
            answer: Some((CapabilityRequest::Granted(grant), _)),
            ..
        } = self.operations.get(&operation)?
        else {
            return None;
        };
        Some(*grant)
    }

    /// Whether a grant was given to a request: the agent has it from there, under no name.
    pub fn is_gift(&self, grant: GrantId) -> bool {
        self.pending.gifts.contains(&grant)
    }

    /// What became of a request; an error if there is none.
    fn capability_request(
        &self,
        operation: CallNumber,
    ) -> Result<Option<&CapabilityRequest>, Refusal> {
        match self.operations.get(&operation) {
            Some(Operation::CapabilityRequest { answer, .. }) => {
                Ok(answer.as_ref().map(|(capability_request, _)| capability_request))
            }
            _ => {
                let why = format!(
                    "operation {operation} is no request for a capability: `remit inbox` lists those that wait"
                );
                Err(Failure::new(Code::NotFound, why).into())
            }
        }
    }

    fn check_asked(
        &self,
        operation: CallNumber,
        now_ms: u64,
    ) -> Result<&CapabilityRequested, Refusal> {
        self.check_open()?;
        match self.pending.capability_requests.get(&operation) {
            Some((request, _)) if now_ms < request.until_ms => Ok(request),
            _ => {
                let why = format!("request {operation} waits no more: its time ran out");
                Err(Failure::new(Code::Denied, why).into())
            }
        }
    }

    pub(super) fn apply_capability_request(
        &mut self,
        pending: &CapabilityRequested,
        at: Stamp,
    ) -> Applied {
        let (tool, reason) = (pending.tool.clone(), pending.reason.clone());
        self.add_operation(
            pending.operation,
            Operation::CapabilityRequest { tool, reason, answer: None },
        )?;
        self.pending.capability_requests.insert(pending.operation, (Arc::new(pending.clone()), at));
        Ok(())
    }

    pub(super) fn apply_capability_decision(
        &mut self,
        decided: &CapabilityDecided,
        at: Stamp,
    ) -> Applied {
        let capability_request = match decided.grant {
            Some(grant) if !self.grants.contains_key(&grant) => {
                return Err("its grant is not there");
            }
            Some(grant) => CapabilityRequest::Granted(grant),
            None => CapabilityRequest::Refused(refusal(&decided.reason)),
        };
        match self.operations.get_mut(&decided.operation) {
            Some(Operation::CapabilityRequest { answer, .. }) if answer.is_none() => {
                *answer = Some((capability_request, at));
            }
            _ => return Err("no such request waits"),
        }
        self.pending.gifts.extend(decided.grant);
        self.pending.capability_requests.remove(&decided.operation);
        self.told_in_order(decided.operation);
        Ok(())
    }
}

fn refusal(reason: &str) -> Failure {
    let why = match reason {
        "" => "a person refused the request".to_owned(),
        reason => format!("the request was refused: {reason}"),
    };
    Failure::new(Code::Denied, why)
}

fn answered(operation: CallNumber, given: &CapabilityRequest) -> Refusal {
    let how = match given {
        CapabilityRequest::Granted(grant) => format!("was given grant {grant}"),
        CapabilityRequest::Refused(_) => "was refused".to_owned(),
    };
    Failure::new(Code::Failed, format!("request {operation} {how} already: that stands")).into()
}
