//! A trial: another program repeats what was recorded, and nothing it asks for is sent or written.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use remit_core::task::{Command, Decision, Divergence, Refusal};
use remit_core::{CallNumber, Code, Failure, Outcome, Task};
use tokio::sync::Notify;

use super::services::Services;
use super::{Owner, Recorded, TaskKey};
use crate::limits;
use crate::runtime::outgoing;

/// What an owner keeps that only tries.
#[derive(Default)]
pub(super) struct Trial {
    changed: Notify,
    /// Whether it asked for something that is not recorded: it got to where the other one stands.
    fresh: Cell<bool>,
    verdict: RefCell<Option<Result<(), Divergence>>>,
}

/// What a trial showed.
pub struct TrialOutcome {
    /// How many recorded operations were asked for again, the same as they were.
    pub repeated: u64,
    /// Where the program would not go on from where the other one stands.
    pub difference: Option<Divergence>,
}

impl Trial {
    fn say(&self, verdict: Result<(), Divergence>) {
        self.verdict.borrow_mut().get_or_insert(verdict);
        self.changed.notify_one();
    }

    /// Something was asked for or told.
    pub(super) fn stir(&self) {
        self.changed.notify_one();
    }
}

impl Owner {
    /// An owner that only tries, for a state in which an attempt runs.
    pub fn trial(key: TaskKey, task: Task, services: Rc<Services>) -> Rc<Self> {
        Self::build(key, task, services, Some(Trial::default()))
    }

    /// In place of recording: what is recorded is served, what is not stays without an answer.
    pub(super) fn try_out(
        &self,
        trial: &Trial,
        command: &Command,
        decision: Result<Decision, Refusal>,
    ) -> Result<Recorded, Failure> {
        let number = self.with(|task| task.head().number);
        let nothing = Recorded { events: Vec::new(), number };
        match command {
            Command::Log { .. } => return Ok(nothing),
            Command::Fail(failure) => {
                let (operation, was) = self.left_out().unwrap_or_default();
                let is = if was.is_empty() { failure.message.clone() } else { String::new() };
                trial.say(Err(Divergence { operation, was, is }));
                return Ok(nothing);
            }
            Command::Finish { outcome: Outcome::Failure(failure), .. } => {
                let operation = self.with(next_own);
                let is = format!("it fails: {failure}");
                trial.say(Err(Divergence { operation, was: "it goes on".into(), is }));
                return Ok(nothing);
            }
            Command::Finish { .. } => {
                trial.say(Ok(()));
                return Ok(nothing);
            }
            Command::StartAttempt { .. }
            | Command::EndAttempt { .. }
            | Command::AddGrant(_)
            | Command::Delegation(_)
            | Command::RevokeGrant { .. }
            | Command::EndGrant { .. }
            | Command::Repin { .. }
            | Command::Call(_)
            | Command::RefuseCall(_)
            | Command::CompleteCall { .. }
            | Command::KeepBody { .. }
            | Command::Introduce(_)
            | Command::ForgoIntroduction { .. }
            | Command::LoseCall { .. }
            | Command::DecideApproval(_)
            | Command::RequestCapability(_)
            | Command::GiveCapability { .. }
            | Command::RefuseCapability { .. }
            | Command::AskSettlement(_)
            | Command::Settle { .. }
            | Command::WithdrawSettlement { .. }
            | Command::Review { .. }
            | Command::AcceptInput(_)
            | Command::RequestInput { .. }
            | Command::RequestSteers { .. }
            | Command::SetTimer { .. }
            | Command::FireTimer { .. }
            | Command::Cancel { .. }
            | Command::Pause { .. }
            | Command::Resume { .. }
            | Command::RequestCancel { .. }
            | Command::FinishCancel
            | Command::Upgrade(_) => {}
        }
        match decision {
            Ok(Decision::Recorded) => {}
            Ok(Decision::Record(_)) => trial.fresh.set(true),
            Err(Refusal::Diverged(difference)) => {
                let failure = difference.failure();
                trial.say(Err(*difference));
                return Err(failure);
            }
            Err(Refusal::Failure(failure)) => return Err(failure),
        }
        trial.stir();
        Ok(nothing)
    }

