//! One contract for every journal, and what a journal on disk must survive.

/// One body for every journal: each test gets an empty one.
macro_rules! contract {
    ($($name:ident)*) => {
        mod in_memory {
            $(#[test] fn $name() { super::$name(&super::MemoryJournal::new()); })*
        }
        mod on_disk {
            $(#[test] fn $name() {
                let dir = tempfile::TempDir::new().unwrap();
                super::$name(&super::open(&dir).1);
            })*
        }
    };
}

mod bodies;
mod contract;
mod damage;
mod full;
mod kept;
mod kill;
mod loss;
mod many;
mod meta;
mod whole;

use remit_core::event::TaskCreated;
use remit_core::{Attempt, Fact, Value};
use remit_store::{Disk, Settings};
use tempfile::TempDir;

use super::*;

const TENANT: &str = "default";
const CACHE: u64 = 8 << 20;

fn wait<F: Future>(future: F) -> F::Output {
    futures::executor::block_on(future)
}

fn task(n: u64) -> TaskId {
    TaskId::new(1_000 + n, [7; 10])
}

/// The first event of a task, for number 1, and some line of output for any other.
fn event(number: u64) -> Event {
    let fact = if number == 1 {
        Fact::TaskCreated(Box::new(TaskCreated {
            name: "notes".into(),
            agent: "script".into(),
            source: vec![],
            entry: "notes.ts".into(),
            input: Value::Null,
            seed: vec![3; 32],
            labels: vec![],
            creator: "spiffe://mesh/default/client/me".into(),
            deadline_ms: 0,
            memory_bytes: 0,
            export: String::new(),
            parent: None,
            detached: false,
            limits: remit_core::event::TimeLimits::default(),
        }))
    } else {
        let (level, text) = (remit_core::event::Level::Info, format!("line {number}"));
        Fact::LogEmitted { line: number, level, text }
    };
    Event { number: EventNumber(number), time_ms: number, fact }
}

fn events(numbers: std::ops::RangeInclusive<u64>) -> Vec<Event> {
    numbers.map(event).collect()
}

fn head(status: Status) -> TaskHead {
    TaskHead { name: "notes".into(), status, attempt: Attempt(1), ..TaskHead::default() }
}

/// Appends and waits.
fn append(
    journal: &dyn Journal,
    n: u64,
    numbers: std::ops::RangeInclusive<u64>,
    status: Status,
) -> Result<(), JournalError> {
    wait(journal.append(TENANT, task(n), &events(numbers), head(status)))
}

/// Reads everything, page by page.
fn read_all(journal: &dyn Journal, n: u64) -> Result<Vec<Event>, JournalError> {
    let mut all: Vec<Event> = Vec::new();
    loop {
        let after = all.last().map(|event| event.number).unwrap_or_default();
        let page = journal.read(TENANT, task(n), after, 7)?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

fn open(dir: &TempDir) -> (Disk, SledJournal) {
    let disk = Disk::open_with(dir.path(), SledJournal::settings(CACHE)).unwrap();
    (disk.clone(), SledJournal::new(disk))
}
