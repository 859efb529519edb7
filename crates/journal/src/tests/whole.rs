//! The journal as a whole: backed up, restored, checked.

use remit_core::CallNumber;
use remit_core::event::CapabilityRequested;

use super::bodies::{large, output};
use super::kept::{fold, keep, life, write};
use super::*;
use crate::backup::{JournalTotals, NoBackup, NotRestored, restore_backup, write_backup};
use crate::keys;
use crate::verify::{rebuild, verify};

/// The first event of a task that another one spawned, which says how long it is kept.
fn spawned_by(parent: u64, retention_ms: u64) -> Event {
    let Event { fact: Fact::TaskCreated(mut created), .. } = event(1) else { unreachable!() };
    created.parent = Some(task(parent));
    created.limits.retention_ms = retention_ms;
    Event { fact: Fact::TaskCreated(created), ..event(1) }
}

/// A question to a person.
fn asks(number: u64) -> Event {
    let (tool, reason) = ("fs".to_owned(), "to read".to_owned());
    let asked = CapabilityRequested { operation: CallNumber(number), tool, reason, until_ms: 99 };
    Event { fact: Fact::CapabilityRequested(Box::new(asked)), ..event(number) }
}

/// A journal with a bit of everything.
fn filled(dir: &TempDir) -> (Disk, SledJournal) {
    let (disk, journal) = open(dir);
    let events = life(60);
    for n in 1..=3 {
        write(&journal, n, &events);
        keep(&journal, n, &events[..40]);
    }
    wait(journal.prune(TENANT, task(2), EventNumber(25))).unwrap();
    let held = |number| output(number, Value::Text(large(1)));
    let cancelled = |number| Event { fact: Fact::TaskCancelled("enough".into()), ..event(number) };
    let ended = [event(1), held(2), held(3), cancelled(4)];
    let keyed = |to| TaskHead { key: "k".into(), ..TaskHead::of(&fold(&ended[..to]), task(4)) };
    wait(journal.append(TENANT, task(4), &ended[..1], keyed(1))).unwrap();
    wait(journal.append(TENANT, task(4), &ended[1..], keyed(4))).unwrap();
    let ended = vec![event(1), held(2), cancelled(3)];
    let head = TaskHead::of(&fold(&ended), task(5));
    wait(journal.append("other", task(5), &ended, head)).unwrap();
    let family = Some(Family { root: task(4), depth: 1 });
    let spawned = [spawned_by(4, 0), asks(2), asks(3)];
    let head = TaskHead { family, ..TaskHead::of(&fold(&spawned), task(6)) };
    wait(journal.append(TENANT, task(6), &spawned, head)).unwrap();
    let family = Some(Family { root: task(4), depth: 2 });
    let kept = [spawned_by(6, 9), cancelled(2)];
    let head = TaskHead { family, ..TaskHead::of(&fold(&kept), task(7)) };
    wait(journal.append(TENANT, task(7), &kept, head)).unwrap();
    wait(disk.commit(vec![(b"invite/x".to_vec(), Some(b"of someone".to_vec()))])).unwrap();
    wait(disk.commit(vec![(b"share/s".to_vec(), Some(b"not ours".to_vec()))])).unwrap();
    (disk, journal)
}

fn backup(journal: &SledJournal) -> (Vec<u8>, JournalTotals) {
    let mut bytes = Vec::new();
    let kept = write_backup(journal, |piece| {
        bytes.extend(piece);
        Ok(())
    });
    (bytes, kept.unwrap())
}

fn all(disk: &Disk) -> Vec<(Vec<u8>, Vec<u8>)> {
    disk.scan(b"", b"", 99_999).unwrap()
}

fn damaged(journal: &SledJournal) -> Vec<String> {
    verify(journal).unwrap().damaged
}

