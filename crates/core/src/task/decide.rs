//! *Decide*: a command, and the facts it leads to or the reason why not.

use std::sync::Arc;

use super::command::{Command, Decision};
use super::refusal::Refusal;
use super::{CallState, Held, Operation, Task};
use crate::event::{Fact, Grant, Level};
use crate::failure::{Code, Failure};
use crate::id::{Attempt, CallNumber, GrantId};
use crate::limits;
use crate::value::Outcome;

impl Task {
    /// What `command` leads to at `now_ms`, milliseconds since 1970. There is no arm for all others: a
    /// command that is added must say here who decides it.
    pub fn decide(&self, command: &Command, now_ms: u64) -> Result<Decision, Refusal> {
        match command {
            Command::StartAttempt { node } => self.decide_start(node).map(Decision::Record),
            Command::EndAttempt { attempt, reason, fruitless } => {
                Ok(self.decide_attempt_end(*attempt, reason, *fruitless))
            }
            Command::AddGrant(grant) => self.decide_addition(grant),
            Command::Delegation(pass) => self.decide_delegation(pass),
            Command::Repin { grant, accepted } => self.decide_repin(*grant, accepted),
            Command::RevokeGrant { grant, reason, by } => self.decide_revoke(*grant, reason, by),
            Command::EndGrant { grant, reason } => Ok(self.decide_end(*grant, reason)),
            Command::CompleteCall { call, outcome, cost, refused } => {
                Ok(self.decide_completion(*call, outcome, (*cost, *refused)))
            }
            Command::KeepBody { kept, cost } => Ok(self.decide_offloaded(kept, *cost)),
            Command::Introduce(introduced) => Ok(self.decide_introduction(introduced)),
            Command::ForgoIntroduction { grant, attempt, reason } => {
                Ok(self.decide_no_introduction(*grant, *attempt, reason))
            }
            Command::DecideApproval(decided) => self.decide_approval(decided, now_ms),
            Command::RequestCapability(pending) => self.decide_capability_request(pending, now_ms),
            Command::GiveCapability { operation, grant, who } => {
                self.decide_gift(*operation, grant, who, now_ms)
            }
            Command::RefuseCapability { operation, reason, who } => {
                self.decide_refusal(*operation, reason, who, now_ms)
            }
            Command::AskSettlement(pending) => Ok(self.decide_question(pending)),
            Command::WithdrawSettlement { call, question, reason } => {
                Ok(self.decide_withdrawal(*call, *question, reason))
            }
            Command::Settle { decided, question } => self.decide_settlement(decided, *question),
            Command::Review { operation } => Ok(self.decide_review(*operation, now_ms)),
            Command::LoseCall { call, reason } => Ok(self.decide_loss(*call, reason)),
            Command::AcceptInput(sent) => self.decide_input(sent),
            Command::FireTimer { operation } => Ok(self.decide_firing(*operation)),
            Command::Fail(failure) => self.decide_failure(failure),
            Command::Cancel { reason } => self.decide_cancelled(reason),
            Command::Pause { reason, who, call } => self.decide_pause(reason, who, *call),
            Command::Resume { who } => self.decide_resume(who),
            Command::RequestCancel { why, who } => Ok(self.decide_stop(why, who)),
            Command::FinishCancel => self.decide_stopped(),
            Command::Upgrade(upgrade) => self.decide_upgrade(upgrade),
            Command::Call(call) => self.decide_call(call, None, now_ms),
            Command::RefuseCall(refused) => self.decide_call(&refused.0, Some(&refused.1), now_ms),
            Command::Log { attempt, line, level, text } => {
                self.decide_log(*attempt, *line, *level, text)
            }
            Command::RequestSteers { attempt, operation, wait } => {
                self.decide_ask_steers(*attempt, *operation, *wait)
            }
            Command::RequestInput { attempt, operation } => self.decide_ask(*attempt, *operation),
            Command::SetTimer { attempt, operation, duration_ms } => {
                self.decide_timer(*attempt, *operation, *duration_ms, now_ms)
            }
            Command::Finish { attempt, outcome } => self.decide_finish(*attempt, outcome),
        }
    }

