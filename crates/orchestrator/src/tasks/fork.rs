//! A new task from the first events of another one, and the point from which a failed one is
//! tried again.

use std::collections::BTreeSet;
use std::rc::Rc;

use remit_core::event::{Event, Fact, SourceFile, TaskForked};
use remit_core::task::{Command, Decision, Ending, Refusal, Upgrade};
use remit_core::{
    CallNumber, Code, EventNumber, Failure, GrantId, Identity, Outcome, Task, TaskId,
};
use remit_journal::limits::EVENTS_PER_PAGE;

use super::spec::check_program;
use super::{Tasks, unreadable};
use crate::limits;
use crate::quota::account::Resource;
use crate::runtime::{Owner, TaskKey, footprint};

/// Refuses a task that the caller may not create.
pub type May<'a> = &'a dyn Fn(&Task) -> Result<(), Failure>;

/// How a task begins from another one's past.
#[derive(Default)]
pub struct ForkOptions<'a> {
    /// The idempotency key; empty: none.
    pub key: &'a str,
    /// The program that it runs, and the file of it that is run; `None`: the other one's.
    pub program: Option<(Vec<SourceFile>, String)>,
    /// Sees the new task as it begins: a grant that the end of the other one took back is in force
    /// again. `None`: every task may be made.
    pub may: Option<May<'a>>,
}

/// A task that began from another one's past.
pub struct Forked {
    /// Its owner.
    pub owner: Rc<Owner>,
    /// How many events it has in common with the other one.
    pub at: EventNumber,
    /// Calls that were in flight at that point, and were never sent here.
    pub dropped: Vec<CallNumber>,
}

impl Tasks {
    /// Makes a task from the first `at` events of another one; 0: from all before its end. With
    /// another program, if one is given. Durable when it answers; a key seen before gives the task
    /// that it made.
    pub async fn fork(
        &self,
        of: &TaskKey,
        at: EventNumber,
        options: ForkOptions<'_>,
        who: &Identity,
    ) -> Result<Forked, Failure> {
        let key = options.key;
        if let Some(made) = self.forked_before(&of.tenant, key, who).await? {
            return Ok(made);
        }
        let events = self.all_events(of)?;
        let end = last_before_the_end(&events);
        let at = if at == EventNumber(0) { end } else { at };
        let ended = events.iter().any(|event| ends(&event.fact));
        if at.0 > events.len() as u64 || (ended && at > end) {
            let what = if ended { "the last one before its end is" } else { "its last one is" };
            let why =
                format!("event {at} of task {} is no point to go on from: {what} {end}", of.task);
            return Err(Failure::new(Code::InvalidArgument, why));
        }
        self.begin_from(of, &events, at, options, who).await
    }

    /// Makes a task from the last good point of one that failed or was cancelled: before the call
    /// whose failure it learned of last, or else before its end. `again`: calls after that point
    /// that may be made once more though that is not harmless.
    pub async fn retry(
        &self,
        of: &TaskKey,
        again: &BTreeSet<CallNumber>,
        options: ForkOptions<'_>,
        who: &Identity,
    ) -> Result<Forked, Failure> {
        if let Some(made) = self.forked_before(&of.tenant, options.key, who).await? {
            return Ok(made);
        }
        let task = self.get(of)?.with(Clone::clone);
        let id = of.task;
        let refuse = |why: String| Err(Failure::new(Code::InvalidArgument, why));
        let events = match task.ending() {
            None => {
                return refuse(format!(
                    "the task {id} has not ended: pause it, resume it, or fork it"
                ));
            }
            Some(Ending::Completed(_)) => {
                return refuse(format!(
                    "the task {id} completed: fork it from the point that you name"
                ));
            }
            Some(_) => self.all_events(of)?,
        };
        let end = last_before_the_end(&events);
        // An end that someone asked for, or that a limit brought, is no fault of a call.
        let stopped = |event: &Event| matches!(event.fact, Fact::CancelRequested(_));
        let failed = match events.iter().any(stopped) {
            true => None,
            false => last_failed(&events),
        };
        let Some((call, at, unsure)) = failed else {
            return self.begin_from(of, &events, end, options, who).await;
        };
        let mut named = again.clone();
        if !unsure {
            named.insert(call);
        }
        check_repeats(&task, &events, at, &named)?;
        self.begin_from(of, &events, at, options, who).await
    }

