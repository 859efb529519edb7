//! What every journal does.

use super::*;

contract! {
    what_is_appended_is_read
    an_append_that_follows_another_event_is_refused
    a_gap_within_an_append_is_refused
    appends_take_effect_in_the_order_of_the_calls
    one_of_many_appends_at_once_wins
    an_append_after_a_refused_one_is_refused_too
    tenants_see_only_their_own
    lists_are_newest_first_and_paged
    lists_by_status_follow_the_tasks
    a_family_is_all_that_came_of_one_ended_or_not
    unsettled_are_those_that_have_not_ended
    a_creation_key_makes_one_task
    one_of_many_creations_with_a_key_wins
    a_head_is_kept_beside_the_events
}

fn what_is_appended_is_read(journal: &dyn Journal) {
    assert_eq!(read_all(journal, 1).unwrap(), []);
    append(journal, 1, 1..=1, Status::Pending).unwrap();
    append(journal, 1, 2..=30, Status::Running).unwrap();
    assert_eq!(read_all(journal, 1).unwrap(), events(1..=30));
    let read = |after, limit| journal.read(TENANT, task(1), EventNumber(after), limit).unwrap();
    assert_eq!(read(28, 100), events(29..=30));
    assert_eq!(read(3, 2), events(4..=5));
    assert_eq!(read(30, 2), []);
    assert_eq!(read(u64::MAX, 2), []);
    assert_eq!(read(0, 0), []);
    journal.health().unwrap();
}

fn an_append_that_follows_another_event_is_refused(journal: &dyn Journal) {
    append(journal, 1, 1..=3, Status::Running).unwrap();
    for numbers in [3..=3, 5..=6, 1..=4] {
        let expected = EventNumber(numbers.start() - 1);
        let conflict = JournalError::Conflict { task: task(1), expected, found: EventNumber(3) };
        assert_eq!(append(journal, 1, numbers, Status::Failed), Err(conflict));
    }
    assert!(append(journal, 2, 2..=2, Status::Running).is_err(), "a task begins with event 1");
    assert_eq!(read_all(journal, 1).unwrap(), events(1..=3));
    assert_eq!(journal.head(TENANT, task(1)).unwrap().unwrap().status, Status::Running);
    assert_eq!(journal.head(TENANT, task(2)).unwrap(), None);
}

fn a_gap_within_an_append_is_refused(journal: &dyn Journal) {
    let gap = vec![event(1), event(3)];
    assert!(wait(journal.append(TENANT, task(1), &gap, head(Status::Running))).is_err());
    assert_eq!(read_all(journal, 1).unwrap(), []);
}

fn appends_take_effect_in_the_order_of_the_calls(journal: &dyn Journal) {
    let appends: Vec<_> = (1..=200)
        .map(|n| journal.append(TENANT, task(1), &[event(n)], head(Status::Running)))
        .collect();
    // In another order than they were called, and some not at all.
    for append in appends.into_iter().rev().step_by(2) {
        wait(append).unwrap();
    }
    assert_eq!(read_all(journal, 1).unwrap(), events(1..=200));
}

fn one_of_many_appends_at_once_wins(journal: &dyn Journal) {
    append(journal, 1, 1..=1, Status::Running).unwrap();
    for round in 2..10 {
        let won = std::thread::scope(|scope| {
            let appends: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| append(journal, 1, round..=round, Status::Running)))
                .collect();
            appends.into_iter().filter_map(|append| append.join().unwrap().ok()).count()
        });
        assert_eq!(won, 1, "round {round}");
    }
    assert_eq!(read_all(journal, 1).unwrap(), events(1..=9));
}

fn an_append_after_a_refused_one_is_refused_too(journal: &dyn Journal) {
    append(journal, 1, 1..=1, Status::Running).unwrap();
    let append = |n| journal.append(TENANT, task(1), &[event(n)], head(Status::Running));
    let (wrong, after) = (append(3), append(4));
    assert!(wait(wrong).is_err() && wait(after).is_err());
    assert_eq!(read_all(journal, 1).unwrap(), events(1..=1));
}

fn tenants_see_only_their_own(journal: &dyn Journal) {
    for tenant in ["a", "ab", "b"] {
        wait(journal.append(tenant, task(1), &events(1..=2), head(Status::Running))).unwrap();
        let keyed = TaskHead { key: "key".into(), ..head(Status::Running) };
        wait(journal.append(tenant, task(2), &events(1..=1), keyed)).unwrap();
        assert_eq!(wait(journal.find_key(tenant, "key")).unwrap(), Some(task(2)));
    }
    for tenant in ["a", "ab", "b"] {
        assert_eq!(journal.list(tenant, None, None, 9).unwrap().len(), 2);
        assert_eq!(journal.list(tenant, Some(Status::Running), None, 9).unwrap().len(), 2);
        assert_eq!(journal.read(tenant, task(1), EventNumber(0), 9).unwrap(), events(1..=2));
    }
    assert_eq!(journal.list("", None, None, 9).unwrap(), []);
    assert_eq!(journal.head("c", task(1)).unwrap(), None);
    assert_eq!(wait(journal.find_key("c", "key")).unwrap(), None);
}

fn lists_are_newest_first_and_paged(journal: &dyn Journal) {
    for n in [3, 1, 4, 2, 5] {
        append(journal, n, 1..=1, Status::Running).unwrap();
    }
    let ids = |after, limit| -> Vec<TaskId> {
        let listed = journal.list(TENANT, None, after, limit).unwrap();
        listed.into_iter().map(|(task, _)| task).collect()
    };
    assert_eq!(ids(None, 9), [5, 4, 3, 2, 1].map(task));
    assert_eq!(ids(None, 2), [5, 4].map(task));
    assert_eq!(ids(Some(task(4)), 2), [3, 2].map(task));
    assert_eq!(ids(Some(task(1)), 2), []);
    assert_eq!(ids(Some(task(9)), 1), [5].map(task));
}

