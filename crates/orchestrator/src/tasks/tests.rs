//! Tasks whose journal fails: what was acknowledged stays, what was not never happened.

mod sharing;

use std::cell::Cell;
use std::time::Duration;

use remit_core::event::{Event, SourceFile, TimeLimits};
use remit_core::status::Status;
use remit_core::task::Sent;
use remit_core::{Attempt, CallNumber, EventNumber, Role, Value};
use remit_journal::{MemoryJournal, Retention, SledJournal, TaskHead};
use remit_store::{Disk, Faults, Settings, Step};
use tokio::task::LocalSet;

use super::*;
use crate::limits;
use crate::serve::fakes::who;
use crate::services::membership::AndItsTasks;
use crate::services::retention::sweep;

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
    let (value, sender) = (Value::Text(text.into()), "me".into());
    Command::AcceptInput(Box::new(Sent { value, sender, key: text.into(), steer: false }))
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
        let halted = tasks.list(TENANT, Some(Status::Halted), None, 9, None).unwrap().0;
        assert_eq!((halted.len(), halted[0].0), (1, owner.key().task));
        assert!(halted[0].1.detail.contains("the disk is full"), "{:?}", halted[0].1);
        assert_eq!(tasks.list(TENANT, Some(Status::Pending), None, 9, None).unwrap().0, []);
        tokio::time::sleep(limits::JOURNAL_RETRY_MOST * 5).await;
        assert_eq!(tasks.owned(), 0, "not while the disk is full");
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

