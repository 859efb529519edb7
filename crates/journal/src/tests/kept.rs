//! What is kept, and for how long: snapshots, pruned histories, removed tasks.

use std::time::Duration;

use remit_core::task::{Command, Decision, Sent};
use remit_core::{CallNumber, Code, InputId, Task};

use super::*;
use crate::limits;
use crate::recovery::{prune_history, recover, snapshot_is_due, take_snapshot};

contract! {
    recovery_from_a_snapshot_and_the_rest_is_recovery_from_all
    a_stale_snapshot_is_passed_over_while_all_events_are_there
    an_older_snapshot_does_not_replace_a_newer_one
    a_snapshot_of_what_is_not_recorded_is_refused
    pruned_events_are_gone_and_the_rest_is_read_as_before
    nothing_after_the_snapshot_is_pruned
    history_is_pruned_by_its_age
    a_removed_task_leaves_nothing_but_room
    a_task_that_has_not_ended_is_not_removed
    what_is_over_is_found
    a_task_is_kept_for_as_long_as_it_says_itself
}

/// A task in the middle of its life: `count` events of all that it may be given from outside.
pub(super) fn life(count: u64) -> Vec<Event> {
    let first = event(1);
    let mut task = Task::begin(&first).unwrap();
    let mut events = vec![first];
    let mut record = |task: &mut Task, command: Command| {
        let now_ms = task.head().time_ms + 1;
        let Ok(Decision::Record(facts)) = task.decide(&command, now_ms) else {
            panic!("{command:?}")
        };
        for fact in facts {
            let event = Event { number: task.head().number.next(), time_ms: now_ms, fact };
            task.apply(&event).unwrap();
            events.push(event);
        }
        events.len() as u64
    };
    record(&mut task, Command::StartAttempt { node: "n".into() });
    let mut operation = 0;
    loop {
        let attempt = task.running().unwrap();
        let value = Value::Data(vec![7; 20]);
        let key = format!("key {operation}");
        let sent = Sent { value, sender: "me".into(), key, steer: false };
        record(&mut task, Command::AcceptInput(Box::new(sent)));
        operation += 1;
        let number = CallNumber(operation);
        let done = record(&mut task, Command::RequestInput { attempt, operation: number });
        if done >= count {
            break;
        }
    }
    assert_ne!(task.last_input(), InputId(0));
    events.truncate(usize::try_from(count).unwrap());
    events
}

pub(super) fn fold(events: &[Event]) -> Task {
    Task::fold(events).unwrap().unwrap()
}

pub(super) fn write(journal: &dyn Journal, n: u64, events: &[Event]) {
    let mut written = 0;
    for some in events.chunks(500) {
        written += some.len();
        // What follows on events that are not here says nothing of the task as a whole.
        let head = match events[0].number.0 {
            1 => TaskHead::of(&fold(&events[..written]), task(n)),
            _ => head(Status::Running),
        };
        wait(journal.append(TENANT, task(n), some, head)).unwrap();
    }
}

pub(super) fn keep(journal: &dyn Journal, n: u64, events: &[Event]) {
    let snapshot = Snapshot::of(&fold(events)).unwrap();
    wait(journal.keep_snapshot(TENANT, task(n), snapshot)).unwrap();
}

fn recovered(journal: &dyn Journal, n: u64) -> (Task, u64) {
    let recovered = recover(journal, TENANT, task(n)).unwrap().unwrap();
    (recovered.task, recovered.snapshot.0)
}

fn recovery_from_a_snapshot_and_the_rest_is_recovery_from_all(journal: &dyn Journal) {
    let events = life(limits::SNAPSHOT_EVENTS + 700);
    let (before, after) = events.split_at(usize::try_from(limits::SNAPSHOT_EVENTS).unwrap());
    write(journal, 1, before);
    assert_eq!(recovered(journal, 1).1, 0);
    let taken = take_snapshot(journal, TENANT, task(1)).unwrap();
    assert_eq!(taken.0, limits::SNAPSHOT_EVENTS);
    write(journal, 1, after);
    let (task, from) = recovered(journal, 1);
    assert_eq!((task, from), (fold(&events), limits::SNAPSHOT_EVENTS));
    let again = take_snapshot(journal, TENANT, super::task(1)).unwrap();
    assert_eq!(again, taken, "too few events came on top for another");
    assert!(recover(journal, TENANT, super::task(2)).unwrap().is_none());
}

fn a_stale_snapshot_is_passed_over_while_all_events_are_there(journal: &dyn Journal) {
    let events = life(40);
    write(journal, 1, &events);
    let mut stale = Snapshot::of(&fold(&events[..20])).unwrap();
    stale.rules = "of another program".into();
    wait(journal.keep_snapshot(TENANT, task(1), stale)).unwrap();
    assert_eq!(recovered(journal, 1), (fold(&events), 0));
    wait(journal.prune(TENANT, task(1), EventNumber(10))).unwrap();
    assert_eq!(recovered(journal, 1), (fold(&events), 20), "it is all there is");
}

