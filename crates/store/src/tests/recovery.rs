//! What is opened after a stop, a fault or a compaction: all that was acknowledged.

use super::*;

/// A checkpoint after each commit.
fn eager() -> Settings {
    Settings { memory_bytes: 1, ..Settings::new(CACHE) }
}

/// The engine's folder.
fn state(dir: &TempDir) -> std::path::PathBuf {
    let entries = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
    let is_state =
        |path: &std::path::PathBuf| path.file_name().unwrap().to_string_lossy().contains("state-");
    entries.filter(is_state).max().unwrap()
}

fn named(dir: &Path, start: &str) -> Vec<std::path::PathBuf> {
    let paths = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with(start)).collect()
}

/// A copy of the store's folder as a stop of the process, now, would leave it.
fn stopped(dir: &TempDir) -> TempDir {
    let copy = TempDir::new().unwrap();
    damage::copy(dir.path(), copy.path());
    copy
}

#[test]
fn a_stop_at_any_moment_loses_nothing() {
    for memory_bytes in [1, 200, 1 << 20] {
        let dir = TempDir::new().unwrap();
        let settings = Settings { memory_bytes, ..Settings::new(CACHE) };
        let disk = Disk::open_with(dir.path(), settings).unwrap();
        for n in 0..12 {
            let gone = (format!("{}", n / 2).into_bytes(), None);
            wait(disk.commit(vec![put(&n.to_string(), "x"), put("last", &n.to_string()), gone]))
                .unwrap();
            let expected = disk.scan(b"", b"", 99).unwrap();
            let again = stopped(&dir);
            let opened = Disk::open(again.path(), CACHE).unwrap();
            assert_eq!(opened.scan(b"", b"", 99).unwrap(), expected, "{memory_bytes}, {n}");
            assert_eq!(opened.scan_back(b"", b"", 1).unwrap(), expected[expected.len() - 1..]);
        }
    }
}

#[test]
fn an_unacknowledged_commit_that_was_torn_is_no_damage() {
    let dir = TempDir::new().unwrap();
    let settings = Settings::new(CACHE);
    let faults = settings.faults.clone();
    let disk = Disk::open_with(dir.path(), settings).unwrap();
    wait(disk.commit(vec![put("a", "1")])).unwrap();
    faults.fail_at(Step::Flush);
    wait(disk.commit(vec![put("b", "2")])).unwrap_err();
    let again = stopped(&dir);
    let opened = Disk::open(again.path(), CACHE).unwrap();
    assert_eq!(opened.scan(b"", b"", 9).unwrap(), pairs(&[("a", "1")]));
    wait(opened.commit(vec![put("c", "3")])).unwrap();
    drop(opened);
    let opened = Disk::open(again.path(), CACHE).unwrap();
    assert_eq!(opened.scan(b"", b"", 9).unwrap(), pairs(&[("a", "1"), ("c", "3")]));
}

#[test]
fn a_commit_that_failed_and_was_followed_by_others_never_comes_back() {
    let dir = TempDir::new().unwrap();
    let settings = Settings::new(CACHE);
    let faults = settings.faults.clone();
    let disk = Disk::open_with(dir.path(), settings).unwrap();
    wait(disk.commit(vec![put("a", "1")])).unwrap();
    // All of it is in the log, and it was refused.
    faults.fail_at(Step::Sync);
    wait(disk.commit(vec![put("b", "2")])).unwrap_err();
    until_mended(&disk);
    assert_eq!(disk.get(b"b").unwrap(), None);
    wait(disk.commit(vec![put("c", "3")])).unwrap();
    let again = stopped(&dir);
    let opened = Disk::open(again.path(), CACHE).unwrap();
    assert_eq!(opened.scan(b"", b"", 9).unwrap(), pairs(&[("a", "1"), ("c", "3")]));
}

