//! Whom operators have told, how often, and of what.

use std::cell::Cell;

use remit_core::event::Fact;
use remit_core::status::Status;
use remit_core::{Event, EventNumber, TaskId, Value};
use remit_journal::TaskHead;
use remit_store::Disk;

use super::*;

fn sink(name: &str) -> SinkConfig {
    SinkConfig::post(name, "http://127.0.0.1:1/".into())
}

fn journal(dir: &std::path::Path) -> SledJournal {
    SledJournal::new(Disk::open_with(dir, SledJournal::settings(1 << 20)).unwrap())
}

/// Ends a task that `creator` created, or has it fail.
async fn end(journal: &SledJournal, id: u8, creator: &str) {
    happens(journal, id, creator, Fact::TaskCompleted(Value::Null), Status::Completed).await;
}

async fn happens(journal: &SledJournal, id: u8, creator: &str, fact: Fact, status: Status) {
    let event = Event { number: EventNumber(1), time_ms: u64::from(id), fact };
    let (name, creator) = (format!("task {id}"), creator.to_owned());
    let head = TaskHead { name, status, creator, ..TaskHead::default() };
    let task = TaskId::from_bytes([id; 16]);
    journal.append("default", task, &[event], head).await.unwrap();
}

fn ends(sinks: &[&str]) -> Vec<(String, Topic)> {
    sinks.iter().map(|sink| ((*sink).to_owned(), Topic::Ended)).collect()
}

/// Tells a sink of all that waits; the numbers, in the order in which it was told.
async fn tell_rest(journal: &SledJournal, sink: &str, topic: Topic) -> Vec<u64> {
    let (mut numbers, mut last) = (Vec::new(), None);
    while let Some(next) = journal.untold(sink, topic, last.as_ref()).unwrap() {
        journal.told(&next).await.unwrap();
        numbers.push(next.number);
        last = Some(next);
    }
    numbers
}

#[tokio::test]
async fn each_sink_is_told_by_itself_and_of_nothing_that_came_before() {
    let dir = tempfile::tempdir().unwrap();
    {
        let journal = journal(dir.path());
        end(&journal, 1, "me").await;
        journal.keep_notices_for(&ends(&["a", "b"])).await.unwrap();
        for id in 2..5 {
            end(&journal, id, "me").await;
        }
        assert_eq!(tell_rest(&journal, "a", Topic::Ended).await, [1, 2, 3]);
        end(&journal, 5, "me").await;
    }
    let journal = journal(dir.path());
    journal.keep_notices_for(&ends(&["a", "b"])).await.unwrap();
    assert_eq!(tell_rest(&journal, "a", Topic::Ended).await, [4]);
    journal.keep_notices_for(&ends(&["a"])).await.unwrap();
    journal.keep_notices_for(&ends(&["a", "b"])).await.unwrap();
    assert_eq!(tell_rest(&journal, "b", Topic::Ended).await, [0; 0], "its name was taken out");
    journal.keep_notices_for(&[]).await.unwrap();
    end(&journal, 9, "me").await;
    journal.keep_notices_for(&ends(&["a", "b"])).await.unwrap();
    assert_eq!(tell_rest(&journal, "a", Topic::Ended).await, [0; 0], "nothing is kept for no sink");
}

#[tokio::test]
async fn creators_take_turns_and_push_out_only_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let journal = journal(dir.path());
    journal.keep_notices_for(&ends(&["a"])).await.unwrap();
    let most = u64::try_from(remit_journal::limits::NOTICES).unwrap();
    end(&journal, 1, "you").await;
    let task = TaskId::from_bytes([2; 16]);
    // One task that ends as often as no task does, which a journal does not mind.
    for number in 1..=most + 3 {
        let fact = Fact::TaskCompleted(Value::Null);
        let event = Event { number: EventNumber(number), time_ms: 1, fact };
        let head = TaskHead { creator: "me".into(), ..TaskHead::default() };
        journal.append("default", task, &[event], head).await.unwrap();
    }
    end(&journal, 3, "you").await;
    let first = journal.untold("a", Topic::Ended, None).unwrap().unwrap();
    assert_eq!((first.number, first.given_up, first.creator.as_str()), (5, 3, "me"));
    journal.told(&first).await.unwrap();
    let second = journal.untold("a", Topic::Ended, Some(&first)).unwrap().unwrap();
    assert_eq!((second.number, second.given_up, second.creator.as_str()), (1, 0, "you"));
    journal.told(&second).await.unwrap();
    let third = journal.untold("a", Topic::Ended, Some(&second)).unwrap().unwrap();
    assert_eq!((third.number, third.given_up), (6, 0), "what was given up is told of once");
    let rest = tell_rest(&journal, "a", Topic::Ended).await;
    assert_eq!(rest[..3], [6, most + 5, 7], "the other one's comes in its turn");
    assert_eq!(rest.len(), remit_journal::limits::NOTICES);
}