fn an_older_snapshot_does_not_replace_a_newer_one(journal: &dyn Journal) {
    let events = life(40);
    write(journal, 1, &events);
    keep(journal, 1, &events[..30]);
    keep(journal, 1, &events[..20]);
    assert_eq!(journal.snapshot(TENANT, task(1)).unwrap().unwrap().number, EventNumber(30));
    keep(journal, 1, &events[..31]);
    assert_eq!(recovered(journal, 1), (fold(&events), 31));
}

fn a_snapshot_of_what_is_not_recorded_is_refused(journal: &dyn Journal) {
    let events = life(40);
    write(journal, 1, &events[..30]);
    let early = Snapshot::of(&fold(&events)).unwrap();
    assert!(wait(journal.keep_snapshot(TENANT, task(1), early.clone())).is_err());
    assert_eq!(journal.snapshot(TENANT, task(1)).unwrap(), None);
    wait(journal.keep_snapshot(TENANT, task(2), early)).unwrap();
    assert_eq!(journal.snapshot(TENANT, task(2)).unwrap(), None, "there is no such task");
}

fn pruned_events_are_gone_and_the_rest_is_read_as_before(journal: &dyn Journal) {
    let events = life(60);
    write(journal, 1, &events);
    keep(journal, 1, &events[..40]);
    wait(journal.prune(TENANT, task(1), EventNumber(25))).unwrap();
    let first = EventNumber(26);
    for after in [0, 7, 24] {
        let asked = EventNumber(after + 1);
        let error = journal.read(TENANT, task(1), EventNumber(after), 9).unwrap_err();
        assert_eq!(error, JournalError::Pruned { task: task(1), asked, first });
        let failure = error.into_failure();
        assert_eq!(failure.code, Code::NotFound);
        assert!(failure.message.contains("event 26 on, with 25"), "{failure}");
    }
    assert_eq!(journal.read(TENANT, task(1), EventNumber(25), 99).unwrap(), events[25..]);
    assert_eq!(journal.read(TENANT, task(1), EventNumber(30), 2).unwrap(), events[30..32]);
    assert_eq!(journal.read(TENANT, task(1), EventNumber(60), 2).unwrap(), []);
    assert_eq!(recovered(journal, 1), (fold(&events), 40));
    // Writing goes on where it stood.
    let mut more = life(61);
    write(journal, 1, &more.split_off(60));
    assert_eq!(journal.read(TENANT, task(1), EventNumber(60), 2).unwrap().len(), 1);
    wait(journal.prune(TENANT, task(1), EventNumber(10))).unwrap();
    assert_eq!(journal.head(TENANT, task(1)).unwrap().unwrap().pruned, EventNumber(25));
}

fn nothing_after_the_snapshot_is_pruned(journal: &dyn Journal) {
    let events = life(60);
    write(journal, 1, &events);
    wait(journal.prune(TENANT, task(1), EventNumber(50))).unwrap();
    assert_eq!(read_all(journal, 1).unwrap(), events, "there is no snapshot");
    keep(journal, 1, &events[..40]);
    wait(journal.prune(TENANT, task(1), EventNumber(50))).unwrap();
    assert_eq!(journal.head(TENANT, task(1)).unwrap().unwrap().pruned, EventNumber(40));
    assert_eq!(journal.read(TENANT, task(1), EventNumber(40), 99).unwrap(), events[40..]);
    assert_eq!(recovered(journal, 1), (fold(&events), 40));
    keep(journal, 1, &events[..60]);
    wait(journal.prune(TENANT, task(1), EventNumber(60))).unwrap();
    assert_eq!(recovered(journal, 1), (fold(&events), 60), "nothing but the snapshot is left");
    let mut more = life(70);
    write(journal, 1, &more.split_off(60));
    assert_eq!(recovered(journal, 1), (fold(&life(70)), 60));
}

fn history_is_pruned_by_its_age(journal: &dyn Journal) {
    let events = life(60);
    write(journal, 1, &events);
    keep(journal, 1, &events);
    let time_of = |n: usize| events[n - 1].time_ms;
    let pruned = || journal.head(TENANT, task(1)).unwrap().unwrap().pruned.0;
    prune_history(journal, TENANT, task(1), time_of(1) - 1).unwrap();
    assert_eq!(pruned(), 0);
    prune_history(journal, TENANT, task(1), time_of(30)).unwrap();
    let expected = events.iter().filter(|event| event.time_ms <= time_of(30)).count() as u64;
    assert_eq!(pruned(), expected);
    prune_history(journal, TENANT, task(1), time_of(20)).unwrap();
    assert_eq!(pruned(), expected);
    prune_history(journal, TENANT, task(1), u64::MAX).unwrap();
    assert_eq!(pruned(), 60);
}

