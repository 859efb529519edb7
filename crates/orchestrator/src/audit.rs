//! Reading the audit: the mesh's own stream, then the projection of each task's journal, in pages.

use remit_core::audit::{Decision, Projection, Record};
use remit_core::{Code, EventNumber, Failure, TaskId};
use remit_journal::audit::Audit;
use remit_journal::{Journal, JournalError};

use crate::limits;

/// Which records are wanted. What is empty or `None` wants all.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of this task only.
    pub task: Option<TaskId>,
    /// Whose: a whole identity, or its last part.
    pub who: String,
    /// Of this tool.
    pub tool: String,
    /// With this decision.
    pub decision: Option<Decision>,
    /// Not before this moment, in milliseconds since 1970.
    pub since_ms: u64,
}

/// Some records, and where to go on. An empty cursor says that there are no more.
pub type Page = (Vec<Record>, String);

/// How far a check of the chains has come.
#[derive(Debug, Default)]
pub struct Checked {
    /// Records and events that are what was written.
    pub count: u64,
    /// Where a chain is broken, in words for a person.
    pub broken: Vec<String>,
    /// Where to go on; empty: it is done.
    pub cursor: String,
}

/// Where a page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// After this record of the mesh's own stream.
    Mesh(u64),
    /// After this event of a task.
    Task(TaskId, u64),
    /// After all of this task.
    Past(TaskId),
}

/// All that can be read of the audit of one tenant.
pub struct Reader<'a> {
    /// What happened outside of tasks.
    pub audit: &'a Audit,
    /// What happened in them.
    pub journal: &'a dyn Journal,
    /// Whose.
    pub tenant: &'a str,
}

impl Filter {
    fn wants(&self, record: &Record) -> bool {
        let is = |name: &str, wanted: &str| {
            wanted.is_empty() || name == wanted || name.rsplit('/').next() == Some(wanted)
        };
        (self.task.is_none() || record.task == self.task)
            && is(&record.who, &self.who)
            && (self.tool.is_empty() || record.tool == self.tool)
            && self.decision.is_none_or(|decision| decision == record.decision)
            && record.time_ms >= self.since_ms
    }
}