    fn decide_addition(&self, grant: &Grant) -> Result<Decision, Refusal> {
        self.check_open()?;
        Ok(Decision::Record(vec![self.decide_grant(grant)?]))
    }

    fn decide_review(&self, operation: CallNumber, now_ms: u64) -> Decision {
        match self.review_hold(operation, now_ms) {
            Decision::Recorded => self.review_capability(operation, now_ms),
            reviewed @ Decision::Record(_) => reviewed,
        }
    }

    fn decide_firing(&self, operation: CallNumber) -> Decision {
        let sleeps =
            matches!(self.operations.get(&operation), Some(Operation::Sleep { fired: None, .. }));
        if !sleeps || !self.is_free() {
            return Decision::Recorded;
        }
        Decision::Record(vec![Fact::TimerFired { operation }])
    }

    fn decide_failure(&self, failure: &Failure) -> Result<Decision, Refusal> {
        let end = Fact::TaskFailed(failure.clone().bounded());
        self.ending_with("the task failed", end).map(Decision::Record)
    }

    fn decide_cancelled(&self, reason: &str) -> Result<Decision, Refusal> {
        if self.ending.is_some() {
            return Ok(Decision::Recorded);
        }
        let end = Fact::TaskCancelled(reason.to_owned());
        self.ending_with("the task was cancelled", end).map(Decision::Record)
    }

    fn decide_finish(&self, attempt: Attempt, outcome: &Outcome) -> Result<Decision, Refusal> {
        self.check_attempt(attempt)?;
        let end = match bounded(outcome) {
            Outcome::Value { value, .. } => Fact::TaskCompleted(Arc::unwrap_or_clone(value)),
            Outcome::Failure(failure) => Fact::TaskFailed(failure),
        };
        self.ending_with("it finished", end).map(Decision::Record)
    }

    fn decide_end(&self, grant: GrantId, reason: &str) -> Decision {
        if self.grants.get(&grant).is_none_or(Held::is_over) {
            return Decision::Recorded;
        }
        Decision::Record(vec![Fact::GrantEnded { grant, reason: reason.to_owned() }])
    }

    /// The end of a call: what was said of it, or a failure in place of a result that a caveat
    /// withholds or that finds no room.
    fn decide_completion(
        &self,
        call: CallNumber,
        outcome: &Outcome,
        (cost, refused): (u64, bool),
    ) -> Decision {
        let open = matches!(
            self.operations.get(&call),
            Some(Operation::Call { state: CallState::Requested | CallState::Unknown, .. })
        );
        if !open {
            return Decision::Recorded;
        }
        let outcome = bounded(outcome);
        let withheld = self.withholds(call, &outcome);
        let refused = refused || withheld.is_some();
        let outcome = match withheld {
            Some(failure) => Outcome::Failure(failure),
            None => match outcome {
                Outcome::Value { value, .. } if let Err(full) = self.check_room(&value) => {
                    Outcome::Failure(full)
                }
                Outcome::Value { .. } | Outcome::Failure(_) => outcome,
            },
        };
        Decision::Record(vec![Fact::CallCompleted { call, outcome, cost, refused }])
    }

    pub(super) fn check_attempt(&self, attempt: Attempt) -> Result<(), Refusal> {
        if self.ending.is_some() {
            return Err(Failure::new(Code::Revoked, "the task has ended").into());
        }
        if self.running != Some(attempt) {
            let why = format!("attempt {attempt} is over: it may do nothing more");
            return Err(Failure::new(Code::Revoked, why).into());
        }
        Ok(())
    }

    pub(super) fn check_open(&self) -> Result<(), Refusal> {
        let why = match (&self.ending, self.cancelling()) {
            (Some(_), _) => "the task has ended",
            (None, Some(_)) => "the task is being cancelled",
            (None, None) => return Ok(()),
        };
        Err(Failure::new(Code::Failed, why).into())
    }

    pub(super) fn ending_with(&self, why: &str, end: Fact) -> Result<Vec<Fact>, Refusal> {
        if self.ending.is_some() {
            return Err(Failure::new(Code::Failed, "the task has ended").into());
        }
        let attempt = self.running.map(|attempt| Fact::AttemptEnded {
            attempt,
            reason: why.to_owned(),
            fruitless: false,
        });
        Ok(attempt.into_iter().chain([end]).collect())
    }

