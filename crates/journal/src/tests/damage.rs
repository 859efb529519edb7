//! Damage on disk: noticed, named, and kept to the task it concerns.

use std::fs;
use std::path::{Path, PathBuf};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use remit_store::{Faults, Step, Write};

use super::*;
use crate::audit::Audit;
use crate::backup::{restore_backup, write_backup};
use crate::keys;
use crate::verify::verify;

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
        Some(crate::record::seal(&before, &remit_vat::wire::event::encode(&other)).0)
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
fn a_second_journal_on_one_folder_is_refused() {
    let dir = TempDir::new().unwrap();
    let first = filled(&dir);
    let error = Disk::open(dir.path(), CACHE).unwrap_err().to_string();
    assert!(error.contains("stop it, or use another --data folder"), "{error}");
    assert_eq!(read_all(&first.1, 1).unwrap(), events(1..=20));
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_is_half_there_after_a_fault() {
    for step in [Step::Apply, Step::Flush, Step::Sync, Step::Checkpoint] {
        let dir = TempDir::new().unwrap();
        let faults = Faults::default();
        let memory_bytes = if step == Step::Checkpoint { 1 } else { 1 << 20 };
        let settings = Settings { faults: faults.clone(), memory_bytes, ..Settings::new(CACHE) };
        let journal = SledJournal::new(Disk::open_with(dir.path(), settings).unwrap());
        append(&journal, 1, 1..=10, Status::Running).unwrap();
        faults.fail_at(step);
        let refused = append(&journal, 1, 11..=20, Status::Running).is_err();
        assert!(refused || step == Step::Checkpoint);
        if refused {
            let after = append(&journal, 1, 21..=21, Status::Running);
            assert!(after.is_err(), "it follows what failed");
        }
        drop(journal);

        let (_, journal) = open(&dir);
        let found = read_all(&journal, 1).unwrap();
        assert!(found == events(1..=10) || found == events(1..=20), "{step:?}: {}", found.len());
        let next = found.len() as u64 + 1;
        append(&journal, 1, next..=next, Status::Running).unwrap();
        assert_eq!(read_all(&journal, 1).unwrap(), events(1..=next));
    }
}

/// Places that are damaged, and what decides which.
const PLACES: u64 = 200;
const SEED: u64 = 20_261_130;

pub(super) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.metadata().unwrap().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), to).unwrap()),
        }
    }
}

fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    let mut paths: Vec<_> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        match path.is_dir() {
            true => files(&path, found),
            false => found.push(path),
        }
    }
}

/// Damages one file of a store, and says how.
fn damage(dir: &Path, chance: &mut StdRng) -> String {
    let mut all = Vec::new();
    files(dir, &mut all);
    all.retain(|path| !path.ends_with("lock") && fs::metadata(path).unwrap().len() > 0);
    let path = all.swap_remove(chance.random_range(0..all.len()));
    let mut bytes = fs::read(&path).unwrap();
    let how = spoil(&mut bytes, chance);
    fs::write(&path, bytes).unwrap();
    format!("{} {how}", path.strip_prefix(dir).unwrap().display())
}

/// Damages some bytes, and says how.
fn spoil(bytes: &mut Vec<u8>, chance: &mut StdRng) -> String {
    // Where something was written: the engine's file is mostly zeros.
    let written = bytes.iter().rposition(|byte| *byte != 0).map_or(1, |last| last + 1);
    let at = chance.random_range(0..written);
    let end = (at + 4096).min(bytes.len());
    let how = match chance.random_range(0..6) {
        0 => {
            bytes[at] ^= 1 << chance.random_range(0..8);
            "flipped"
        }
        1 => {
            bytes[at..end].fill(0);
            "zeroed"
        }
        2 => {
            bytes[at..end].iter_mut().for_each(|byte| *byte = chance.random());
            "spoilt"
        }
        3 => {
            let other = chance.random_range(0..written);
            for n in 0..4096.min(at.abs_diff(other)) {
                if at.max(other) + n < bytes.len() {
                    bytes.swap(at + n, other + n);
                }
            }
            "swapped"
        }
        4 => {
            bytes.truncate(written - 1 - chance.random_range(0..written.min(200)));
            "without the last write"
        }
        _ => {
            bytes.truncate(at);
            "truncated"
        }
    };
    format!("{how} at {at}")
}

