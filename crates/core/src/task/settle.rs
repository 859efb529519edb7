//! Calls of unknown outcome: what is done about them, and what people decide.

use std::sync::Arc;

use super::command::Decision;
use super::decide::bounded;
use super::pending::Unsettled;
use super::refusal::Refusal;
use super::{CallState, Operation, Stamp, Task};
use crate::event::{Fact, Ledger, OnUnknown, Settlement, SettlementDecided, SettlementRequested};
use crate::failure::{Code, Failure};
use crate::id::{CallNumber, EventNumber};
use crate::value::Outcome;

/// What is done about a call of unknown outcome that the ledger does not settle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenUnknown {
    /// It is sent again under the same key.
    Retry,
    /// It fails with `unknown`.
    Fail,
    /// A person is asked.
    Ask,
}

type Applied = Result<(), &'static str>;

impl Task {
    /// What is done about a call if its outcome is unknown: as its grant says, or the nearest one
    /// above that says something; else by what its method says of itself.
    pub fn when_unknown(&self, call: CallNumber) -> WhenUnknown {
        let Some(request) = self.request(call) else { return WhenUnknown::Fail };
        let mut said = self.chain(request.grant).map(|held| held.grant.on_unknown);
        match said.find(|policy| *policy != OnUnknown::Inherit) {
            Some(OnUnknown::Retry) => WhenUnknown::Retry,
            Some(OnUnknown::Fail) => WhenUnknown::Fail,
            None if request.read_only || request.idempotent => WhenUnknown::Retry,
            // Nobody would wait for the answer.
            _ if self.ending.is_some() && request.delegate.is_none() => WhenUnknown::Fail,
            Some(_) | None => WhenUnknown::Ask,
        }
    }

    pub(super) fn decide_question(&self, pending: &SettlementRequested) -> Decision {
        match self.operations.get(&pending.call) {
            Some(Operation::Call { state: CallState::Unknown, .. })
                if !self.is_unsettled(pending.call) =>
            {
                Decision::Record(vec![Fact::SettlementRequested(Box::new(pending.clone()))])
            }
            _ => Decision::Recorded,
        }
    }

    /// Withdraws a question that was asked only because a tool node was away.
    pub(super) fn decide_withdrawal(
        &self,
        call: CallNumber,
        question: EventNumber,
        reason: &str,
    ) -> Decision {
        match self.pending.unsettled.get(&call) {
            Some(pending) if pending.ledger == Ledger::Away && pending.at.number == question => {
                let reason = reason.to_owned();
                Decision::Record(vec![Fact::SettlementWithdrawn { call, reason }])
            }
            _ => Decision::Recorded,
        }
    }

    /// What a person's decision on a call of unknown outcome leads to. `question`: the event that
    /// asked; 0: whichever did.
    pub(super) fn decide_settlement(
        &self,
        decided: &SettlementDecided,
        question: EventNumber,
    ) -> Result<Decision, Refusal> {
        let call = decided.call;
        let pending = self.pending.unsettled.get(&call);
        let same_question =
            |unsettled: &Unsettled| question == EventNumber(0) || unsettled.at.number == question;
        match (self.operations.get(&call), pending) {
            (_, Some(unsettled)) if same_question(unsettled) => {}
            (Some(Operation::Call { state: CallState::Unknown, .. }), None)
                if decided.settlement != Settlement::Retry
                    && !self.pending.settlements.contains_key(&call) => {}
            (Some(Operation::Call { .. }), _) if self.pending.settlements.contains_key(&call) => {
                return self.repeated_settlement(decided);
            }
            (Some(Operation::Call { state, .. }), _) => {
                let why = match state {
                    CallState::Completed(..) => "it has ended",
                    CallState::Held => "it waits for approval",
                    CallState::Requested | CallState::Unknown => {
                        "it is on its way, and nobody is asked about it"
                    }
                };
                let why = format!("call {call} cannot be settled: {why}");
                return Err(Failure::new(Code::Failed, why).into());
            }
            _ => {
                let why = format!("the task has no call {call} of unknown outcome");
                return Err(Failure::new(Code::NotFound, why).into());
            }
        }
        let outcome = match &decided.settlement {
            Settlement::Retry => None,
            Settlement::Abandon => Some(Outcome::Failure(Failure::new(
                Code::Unknown,
                "a person gave the call up: it may or may not have happened",
            ))),
            Settlement::Outcome(value) => Some(bounded(&Outcome::value(value.clone()))),
        };
        let settled = Fact::SettlementDecided(Box::new(decided.clone()));
        let ended =
            outcome.map(|outcome| Fact::CallCompleted { call, outcome, cost: 0, refused: false });
        Ok(Decision::Record([settled].into_iter().chain(ended).collect()))
    }

    fn repeated_settlement(&self, decided: &SettlementDecided) -> Result<Decision, Refusal> {
        let before = self.pending.settlements.get(&decided.call);
        match before {
            Some(before) if before.settlement == decided.settlement => Ok(Decision::Recorded),
            _ => {
                let (how, who) = before.map_or(("settled", ""), |before| {
                    let how = match before.settlement {
                        Settlement::Retry => "to be sent again",
                        Settlement::Abandon => "given up",
                        Settlement::Outcome(_) => "given an outcome",
                    };
                    (how, before.who.as_str())
                });
                let why = format!("call {} was {how} already, by {who}: that stands", decided.call);
                Err(Failure::new(Code::Failed, why).into())
            }
        }
    }

    pub(super) fn apply_question(&mut self, pending: &SettlementRequested, at: Stamp) -> Applied {
        match self.operations.get(&pending.call) {
            Some(Operation::Call { state: CallState::Unknown, .. }) => {}
            _ => return Err("there is no such call of unknown outcome"),
        }
        if self.is_unsettled(pending.call) {
            return Err("a person is asked about that call already");
        }
        let (reason, ledger) = (pending.reason.clone(), pending.ledger);
        self.pending.unsettled.insert(pending.call, Unsettled { reason, ledger, at });
        Ok(())
    }

    pub(super) fn apply_withdrawal(&mut self, call: CallNumber) -> Applied {
        match self.pending.unsettled.remove(&call) {
            Some(pending) if pending.ledger == Ledger::Away => Ok(()),
            _ => Err("there is no question about that call because of a node that is away"),
        }
    }

    pub(super) fn apply_settlement(&mut self, decided: &SettlementDecided) -> Applied {
        match self.operations.get_mut(&decided.call) {
            Some(Operation::Call { state, .. }) if *state == CallState::Unknown => {
                if decided.settlement == Settlement::Retry {
                    *state = CallState::Requested;
                }
            }
            _ => return Err("there is no such call of unknown outcome"),
        }
        self.pending.unsettled.remove(&decided.call);
        self.pending.settlements.insert(decided.call, Arc::new(decided.clone()));
        Ok(())
    }
}

impl Ledger {
    /// What it means, for a person.
    pub const fn explained(self) -> &'static str {
        match self {
            Self::Started => "the tool began it, and how it ended was not recorded",
            Self::Forgotten => "the tool's records do not go back that far",
            Self::Away => "the tool could not be asked",
            Self::None => "the tool keeps no records",
        }
    }
}