    fn decide_attempt_end(&self, attempt: Attempt, reason: &str, fruitless: bool) -> Decision {
        if self.running != Some(attempt) {
            return Decision::Recorded;
        }
        let reason = reason.to_owned();
        Decision::Record(vec![Fact::AttemptEnded { attempt, reason, fruitless }])
    }

    fn decide_start(&self, node: &str) -> Result<Vec<Fact>, Refusal> {
        self.check_open()?;
        self.check_unpaused()?;
        let replaced = self.running.map(|attempt| Fact::AttemptEnded {
            attempt,
            reason: "another attempt takes its place".into(),
            fruitless: false,
        });
        let start = Fact::AttemptStarted { attempt: self.attempts.next(), node: node.to_owned() };
        Ok(replaced.into_iter().chain([start]).collect())
    }

    fn decide_revoke(&self, grant: GrantId, reason: &str, by: &str) -> Result<Decision, Refusal> {
        match self.grants.get(&grant) {
            None => {
                let why = format!("the task has no grant {grant}");
                Err(Failure::new(Code::NotFound, why).into())
            }
            Some(held) if held.revoked => Ok(Decision::Recorded),
            Some(_) => {
                let (reason, by) = (reason.to_owned(), by.to_owned());
                Ok(Decision::Record(vec![Fact::GrantRevoked { grant, reason, by }]))
            }
        }
    }

    fn decide_loss(&self, call: CallNumber, reason: &str) -> Decision {
        match self.operations.get(&call) {
            Some(Operation::Call { state: CallState::Requested, .. }) => {
                Decision::Record(vec![Fact::CallUnknown { call, reason: reason.to_owned() }])
            }
            _ => Decision::Recorded,
        }
    }

    fn decide_log(
        &self,
        attempt: Attempt,
        line: u64,
        level: Level,
        text: &str,
    ) -> Result<Decision, Refusal> {
        self.check_attempt(attempt)?;
        if line <= self.lines {
            return Ok(Decision::Recorded);
        }
        if line > limits::MAX_LINES {
            let why = format!("a task may write at most {} lines", limits::MAX_LINES);
            return Err(Failure::new(Code::Limit, why).into());
        }
        if line != self.lines + 1 {
            let why = format!("line {line} cannot follow on line {}", self.lines);
            return Err(Failure::new(Code::InvalidArgument, why).into());
        }
        let cut = text.floor_char_boundary(limits::MAX_LINE_BYTES);
        Ok(Decision::Record(vec![Fact::LogEmitted { line, level, text: text[..cut].to_owned() }]))
    }

    fn decide_timer(
        &self,
        attempt: Attempt,
        operation: CallNumber,
        duration_ms: u64,
        now_ms: u64,
    ) -> Result<Decision, Refusal> {
        self.check_attempt(attempt)?;
        match self.operations.get(&operation) {
            Some(Operation::Sleep { .. }) => return Ok(Decision::Recorded),
            Some(other) => {
                return Err(Refusal::diverged(operation, &other.describe(), "a sleep"));
            }
            None => self.check_number(operation)?,
        }
        if duration_ms > limits::MAX_SLEEP_MS {
            let why = format!("a sleep of more than {} ms", limits::MAX_SLEEP_MS);
            return Err(Failure::new(Code::InvalidArgument, why).with_detail("ms").into());
        }
        let due_ms = now_ms.max(self.head.time_ms).saturating_add(duration_ms);
        Ok(Decision::Record(vec![Fact::TimerSet { operation, due_ms }]))
    }
}

/// The outcome, or in place of one that is too large to keep a failure that says so.
pub(super) fn bounded(outcome: &Outcome) -> Outcome {
    match outcome {
        Outcome::Value { value, .. } if value.weight() > limits::MAX_VALUE_BYTES => {
            Outcome::Failure(Failure::new(
                Code::Limit,
                format!(
                    "a result of more than {} bytes: ask for it in parts",
                    limits::MAX_VALUE_BYTES
                ),
            ))
        }
        Outcome::Failure(failure) => Outcome::Failure(failure.clone().bounded()),
        outcome @ Outcome::Value { .. } => outcome.clone(),
    }
}
