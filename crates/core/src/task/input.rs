//! Input: what was sent to the task, and how its agent comes by it.
//!
//! A *steer* joins what the agent is doing: all that have come are handed over together when it
//! asks for them. What is *queued* waits for the agent to ask for its next input, one at a time; a
//! steer that came to an agent at rest, or that was never asked for, is its next input too.

use super::command::Decision;
use super::refusal::Refusal;
use super::{Operation, Stamp, Task};
use crate::event::Fact;
use crate::failure::{Code, Failure};
use crate::id::{Attempt, CallNumber, InputId};
use crate::limits;
use crate::value::Value;

type Applied = Result<(), &'static str>;

/// Input on its way in.
#[derive(Debug, Clone, PartialEq)]
pub struct Sent {
    /// What was sent.
    pub value: Value,
    /// By whom.
    pub sender: String,
    /// The sender's idempotency key; empty: none.
    pub key: String,
    /// Whether it joins what the agent is doing.
    pub steer: bool,
}

impl Task {
    pub(super) fn decide_input(&self, sent: &Sent) -> Result<Decision, Refusal> {
        let Sent { value, sender, key, steer } = sent;
        if self.keys.contains_key(key) {
            return Ok(Decision::Recorded);
        }
        self.check_open()?;
        let waiting = self.undelivered.len() + self.steers.len();
        if waiting >= limits::MAX_WAITING_INPUTS {
            let why =
                format!("{waiting} inputs wait already: send more when the agent has taken some");
            return Err(Failure::new(Code::Limit, why).into());
        }
        if value.weight() > limits::MAX_VALUE_BYTES || key.len() > limits::MAX_NAME_BYTES {
            let why = format!(
                "an input of more than {} bytes, or a key of more than {}",
                limits::MAX_VALUE_BYTES,
                limits::MAX_NAME_BYTES
            );
            return Err(Failure::new(Code::Limit, why).into());
        }
        self.check_room(value)?;
        let input = self.last_input().next();
        let accepted = Fact::InputAccepted {
            input,
            value: value.clone(),
            sender: sender.clone(),
            key: key.clone(),
            steer: *steer,
        };
        // Whoever asks while nothing waits is first in line.
        let delivered = if *steer && let Some(operation) = self.asking_steers.front() {
            Some(Fact::SteersDelivered { operation: *operation, inputs: vec![input] })
        } else {
            let first = self.asking.front().filter(|_| waiting == 0);
            first.map(|operation| Fact::InputDelivered { operation: *operation, input })
        };
        Ok(Decision::Record([accepted].into_iter().chain(delivered).collect()))
    }

    pub(super) fn decide_ask(
        &self,
        attempt: Attempt,
        operation: CallNumber,
    ) -> Result<Decision, Refusal> {
        self.check_attempt(attempt)?;
        match self.operations.get(&operation) {
            Some(Operation::Input { .. }) => return Ok(Decision::Recorded),
            Some(other) => {
                return Err(Refusal::diverged(operation, &other.describe(), "a wait for input"));
            }
            None => self.check_number(operation)?,
        }
        let next = self.steers.front().or(self.undelivered.front());
        let delivered = match next {
            Some(input) if self.asking.is_empty() => {
                Some(Fact::InputDelivered { operation, input: *input })
            }
            _ => None,
        };
        let pending = Fact::InputRequested { operation };
        Ok(Decision::Record([pending].into_iter().chain(delivered).collect()))
    }

    pub(super) fn decide_ask_steers(
        &self,
        attempt: Attempt,
        operation: CallNumber,
        wait: bool,
    ) -> Result<Decision, Refusal> {
        self.check_attempt(attempt)?;
        match self.operations.get(&operation) {
            Some(Operation::Steers { wait: before, .. }) if *before == wait => {
                return Ok(Decision::Recorded);
            }
            Some(other) => {
                return Err(Refusal::diverged(operation, &other.describe(), "a look for steers"));
            }
            None => self.check_number(operation)?,
        }
        let inputs: Vec<InputId> = self.steers.iter().copied().collect();
        let now = !wait || !inputs.is_empty();
        let delivered = now.then_some(Fact::SteersDelivered { operation, inputs });
        let pending = Fact::SteersRequested { operation, wait };
        Ok(Decision::Record([pending].into_iter().chain(delivered).collect()))
    }

    pub(super) fn accept(
        &mut self,
        input: InputId,
        value: &Value,
        key: &str,
        steer: bool,
    ) -> Applied {
        if input != self.last_input().next() {
            return Err("its input is not the next one");
        }
        if self.keys.contains_key(key) {
            return Err("its key was used already");
        }
        if !key.is_empty() {
            self.keys.insert(key.to_owned(), input);
        }
        self.hold_value(value);
        self.inputs.insert(input, value.clone());
        let line = if steer { &mut self.steers } else { &mut self.undelivered };
        line.push_back(input);
        Ok(())
    }

    pub(super) fn deliver(&mut self, operation: CallNumber, input: InputId, at: Stamp) -> Applied {
        if self.asking.front() != Some(&operation) {
            return Err("that operation is not the next to get an input");
        }
        if self.steers.front() == Some(&input) {
            self.steers.pop_front();
        } else if self.steers.is_empty() && self.undelivered.front() == Some(&input) {
            self.undelivered.pop_front();
        } else {
            return Err("that input is not the next one");
        }
        self.asking.pop_front();
        self.operations.insert(operation, Operation::Input { delivered: Some((input, at)) });
        self.told_in_order(operation);
        Ok(())
    }

    pub(super) fn deliver_steers(
        &mut self,
        operation: CallNumber,
        inputs: &[InputId],
        at: Stamp,
    ) -> Applied {
        let Some(Operation::Steers { wait, delivered: None }) = self.operations.get(&operation)
        else {
            return Err("that operation looks for no steers");
        };
        let wait = *wait;
        if !self.steers.iter().eq(inputs) {
            return Err("steers are handed over together, all of them");
        }
        self.steers.clear();
        self.asking_steers.retain(|asking| *asking != operation);
        let delivered = Some((inputs.to_vec(), at));
        self.operations.insert(operation, Operation::Steers { wait, delivered });
        self.told_in_order(operation);
        Ok(())
    }

    /// The input that a request under `key` was, or will be, accepted as.
    pub fn accepted_input(&self, key: &str) -> InputId {
        self.input_of_key(key).unwrap_or_else(|| self.last_input())
    }
}