#[test]
fn a_half_written_snapshot_of_the_engine_is_set_aside() {
    let dir = TempDir::new().unwrap();
    let disk = Disk::open(dir.path(), CACHE).unwrap();
    let writes = (0..1000).map(|n| put(&format!("{n:04}"), "value")).collect();
    wait(disk.commit(writes)).unwrap();
    drop(disk);
    // A snapshot is written when a store with something to recover is opened.
    drop(Disk::open(dir.path(), CACHE).unwrap());
    let snapshots = named(&state(&dir), "snap.");
    assert!(!snapshots.is_empty());
    for snapshot in snapshots {
        let whole = std::fs::read(&snapshot).unwrap();
        std::fs::write(&snapshot, &whole[..whole.len() / 2]).unwrap();
    }
    let disk = Disk::open(dir.path(), CACHE).unwrap();
    assert_eq!(disk.scan(b"", b"", 2000).unwrap().len(), 1000);
}

#[test]
fn a_state_that_is_lost_is_made_anew_from_the_log() {
    let dir = TempDir::new().unwrap();
    let disk = Disk::open_with(dir.path(), eager()).unwrap();
    for n in 0..9 {
        wait(disk.commit(vec![put(&n.to_string(), "x")])).unwrap();
    }
    drop(disk);
    std::fs::remove_dir_all(state(&dir)).unwrap();
    let disk = Disk::open(dir.path(), CACHE).unwrap();
    assert_eq!(disk.scan(b"", b"", 99).unwrap().len(), 9);
}

#[test]
fn damage_is_refused_shown_and_accepted() {
    let dir = TempDir::new().unwrap();
    let disk = Disk::open(dir.path(), CACHE).unwrap();
    for n in 1..=9 {
        wait(disk.commit(vec![put(&n.to_string(), "x")])).unwrap();
    }
    let lost = stopped(&dir);
    let segment = named(&lost.path().join("log"), "0").remove(0);
    let whole = std::fs::read(&segment).unwrap();
    std::fs::write(&segment, &whole[..whole.len() - 5]).unwrap();

    for _ in 0..2 {
        let error = Disk::open(lost.path(), CACHE).unwrap_err().to_string();
        assert!(error.contains("commits 9 to 9, the last ones, are missing"), "{error}");
        assert!(error.contains("damaged") && error.contains("backup"), "{error}");
    }
    let open = |on_damage| {
        Disk::open_with(lost.path(), Settings { on_damage, ..Settings::new(CACHE) }).unwrap()
    };
    let shown = open(OnDamage::ReadOnly);
    assert_eq!(shown.scan(b"", b"", 99).unwrap().len(), 8);
    assert!(shown.damage().unwrap().to_string().contains("9 to 9"));
    let (send, seen) = std::sync::mpsc::channel();
    let looked = shown.transact(0, move |view: &View<'_>| {
        send.send(view.get(b"8")?).map_err(|_| DiskError("gone".into()))?;
        Ok(Ok::<_, ()>(Vec::new()))
    });
    wait(looked).unwrap().unwrap();
    assert_eq!(seen.recv().unwrap(), Some(b"x".to_vec()), "it can be looked at");
    let refused = wait(shown.commit(vec![put("a", "1")])).unwrap_err();
    assert_eq!(Some(&refused), shown.damage());
    drop(shown);
    Disk::open(lost.path(), CACHE).unwrap_err();

    let accepted = open(OnDamage::Accept);
    assert_eq!(accepted.damage(), None);
    wait(accepted.commit(vec![put("a", "1")])).unwrap();
    drop(accepted);
    let disk = Disk::open(lost.path(), CACHE).unwrap();
    assert_eq!(disk.scan(b"", b"", 99).unwrap().len(), 9);
}

/// What a record is about, by the first letter of its key: one thing, nothing, or everything.
fn subject(key: &[u8]) -> Subject {
    match key.first() {
        Some(b'n') => Subject::Nothing,
        Some(letter @ b'a'..=b'c') => Subject::One([*letter; 16]),
        _ => Subject::Everything,
    }
}

