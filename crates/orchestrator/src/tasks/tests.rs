//! Tasks whose journal fails: what was acknowledged stays, what was not never happened.

use remit_core::event::SourceFile;
use remit_core::{EventNumber, Role, Value};
use tokio::task::LocalSet;

use super::*;
use crate::journal::MemoryJournal;
use crate::serve::fakes::who;

const TENANT: &str = "default";

fn open(journal: &Arc<MemoryJournal>) -> Rc<Tasks> {
    let journal: Arc<dyn Journal> = Arc::<MemoryJournal>::clone(journal);
    let registry = Registry::new(Box::new(|| 7));
    let audit = Audit::in_memory(Box::new(|| 7));
    Tasks::open(journal, audit, registry, Tickets::new(), Timing::default(), Box::new(|| 7))
        .unwrap()
}

fn spec() -> TaskSpec {
    TaskSpec {
        name: "nothing much".into(),
        agent: "script".into(),
        source: vec![SourceFile { path: "main.js".into(), text: "export default () => 1".into() }],
        entry: "main.js".into(),
        input: Value::Null,
        labels: Vec::new(),
        grants: Vec::new(),
        key: String::new(),
        ..TaskSpec::default()
    }
}

fn input(text: &str) -> Command {
    Command::AcceptInput { value: Value::Text(text.into()), sender: "me".into(), key: text.into() }
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_fails_halts_the_task_until_it_works_again() {
    let test = async {
        let journal = Arc::new(MemoryJournal::new());
        let tasks = open(&journal);
        let me = who(Role::Client, "me");
        let owner = tasks.create(spec(), &me).await.unwrap();
        owner.record_durably(&input("kept")).await.unwrap();
        let kept = owner.with(|task| task.head().number);
        journal.refuse(Some("the disk is full"));
        let refused = owner.record_durably(&input("lost")).await.unwrap_err();
        assert!(refused.message.contains("the disk is full"), "{refused}");
        let refused = tasks.create(spec(), &me).await.err().unwrap();
        assert!(refused.message.contains("the disk is full"), "{refused}");
        assert!(owner.is_closing());
        journal.refuse(None);
        // Time is paused: it passes as soon as nothing else is left to do.
        while tasks.owned() == 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let fresh = tasks.get(owner.key()).unwrap();
        assert_eq!(fresh.with(|task| task.head().number), kept, "nothing kept is gone");
        fresh.record_durably(&input("again")).await.unwrap();
        assert_eq!(fresh.with(|task| task.head().number), kept.next());
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn a_task_whose_journal_makes_no_sense_stops_and_others_go_on() {
    let test = async {
        let journal = Arc::new(MemoryJournal::new());
        let bad = TaskId::new(1, rand::random());
        let senseless = Event {
            number: EventNumber(1),
            time_ms: 7,
            fact: Fact::TaskCancelled("before it began".into()),
        };
        let head = TaskHead { status: Status::Running, ..TaskHead::default() };
        journal.append(TENANT, bad, vec![senseless], head).await.unwrap();
        let tasks = open(&journal);
        let good = tasks.create(spec(), &who(Role::Client, "me")).await.unwrap();
        let listed = tasks.list(TENANT, None, None, 9).unwrap();
        let head = |task| listed.iter().find(|(id, _)| *id == task).map(|(_, head)| head).unwrap();
        assert_eq!(head(good.key().task).status, Status::Pending);
        assert_eq!(head(bad).status, Status::Halted);
        assert!(!head(bad).detail.is_empty());
        let key = TaskKey { tenant: TENANT.into(), task: bad };
        assert!(tasks.get(&key).is_err(), "whoever asks for it is told");
    };
    LocalSet::new().run_until(test).await;
}