    async fn forked_before(
        &self,
        tenant: &str,
        key: &str,
        who: &Identity,
    ) -> Result<Option<Forked>, Failure> {
        if key.is_empty() {
            return Ok(None);
        }
        let made = self.services.journal.find_key(tenant, key).await.map_err(unreadable)?;
        let Some(task) = made else { return Ok(None) };
        let owner = self.made_by(&TaskKey { tenant: tenant.to_owned(), task }, who)?;
        let Some((_, at)) = owner.with(Task::forked) else {
            let why = "another task was made under this idempotency key: a key is for one request";
            return Err(Failure::new(Code::InvalidArgument, why));
        };
        Ok(Some(Forked { owner, at, dropped: Vec::new() }))
    }

    async fn begin_from(
        &self,
        of: &TaskKey,
        events: &[Event],
        at: EventNumber,
        options: ForkOptions<'_>,
        who: &Identity,
    ) -> Result<Forked, Failure> {
        let now_ms = (self.services.now_ms)();
        let (mut events, mut task, dropped) = copy(of.task, events, at, now_ms, who)?;
        if let Some(may) = options.may {
            may(&task)?;
        }
        if let Some((source, entry)) = options.program {
            check_program(&source, &entry)?;
            let who = who.to_string();
            let upgrade = Command::Upgrade(Box::new(Upgrade { source, entry, who, rewind: None }));
            let decided = task.decide(&upgrade, now_ms).map_err(Refusal::into_failure)?;
            if let Decision::Record(facts) = decided {
                let now_ms = now_ms.max(task.head().time_ms);
                append(&mut task, &mut events, facts, now_ms)
                    .map_err(|error| Failure::new(Code::Failed, error.to_string()))?;
            }
        }
        let id = TaskId::new(now_ms, rand::random());
        let (creator, accounts) = (who.to_string(), &self.services.accounts);
        accounts.check(&creator, &of.tenant, Resource::TaskBytes, footprint(&task))?;
        accounts.check(&creator, &of.tenant, Resource::DiskBytes, task.stored_bytes())?;
        let owner_key = TaskKey { tenant: of.tenant.clone(), task: id };
        let owner = Owner::new(owner_key, task, Rc::clone(&self.services));
        let owner = self.admit(owner, events, (options.key, None)).await?;
        Ok(Forked { owner, at, dropped })
    }

    pub(super) fn all_events(&self, of: &TaskKey) -> Result<Vec<Event>, Failure> {
        let mut events: Vec<Event> = Vec::new();
        loop {
            let after = events.last().map(|event| event.number).unwrap_or_default();
            let page = EVENTS_PER_PAGE;
            let read = self.services.journal.read(&of.tenant, of.task, after, page);
            let read = read.map_err(unreadable)?;
            // A page of large events is short, and not the last one.
            if read.is_empty() {
                break;
            }
            events.extend(read);
            if events.len() > limits::FORK_EVENTS {
                let why = format!(
                    "the task has more than {} events, too many to begin another one from",
                    limits::FORK_EVENTS
                );
                return Err(Failure::new(Code::Limit, why));
            }
        }
        if events.is_empty() {
            return Err(Failure::new(Code::NotFound, format!("there is no task {}", of.task)));
        }
        Ok(events)
    }
}

/// The first events of the new task, the state after them, and the calls that it never sent.
fn copy(
    of: TaskId,
    events: &[Event],
    at: EventNumber,
    now_ms: u64,
    who: &Identity,
) -> Result<(Vec<Event>, Task, Vec<CallNumber>), Failure> {
    let bug = |error: remit_core::task::Rejected| Failure::new(Code::Failed, error.to_string());
    let count = usize::try_from(at.0).unwrap_or(usize::MAX).min(events.len());
    let (past, later) = events.split_at(count);
    let mut copied = past.to_vec();
    if let Some(Event { fact: Fact::TaskCreated(created), .. }) = copied.first_mut() {
        created.creator = who.to_string();
        created.parent = None;
    }
    let nothing = || Failure::new(Code::InvalidArgument, "a task begins with its first event");
    let mut task = Task::fold(&copied).map_err(bug)?.ok_or_else(nothing)?;
    let dropped: Vec<CallNumber> = task.open_calls().map(|(call, _)| call).collect();
    let now_ms = now_ms.max(task.head().time_ms);
    let forked = TaskForked { task: of, at, who: who.to_string(), dropped: dropped.clone() };
    let mut facts = Vec::new();
    if let Some(attempt) = task.running() {
        let reason = "it was an attempt of the task that this one began from".to_owned();
        facts.push(Fact::AttemptEnded { attempt, reason, fruitless: false });
    }
    facts.push(Fact::TaskForked(Box::new(forked)));
    append(&mut task, &mut copied, facts, now_ms).map_err(bug)?;
    for (grant, reason) in not_inherited(&task, later) {
        let revoke = Command::RevokeGrant { grant, reason, by: who.to_string() };
        if let Ok(Decision::Record(facts)) = task.decide(&revoke, now_ms) {
            append(&mut task, &mut copied, facts, now_ms).map_err(bug)?;
        }
    }
    Ok((copied, task, dropped))
}