fn told(loss: &Loss) -> Write {
    put("lost", &format!("{:?} {}", loss.commits, loss.subjects.len()))
}

fn confining() -> Settings {
    Settings { confine: Some(Confine { subject, record: told }), ..Settings::new(CACHE) }
}

/// A copy of a store with these commits, one for each key, of which the log lacks those in `lost`.
fn lacking(settings: Settings, keys: &[&str], lost: std::ops::Range<usize>) -> TempDir {
    let dir = TempDir::new().unwrap();
    let disk = Disk::open_with(dir.path(), settings).unwrap();
    let segment = named(&dir.path().join("log"), "0").remove(0);
    let mut ends = vec![std::fs::metadata(&segment).unwrap().len()];
    for key in keys {
        wait(disk.commit(vec![put(key, "x")])).unwrap();
        ends.push(std::fs::metadata(&segment).unwrap().len());
    }
    let copy = stopped(&dir);
    let segment = named(&copy.path().join("log"), "0").remove(0);
    let mut bytes = std::fs::read(&segment).unwrap();
    let [from, to] = [lost.start, lost.end].map(|at| usize::try_from(ends[at]).unwrap());
    if to == bytes.len() {
        bytes.truncate(from);
    } else {
        bytes[from..to].fill(0);
    }
    std::fs::write(&segment, bytes).unwrap();
    copy
}

#[test]
fn a_loss_is_confined_to_what_it_was_about() {
    for (lost, said) in [(1..2, "[2..=2] 1"), (1..3, "[2..=3] 1"), (4..6, "[5..=6] 2")] {
        let dir = lacking(confining(), &["a1", "b1", "n", "a2", "b2", "c1"], lost.clone());
        let without = Disk::open(dir.path(), CACHE).unwrap_err().to_string();
        assert!(without.contains("missing"), "{without}");
        for _ in 0..2 {
            let disk = Disk::open_with(dir.path(), confining()).unwrap();
            assert_eq!(disk.damage(), None);
            assert_eq!(disk.get(b"lost").unwrap(), Some(said.into()), "{lost:?}");
            assert_eq!(disk.get(b"a1").unwrap(), Some(b"x".to_vec()));
            wait(disk.commit(vec![put("a3", "y")])).unwrap();
        }
    }
}

#[test]
fn a_loss_that_may_concern_anything_is_confined_to_nothing() {
    let everything = lacking(confining(), &["a1", "other", "a2"], 1..2);
    let with_others = lacking(confining(), &["a1", "b1", "other"], 1..3);
    let unknown = lacking(Settings::new(CACHE), &["a1", "b1", "a2"], 1..2);
    let notes = lacking(confining(), &["a1", "b1", "a2"], 1..2);
    std::fs::write(notes.path().join("acknowledged"), "").unwrap();
    for dir in [&everything, &with_others, &unknown, &notes] {
        let refused = Disk::open_with(dir.path(), confining()).unwrap_err().to_string();
        assert!(refused.contains("missing"), "{refused}");
    }
}

#[test]
fn a_checkpoint_that_fails_costs_nothing_and_is_tried_again() {
    let dir = TempDir::new().unwrap();
    let settings = eager();
    let faults = settings.faults.clone();
    let disk = Disk::open_with(dir.path(), settings).unwrap();
    faults.break_at(Step::Checkpoint);
    wait(disk.commit(vec![put("a", "1")])).unwrap();
    while disk.health().is_ok() {
        std::thread::yield_now();
    }
    let again = stopped(&dir);
    let opened = Disk::open(again.path(), CACHE).unwrap();
    assert_eq!(opened.scan(b"", b"", 9).unwrap(), pairs(&[("a", "1")]));
    faults.mend();
    until_mended(&disk);
    wait(disk.commit(vec![put("b", "2")])).unwrap();
    assert_eq!(disk.scan(b"", b"", 9).unwrap(), pairs(&[("a", "1"), ("b", "2")]));
}