#[test]
fn what_is_restored_is_what_was_backed_up() {
    let (dir, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (disk, journal) = filled(&dir);
    let report = verify(&journal).unwrap();
    assert_eq!(report.damaged, Vec::<String>::new());
    let (bytes, kept) = backup(&journal);
    assert_eq!(
        kept,
        JournalTotals { tasks: 7, events: 60 + 35 + 60 + 4 + 3 + 3 + 2, bodies: 2, snapshots: 3 }
    );
    assert_eq!(report.kept, kept);
    let there = other.path().join("journal");
    let restored = restore_backup(&mut &bytes[..], &there).unwrap();
    assert_eq!(restored, kept);
    let again = Disk::open(&there, CACHE).unwrap();
    assert!(all(&again) == all(&disk), "record by record");
    assert_eq!(damaged(&SledJournal::new(again)), Vec::<String>::new());
}

#[test]
fn a_backup_is_of_one_moment_and_nothing_is_removed_under_it() {
    let (dir, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (_, journal) = filled(&dir);
    let mut bytes = Vec::new();
    let mut pieces = 0;
    let kept = write_backup(&journal, |piece| {
        bytes.extend(piece);
        pieces += 1;
        append(&journal, 99 + pieces, 1..=1, Status::Running).unwrap();
        let number = journal.head(TENANT, task(1)).unwrap().unwrap().number.0 + 1;
        let later = vec![Event { time_ms: u64::MAX, ..event(number) }];
        wait(journal.append(TENANT, task(1), &later, head(Status::Completed))).unwrap();
        assert_eq!(wait(journal.remove(TENANT, task(4))), Err(JournalError::Busy));
        let pruned = wait(journal.prune(TENANT, task(1), EventNumber(5)));
        assert_eq!(pruned, Err(JournalError::Busy));
        Ok(())
    });
    assert_eq!(kept.unwrap().tasks, 7);
    let there = other.path().join("journal");
    restore_backup(&mut &bytes[..], &there).unwrap();
    let restored = SledJournal::new(Disk::open(&there, CACHE).unwrap());
    assert_eq!(damaged(&restored), Vec::<String>::new());
    assert_eq!(restored.head(TENANT, task(1)).unwrap().unwrap().number, EventNumber(60));
    wait(journal.remove(TENANT, task(4))).unwrap();
    assert_eq!(journal.head(TENANT, task(4)).unwrap(), None, "it is over");
}

#[test]
fn a_backup_that_nobody_takes_ends() {
    let dir = TempDir::new().unwrap();
    let (_, journal) = filled(&dir);
    let ended = write_backup(&journal, |_| Err(NoBackup::Unwanted));
    assert!(matches!(ended, Err(NoBackup::Unwanted)));
    wait(journal.remove(TENANT, task(4))).unwrap();
}

#[test]
fn half_a_backup_and_a_changed_one_are_refused_and_leave_nothing() {
    let (dir, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (bytes, _) = backup(&filled(&dir).1);
    let there = other.path().join("journal");
    let restore = |bytes: &[u8]| {
        let refused = restore_backup(&mut &bytes[..], &there).unwrap_err();
        assert!(matches!(&refused, NotRestored::Damaged(_)), "{refused}");
        assert_eq!(std::fs::read_dir(other.path()).unwrap().count(), 0, "something is left");
    };
    for part in [0, 9, 20, bytes.len() / 2, bytes.len() - 33, bytes.len() - 1] {
        restore(&bytes[..part]);
    }
    let spread = (0..30).map(|n| n * bytes.len() / 30);
    for at in spread.chain([3, 40, bytes.len() - 50, bytes.len() - 1]) {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        restore(&changed);
    }
    restore_backup(&mut &bytes[..], &there).unwrap();
    let again = restore_backup(&mut &bytes[..], &there).unwrap_err().to_string();
    assert!(again.contains("already"), "{again}");
}

/// Changes the record of this key, and gives what the check says of that.
fn check_after(
    of: impl Fn(&Disk) -> Vec<u8>,
    change: impl FnOnce(Vec<u8>) -> Option<Vec<u8>>,
) -> Vec<String> {
    let dir = TempDir::new().unwrap();
    let (disk, journal) = filled(&dir);
    let key = of(&disk);
    let value = disk.get(&key).unwrap().unwrap_or_default();
    wait(disk.commit(vec![(key, change(value))])).unwrap();
    damaged(&journal)
}

fn flip(mut bytes: Vec<u8>) -> Option<Vec<u8>> {
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    Some(bytes)
}

#[track_caller]
fn assert_found(found: &[String], words: &[&str]) {
    let named = found.iter().any(|what| words.iter().all(|word| what.contains(word)));
    assert!(named, "{words:?} in {found:?}");
}

#[test]
fn whatever_is_damaged_is_found_and_named() {
    let one = task(1).to_string();
    let event = |n, number| move |_: &Disk| keys::event(TENANT, task(n), EventNumber(number));
    assert_found(&check_after(event(1, 7), flip), &[&one, "event 7", "checksum"]);
    assert_found(&check_after(event(1, 9), |_| None), &[&one, "event 9", "missing"]);
    assert_found(&check_after(event(1, 60), |_| None), &[&one, "event 60", "missing"]);
    let head = |_: &Disk| keys::head(TENANT, task(1));
    assert_found(&check_after(head, flip), &[&one, "head"]);
    let label = |n| move |_: &Disk| keys::snapshot(TENANT, task(n));
    assert_found(&check_after(label(1), flip), &[&one, "snapshot"]);
    assert_found(&check_after(label(2), |_| None), &["snapshot", "pruned"]);
    let piece = |_: &Disk| keys::snapshot_piece(TENANT, task(3), EventNumber(40), 0);
    assert_found(&check_after(piece, flip), &["event 40", "snapshot", "checksum"]);
    let body = |disk: &Disk| disk.scan(keys::ALL_BODIES, b"", 1).unwrap().remove(0).0;
    assert_found(&check_after(body, flip), &["event 2", "body"]);
    assert_found(&check_after(body, |_| None), &["event 2", "body"]);
    let count = |disk: &Disk| disk.scan(keys::ALL_COUNTS, b"", 1).unwrap().remove(0).0;
    assert_found(&check_after(count, |_| None), &["body", "held", "counted 0"]);
    let place = |_: &Disk| keys::place(TENANT, Status::Running, task(1));
    assert_found(
        &check_after(place, |_| None),
        &[&one, "missing from the list of tasks by status"],
    );
    let stray = |_: &Disk| keys::place(TENANT, Status::Failed, task(1));
    assert_found(
        &check_after(stray, |_| Some(Vec::new())),
        &[&one, "stale index entry in the list of tasks by status"],
    );
    let live = |_: &Disk| keys::live(TENANT, task(1));
    assert_found(&check_after(live, |_| None), &[&one, "missing from", "have not ended"]);
    let four = task(4).to_string();
    let created = |_: &Disk| keys::created(TENANT, "k");
    assert_found(&check_after(created, |_| None), &[&four, "missing from", "creation keys"]);
    let other = |_| Some(task(1).as_bytes().to_vec());
    assert_found(&check_after(created, other), &[&one, "stale index entry", "creation keys"]);
    let unknown = |_: &Disk| keys::created(TENANT, "unknown");
    assert_found(&check_after(unknown, other), &[&one, "stale index entry", "creation keys"]);
    let asks = |_: &Disk| keys::asks(TENANT, task(1));
    assert_found(&check_after(asks, |_| Some(Vec::new())), &[&one, "stale", "the inbox"]);
    let due = |_: &Disk| keys::due(TENANT, 7, task(1));
    assert_found(&check_after(due, |_| Some(Vec::new())), &[&one, "stale", "how long"]);
    assert_found(&check_after(head, |_| None), &[&one, "head is missing", "event 1"]);
    let beyond = |_: &Disk| keys::event(TENANT, task(1), EventNumber(61));
    assert_found(&check_after(beyond, |_| Some(vec![1])), &[&one, "event 61", "60 is the last"]);
    let orphan = |_: &Disk| keys::count(TENANT, &[9; 32]);
    assert_found(&check_after(orphan, |_| Some(vec![0; 8])), &["no event holds it"]);
}

#[test]
fn what_follows_from_other_records_is_made_anew() {
    let dir = TempDir::new().unwrap();
    let (disk, journal) = filled(&dir);
    let before = all(&disk);
    assert_eq!(rebuild(&journal).unwrap(), 0, "nothing is wrong");
    let is_derived = |key: &[u8]| keys::list(key).is_some() || keys::is_count(key);
    let mut spoilt: Vec<_> = before
        .iter()
        .filter(|(key, _)| is_derived(key))
        .map(|(key, _)| (key.clone(), None))
        .collect();
    let kinds: std::collections::BTreeSet<u8> = spoilt.iter().map(|(key, _)| key[0]).collect();
    assert_eq!(kinds.len(), 7, "there is one of each kind: {kinds:?}");
    spoilt.push((keys::live(TENANT, task(9)), Some(Vec::new())));
    spoilt.push((keys::created(TENANT, "stray"), Some(task(1).as_bytes().to_vec())));
    wait(disk.commit(spoilt)).unwrap();
    assert_ne!(damaged(&journal), Vec::<String>::new());
    assert!(rebuild(&journal).unwrap() > 0);
    assert!(all(&disk) == before, "record by record");
    assert_eq!(damaged(&journal), Vec::<String>::new());
}

#[test]
fn a_snapshot_that_its_events_do_not_say_is_found() {
    let dir = TempDir::new().unwrap();
    let (_, journal) = filled(&dir);
    let mut events = life(60);
    events[44].time_ms += 1;
    let other = remit_core::Task::fold(&events[..45]).unwrap().unwrap();
    let wrong = Snapshot::of(&other).unwrap();
    wait(journal.keep_snapshot(TENANT, task(1), wrong)).unwrap();
    assert_found(
        &damaged(&journal),
        &[&task(1).to_string(), "event 45", "not what its events say"],
    );
}

/// A change of one field of a head.
type Change = fn(&mut TaskHead);

#[test]
fn every_field_of_a_head_is_compared_and_made_anew() {
    let changes: [(&str, Change); 16] = [
        ("name", |head| head.name.push('x')),
        ("status", |head| head.status = Status::Failed),
        ("created_ms", |head| head.created_ms += 1),
        ("attempt", |head| head.attempt.0 += 1),
        ("calls", |head| head.calls += 1),
        ("questions", |head| head.questions += 1),
        ("detail", |head| head.detail.push('x')),
        ("node", |head| head.node.push('x')),
        ("creator", |head| head.creator.push('x')),
        ("parent", |head| head.parent = None),
        ("wake_ms", |head| head.wake_ms += 1),
        ("retention_ms", |head| head.retention_ms += 1),
        ("last_ms", |head| head.last_ms += 1),
        ("bytes", |head| head.bytes += 1),
        ("another family", |head| head.family = None),
        ("another family", |head| head.family = Some(Family { root: task(9), depth: 2 })),
    ];
    let dir = TempDir::new().unwrap();
    let (disk, journal) = filled(&dir);
    let before = all(&disk);
    // Task 7 has ended and was spawned by one that is held.
    let key = keys::head(TENANT, task(7));
    for (named, change) in changes {
        let mut head = journal.head(TENANT, task(7)).unwrap().unwrap();
        change(&mut head);
        wait(disk.commit(vec![(key.clone(), Some(head.to_bytes().unwrap()))])).unwrap();
        assert_found(&damaged(&journal), &[&task(7).to_string(), "its head", named]);
        assert!(rebuild(&journal).unwrap() > 0, "{named}");
        assert!(all(&disk) == before, "{named} is as it was");
    }
    assert_eq!(damaged(&journal), Vec::<String>::new());
}

#[test]
fn a_count_of_notices_is_compared_and_made_anew() {
    let dir = TempDir::new().unwrap();
    let (disk, journal) = open(&dir);
    journal.add_notices_for(&[("pager".into(), Topic::Ended)]);
    let cancelled = Event { fact: Fact::TaskCancelled("enough".into()), ..event(2) };
    write(&journal, 1, &[event(1), cancelled]);
    let before = all(&disk);
    let counts = disk.scan(keys::ALL_NOTICE_COUNTS, b"", 9).unwrap();
    let [(count, _)] = &counts[..] else { panic!("{counts:?}") };
    let [(notice, _)] = &disk.scan(keys::ALL_NOTICES, b"", 9).unwrap()[..] else { panic!() };
    assert_eq!(damaged(&journal), Vec::<String>::new());
    for key in [count, notice] {
        wait(disk.commit(vec![(key.clone(), None)])).unwrap();
        assert_found(&damaged(&journal), &["sink pager", "notices"]);
        assert_eq!(rebuild(&journal).unwrap(), 1);
        assert_eq!(damaged(&journal), Vec::<String>::new());
        if key == count {
            assert!(all(&disk) == before, "the count is as it was");
        }
    }
}

#[test]
fn a_restore_corrects_what_a_backup_has_wrong() {
    let (dir, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (disk, journal) = filled(&dir);
    let before = all(&disk);
    let mut head = journal.head(TENANT, task(6)).unwrap().unwrap();
    (head.calls, head.questions, head.status) = (9, 0, Status::Running);
    let key = keys::head(TENANT, task(6));
    wait(disk.commit(vec![(key, Some(head.to_bytes().unwrap()))])).unwrap();
    let there = other.path().join("journal");
    restore_backup(&mut &backup(&journal).0[..], &there).unwrap();
    assert!(all(&Disk::open(&there, CACHE).unwrap()) == before, "record by record");
}
