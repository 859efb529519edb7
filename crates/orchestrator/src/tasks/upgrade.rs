//! Another program for a task that is at work: tried on what was recorded, and put in its place.

use std::collections::BTreeSet;
use std::rc::Rc;

use remit_core::event::{Event, SourceFile};
use remit_core::task::{Command, Decision, Divergence, Rewind, Upgrade};
use remit_core::{CallNumber, Code, EventNumber, Failure, Identity, Task};

use super::Tasks;
use super::spec::check_program;
use crate::runtime::{Owner, TaskKey};

/// What someone wants of a task's program.
pub struct Program {
    /// The new program.
    pub source: Vec<SourceFile>,
    /// The file of it that is run.
    pub entry: String,
    /// The event after which it need not repeat what the old one did; 0: it repeats all.
    pub at: EventNumber,
    /// Calls after that event that may be made once more though that is not harmless.
    pub again: BTreeSet<CallNumber>,
    /// Whether to put it in the old one's place.
    pub then: Then,
}

/// What follows on a trial that went well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// Nothing.
    Stay,
    /// The new program takes over.
    Switch,
}

/// What a trial showed, and what followed.
pub struct Upgraded {
    /// How many recorded operations the new program asked for again, the same as they were.
    pub repeated: u64,
    /// Where it would not go on from where the old one stands.
    pub difference: Option<Divergence>,
    /// Whether it works on the task from now on.
    pub switched: bool,
}

impl Tasks {
    /// Tries a program on a task, and gives the task to it if it does what the old one did. While
    /// that is found out, a task that is to be switched is paused.
    pub async fn upgrade(
        &self,
        key: &TaskKey,
        program: Program,
        who: &Identity,
    ) -> Result<Upgraded, Failure> {
        check_program(&program.source, &program.entry)?;
        let owner = self.get(key)?;
        let _loaded = owner.loaded().await?;
        let then = program.then;
        let holds = then == Then::Switch && owner.with(|task| task.paused().is_none());
        let held = match holds {
            true => Some(Held::pause(&owner, who).await?),
            false => None,
        };
        let upgraded = self.replace(&owner, program, who).await;
        if held.is_some() {
            drop(held);
            let head = owner.with(|task| task.head().number);
            owner.durable(head).await?;
        }
        upgraded
    }

    async fn replace(
        &self,
        owner: &Rc<Owner>,
        program: Program,
        who: &Identity,
    ) -> Result<Upgraded, Failure> {
        let rewind = match program.at {
            EventNumber(0) => None,
            at => Some(self.rewind(owner, at, program.again)?),
        };
        let (source, entry) = (program.source, program.entry);
        let upgrade = Upgrade { source, entry, who: who.to_string(), rewind };
        let command = Command::Upgrade(Box::new(upgrade));
        let now_ms = (self.services.now_ms)();
        let task = tried_on(owner.with(Clone::clone), &command, now_ms)?;
        let trial = Owner::trial(owner.key().clone(), task, Rc::clone(&self.services));
        let tried = trial.run_trial().await?;
        let switched = program.then == Then::Switch && tried.difference.is_none();
        if switched {
            owner.record_durably(&command).await?;
        }
        Ok(Upgraded { repeated: tried.repeated, difference: tried.difference, switched })
    }

    /// What is dropped when only the events up to `at` are to be repeated.
    fn rewind(
        &self,
        owner: &Rc<Owner>,
        at: EventNumber,
        again: BTreeSet<CallNumber>,
    ) -> Result<Rewind, Failure> {
        let mut events = self.all_events(owner.key())?;
        if at.0 > events.len() as u64 {
            let why = format!("the task has no event {at}: its last one is {}", events.len());
            return Err(Failure::new(Code::InvalidArgument, why));
        }
        events.truncate(usize::try_from(at.0).unwrap_or(usize::MAX));
        let before = Task::fold(&events)
            .map_err(|error| Failure::new(Code::Failed, error.to_string()))?
            .ok_or_else(|| Failure::new(Code::NotFound, "the task has no events"))?;
        Ok(Rewind { again, ..owner.with(|task| task.since(&before)) })
    }
}

/// A task that is paused while a program is tried on it. It goes on when this is dropped: also when
/// whoever asked for the trial gave it up.
struct Held {
    owner: Rc<Owner>,
    who: String,
}

impl Held {
    /// Pauses the task, durably.
    async fn pause(owner: &Rc<Owner>, who: &Identity) -> Result<Self, Failure> {
        let reason = "its program is being replaced".to_owned();
        let pause = Command::Pause { reason, who: who.to_string(), call: None };
        let paused = owner.record(&pause)?;
        // Before anything is waited for: there too whoever asked may give up.
        let held = Self { owner: Rc::clone(owner), who: who.to_string() };
        owner.durable(paused.number).await?;
        Ok(held)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let resume = Command::Resume { who: std::mem::take(&mut self.who) };
        if let Err(error) = self.owner.record(&resume) {
            let task = self.owner.key().task;
            tracing::warn!(%task, %error, "a task stays paused after a trial: resume it");
        }
    }
}

/// The state in which the new program would begin. It exists in memory only.
fn tried_on(mut task: Task, upgrade: &Command, now_ms: u64) -> Result<Task, Failure> {
    let resume = Command::Resume { who: String::new() };
    let start = Command::StartAttempt { node: "trial".into() };
    let now_ms = now_ms.max(task.head().time_ms);
    for command in [&resume, upgrade, &start] {
        let decided = task.decide(command, now_ms).map_err(|refusal| refusal.into_failure())?;
        let Decision::Record(facts) = decided else { continue };
        for fact in facts {
            let event = Event { number: task.head().number.next(), time_ms: now_ms, fact };
            task.apply(&event).map_err(|error| Failure::new(Code::Failed, error.to_string()))?;
        }
    }
    Ok(task)
}
