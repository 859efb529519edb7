//! How long a task takes to come back from the journal, with a snapshot and without.
//!
//! Run it with `cargo bench -p remit-tests --bench resume`.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says clearly enough what it expected")]

use std::time::{Duration, Instant};

use remit_core::event::{Event, Fact, TaskCreated, TimeLimits};
use remit_core::status::Status;
use remit_core::{EventNumber, InputId, TaskId, Value};
use remit_orchestrator::journal::recovery::{recover, take_snapshot};
use remit_orchestrator::journal::{Journal, SledJournal, TaskHead};
use remit_tests::mesh::now_ms;
use remit_vat::disk::Disk;

const TENANT: &str = "default";

#[tokio::main(flavor = "multi_thread")]
async fn main() {
    // `cargo test --benches` runs this as well: it must be quick there.
    let quick = !std::env::args().any(|arg| arg == "--bench");
    let count = if quick { 5_000 } else { 100_000 };
    let dir = tempfile::tempdir().unwrap();
    let task = TaskId::new(now_ms(), [7; 10]);
    let journal = SledJournal::new(Disk::open(dir.path(), 64 << 20).unwrap());
    fill(&journal, task, count).await;
    println!("profile: {}", if cfg!(debug_assertions) { "debug" } else { "release" });
    let (all, from) = resumed(&journal, task);
    assert_eq!(from, 0);
    println!("{count} events, all folded            {} ms", all.as_millis());
    let began = Instant::now();
    let kept = tokio::task::block_in_place(|| take_snapshot(&journal, TENANT, task)).unwrap();
    println!("snapshot written, beside the work     {} ms", began.elapsed().as_millis());
    let (fast, from) = resumed(&journal, task);
    assert_eq!(from, kept.0);
    println!("{count} events, from the snapshot     {} ms", fast.as_millis());
    assert!(fast < Duration::from_secs(2), "a task of {count} events resumes in {fast:?}");
}

fn resumed(journal: &SledJournal, task: TaskId) -> (Duration, u64) {
    let began = Instant::now();
    let recovered = recover(journal, TENANT, task).unwrap().unwrap();
    (began.elapsed(), recovered.snapshot.0)
}

/// Writes a task that has been given `count` events: its beginning, and input.
async fn fill(journal: &SledJournal, task: TaskId, count: u64) {
    let created = TaskCreated {
        name: "long".into(),
        agent: "script".into(),
        source: Vec::new(),
        entry: "main.ts".into(),
        input: Value::Null,
        seed: vec![3; 32],
        labels: Vec::new(),
        creator: String::new(),
        deadline_ms: 0,
        memory_bytes: 0,
        export: String::new(),
        parent: None,
        detached: false,
        limits: TimeLimits::default(),
    };
    let mut facts = vec![Fact::TaskCreated(Box::new(created))];
    for number in 1..count {
        let value = Value::Text(format!("{number}: {}", "some words ".repeat(10)));
        let (sender, key) = ("spiffe://home/default/client/me".to_owned(), number.to_string());
        facts.push(Fact::InputAccepted {
            input: InputId(number),
            value,
            sender,
            key,
            steer: false,
        });
    }
    let mut number = EventNumber(0);
    for some in facts.chunks(1_000) {
        let events = some.iter().map(|fact| {
            number = number.next();
            Event { number, time_ms: number.0, fact: fact.clone() }
        });
        let head = TaskHead { status: Status::Running, ..TaskHead::default() };
        journal.append(TENANT, task, events.collect(), head).await.unwrap();
    }
}
