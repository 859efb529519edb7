//! The check of a journal: hash chains, checksums, bodies, counts, snapshots, lists; and of the
//! mesh's own audit log beside it.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Display;

use futures::executor::block_on;
use remit_core::{EventNumber, Task, TaskId};

use super::backup::JournalTotals;
use super::body::{self, Body};
use super::cut::{Cut, CutTask, PAGE};
use super::rebuild::{self, Rebuild};
use super::record::{self, Hash};
use super::sled::notices;
use super::{Journal as _, JournalError, SledJournal, Snapshot, TaskHead, keys};
use crate::limits;

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// How much was read.
    pub kept: JournalTotals,
    /// What is damaged, in words for a person; empty: nothing is.
    pub damaged: Vec<String>,
}

/// Reads everything as of now, and says what is damaged. Blocks for as long as that takes; the
/// journal works on meanwhile.
pub fn verify(journal: &SledJournal) -> Result<Report, JournalError> {
    let cut = Cut::take(journal)?;
    let mut check = Check {
        cut: &cut,
        report: Report::default(),
        more: 0,
        rebuild: Rebuild::default(),
        bodies: HashSet::new(),
        derived: BTreeMap::new(),
    };
    for task in cut.tasks() {
        check.task(&task)?;
    }
    check.beyond_heads()?;
    check.derived();
    check.orphans()?;
    if let Some(damage) = journal.disk().damage() {
        check.found(damage);
    }
    for lost in journal.lost()? {
        check.found(lost.in_words());
    }
    for broken in crate::audit::check(journal.disk())? {
        check.found(broken);
    }
    let Check { mut report, more, .. } = check;
    if more > 0 {
        report.damaged.push(format!("and {more} more"));
    }
    Ok(report)
}

/// Makes anew what follows from other records, after a loss that was accepted. Gives how many
/// records it corrected. Blocks.
pub fn rebuild(journal: &SledJournal) -> Result<usize, JournalError> {
    let writes = rebuild::corrections(&Cut::take(journal)?)?;
    let count = writes.len();
    for some in writes.chunks(limits::RESTORED_AT_ONCE) {
        block_on(journal.disk().commit(some.to_vec()))?;
    }
    Ok(count)
}

struct Check<'a> {
    cut: &'a Cut,
    report: Report,
    /// Findings that found no room.
    more: u64,
    rebuild: Rebuild,
    bodies: HashSet<(String, Body)>,
    /// The entries of lists that follow from heads.
    derived: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// Where the check of one task's events has come to.
struct Chain {
    number: EventNumber,
    hash: Hash,
    /// The state so far; `None`: before the first event, or before a snapshot that stands for what
    /// was pruned, or after an event that could not be folded.
    task: Option<Task>,
}

