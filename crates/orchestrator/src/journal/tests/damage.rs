//! Damage on disk: noticed, named, and kept to the task it concerns.

use remit_vat::disk::{Faults, Step, Write};

use super::*;
use crate::journal::keys;

fn filled(dir: &TempDir) -> (Disk, SledJournal) {
    let (disk, journal) = open(dir);
    for n in 1..=3 {
        append(&journal, n, 1..=20, Status::Running).unwrap();
    }
    (disk, journal)
}

fn change(disk: &Disk, key: Vec<u8>, change: impl FnOnce(Vec<u8>) -> Option<Vec<u8>>) {
    let value = disk.get(&key).unwrap().unwrap();
    let write: Write = (key, change(value));
    wait(disk.commit(vec![write])).unwrap();
}

fn assert_only_task_2_is_corrupt(journal: &SledJournal, at: u64, reason: &str) {
    match read_all(journal, 2).unwrap_err() {
        JournalError::Corrupt { task: of, number, why } => {
            assert_eq!((of, number), (task(2), EventNumber(at)), "{why}");
            assert!(why.contains(reason), "{why}");
        }
        other => panic!("{other}"),
    }
    for n in [1, 3] {
        assert_eq!(read_all(journal, n).unwrap(), events(1..=20));
        append(journal, n, 21..=21, Status::Running).unwrap();
    }
    assert_eq!(journal.list(TENANT, None, None, 9).unwrap().len(), 3);
    assert_eq!(journal.unsettled().unwrap().len(), 3);
}

#[test]
fn any_changed_byte_is_noticed() {
    let dir = TempDir::new().unwrap();
    let (disk, journal) = filled(&dir);
    let key = keys::event(TENANT, task(2), EventNumber(5));
    let whole = disk.get(&key).unwrap().unwrap();
    for at in 0..whole.len() {
        change(&disk, key.clone(), |mut bytes| {
            bytes[at] ^= 0x20;
            Some(bytes)
        });
        assert!(read_all(&journal, 2).is_err(), "byte {at}");
        change(&disk, key.clone(), |_| Some(whole.clone()));
    }
    assert_eq!(read_all(&journal, 2).unwrap(), events(1..=20));
    change(&disk, key, |mut bytes| {
        bytes[50] ^= 1;
        Some(bytes)
    });
    assert_only_task_2_is_corrupt(&journal, 5, "checksum");
}

#[test]
fn a_missing_event_is_noticed() {
    for at in [1, 9, 20] {
        let dir = TempDir::new().unwrap();
        let (disk, journal) = filled(&dir);
        change(&disk, keys::event(TENANT, task(2), EventNumber(at)), |_| None);
        assert_only_task_2_is_corrupt(&journal, at, "missing");
    }
}

#[test]
fn an_event_put_in_anothers_place_is_noticed() {
    let dir = TempDir::new().unwrap();
    let (disk, journal) = filled(&dir);
    let of_another = disk.get(&keys::event(TENANT, task(1), EventNumber(4))).unwrap().unwrap();
    change(&disk, keys::event(TENANT, task(2), EventNumber(4)), |_| Some(of_another));
    assert_only_task_2_is_corrupt(&journal, 4, "does not follow");
}

#[test]
fn a_last_event_that_was_replaced_is_noticed() {
    let dir = TempDir::new().unwrap();
    let (disk, journal) = filled(&dir);
    change(&disk, keys::event(TENANT, task(2), EventNumber(20)), |bytes| {
        let before = bytes[1..33].try_into().unwrap();
        let other = Event { time_ms: 999, ..event(20) };
        Some(crate::journal::record::seal(&before, &remit_vat::wire::event::encode(&other)).0)
    });
    assert_only_task_2_is_corrupt(&journal, 20, "head");
}

#[test]
fn a_damaged_head_stops_its_task_and_no_list() {
    let dir = TempDir::new().unwrap();
    let (disk, journal) = filled(&dir);
    change(&disk, keys::head(TENANT, task(2)), |mut bytes| {
        bytes[3] ^= 1;
        Some(bytes)
    });
    assert_only_task_2_is_corrupt(&journal, 0, "head");
    assert!(append(&journal, 2, 21..=21, Status::Running).is_err());
    let listed = journal.list(TENANT, None, None, 9).unwrap();
    assert_eq!((listed[1].0, listed[1].1.status), (task(2), Status::Halted));
    assert!(listed[1].1.detail.contains("backup"), "{}", listed[1].1.detail);
}

#[test]
fn a_half_written_snapshot_costs_no_event() {
    let dir = TempDir::new().unwrap();
    drop(filled(&dir));
    drop(open(&dir));
    let names = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap());
    let snapshots: Vec<_> =
        names.filter(|entry| entry.file_name().to_string_lossy().starts_with("snap.")).collect();
    assert!(!snapshots.is_empty());
    for snapshot in snapshots {
        let whole = std::fs::read(snapshot.path()).unwrap();
        std::fs::write(snapshot.path(), &whole[..whole.len() / 2]).unwrap();
    }
    let (_, journal) = open(&dir);
    for n in 1..=3 {
        assert_eq!(read_all(&journal, n).unwrap(), events(1..=20));
    }
}

#[test]
fn a_second_journal_on_one_folder_is_refused() {
    let dir = TempDir::new().unwrap();
    let first = filled(&dir);
    let error = Disk::open(dir.path(), CACHE).unwrap_err().to_string();
    assert!(error.contains("stop it, or use another --data folder"), "{error}");
    assert_eq!(read_all(&first.1, 1).unwrap(), events(1..=20));
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_is_half_there_after_a_fault() {
    for step in [Step::Apply, Step::Flush, Step::Sync] {
        let dir = TempDir::new().unwrap();
        let faults = Faults::default();
        let settings = Settings { faults: faults.clone(), ..Settings::new(CACHE) };
        let journal = SledJournal::new(Disk::open_with(dir.path(), settings).unwrap());
        append(&journal, 1, 1..=10, Status::Running).unwrap();
        faults.fail_at(step);
        assert!(append(&journal, 1, 11..=20, Status::Running).is_err());
        let after = append(&journal, 1, 21..=21, Status::Running);
        assert!(after.is_err(), "it follows what failed");
        drop(journal);

        let (_, journal) = open(&dir);
        let found = read_all(&journal, 1).unwrap();
        assert!(found == events(1..=10) || found == events(1..=20), "{step:?}: {}", found.len());
        let next = found.len() as u64 + 1;
        append(&journal, 1, next..=next, Status::Running).unwrap();
        assert_eq!(read_all(&journal, 1).unwrap(), events(1..=next));
    }
}
