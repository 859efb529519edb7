//! Why a command leads to nothing: a failure to tell, or an agent that goes another way than before.

use crate::failure::{Code, Failure};
use crate::id::CallNumber;
use crate::task::Task;

/// Why a command leads to nothing.
#[derive(Debug, Clone, PartialEq)]
pub enum Refusal {
    /// Tell the caller.
    Failure(Failure),
    /// The agent did something else than in an earlier attempt. The task fails with this.
    Diverged(Box<Divergence>),
}

/// The first thing that an agent did otherwise than is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Divergence {
    /// Its number.
    pub operation: CallNumber,
    /// What is recorded.
    pub was: String,
    /// What is asked for now; empty: nothing.
    pub is: String,
}

impl Divergence {
    /// What to tell of it.
    pub fn failure(&self) -> Failure {
        not_deterministic(self.operation, &self.was, &format!("it is `{}`", self.is))
    }
}

fn not_deterministic(operation: CallNumber, was: &str, on_replay: &str) -> Failure {
    let why = format!(
        "the script is not deterministic: operation {operation} was `{was}`, and on replay {on_replay}"
    );
    Failure::new(Code::Failed, why)
}

impl Task {
    /// Why the task fails when its program does not repeat an operation that is recorded.
    /// `on_replay`: what happened in its place, as the end of a sentence.
    pub fn not_repeated(&self, operation: CallNumber, was: &str, on_replay: &str) -> Failure {
        if !self.has_another_program() {
            return not_deterministic(operation, was, on_replay);
        }
        let why = format!(
            "the program that the task was given does not repeat what is recorded: operation {operation} was `{was}`, and on replay {on_replay}. Give it to an earlier point: `remit fork TASK --at EVENT --program FILE`"
        );
        Failure::new(Code::Failed, why)
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl Refusal {
    /// The agent's operation `number` was `recorded` before and is `now` something else.
    pub(super) fn diverged(number: CallNumber, recorded: &str, now: &str) -> Self {
        let (was, is) = (recorded.to_owned(), now.to_owned());
        Self::Diverged(Box::new(Divergence { operation: number, was, is }))
    }

    /// The failure, whoever is to be told.
    pub fn into_failure(self) -> Failure {
        match self {
            Self::Failure(failure) => failure,
            Self::Diverged(divergence) => divergence.failure(),
        }
    }
}