impl Check<'_> {
    fn found(&mut self, what: impl Display) {
        if self.report.damaged.len() < limits::FINDINGS {
            self.report.damaged.push(what.to_string());
        } else {
            self.more += 1;
        }
    }

    fn task(&mut self, of: &CutTask) -> Result<(), JournalError> {
        self.report.kept.tasks += 1;
        let (tenant, task) = (&of.tenant, of.task);
        let head = match &of.head {
            Ok(head) => head,
            Err(why) => {
                self.found(format!("task {task}: {why}"));
                return Ok(());
            }
        };
        self.derived.extend(rebuild::entries(tenant, task, head));
        self.family(of, head);
        let snapshot = self.snapshot(of, head)?;
        let hash = match head.pruned {
            EventNumber(0) => record::beginning(tenant, task),
            _ => head.pruned_hash,
        };
        let mut chain = Chain { number: head.pruned, hash, task: None };
        match (self.chain(of, head, snapshot.as_ref(), &mut chain)?, &chain.task) {
            (Err(why), _) => self.found(format!("task {task}, event {}: {why}", chain.number)),
            (Ok(()), Some(folded)) => self.head(of, head, folded),
            // An event that could not be folded was named.
            (Ok(()), None) => {}
        }
        Ok(())
    }

    /// The head names the family that follows from the head of the task that spawned this one.
    fn family(&mut self, of: &CutTask, head: &TaskHead) {
        let parent = head.parent.and_then(|parent| self.cut.get(&keys::head(&of.tenant, parent)));
        let parent = parent.and_then(|bytes| TaskHead::from_bytes(bytes).ok());
        if rebuild::family(head, parent.as_ref()) != head.family {
            self.found(format!(
                "task {}: its head names another family than its parent's",
                of.task
            ));
        }
    }

    /// The head says of the task what its events say.
    fn head(&mut self, of: &CutTask, head: &TaskHead, folded: &Task) {
        let stale = head.stale_fields(&TaskHead::of(folded, of.task));
        if !stale.is_empty() {
            let fields = stale.join(", ");
            self.found(format!("task {}: its head is not what its events say: {fields}", of.task));
        }
    }

    /// The task's snapshot, if it has one that can be used.
    fn snapshot(
        &mut self,
        of: &CutTask,
        head: &TaskHead,
    ) -> Result<Option<Snapshot>, JournalError> {
        if self.cut.get(&keys::snapshot(&of.tenant, of.task)).is_none() && head.pruned.0 == 0 {
            return Ok(None);
        }
        self.report.kept.snapshots += 1;
        match self.cut.journal.checked_snapshot(&of.tenant, of.task, head) {
            Ok(snapshot) => Ok(snapshot),
            Err(JournalError::Corrupt { number, why, .. }) => {
                self.found(format!("task {}, event {number}: {why}", of.task));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Checks all events of a task. The inner error says what is wrong with the event at which the
    /// chain has come to stand.
    fn chain(
        &mut self,
        of: &CutTask,
        head: &TaskHead,
        snapshot: Option<&Snapshot>,
        chain: &mut Chain,
    ) -> Result<Result<(), String>, JournalError> {
        let (tenant, task) = (&of.tenant, of.task);
        let prefix = keys::events(tenant, task);
        let mut folds = true;
        self.compare(of, snapshot, chain, &mut folds);
        while chain.number < head.number {
            let from = keys::event(tenant, task, chain.number.next());
            let page = self.cut.journal.disk().scan(&prefix, &from, PAGE)?;
            if page.is_empty() {
                chain.number = chain.number.next();
                return Ok(Err("it is missing".into()));
            }
            for (key, bytes) in page {
                if chain.number == head.number {
                    break;
                }
                chain.number = chain.number.next();
                if keys::number(&key) != Some(chain.number) {
                    return Ok(Err("it is missing".into()));
                }
                if let Err(why) = self.event(of, &key, &bytes, chain, &mut folds) {
                    return Ok(Err(why));
                }
                self.compare(of, snapshot, chain, &mut folds);
            }
        }
        if chain.number.0 > head.pruned.0 && chain.hash != head.hash {
            return Ok(Err("it is not the one that the task's head names".into()));
        }
        Ok(Ok(()))
    }

    fn event(
        &mut self,
        of: &CutTask,
        key: &[u8],
        bytes: &[u8],
        chain: &mut Chain,
        folds: &mut bool,
    ) -> Result<(), String> {
        self.rebuild.see(key, bytes)?;
        self.report.kept.events += 1;
        let journal = &self.cut.journal;
        let fetch = |body: &Body| journal.body(&of.tenant, body);
        let (event, hash) = record::open(bytes, chain.number, Some(&chain.hash), fetch)?;
        chain.hash = hash;
        self.bodies.extend(record::bodies(bytes)?.into_iter().map(|b| (of.tenant.clone(), b)));
        if *folds {
            let folded = match &mut chain.task {
                Some(task) => task.apply(&event),
                None if chain.number.0 == 1 => {
                    Task::begin(&event).map(|begun| chain.task = Some(begun))
                }
                // The snapshot that stands for what was pruned is still to come.
                None => Ok(()),
            };
            if let Err(rejected) = folded {
                *folds = false;
                chain.task = None;
                self.found(format!("task {}, {rejected}", of.task));
            }
        }
        Ok(())
    }

    /// At the event of the snapshot, compares it with the state that was folded.
    fn compare(
        &mut self,
        of: &CutTask,
        snapshot: Option<&Snapshot>,
        chain: &mut Chain,
        folds: &mut bool,
    ) {
        let Some(snapshot) = snapshot.filter(|snapshot| snapshot.number == chain.number) else {
            return;
        };
        let number = snapshot.number;
        match (snapshot.task(), &chain.task) {
            (Ok(kept), Some(folded)) if snapshot.is_of_these_rules() && kept != *folded => {
                // Two states that hold what is not equal to itself are written down alike.
                if Snapshot::of(folded).is_ok_and(|folded| folded.state == snapshot.state) {
                    return;
                }
                let what = "the snapshot of it is not what its events say";
                self.found(format!("task {}, event {number}: {what}", of.task));
            }
            (Ok(_), Some(_)) => {}
            (Ok(kept), None) => {
                if *folds {
                    chain.task = Some(kept);
                }
            }
            (Err(why), folded) => {
                *folds = folded.is_some();
                let what = format!("the snapshot of it: {why}");
                self.found(format!("task {}, event {number}: {what}", of.task));
            }
        }
    }

    /// What follows from heads and events must be there, and nothing else.
    fn derived(&mut self) {
        self.report.kept.bodies = self.bodies.len() as u64;
        let held = std::mem::take(&mut self.rebuild);
        for ((tenant, hash), held) in held.held() {
            let counted = self.cut.get(&keys::count(tenant, hash)).and_then(body::count_of);
            if counted != Some(*held) {
                let (shown, counted) = (body::shown(hash), counted.unwrap_or_default());
                self.found(format!("body {shown}: held {held} times, counted {counted} times"));
            }
        }
        let derived = std::mem::take(&mut self.derived);
        for (key, value) in &self.cut.records {
            if let Some((list, task)) = keys::list(key).zip(keys::listed(key, value))
                && derived.get(key) != Some(value)
            {
                self.found(format!("task {task}: stale index entry in {list}"));
            }
        }
        for (key, value) in derived {
            if let Some((list, task)) = keys::list(&key).zip(keys::listed(&key, &value))
                && self.cut.get(&key).is_none()
            {
                self.found(format!("task {task}: it is missing from {list}"));
            }
        }
        for miscount in notices::miscounts(&self.cut.records) {
            self.found(miscount);
        }
    }

    /// Events that no head leads to: it is missing, or older than they are.
    fn beyond_heads(&mut self) -> Result<(), JournalError> {
        let mut from = keys::ALL_EVENTS.to_vec();
        loop {
            let found = self.cut.journal.disk().scan(keys::ALL_EVENTS, &from, 1)?;
            let Some((key, _)) = found.first() else { return Ok(()) };
            let Some((tenant, task)) = keys::task_of_event(key) else {
                self.found("the key of an event makes no sense");
                from = [&key[..], &[0]].concat();
                continue;
            };
            // Past the last event that a task can have.
            from = keys::event(&tenant, task, EventNumber(u64::MAX));
            let first = keys::number(key).unwrap_or_default();
            let head = self.cut.get(&keys::head(&tenant, task)).map(TaskHead::from_bytes);
            match head {
                None if self.cut.get(&keys::leaving(&tenant, task)).is_some() => {}
                // It may have been created since the cut.
                None if self.cut.journal.stored_head(&tenant, task)?.is_some() => {}
                None => self.found(format!(
                    "task {task}: its head is missing, and it has events from event {first} on"
                )),
                Some(Err(_)) => {}
                Some(Ok(head)) => self.younger_than(&tenant, task, &head)?,
            }
        }
    }

    /// Whether a task has events after those that its head names.
    fn younger_than(
        &mut self,
        tenant: &str,
        task: TaskId,
        head: &TaskHead,
    ) -> Result<(), JournalError> {
        let journal = &self.cut.journal;
        let next = keys::event(tenant, task, head.number.next());
        let now = journal.stored_head(tenant, task)?;
        let went_on = now.is_none_or(|now| now.number > head.number);
        if !went_on && journal.disk().get(&next)?.is_some() {
            let (last, next) = (head.number, head.number.next());
            self.found(format!(
                "task {task}, event {next}: it is there, and its head says that event {last} is the last"
            ));
        }
        Ok(())
    }

    /// What nothing leads to.
    fn orphans(&mut self) -> Result<(), JournalError> {
        let known: HashSet<Vec<u8>> =
            self.bodies.iter().map(|(tenant, body)| keys::body(tenant, &body.hash)).collect();
        let mut orphans = HashSet::new();
        self.cut.each::<JournalError>(keys::ALL_COUNTS, |key, _| {
            let of = keys::tenant(&key).zip(keys::hash(&key));
            if let Some((tenant, hash)) = of
                && !known.contains(&keys::body(&tenant, &hash))
                && self.cut.get(&key).is_some()
            {
                orphans.insert(hash);
            }
            Ok(())
        })?;
        // While some task cannot be read, or is being removed, nobody knows what it holds.
        if self.report.damaged.is_empty() && !self.cut.is_removing() {
            for hash in orphans {
                self.found(format!("body {}: no event holds it", body::shown(&hash)));
            }
        }
        Ok(())
    }
}