#[tokio::test]
async fn questions_do_not_wait_behind_ends() {
    let dir = tempfile::tempdir().unwrap();
    let journal = journal(dir.path());
    let both = Topic::ALL.map(|topic| ("a".to_owned(), topic));
    journal.keep_notices_for(&both).await.unwrap();
    for id in 1..4 {
        end(&journal, id, "me").await;
    }
    let asked = Fact::SettlementRequested(Box::new(remit_core::event::SettlementRequested {
        call: remit_core::CallNumber(1),
        reason: "lost".into(),
        ledger: remit_core::event::Ledger::None,
    }));
    happens(&journal, 9, "me", asked, Status::Waiting).await;
    assert_eq!(tell_rest(&journal, "a", Topic::Question).await, [4]);
    assert_eq!(tell_rest(&journal, "a", Topic::Ended).await, [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn sink_that_takes_nothing_is_given_up_after_bounded_tries() {
    let tries = Cell::new(0);
    let told = try_to_tell("x", || async {
        tries.set(tries.get() + 1);
        Err(NotTaken::Failed("no".to_owned()))
    })
    .await;
    assert_eq!((told, tries.get()), (Err("no".to_owned()), limits::NOTICE_TRIES));
    let second = Cell::new(false);
    let told = try_to_tell("x", || async {
        if second.replace(true) { Ok(()) } else { Err(NotTaken::Failed("not yet".to_owned())) }
    })
    .await;
    assert_eq!(told, Ok(()));
}

#[tokio::test]
async fn sink_that_refuses_is_not_asked_again() {
    let tries = Cell::new(0);
    let told = try_to_tell("x", || async {
        tries.set(tries.get() + 1);
        Err(NotTaken::Refused("it answered 404".to_owned()))
    });
    assert_eq!((told.await, tries.get()), (Err("it answered 404".to_owned()), 1));
}

#[test]
fn sink_that_cannot_be_told_is_refused() {
    let command = SinkConfig { url: None, command: vec!["true".into()], ..sink("c") };
    check(&[sink("a"), command.clone()]).unwrap();
    let wrong = |config: SinkConfig| check(&[config]).unwrap_err();
    assert!(wrong(SinkConfig { url: None, ..sink("a") }).contains("either"));
    assert!(wrong(SinkConfig { command: vec!["true".into()], ..sink("a") }).contains("either"));
    assert!(wrong(SinkConfig { url: Some("ftp://x".into()), ..sink("a") }).contains("http"));
    assert!(wrong(SinkConfig { secret_file: Some("s".into()), ..command }).contains("signs"));
    assert!(check(&[sink("a"), sink("a")]).unwrap_err().contains("two"));
}

#[test]
fn message_names_the_task_and_says_nothing_of_what_it_holds() {
    let notice = Notice {
        tenant: "default".into(),
        task: TaskId::from_bytes([7; 16]),
        event: EventNumber(9),
        time_ms: 11,
        what: remit_journal::What::Approval,
    };
    let said: serde_json::Value = serde_json::from_str(&message(3, &notice, "nightly")).unwrap();
    let wanted = json!({
        "notification": 3, "event": "question", "kind": "approval",
        "task": "07070707-0707-0707-0707-070707070707", "name": "nightly", "number": 9, "timeMs": 11,
    });
    assert_eq!(said, wanted);
}
