//! Readers that do not read cost the orchestrator nothing, and miss nothing when they do; one that
//! asks for what is gone is told so.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says clearly enough what it expected")]

use remit_client::{Code, Error, Event, EventNumber, Events, Fact, Followed, TaskSpec};
use remit_journal::{Journal as _, SledJournal};
use remit_store::Disk;
use remit_tests::following::{AT_MOST, result};
use remit_tests::mesh::Mesh;

/// Many: if what one of them does not read were kept for it, that of all would be seen.
const READERS: usize = 40;

/// Says three megabytes.
const CHATTY: &str = "export default async (remit) => {
    for (let n = 0; n < 1500; n++) {
        console.log(`${n} ${'x'.repeat(2000)}`);
        if (n % 50 === 0) await remit.probe.look();
    }
}";

/// Longer than a client lets its reader be behind, after which it gives up the subscription.
const LATER: &str = "export default (remit) => remit.sleep(7000)";

/// The memory of a process, in KiB.
fn resident(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

async fn rest(mut events: Events) -> Vec<Event> {
    let mut seen = Vec::new();
    while let Some(followed) = events.next().await {
        if let Followed::Event(event) = followed.unwrap() {
            seen.push(event);
        }
    }
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_does_not_read_resumes_where_it_stood_and_nothing_is_kept_for_it() {
    let mesh = Mesh::start(2).await;
    let task = mesh.task(CHATTY, "").await;
    let before = resident(mesh.orchestrator.id());
    let mut readers = Vec::new();
    for _ in 0..READERS {
        readers.push(task.events(EventNumber(0)).await.unwrap());
    }
    result(&task).await;
    let later = mesh.client.create_task(TaskSpec::script("later", LATER)).await.unwrap();
    result(&later).await;
    let grown = resident(mesh.orchestrator.id()).saturating_sub(before);
    assert!(grown < 64 << 10, "{grown} KiB more for {READERS} readers of 3 MB each");

    for reader in readers {
        let seen = tokio::time::timeout(AT_MOST, rest(reader)).await.unwrap();
        let numbers: Vec<u64> = seen.iter().map(|event| event.number.0).collect();
        assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>(), "each once, in order");
        assert!(numbers.len() > 1_500, "{}", numbers.len());
        assert!(matches!(seen.last().unwrap().fact, Fact::TaskCompleted(_)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_before_what_is_kept_is_told_where_the_events_begin() {
    let mut mesh = Mesh::start(1).await;
    let task = mesh.task(CHATTY, "").await;
    result(&task).await;
    mesh.orchestrator.kill();
    {
        let disk = Disk::open(&mesh.dir().join("orchestrator/journal"), 8 << 20).unwrap();
        SledJournal::new(disk).prune("default", task.id(), EventNumber(500)).await.unwrap();
    }
    mesh.restart_orchestrator();
    let mut gone = task.events(EventNumber(100)).await.unwrap();
    let told = async {
        loop {
            match gone.next().await.unwrap() {
                Ok(Followed::Disconnected | Followed::Reconnected) => {}
                told => break told,
            }
        }
    };
    let told = tokio::time::timeout(AT_MOST, told).await.unwrap();
    let Err(Error::Failed(failure)) = told else { panic!("{told:?}") };
    assert_eq!(failure.code, Code::NotFound, "{failure}");
    assert!(failure.message.contains("event 501 on"), "{failure}");
    assert!(gone.next().await.is_none(), "that is the end of it");
    let kept = rest(task.events(EventNumber(500)).await.unwrap()).await;
    assert_eq!(kept.first().unwrap().number, EventNumber(501));
    assert!(matches!(kept.last().unwrap().fact, Fact::TaskCompleted(_)));
}