#[tokio::test(start_paused = true)]
async fn a_task_that_another_orchestrator_has_taken_over_is_left_to_it() {
    let test = async {
        let journal = Arc::new(MemoryJournal::new());
        let (first, second) = (open(&journal), open(&journal));
        let stale = first.create(spec(), &who(Role::Client, "me")).await.unwrap();
        let key = stale.key().clone();
        second.activate_all().unwrap();
        second.recovered().await;
        let owner = second.get(&key).unwrap();
        owner.record_durably(&input("of the second")).await.unwrap();
        let refused = stale.record_durably(&input("of the first")).await.unwrap_err();
        assert_eq!(refused.code, Code::Revoked, "{refused}");
        assert!(stale.is_closing());
        tokio::time::sleep(limits::JOURNAL_RETRY_MOST * 5).await;
        assert_eq!(first.owned(), 0, "it is not taken back");
        let shown = first.get(&key).unwrap();
        assert!(first.stands_in(&shown));
        let refused = shown.record(&input("again")).unwrap_err();
        assert_eq!(refused.code, Code::Revoked, "{refused}");
        owner.record_durably(&input("the second goes on")).await.unwrap();
        assert_eq!(second.owned(), 1);
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn a_task_that_is_found_while_it_is_created_has_one_owner() {
    on_failing_disk(async |tasks, _faults| {
        let me = who(Role::Client, "me");
        for _ in 0..20 {
            let list = || tasks.list(TENANT, None, None, 99, None).unwrap().0.into_iter();
            let seen: Vec<TaskId> = list().map(|(id, _)| id).collect();
            let (creating, me) = (Rc::clone(&tasks), me.clone());
            let created =
                tokio::task::spawn_local(async move { creating.create(spec(), &me).await });
            let found = loop {
                if let Some((id, _)) = list().find(|(id, _)| !seen.contains(id)) {
                    break id;
                }
                tokio::task::yield_now().await;
            };
            let key = TaskKey { tenant: TENANT.into(), task: found };
            let owner = tasks.get(&key).unwrap();
            assert!(Rc::ptr_eq(&owner, &created.await.unwrap().unwrap()));
        }
    })
    .await;
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
        let me = who(Role::Client, "me");
        let creator = me.to_string();
        let head = TaskHead { status: Status::Running, creator, ..TaskHead::default() };
        journal.append(TENANT, bad, &[senseless], head).await.unwrap();
        let tasks = open(&journal);
        let good = tasks.create(spec(), &me).await.unwrap();
        tasks.recovered().await;
        let listed = tasks.list(TENANT, None, None, 9, None).unwrap().0;
        let head = |task| listed.iter().find(|(id, _)| *id == task).map(|(_, head)| head).unwrap();
        assert_eq!(head(good.key().task).status, Status::Pending);
        assert_eq!(head(bad).status, Status::Halted);
        assert!(!head(bad).detail.is_empty());
        let halted = tasks.list(TENANT, Some(Status::Halted), None, 9, None).unwrap().0;
        assert_eq!((halted.len(), halted[0].0), (1, bad));
        let running = tasks.list(TENANT, Some(Status::Running), None, 9, None).unwrap().0;
        assert_eq!(running, [], "it does not run");
        let key = TaskKey { tenant: TENANT.into(), task: bad };
        assert!(tasks.get(&key).is_err(), "its failure is told");
        let admin = who(Role::Client, "admin");
        let stopped = tasks.stop_of(&me, "me left", &admin, AndItsTasks::ArePaused).await;
        assert!(stopped.is_err(), "one of them cannot be stopped");
        assert!(good.with(|task| task.paused().is_some()), "it keeps no other from it");
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_over_is_swept_away_once_nobody_works_with_it() {
    let test = async {
        let (registry, timing) = (Registry::new(Box::new(|| 7)), Timing::default());
        let (audit, tickets) = (Audit::in_memory(Box::new(|| 7)), Tickets::new());
        let now = Rc::new(Cell::new(1_000));
        let clock = Rc::clone(&now);
        let journal = Arc::new(MemoryJournal::new());
        let kept: Arc<dyn Journal> = Arc::<MemoryJournal>::clone(&journal);
        let clock = Box::new(move || clock.get());
        let tasks = Tasks::open(kept, audit, registry, tickets, timing, clock).unwrap();
        let me = who(Role::Client, "me");
        let brief = TimeLimits { retention_ms: 500, ..TimeLimits::default() };
        let ends = tasks.create(TaskSpec { limits: brief, ..spec() }, &me).await.unwrap();
        let stays = tasks.create(spec(), &me).await.unwrap();
        let lives = tasks.create(TaskSpec { limits: brief, ..spec() }, &me).await.unwrap();
        let (ended, stayed) = (ends.key().clone(), stays.key().clone());
        for owner in [ends, stays] {
            owner.cancel(Failure::new(Code::Cancelled, "enough"), "me").await.unwrap();
            while tasks.is_owned(owner.key()) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        let left = || tasks.list(TENANT, None, None, 9, None).unwrap().0.len();
        sweep(&tasks, Retention::default()).await.unwrap();
        assert_eq!(left(), 3, "its time has not come");
        now.set(10_000);
        sweep(&tasks, Retention::default()).await.unwrap();
        assert_eq!(left(), 2);
        assert!(journal.head(TENANT, ended.task).unwrap().is_none());
        let keep = Retention { cancelled: Some(Duration::from_secs(1)), ..Retention::default() };
        sweep(&tasks, keep).await.unwrap();
        assert!(journal.head(TENANT, stayed.task).unwrap().is_none());
        assert_eq!(left(), 1, "what goes on is kept");
        assert!(tasks.is_owned(lives.key()));
    };
    LocalSet::new().run_until(test).await;
}

/// Tasks on a disk that fails when it is told to.
async fn on_failing_disk(test: impl AsyncFn(Rc<Tasks>, Faults)) {
    let run = async {
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings::new(8 << 20);
        let faults = settings.faults.clone();
        let journal = SledJournal::new(Disk::open_with(dir.path(), settings).unwrap());
        let (registry, timing) = (Registry::new(Box::new(|| 7)), Timing::default());
        let (audit, tickets) = (Audit::in_memory(Box::new(|| 7)), Tickets::new());
        let tasks =
            Tasks::open(Arc::new(journal), audit, registry, tickets, timing, Box::new(|| 7))
                .unwrap();
        test(Rc::clone(&tasks), faults).await;
        tasks.shutdown().await;
    };
    LocalSet::new().run_until(run).await;
}

#[tokio::test]
async fn a_disk_that_fails_and_is_mended_needs_no_restart() {
    on_failing_disk(async |tasks, faults| {
        let me = who(Role::Client, "me");
        let mut kept = Vec::new();
        for step in [Step::Apply, Step::Flush, Step::Sync] {
            let owner = tasks.create(spec(), &me).await.unwrap();
            let idle = tasks.create(spec(), &me).await.unwrap();
            owner.record_durably(&input("kept")).await.unwrap();
            kept.push((owner.key().clone(), owner.with(|task| task.head().number)));
            kept.push((idle.key().clone(), idle.with(|task| task.head().number)));
            faults.break_at(step);
            let refused = owner.record_durably(&input("lost")).await.unwrap_err();
            assert!(refused.message.contains("injected"), "{refused}");
            let refused = tasks.create(spec(), &me).await.err().unwrap();
            assert_eq!(refused.code, Code::Unavailable, "{refused}");
            assert!(refused.message.contains("injected"), "{refused}");
            faults.mend();
            // Real time: the store tries again by itself.
            while tasks.create(spec(), &me).await.is_err()
                || tasks.stopped.why(owner.key()).is_some()
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            for (key, number) in &kept {
                let owner = tasks.get(key).unwrap();
                assert!(owner.with(|task| task.head().number) >= *number, "something is lost");
                owner.record_durably(&input(&format!("after {step:?}"))).await.unwrap();
            }
        }
        assert_eq!(tasks.list(TENANT, Some(Status::Halted), None, 9, None).unwrap().0, []);
    })
    .await;
}

/// A task that sleeps for a minute, and the wall clock that it goes by.
async fn sleeping(jump: impl Fn(u64) -> u64) -> (u64, u64) {
    const BEGUN_MS: u64 = 10 * 3_600_000;
    let test = async {
        let (begun, offset) = (tokio::time::Instant::now(), Rc::new(Cell::new(BEGUN_MS)));
        let wall = Rc::clone(&offset);
        let passed = move || u64::try_from(begun.elapsed().as_millis()).unwrap();
        let now_ms = Box::new(move || wall.get() + passed());
        let (registry, journal) = (Registry::new(Box::new(|| 7)), Arc::new(MemoryJournal::new()));
        let (audit, tickets) = (Audit::in_memory(Box::new(|| 7)), Tickets::new());
        let tasks =
            Tasks::open(journal, audit, registry, tickets, Timing::default(), now_ms).unwrap();
        let owner = tasks.create(spec(), &who(Role::Client, "me")).await.unwrap();
        owner.record_durably(&Command::StartAttempt { node: "n".into() }).await.unwrap();
        let (attempt, operation) = (Attempt(1), CallNumber(1));
        let sleep = Command::SetTimer { attempt, operation, duration_ms: 60_000 };
        owner.record_durably(&sleep).await.unwrap();
        let before = owner.with(|task| task.head());
        offset.set(jump(offset.get()));
        owner.durable(before.number.next()).await.unwrap();
        assert!(owner.with(|task| task.timers().count()) == 0, "the sleep is over");
        let after = owner.with(|task| task.head());
        assert!(after.time_ms >= before.time_ms, "time went back in the journal");
        let slept = u64::try_from(begun.elapsed().as_millis()).unwrap();
        tasks.shutdown().await;
        (slept, after.time_ms - BEGUN_MS)
    };
    LocalSet::new().run_until(test).await
}

#[tokio::test(start_paused = true)]
async fn a_sleep_lasts_as_long_when_the_clock_jumps_back() {
    let (slept, told) = sleeping(|ms| ms - 3_600_000).await;
    assert!((60_000..61_000).contains(&slept), "{slept}");
    assert!((30_000..61_000).contains(&told), "{told}");
    let (slept, _) = sleeping(|ms| ms).await;
    assert!((60_000..61_000).contains(&slept), "{slept}");
}

#[tokio::test(start_paused = true)]
async fn a_sleep_is_over_when_the_clock_jumps_past_its_end() {
    let (slept, told) = sleeping(|ms| ms + 3_600_000).await;
    assert!(slept <= 61_000, "{slept}");
    assert!(told >= 3_600_000, "{told}");
}

#[tokio::test]
async fn a_task_whose_maker_went_is_worked_on() {
    on_failing_disk(async |tasks, _| {
        let me = who(Role::Client, "me");
        let mut left = 0;
        for polls in 1..20 {
            let spec = || TaskSpec { key: format!("wish {polls}"), ..spec() };
            let mut making = Box::pin(tasks.create(spec(), &me));
            for _ in 0..polls {
                if futures::poll!(making.as_mut()).is_ready() {
                    break;
                }
                left += 1;
                tokio::task::yield_now().await;
            }
            drop(making);
            let again = tasks.create(spec(), &me).await.unwrap();
            let worked_on = async {
                while !tasks.is_owned(again.key()) {
                    tokio::task::yield_now().await;
                }
            };
            let worked_on = tokio::time::timeout(Duration::from_secs(10), worked_on).await;
            assert!(worked_on.is_ok(), "left after {polls} looks, and nobody works on it");
        }
        assert!(left > 0, "none was left on the way");
    })
    .await;
}

#[tokio::test]
async fn a_task_goes_on_when_whoever_tried_a_program_on_it_gives_up() {
    on_failing_disk(async |tasks, _| {
        let me = who(Role::Client, "me");
        let owner = tasks.create(spec(), &me).await.unwrap();
        // While the pause is on its way to the disk, and while the trial waits for an agent node.
        for paused_for in [1, 500] {
            let program = Program {
                source: spec().source,
                entry: spec().entry,
                at: EventNumber(0),
                again: std::collections::BTreeSet::new(),
                then: Then::Switch,
            };
            let mut trying = Box::pin(tasks.upgrade(owner.key(), program, &me));
            for _ in 0..paused_for {
                assert!(futures::poll!(trying.as_mut()).is_pending());
                assert!(owner.with(|task| task.paused().is_some()));
                tokio::task::yield_now().await;
            }
            drop(trying);
            assert!(owner.with(|task| task.paused().is_none()), "after {paused_for} looks");
        }
    })
    .await;
}