/// What a reader is given of all tasks, and of the audit log.
type Given = (Vec<Vec<Event>>, Vec<(TaskId, TaskHead)>, Vec<remit_core::audit::Record>);

/// All that can be read, or what is said of the damage.
fn given(dir: &Path) -> Result<Given, String> {
    let disk = Disk::open_with(dir, SledJournal::settings(CACHE)).map_err(|e| e.to_string())?;
    let journal = SledJournal::new(disk.clone());
    let damaged = verify(&journal).map_err(|e| e.to_string())?.damaged;
    if !damaged.is_empty() {
        return Err(damaged.join("; "));
    }
    let tasks: Result<Vec<_>, _> = (1..=20).map(|n| read_all(&journal, n)).collect();
    let listed = journal.list(TENANT, None, None, 99).map_err(|e| e.to_string())?;
    let audit = Audit::new(disk, Box::new(|| 7));
    let records = audit.read(TENANT, 0, 999).map_err(|e| e.to_string())?;
    Ok((tasks.map_err(|e| e.to_string())?, listed, records))
}

fn record() -> remit_core::audit::Record {
    remit_core::audit::Record::new("someone", remit_core::audit::Decision::Joined)
}

/// What a head vouches for is not looked at when the store is opened: a check finds it.
#[test]
fn damage_anywhere_of_journal_and_audit_loses_nothing_or_is_said() {
    println!("seed {SEED}");
    let (dir, kept) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let settings = Settings { memory_bytes: 20_000, log_bytes: 0, ..SledJournal::settings(CACHE) };
    let disk = Disk::open_with(dir.path(), settings).unwrap();
    let journal = SledJournal::new(disk.clone());
    let audit = Audit::new(disk, Box::new(|| 7));
    let life = super::kept::life(60);
    for round in 0..6 {
        let through = &life[..round * 10 + 10];
        for n in 1..=20 {
            let head = TaskHead::of(&super::kept::fold(through), task(n));
            let some = through[round * 10..].to_vec();
            wait(journal.append(TENANT, task(n), &some, head)).unwrap();
            wait(audit.record(TENANT, record())).unwrap();
        }
    }
    copy(dir.path(), kept.path());
    let expected = given(kept.path()).unwrap();
    let (mut whole, mut said) = (0, 0);
    for place in 0..PLACES {
        let mut chance = StdRng::seed_from_u64(SEED + place);
        let damaged = TempDir::new().unwrap();
        copy(kept.path(), damaged.path());
        let how = damage(damaged.path(), &mut chance);
        match given(damaged.path()) {
            Ok(found) => {
                assert!(found == expected, "place {place}, {how}: lost silently");
                whole += 1;
            }
            Err(_) => said += 1,
        }
    }
    println!("{whole} lost nothing, {said} were said");
    assert!(whole > 0 && said > 0, "{whole} whole, {said} said");
}

/// A backup, as a file.
fn backed_up(journal: &SledJournal) -> Vec<u8> {
    let mut file = Vec::new();
    let take = |piece: Vec<u8>| {
        file.extend(piece);
        Ok(())
    };
    write_backup(journal, take).unwrap();
    file
}

#[test]
fn damage_anywhere_of_a_backup_is_said_and_nothing_is_restored() {
    println!("seed {SEED}");
    let dir = TempDir::new().unwrap();
    let (_, journal) = filled(&dir);
    let whole = backed_up(&journal);
    for place in 0..PLACES {
        let mut chance = StdRng::seed_from_u64(SEED + place);
        let mut bytes = whole.clone();
        let how = spoil(&mut bytes, &mut chance);
        if bytes == whole {
            continue;
        }
        let into = TempDir::new().unwrap();
        let restored = restore_backup(&mut &bytes[..], &into.path().join("journal"));
        assert!(restored.is_err(), "place {place}, {how}: restored as though it was whole");
        assert!(fs::read_dir(into.path()).unwrap().next().is_none(), "place {place}, {how}");
    }
}