fn a_removed_task_leaves_nothing_but_room(journal: &dyn Journal) {
    let events = life(limits::REMOVED_AT_ONCE * 2 + 10);
    let keyed = TaskHead { key: "k".into(), ..head(Status::Running) };
    wait(journal.append(TENANT, task(1), &events[..1], keyed)).unwrap();
    write(journal, 1, &events[1..]);
    keep(journal, 1, &events);
    append(journal, 2, 1..=1, Status::Completed).unwrap();
    let last = events.len() as u64 + 1;
    let end = Event { time_ms: u64::MAX, ..event(last) };
    wait(journal.append(TENANT, task(1), &[end], head(Status::Failed))).unwrap();
    wait(journal.remove(TENANT, task(1))).unwrap();
    assert_eq!(journal.head(TENANT, task(1)).unwrap(), None);
    assert_eq!(read_all(journal, 1).unwrap(), []);
    assert_eq!(journal.snapshot(TENANT, task(1)).unwrap(), None);
    assert_eq!(journal.list(TENANT, Some(Status::Failed), None, 9).unwrap(), []);
    assert_eq!(journal.list(TENANT, None, None, 9).unwrap().len(), 1);
    assert_eq!(wait(journal.find_key(TENANT, "k")).unwrap(), None);
    let over = Retention { failed: Some(Duration::ZERO), ..Retention::default() };
    assert_eq!(journal.expired(&over, u64::MAX, 9).unwrap(), []);
    wait(journal.remove(TENANT, task(1))).unwrap();
    append(journal, 1, 1..=3, Status::Running).unwrap();
    assert_eq!(read_all(journal, 1).unwrap(), super::events(1..=3), "the room is free");
}

fn a_task_that_has_not_ended_is_not_removed(journal: &dyn Journal) {
    append(journal, 1, 1..=3, Status::Waiting).unwrap();
    wait(journal.remove(TENANT, task(1))).unwrap();
    wait(journal.remove(TENANT, task(2))).unwrap();
    assert_eq!(read_all(journal, 1).unwrap().len(), 3);
}

fn what_is_over_is_found(journal: &dyn Journal) {
    let statuses = [Status::Completed, Status::Failed, Status::Running, Status::Completed];
    for (n, status) in (1..).zip(statuses) {
        let ended = Event { time_ms: 10_000 * n, ..event(1) };
        wait(journal.append(TENANT, task(n), &[ended], head(status))).unwrap();
    }
    let keep = Retention { completed: Some(Duration::from_secs(1)), ..Retention::default() };
    let over = |now_ms, limit| {
        let found = journal.expired(&keep, now_ms, limit).unwrap();
        found.into_iter().map(|(_, task)| task).collect::<Vec<_>>()
    };
    assert_eq!(over(10_999, 9), []);
    assert_eq!(over(11_000, 9), [task(1)]);
    assert_eq!(over(u64::MAX, 9), [task(1), task(4)]);
    assert_eq!(over(u64::MAX, 1), [task(1)]);
    assert_eq!(journal.expired(&Retention::default(), u64::MAX, 9).unwrap(), []);
}

fn a_task_is_kept_for_as_long_as_it_says_itself(journal: &dyn Journal) {
    let ended = |n: u64, retention_ms| {
        let head = TaskHead { retention_ms, ..head(Status::Completed) };
        let event = Event { time_ms: 10_000, ..event(1) };
        wait(journal.append(TENANT, task(n), &[event], head)).unwrap();
    };
    ended(1, 3_000);
    ended(2, u64::MAX);
    ended(3, 0);
    append(journal, 4, 1..=1, Status::Running).unwrap();
    let keep = Retention { completed: Some(Duration::from_secs(1)), ..Retention::default() };
    let over = |keep: &Retention, now_ms| {
        let found = journal.expired(keep, now_ms, 9).unwrap();
        found.into_iter().map(|(_, task)| task).collect::<Vec<_>>()
    };
    assert_eq!(over(&keep, 12_999), [task(3)]);
    assert_eq!(over(&keep, 13_000), [task(1), task(3)]);
    assert_eq!(over(&Retention::default(), 12_999), []);
    assert_eq!(over(&Retention::default(), u64::MAX - 1), [task(1)]);
    // What follows the end counts from then on.
    let late = Event { time_ms: 11_000, ..event(2) };
    let head = TaskHead { retention_ms: 3_000, ..head(Status::Completed) };
    wait(journal.append(TENANT, task(1), &[late], head)).unwrap();
    assert_eq!(over(&Retention::default(), 13_999), []);
    assert_eq!(over(&Retention::default(), 14_000), [task(1)]);
    wait(journal.remove(TENANT, task(1))).unwrap();
    assert_eq!(over(&Retention::default(), u64::MAX), []);
}

#[test]
fn snapshots_come_further_and_further_apart() {
    let mut last = EventNumber(0);
    let mut written = 0;
    for number in (1..=100_000).map(EventNumber) {
        if snapshot_is_due(last, number) {
            last = number;
            written += number.0;
        }
    }
    assert!(last.0 > 80_000, "at most a fifth is left to be folded: {last}");
    assert!(written < 6 * 100_000, "{written}");
}