impl Reader<'_> {
    /// The next page of records that `filter` wants, in the order of each stream.
    pub fn page(&self, filter: &Filter, cursor: &str, limit: usize) -> Result<Page, Failure> {
        let limit = limit.clamp(1, limits::AUDIT_RECORDS_PER_PAGE);
        let mut at = match (parse(cursor)?, filter.task) {
            (None, Some(task)) => At::Task(task, 0),
            (None, None) => At::Mesh(0),
            (Some(at), _) => at,
        };
        let mut found = Vec::new();
        let mut looked = 0;
        while found.len() < limit && looked < limits::AUDIT_EVENTS_PER_PAGE {
            let wanted = limit - found.len();
            let next = match at {
                At::Mesh(after) => {
                    let read = self.audit.read(self.tenant, after, wanted)?;
                    looked += read.len();
                    let next = read.last().map(|last| At::Mesh(last.number));
                    found.extend(read.into_iter().filter(|record| filter.wants(record)));
                    if next.is_some() { next } else { self.next_task(None)? }
                }
                At::Task(task, after) => {
                    let (read, seen, next) = self.of_task(task, after, filter, wanted)?;
                    looked += seen + 1;
                    found.extend(read);
                    Some(next)
                }
                At::Past(_) if filter.task.is_some() => None,
                At::Past(task) => self.next_task(Some(task))?,
            };
            match next {
                Some(next) => at = next,
                None => return Ok((found, String::new())),
            }
        }
        Ok((found, written(at)))
    }

    /// Checks the hash chains of all streams, some of them at a time.
    pub fn verify(&self, cursor: &str) -> Result<Checked, Failure> {
        let mut checked = Checked::default();
        let mut at = parse(cursor)?.unwrap_or(At::Mesh(0));
        while checked.count < limits::AUDIT_EVENTS_PER_PAGE as u64 {
            let (read, next) = match at {
                At::Mesh(after) => {
                    match self.audit.read(self.tenant, after, limits::EVENTS_PER_BATCH) {
                        Ok(read) => (read.len(), read.last().map(|record| At::Mesh(record.number))),
                        Err(broken) => {
                            checked.broken.push(broken.to_string());
                            (0, None)
                        }
                    }
                }
                At::Task(task, after) => self.check(task, after, &mut checked.broken),
                At::Past(_) => (0, None),
            };
            checked.count += read as u64;
            at = match (next, at) {
                (Some(next), _) => next,
                (None, At::Mesh(_)) => match self.next_task(None)? {
                    Some(next) => next,
                    None => return Ok(checked),
                },
                (None, At::Task(task, _) | At::Past(task)) => match self.next_task(Some(task))? {
                    Some(next) => next,
                    None => return Ok(checked),
                },
            };
        }
        checked.cursor = written(at);
        Ok(checked)
    }

    /// Up to `limit` records of the events after `after`, how many events were looked at, and where
    /// to go on. Events before are gone through for the grants that they made; of those that were
    /// pruned, the snapshot that stands for them says so.
    fn of_task(
        &self,
        task: TaskId,
        after: u64,
        filter: &Filter,
        limit: usize,
    ) -> Result<(Vec<Record>, usize, At), Failure> {
        let mut projection = Projection::new(task);
        let mut number = EventNumber(0);
        let mut found = Vec::new();
        let mut looked = 0;
        loop {
            let read = self.journal.read(self.tenant, task, number, limits::EVENTS_PER_BATCH);
            let events = match read {
                Err(JournalError::Pruned { .. }) if number.0 == 0 => {
                    let snapshot = self.journal.snapshot(self.tenant, task);
                    let snapshot = snapshot.map_err(JournalError::into_failure)?;
                    let Some(state) = snapshot.and_then(|snapshot| snapshot.task().ok()) else {
                        return Ok((found, looked, At::Past(task)));
                    };
                    number = state.head().number;
                    projection = Projection::after(task, &state);
                    continue;
                }
                read => read.map_err(JournalError::into_failure)?,
            };
            if events.is_empty() {
                return Ok((found, looked, At::Past(task)));
            }
            for event in &events {
                number = event.number;
                let record = projection.next(event).filter(|_| number.0 > after);
                looked += usize::from(number.0 > after);
                if let Some(record) = record.filter(|record| filter.wants(record)) {
                    let hash = self.journal.hash(self.tenant, task, number);
                    let hash = hash.map_err(JournalError::into_failure)?;
                    found.push(Record { hash: hash.unwrap_or_default(), ..record });
                }
                if found.len() >= limit || looked >= limits::AUDIT_EVENTS_PER_PAGE {
                    return Ok((found, looked, At::Task(task, number.0)));
                }
            }
        }
    }

    fn check(&self, task: TaskId, after: u64, broken: &mut Vec<String>) -> (usize, Option<At>) {
        let batch = limits::EVENTS_PER_BATCH;
        match self.journal.read(self.tenant, task, EventNumber(after), batch) {
            Ok(read) => {
                let next = read.last().map(|event| At::Task(task, event.number.0));
                (read.len(), next)
            }
            Err(JournalError::Pruned { first, .. }) if after == 0 => {
                (0, Some(At::Task(task, first.0.saturating_sub(1))))
            }
            Err(error) => {
                broken.push(error.to_string());
                (0, None)
            }
        }
    }

    fn next_task(&self, after: Option<TaskId>) -> Result<Option<At>, Failure> {
        let listed = self.journal.list(self.tenant, None, after, 1);
        let listed = listed.map_err(JournalError::into_failure)?;
        Ok(listed.first().map(|(task, _)| At::Task(*task, 0)))
    }
}

fn parse(cursor: &str) -> Result<Option<At>, Failure> {
    let read = || match cursor.split_once(':')? {
        ("mesh", number) => Some(At::Mesh(number.parse().ok()?)),
        (task, "past") => Some(At::Past(task.parse().ok()?)),
        (task, number) => Some(At::Task(task.parse().ok()?, number.parse().ok()?)),
    };
    if cursor.is_empty() {
        return Ok(None);
    }
    let why = || Failure::new(Code::InvalidArgument, "that is no cursor that was given out here");
    read().map(Some).ok_or_else(why)
}

fn written(at: At) -> String {
    match at {
        At::Mesh(number) => format!("mesh:{number}"),
        At::Task(task, number) => format!("{task}:{number}"),
        At::Past(task) => format!("{task}:past"),
    }
}