fn lists_by_status_follow_the_tasks(journal: &dyn Journal) {
    let ids = |status| -> Vec<TaskId> {
        let listed = journal.list(TENANT, Some(status), None, 9).unwrap();
        listed.into_iter().map(|(task, _)| task).collect()
    };
    for n in 1..=4 {
        append(journal, n, 1..=1, Status::Pending).unwrap();
    }
    append(journal, 2, 2..=2, Status::Waiting).unwrap();
    append(journal, 3, 2..=2, Status::Completed).unwrap();
    append(journal, 4, 2..=2, Status::Running).unwrap();
    append(journal, 4, 3..=3, Status::Completed).unwrap();
    assert_eq!(ids(Status::Pending), [task(1)]);
    assert_eq!(ids(Status::Waiting), [task(2)]);
    assert_eq!(ids(Status::Running), []);
    assert_eq!(ids(Status::Completed), [task(4), task(3)]);
    assert_eq!(ids(Status::Failed), []);
    let second = journal.list(TENANT, Some(Status::Completed), Some(task(4)), 1).unwrap();
    assert_eq!(second[0].0, task(3));
}

fn unsettled_are_those_that_have_not_ended(journal: &dyn Journal) {
    for (n, status) in (1..).zip(Status::ALL) {
        append(journal, n, 1..=1, Status::Pending).unwrap();
        append(journal, n, 2..=2, status).unwrap();
    }
    wait(journal.append("other", task(1), &events(1..=1), head(Status::Pending))).unwrap();
    let mut unsettled = journal.unsettled().unwrap();
    unsettled.sort();
    let open = (1..).zip(Status::ALL).filter(|(_, status)| !status.has_ended());
    let mut expected: Vec<_> = open.map(|(n, _)| (TENANT.to_owned(), task(n))).collect();
    expected.push(("other".into(), task(1)));
    assert_eq!(unsettled, expected);
}

fn a_creation_key_makes_one_task(journal: &dyn Journal) {
    let create = |n: u64, key: &str| {
        let head = TaskHead { key: key.into(), ..head(Status::Pending) };
        wait(journal.append(TENANT, task(n), &events(1..=1), head))
    };
    assert_eq!(wait(journal.find_key(TENANT, "k")).unwrap(), None);
    create(1, "k").unwrap();
    let taken = JournalError::KeyTaken { key: "k".into(), task: task(1) };
    assert_eq!(create(2, "k"), Err(taken));
    create(3, "").unwrap();
    create(4, "").unwrap();
    assert_eq!(wait(journal.find_key(TENANT, "k")).unwrap(), Some(task(1)));
    assert_eq!(journal.head(TENANT, task(2)).unwrap(), None, "nothing of it was written");
    append(journal, 1, 2..=2, Status::Running).unwrap();
    assert_eq!(journal.head(TENANT, task(1)).unwrap().unwrap().key, "k", "later heads keep it");
}

fn one_of_many_creations_with_a_key_wins(journal: &dyn Journal) {
    let tasks: Vec<_> = std::thread::scope(|scope| {
        let create = |n: u64| {
            let head = TaskHead { key: "same".into(), ..head(Status::Pending) };
            match wait(journal.append(TENANT, task(n), &events(1..=1), head)) {
                Ok(()) => task(n),
                Err(JournalError::KeyTaken { task, .. }) => task,
                Err(error) => panic!("{error}"),
            }
        };
        let all: Vec<_> = (1..=8).map(|n| scope.spawn(move || create(n))).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert!(tasks.iter().all(|task| *task == tasks[0]));
    assert_eq!(journal.list(TENANT, None, None, 99).unwrap().len(), 1);
}

fn a_family_is_all_that_came_of_one_ended_or_not(journal: &dyn Journal) {
    for n in 1..=4 {
        let family = (n > 1).then(|| Family { root: task(n % 2), depth: 1 });
        let head = TaskHead { family, ..head(Status::Running) };
        wait(journal.append(TENANT, task(n), &events(1..=1), head)).unwrap();
    }
    // A later head does not say it again.
    wait(journal.append(TENANT, task(3), &events(2..=2), head(Status::Completed))).unwrap();
    assert_eq!(journal.family(TENANT, task(0), 9).unwrap(), [task(2), task(4)]);
    assert_eq!(journal.family(TENANT, task(0), 1).unwrap(), [task(2)]);
    assert_eq!(journal.family(TENANT, task(1), 9).unwrap(), [task(3)]);
    assert_eq!(journal.family("other", task(1), 9).unwrap(), []);
    wait(journal.remove(TENANT, task(3))).unwrap();
    assert_eq!(journal.family(TENANT, task(1), 9).unwrap(), []);
}

fn a_head_is_kept_beside_the_events(journal: &dyn Journal) {
    let written = TaskHead {
        name: "release notes".into(),
        status: Status::Waiting,
        created_ms: 5,
        calls: 17,
        detail: "sleeps".into(),
        node: "n1".into(),
        wake_ms: 99,
        attempt: Attempt(3),
        family: Some(Family { root: task(9), depth: 1 }),
        ..TaskHead::default()
    };
    wait(journal.append(TENANT, task(1), &events(1..=3), written.clone())).unwrap();
    let read = journal.head(TENANT, task(1)).unwrap().unwrap();
    let expected = TaskHead { number: EventNumber(3), hash: read.hash, last_ms: 3, ..written };
    assert_eq!(read, expected);
    assert_eq!(journal.list(TENANT, None, None, 1).unwrap(), [(task(1), expected)]);
}