fn append(
    task: &mut Task,
    events: &mut Vec<Event>,
    facts: Vec<Fact>,
    time_ms: u64,
) -> Result<(), remit_core::task::Rejected> {
    for fact in facts {
        let event = Event { number: task.head().number.next(), time_ms, fact };
        task.apply(&event)?;
        events.push(event);
    }
    Ok(())
}

/// Authority that a copy of the past would bring back or double: what was taken back since, what
/// others hold, and what the other task only held from its parent.
fn not_inherited(task: &Task, later: &[Event]) -> Vec<(GrantId, String)> {
    let mut gone = Vec::new();
    for held in task.grants().filter(|held| !held.is_over()) {
        let why = if held.grant.holder != "task" {
            "it was passed on by the task that this one began from"
        } else if held.grant.origin.is_some() {
            "it was passed to the task that this one began from"
        } else {
            continue;
        };
        gone.push((held.grant.grant, why.to_owned()));
    }
    let mut ending = false;
    for event in later {
        ending |= matches!(event.fact, Fact::CancelRequested(_));
        // What the end of the other task took back from it says nothing about this one.
        if let Fact::GrantRevoked { grant, reason, by } = &event.fact
            && (!ending || !by.is_empty())
        {
            gone.push((
                *grant,
                format!("taken back from the task that this one began from: {reason}"),
            ));
        }
    }
    gone
}

const fn ends(fact: &Fact) -> bool {
    matches!(
        fact,
        Fact::CancelRequested(_)
            | Fact::TaskCompleted(_)
            | Fact::TaskFailed(_)
            | Fact::TaskCancelled(_)
    )
}

/// The last event before the task's end, or its last one.
fn last_before_the_end(events: &[Event]) -> EventNumber {
    let end = events.iter().position(|event| ends(&event.fact)).unwrap_or(events.len());
    EventNumber(end as u64)
}

/// The agent's call whose failure was recorded last, the event before that, and whether nobody
/// knows if it happened.
fn last_failed(events: &[Event]) -> Option<(CallNumber, EventNumber, bool)> {
    events.iter().rev().find_map(|event| {
        let (call, unsure) = match &event.fact {
            Fact::CallCompleted { call, outcome: Outcome::Failure(failure), .. } => {
                (*call, failure.code == Code::Unknown)
            }
            Fact::CallDenied(denied) => (denied.call, false),
            _ => return None,
        };
        (call < CallNumber::FIRST_LENT).then(|| (call, EventNumber(event.number.0 - 1), unsure))
    })
}

/// Refuses to do again what must not be done twice, but for what was named.
fn check_repeats(
    task: &Task,
    events: &[Event],
    at: EventNumber,
    named: &BTreeSet<CallNumber>,
) -> Result<(), Failure> {
    let count = usize::try_from(at.0).unwrap_or(usize::MAX).min(events.len());
    let before = Task::fold(&events[..count])
        .map_err(|error| Failure::new(Code::Failed, error.to_string()))?;
    let Some(before) = before else { return Ok(()) };
    let mut repeated = task.since(&before).dropped;
    repeated.extend(before.open_calls().map(|(call, _)| call));
    let unnamed: Vec<String> = task
        .effects_among(&repeated)
        .filter(|(call, _)| !named.contains(call))
        .map(|(call, what)| format!("call {call} ({what})"))
        .take(remit_core::limits::SHOWN_CALLS)
        .collect();
    if unnamed.is_empty() {
        return Ok(());
    }
    let why = format!(
        "from event {at} on the task would do again what may not be done twice: {}. Name each call that may be made again, or choose a point with a fork",
        unnamed.join(", ")
    );
    Err(Failure::new(Code::Denied, why))
}
