//! A task as a whole: paused and resumed, cancelled, begun from another one's past, given another
//! program.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::command::Decision;
use super::refusal::Refusal;
use super::{Operation, Stamp, Task};
use crate::event::{CancelRequested, Fact, SourceFile, TaskForked, TaskUpgraded};
use crate::failure::{Code, Failure};
use crate::id::{CallNumber, EventNumber, InputId, TaskId};
use crate::limits;
use crate::value::Outcome;

/// What people did to a task as a whole.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Control {
    paused: Option<Paused>,
    /// How long it was paused, pauses that are over only.
    paused_ms: u64,
    cancelling: Option<Arc<CancelRequested>>,
    /// The program that works on it now, if it is another than the first one.
    pub(super) program: Option<Arc<Program>>,
    forked: Option<(TaskId, EventNumber)>,
    /// How often operations were dropped. A number that was used before is told apart by it.
    generation: u8,
    /// The generation of each operation, of those that are not of the first.
    generations: BTreeMap<CallNumber, u8>,
    /// The nodes of the attempts that were lost since there was last any progress.
    fruitless: Vec<String>,
}

/// Why a task does nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paused {
    /// The reason, for people.
    pub reason: String,
    /// Who paused it, as a SPIFFE name; empty: its owner.
    pub who: String,
    /// The call that its tool node, which is away, could not settle: the return of that node ends the
    /// pause.
    #[serde(default)]
    pub call: Option<CallNumber>,
    /// The event that says so.
    pub since: Stamp,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Program {
    pub(super) source: Vec<SourceFile>,
    pub(super) entry: String,
}

/// Another program for a task.
#[derive(Debug, Clone, PartialEq)]
pub struct Upgrade {
    /// The program.
    pub source: Vec<SourceFile>,
    /// The path, among `source`, of the file that is run.
    pub entry: String,
    /// Who wants it, as a SPIFFE name.
    pub who: String,
    /// What it need not repeat.
    pub rewind: Option<Rewind>,
}

/// A point in a task's past, from which on everything may come differently.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rewind {
    /// The last event that still counts.
    pub at: EventNumber,
    /// The operations that were asked for later.
    pub dropped: Vec<CallNumber>,
    /// The lines of output up to there.
    pub lines: u64,
    /// Calls after that point that may be made once more though their methods do not say that
    /// this is harmless.
    pub again: BTreeSet<CallNumber>,
}

type Applied = Result<(), &'static str>;

impl Task {
    /// Whether and why it is paused.
    pub const fn paused(&self) -> Option<&Paused> {
        self.control.paused.as_ref()
    }

    /// The agent nodes of the attempts that were lost since there was last any progress, the last one
    /// last.
    pub fn fruitless(&self) -> &[String] {
        &self.control.fruitless
    }

    /// Notes an attempt on `node` that was lost without progress.
    pub(super) fn note_fruitless(&mut self, node: String) {
        if self.control.fruitless.len() < limits::MAX_FRUITLESS {
            self.control.fruitless.push(node);
        }
    }

    /// Notes that there is something new to tell the agent.
    pub(super) fn note_progress(&mut self) {
        self.control.fruitless.clear();
    }

    /// The end that it is on the way to, if someone asked for one.
    pub fn cancelling(&self) -> Option<&CancelRequested> {
        self.control.cancelling.as_deref().filter(|_| self.ending.is_none())
    }

    /// The program that works on it now, and the path of the file that is run.
    pub fn program(&self) -> (&[SourceFile], &str) {
        match &self.control.program {
            Some(program) => (&program.source, &program.entry),
            None => (&self.created.source, &self.created.entry),
        }
    }

    /// The task, and how many of its events, that this one began from.
    pub const fn forked(&self) -> Option<(TaskId, EventNumber)> {
        self.control.forked
    }

    /// How often operations were dropped before this one was asked for: with its number it names a
    /// call once and for all.
    pub fn generation(&self, number: CallNumber) -> u8 {
        self.control.generations.get(&number).copied().unwrap_or_default()
    }

    /// When its time is up, in milliseconds since 1970, as far as pauses until now tell; `None`: it
    /// may take as long as it takes.
    pub fn due_ms(&self) -> Option<u64> {
        let limit_ms = self.created.limits.task_ms;
        (limit_ms > 0).then(|| {
            self.created_ms.saturating_add(limit_ms).saturating_add(self.control.paused_ms)
        })
    }

    /// Whether it may begin something: it has not ended, is not about to, and is not paused.
    pub const fn is_free(&self) -> bool {
        self.ending.is_none() && self.control.cancelling.is_none() && self.control.paused.is_none()
    }

    /// How many lines of output it wrote.
    pub const fn lines(&self) -> u64 {
        self.lines
    }

    /// The agent's own operations that were asked for since `before`, which is this task at an
    /// earlier point.
    pub fn since(&self, before: &Self) -> Rewind {
        let own = self.operations.range(..CallNumber::FIRST_LENT).map(|(number, _)| *number);
        Rewind {
            at: before.head.number,
            dropped: own.filter(|number| !before.operations.contains_key(number)).collect(),
            lines: before.lines,
            again: BTreeSet::new(),
        }
    }

