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

async fn end(journal: &SledJournal, id: u8) {
    let fact = Fact::TaskCompleted(Value::Null);
    let event = Event { number: EventNumber(1), time_ms: u64::from(id), fact };
    let head =
        TaskHead { name: format!("task {id}"), status: Status::Completed, ..TaskHead::default() };
    let task = TaskId::from_bytes([id; 16]);
    journal.append("default", task, vec![event], head).await.unwrap();
}

fn numbers(journal: &SledJournal, sink: &str) -> Vec<u64> {
    journal.untold(sink, 100).unwrap().next.iter().map(|(number, _)| *number).collect()
}

#[tokio::test]
async fn each_sink_has_a_cursor_of_its_own_and_what_all_were_told_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let both = ["a".to_owned(), "b".to_owned()];
    {
        let journal = journal(dir.path());
        end(&journal, 1).await;
        journal.keep_notices_for(&both).await.unwrap();
        for id in 2..5 {
            end(&journal, id).await;
        }
        assert_eq!(numbers(&journal, "a"), [1, 2, 3], "what came before is no news");
        journal.told("a", 2).await.unwrap();
    }
    let journal = journal(dir.path());
    journal.keep_notices_for(&both).await.unwrap();
    assert_eq!((numbers(&journal, "a"), numbers(&journal, "b")), (vec![3], vec![1, 2, 3]));
    journal.told("b", 1).await.unwrap();
    journal.keep_notices_for(&both[..1]).await.unwrap();
    journal.keep_notices_for(&both).await.unwrap();
    assert_eq!((numbers(&journal, "a"), numbers(&journal, "b")), (vec![3], vec![]));
    journal.keep_notices_for(&[]).await.unwrap();
    end(&journal, 9).await;
    journal.keep_notices_for(&both).await.unwrap();
    assert_eq!(numbers(&journal, "a"), [0; 0], "nothing is kept for nobody");
}

#[tokio::test(start_paused = true)]
async fn sink_that_takes_nothing_is_given_up_after_bounded_tries() {
    let tries = Cell::new(0);
    let told = try_to_tell("x", || async {
        tries.set(tries.get() + 1);
        Err("no".to_owned())
    })
    .await;
    assert_eq!((told, tries.get()), (Err("no".to_owned()), limits::NOTICE_TRIES));
    let second = Cell::new(false);
    let told = try_to_tell("x", || async {
        if second.replace(true) { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await;
    assert_eq!(told, Ok(()));
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
