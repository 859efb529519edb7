//! How long a task takes to resume: from the journal, with and without a snapshot, and as a whole,
//! from the start of a killed orchestrator to the next step of the script.
//!
//! Run it with `cargo bench -p remit-tests --bench resume`.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says clearly enough what it expected")]

use std::time::{Duration, Instant};

use remit_client::{Followed, TaskHandle};
use remit_core::event::{Event, Fact, TaskCreated, TimeLimits};
use remit_core::status::Status;
use remit_core::{EventNumber, InputId, TaskId, Value};
use remit_journal::recovery::{recover, take_snapshot};
use remit_journal::{Journal, SledJournal, TaskHead};
use remit_store::Disk;
use remit_tests::figures::is_quick;
use remit_tests::mesh::{Mesh, now_ms};

const TENANT: &str = "default";

#[tokio::main(flavor = "multi_thread")]
async fn main() {
    let quick = is_quick();
    let count = if quick { 5_000 } else { 100_000 };
    let dir = tempfile::tempdir().unwrap();
    let task = TaskId::new(now_ms(), [7; 10]);
    let journal = SledJournal::new(Disk::open(dir.path(), 64 << 20).unwrap());
    fill(&journal, task, count).await;
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
    let whole = whole(count / 2).await;
    assert!(quick || whole < Duration::from_secs(2), "its script goes on after {whole:?}");
}

/// A script makes so many calls, of two events each, and waits for input. Everything but the tool
/// is then killed. Measures from the restart until the call after the input is done.
async fn whole(calls: u64) -> Duration {
    let mut mesh = Mesh::start(1).await;
    let script = format!(
        "export default async (remit) => {{
            let left = {calls};
            const lane = async () => {{ while (left-- > 0) await remit.probe.look(); }};
            await Promise.all(Array.from({{ length: 64 }}, lane));
            const line = await remit.input();
            await remit.probe.append(line);
        }}"
    );
    let task = mesh.task(&script, "").await;
    let began = Instant::now();
    let last = until_asked(&task).await;
    println!("a script of {calls} calls: {last} events in {} ms", began.elapsed().as_millis());
    mesh.orchestrator.kill();
    mesh.agents[0].kill();
    let killed = Instant::now();
    mesh.restart_orchestrator();
    mesh.restart_agent(0).await;
    task.send(Value::Text("on".into())).await.unwrap();
    task.result().await.unwrap();
    let whole = killed.elapsed();
    assert_eq!(mesh.appended(), ["on"]);
    println!("  from the restart to its next step   {} ms", whole.as_millis());
    whole
}

/// Waits until the script asks for input, and returns the number of that event.
async fn until_asked(task: &TaskHandle) -> u64 {
    let mut events = task.events(EventNumber(0)).await.unwrap();
    while let Some(followed) = events.next().await {
        if let Followed::Event(event) = followed.unwrap() {
            match event.fact {
                Fact::InputRequested { .. } => return event.number.0,
                Fact::TaskFailed(failure) => panic!("{failure:?}"),
                _ => {}
            }
        }
    }
    panic!("the events ended");
}

fn resumed(journal: &SledJournal, task: TaskId) -> (Duration, u64) {
    let began = Instant::now();
    let recovered = recover(journal, TENANT, task).unwrap().unwrap();
    (began.elapsed(), recovered.snapshot.0)
}

/// Writes a task of `count` events: its creation, and inputs.
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
        journal.append(TENANT, task, &events.collect::<Vec<_>>(), head).await.unwrap();
    }
}