    /// Calls among `dropped` that did or may have done something which may not be done twice.
    pub fn effects_among<'a>(
        &'a self,
        dropped: &'a [CallNumber],
    ) -> impl Iterator<Item = (CallNumber, String)> + 'a {
        dropped.iter().filter_map(|number| match self.operations.get(number)? {
            operation @ Operation::Call { request, .. }
                if !request.read_only && !request.idempotent =>
            {
                Some((*number, operation.describe()))
            }
            Operation::Call { .. }
            | Operation::Denied { .. }
            | Operation::Derived { .. }
            | Operation::Sleep { .. }
            | Operation::Input { .. }
            | Operation::Steers { .. }
            | Operation::CapabilityRequest { .. } => None,
        })
    }

    pub(super) fn check_unpaused(&self) -> Result<(), Refusal> {
        match self.paused() {
            None => Ok(()),
            Some(paused) => {
                let why = format!("the task is paused: {}", paused.reason);
                Err(Failure::new(Code::Unavailable, why).into())
            }
        }
    }

    pub(super) fn decide_pause(
        &self,
        reason: &str,
        who: &str,
        call: Option<CallNumber>,
    ) -> Result<Decision, Refusal> {
        self.check_open()?;
        if self.paused().is_some() {
            return Ok(Decision::Recorded);
        }
        let paused = Fact::TaskPaused { reason: reason.to_owned(), who: who.to_owned(), call };
        Ok(Decision::Record(self.ending_with("the task is paused", paused)?))
    }

    pub(super) fn decide_resume(&self, who: &str) -> Result<Decision, Refusal> {
        self.check_open()?;
        if self.paused().is_none() {
            return Ok(Decision::Recorded);
        }
        Ok(Decision::Record(vec![Fact::TaskResumed { who: who.to_owned() }]))
    }

    pub(super) fn decide_stop(&self, why: &Failure, who: &str) -> Decision {
        if self.ending.is_some() || self.cancelling().is_some() {
            return Decision::Recorded;
        }
        let cancel = CancelRequested { why: why.clone().bounded(), who: who.to_owned() };
        let reason =
            if why.code == Code::Cancelled { "the task is cancelled" } else { &why.message };
        let over = self.running.map(|attempt| Fact::AttemptEnded {
            attempt,
            reason: reason.to_owned(),
            fruitless: false,
        });
        let stop = Fact::CancelRequested(Box::new(cancel));
        Decision::Record(over.into_iter().chain([stop]).collect())
    }

    pub(super) fn decide_stopped(&self) -> Result<Decision, Refusal> {
        let Some(cancel) = self.cancelling() else { return Ok(Decision::Recorded) };
        let end = match cancel.why.code {
            Code::Cancelled => Fact::TaskCancelled(cancel.why.message.clone()),
            Code::Denied
            | Code::Revoked
            | Code::NotFound
            | Code::InvalidArgument
            | Code::Failed
            | Code::Unavailable
            | Code::TimedOut
            | Code::Unknown
            | Code::Limit
            | Code::ObjectLost
            | Code::InterfaceChanged => Fact::TaskFailed(cancel.why.clone()),
        };
        Ok(Decision::Record(self.ending_with("the task is cancelled", end)?))
    }

    pub(super) fn decide_upgrade(&self, upgrade: &Upgrade) -> Result<Decision, Refusal> {
        self.check_open()?;
        let rewind = upgrade.rewind.clone().unwrap_or_default();
        if rewind.dropped.is_empty() {
            if self.program() == (&upgrade.source[..], &upgrade.entry) {
                return Ok(Decision::Recorded);
            }
        } else {
            self.check_rewind(&rewind)?;
        }
        let fact = Fact::TaskUpgraded(Box::new(TaskUpgraded {
            source: upgrade.source.clone(),
            entry: upgrade.entry.clone(),
            who: upgrade.who.clone(),
            at: rewind.at,
            dropped: rewind.dropped,
            lines: rewind.lines.min(self.lines),
        }));
        Ok(Decision::Record(self.ending_with("another program takes its place", fact)?))
    }

    /// Whether nothing that must not be done twice is among what would be done again, but for what
    /// the person names.
    fn check_rewind(&self, rewind: &Rewind) -> Result<(), Refusal> {
        if let Err(why) = self.check_known(&rewind.dropped) {
            return Err(Failure::new(Code::InvalidArgument, why).into());
        }
        if self.control.generation == u8::MAX {
            let why =
                format!("the task was taken back {} times, and may not be once more", u8::MAX);
            return Err(Failure::new(Code::Limit, why).into());
        }
        let unnamed: Vec<String> = self
            .effects_among(&rewind.dropped)
            .filter(|(call, _)| !rewind.again.contains(call))
            .map(|(call, what)| format!("call {call} ({what})"))
            .take(limits::SHOWN_CALLS)
            .collect();
        if unnamed.is_empty() {
            return Ok(());
        }
        let why = format!(
            "after event {} the task did what may not be done twice: {}. Name each call that may be made again, or a later point",
            rewind.at,
            unnamed.join(", ")
        );
        Err(Failure::new(Code::Denied, why).into())
    }

    pub(super) fn pause(
        &mut self,
        reason: &str,
        who: &str,
        call: Option<CallNumber>,
        since: Stamp,
    ) -> Applied {
        if self.running.is_some() {
            return Err("an attempt is still running");
        }
        if self.control.paused.is_some() {
            return Err("the task is paused already");
        }
        let (reason, who) = (reason.to_owned(), who.to_owned());
        self.control.paused = Some(Paused { reason, who, since, call });
        // A person looks at it before it goes on: the count begins anew.
        self.control.fruitless.clear();
        Ok(())
    }

    pub(super) fn resume(&mut self, at: Stamp) -> Applied {
        let Some(paused) = self.control.paused.take() else { return Err("the task is not paused") };
        self.control.paused_ms += at.time_ms - paused.since.time_ms;
        Ok(())
    }

    pub(super) fn stop(&mut self, cancel: &CancelRequested) -> Applied {
        if self.running.is_some() {
            return Err("an attempt is still running");
        }
        if self.control.cancelling.is_some() {
            return Err("the task is being cancelled already");
        }
        self.control.cancelling = Some(Arc::new(cancel.clone()));
        Ok(())
    }

    pub(super) fn fork(&mut self, forked: &TaskForked, at: Stamp) -> Applied {
        if self.running.is_some() {
            return Err("an attempt is still running");
        }
        self.check_known(&forked.dropped)?;
        self.drop_operations(&forked.dropped);
        // What happened to the other task between its birth and now took none of this one's time.
        self.control.paused_ms = at.time_ms.saturating_sub(self.created_ms);
        self.control.paused = None;
        self.control.cancelling = None;
        self.control.forked = Some((forked.task, forked.at));
        Ok(())
    }

    /// Whether it works with another program than it was created with.
    pub(super) const fn has_another_program(&self) -> bool {
        self.control.program.is_some()
    }

    pub(super) fn upgrade(&mut self, upgraded: &TaskUpgraded) -> Applied {
        if self.running.is_some() {
            return Err("an attempt is still running");
        }
        if upgraded.lines > self.lines {
            return Err("it keeps lines that were never written");
        }
        self.check_known(&upgraded.dropped)?;
        if upgraded.dropped.is_empty() && self.program() == (&upgraded.source[..], &upgraded.entry)
        {
            return Err("that program works on the task already");
        }
        if upgraded.at != EventNumber(0) {
            self.lines = upgraded.lines;
        }
        if !upgraded.dropped.is_empty() {
            self.drop_operations(&upgraded.dropped);
            self.control.generation = self.control.generation.saturating_add(1);
        }
        let (source, entry) = (upgraded.source.clone(), upgraded.entry.clone());
        self.control.program = Some(Arc::new(Program { source, entry }));
        Ok(())
    }

    pub(super) fn note_generation(&mut self, number: CallNumber) {
        if self.control.generation > 0 {
            self.control.generations.insert(number, self.control.generation);
        }
    }

    fn check_known(&self, dropped: &[CallNumber]) -> Applied {
        if dropped.iter().all(|number| self.operations.contains_key(number)) {
            return Ok(());
        }
        Err("it drops an operation that is not there")
    }

    /// Forgets operations, as though they had not been asked for. Inputs that they took wait again.
    fn drop_operations(&mut self, dropped: &[CallNumber]) {
        let dropped: BTreeSet<CallNumber> = dropped.iter().copied().collect();
        let mut inputs: BTreeSet<InputId> = self.undelivered.drain(..).collect();
        let mut steers: BTreeSet<InputId> = self.steers.drain(..).collect();
        for number in &dropped {
            let request = self.request(*number).cloned();
            let operation = self.operations.remove(number);
            if let Some(operation) = &operation {
                self.let_go(operation);
            }
            match operation {
                Some(Operation::Input { delivered: Some((input, _)) }) => {
                    inputs.insert(input);
                }
                Some(Operation::Steers { delivered: Some((taken, _)), .. }) => {
                    steers.extend(taken);
                }
                _ => {}
            }
            if self.open.remove(number)
                && let Some(request) = request
            {
                // It is in flight no more; what it was charged before stays charged.
                let over = Outcome::Failure(Failure::new(Code::Unknown, "dropped"));
                self.charge_outcome(&request, (&over, None), 0);
            }
            self.sleeping.remove(number);
            self.costs.remove(number);
            self.kept.remove(number);
            self.forget_question(*number);
            self.control.generations.remove(number);
        }
        self.undelivered = inputs.into_iter().collect();
        self.steers = steers.into_iter().collect();
        self.order.retain(|number| !dropped.contains(number));
        self.asking.retain(|number| !dropped.contains(number));
        self.asking_steers.retain(|number| !dropped.contains(number));
        self.memo.retain(|_, number| !dropped.contains(number));
        self.delegated.retain(|_, number| !dropped.contains(number));
    }
}