    /// Runs the program of this trial until it is where the other one stands, or elsewhere.
    pub async fn run_trial(self: &Rc<Self>) -> Result<TrialOutcome, Failure> {
        let Some(trial) = &self.trial else {
            return Err(Failure::new(Code::Failed, "this owner does not try"));
        };
        let tried = tokio::time::timeout(limits::TRIAL, self.try_program(trial)).await;
        self.close();
        let late = |_| {
            let why = format!(
                "the trial took longer than {} s{}",
                limits::TRIAL.as_secs(),
                match &*self.detail.borrow() {
                    detail if detail.is_empty() => String::new(),
                    detail => format!(": {detail}"),
                }
            );
            Failure::new(Code::TimedOut, why)
        };
        let difference = tried.map_err(late)??;
        Ok(TrialOutcome { repeated: self.repeated(), difference })
    }

    async fn try_program(self: &Rc<Self>, trial: &Trial) -> Result<Option<Divergence>, Failure> {
        let (who, kind, labels) = self.with(|task| {
            let created = task.created();
            (created.creator.clone(), created.agent.clone(), created.labels.clone())
        });
        let wanted = (kind.as_str(), labels.as_slice());
        let place = self.services().scheduler.place(&who, wanted, "", |why| self.explain(why));
        let mut running = self.launch(place.await).await?;
        let connected = running.connected();
        let mut connection = None;
        let verdict = {
            let connect = async {
                connection = connected.await;
                std::future::pending::<()>().await;
            };
            let ended = outgoing::wait(running.run());
            let verdict = self.verdict(trial);
            tokio::pin!(connect, ended, verdict);
            tokio::select! {
                biased;
                verdict = &mut verdict => Ok(verdict),
                () = &mut connect => Ok(None),
                ended = &mut ended => match trial.verdict.borrow_mut().take() {
                    Some(verdict) => Ok(verdict.err()),
                    None => Err(crashed(ended)),
                },
            }
        };
        self.services().tickets.withdraw(running.ticket());
        if let Some(connection) = connection {
            connection.abort("the trial is over");
        }
        verdict
    }

    /// Answers when the program has shown itself.
    async fn verdict(&self, trial: &Trial) -> Option<Divergence> {
        let mut suspect = None;
        loop {
            if let Some(verdict) = trial.verdict.borrow_mut().take() {
                return verdict.err();
            }
            let reached = self.left_out().is_none() && self.told_all();
            if reached && trial.fresh.get() {
                return None;
            }
            let patience = if reached { limits::TRIAL_IDLE } else { limits::TRIAL_STALL };
            if tokio::time::timeout(patience, trial.changed.notified()).await.is_ok() {
                suspect = None;
                continue;
            }
            if reached {
                return None;
            }
            // It waits for something that will not come, or computes for long: look twice.
            let missing = self.stalled_on().or_else(|| self.left_out());
            match missing {
                Some((operation, was)) if suspect == Some(operation) => {
                    return Some(Divergence { operation, was, is: String::new() });
                }
                Some((operation, _)) => suspect = Some(operation),
                None => suspect = None,
            }
        }
    }

    fn repeated(&self) -> u64 {
        let known = |number: &CallNumber| self.with(|task| task.operation(*number).is_some());
        self.delivery.borrow().asked().filter(|number| known(number)).count() as u64
    }
}

fn next_own(task: &Task) -> CallNumber {
    let own = task.operations().map(|(number, _)| number);
    own.take_while(|number| *number < CallNumber::FIRST_LENT).last().unwrap_or_default().next()
}

fn crashed(ended: Result<outgoing::RunEnd, Failure>) -> Failure {
    let how = match ended {
        Ok(outgoing::RunEnd::Exited) => "it ended without a last word".to_owned(),
        Ok(outgoing::RunEnd::Crashed(how) | outgoing::RunEnd::Deadline(how)) => how,
        Err(failure) => failure.message,
    };
    Failure::new(Code::Failed, format!("the trial came to nothing: {how}"))
}