/// What fails in the middle of a large value stops the storage engine for ever.
#[test]
fn an_engine_that_never_ends_is_left_behind() {
    let dir = TempDir::new().unwrap();
    // The large value alone leads to a checkpoint.
    let settings = Settings { memory_bytes: 300_000, ..Settings::new(CACHE) };
    let disk = Disk::open_with(dir.path(), settings).unwrap();
    wait(disk.commit(vec![put("a", "1")])).unwrap();
    let (blobs, aside) = (state(&dir).join("blobs"), dir.path().join("aside"));
    std::fs::rename(&blobs, &aside).unwrap();
    let large = "x".repeat(400_000);
    wait(disk.commit(vec![put("large", &large)])).unwrap();
    while disk.health().is_ok() {
        std::thread::yield_now();
    }
    assert!(disk.health().unwrap_err().to_string().contains("mend the disk"));
    std::fs::rename(&aside, &blobs).unwrap();
    until_mended(&disk);
    assert_eq!(disk.get(b"a").unwrap(), Some(b"1".to_vec()));
    wait(disk.commit(vec![put("b", "2")])).unwrap();
    drop(disk);
    let disk = Disk::open(dir.path(), CACHE).unwrap();
    assert_eq!(disk.get(b"large").unwrap(), Some(large.into_bytes()));
}

#[test]
fn a_compacted_store_is_smaller_and_holds_the_same() {
    let dir = TempDir::new().unwrap();
    let disk = Disk::open(dir.path(), CACHE).unwrap();
    let value: String = ('a'..='w').cycle().take(1_000).collect();
    for round in 0..20 {
        let all = (0..300).map(|n| put(&format!("{round}/{n}"), &value)).collect();
        wait(disk.commit(all)).unwrap();
    }
    for round in 1..20 {
        let gone = (0..300).map(|n| (format!("{round}/{n}").into_bytes(), None)).collect();
        wait(disk.commit(gone)).unwrap();
    }
    drop(disk);
    let disk = Disk::open_with(dir.path(), Settings { log_bytes: 0, ..eager() }).unwrap();
    wait(disk.commit(vec![put("last", "1")])).unwrap();
    let compacted = wait(disk.compact()).unwrap();
    assert!(compacted.after * 3 < compacted.before, "{compacted:?}");
    assert_eq!(disk.scan(b"", b"", 999).unwrap().len(), 301);
    wait(disk.commit(vec![put("later", "1")])).unwrap();
    let again = stopped(&dir);
    for dir in [&dir, &again] {
        assert_eq!(named(dir.path(), "state-").len(), 1);
    }
    assert_eq!(Disk::open(again.path(), CACHE).unwrap().scan(b"", b"", 999).unwrap().len(), 302);
    drop(disk);
    assert_eq!(Disk::open(dir.path(), CACHE).unwrap().scan(b"", b"", 999).unwrap().len(), 302);
}

#[test]
fn a_store_that_is_mostly_holes_is_compacted_by_itself() {
    let dir = TempDir::new().unwrap();
    let settings = Settings { compact_bytes: 1 << 20, log_bytes: 0, ..eager() };
    let disk = Disk::open_with(dir.path(), settings).unwrap();
    let value = "x".repeat(10_000);
    for round in 0..2 {
        for n in 0..200 {
            let value = (round == 0).then(|| value.clone().into_bytes());
            drop(disk.commit(vec![(format!("{n}").into_bytes(), value)]));
        }
        wait(disk.commit(vec![put("round", &round.to_string())])).unwrap();
    }
    let begun = std::time::Instant::now();
    while !state(&dir).ends_with("state-2") {
        wait(disk.commit(vec![put("more", "1")])).unwrap();
        assert!(begun.elapsed() < std::time::Duration::from_secs(30), "{}", disk.size());
    }
    assert_eq!(disk.scan(b"", b"", 999).unwrap().len(), 2);
}
