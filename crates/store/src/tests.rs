//! The store: order, durability across faults, refusals and recovery.

mod damage;
mod power;
mod queue;
mod recovery;
mod schedules;

use tempfile::TempDir;

use super::*;

const CACHE: u64 = 8 << 20;

fn put(key: &str, value: &str) -> Write {
    (key.into(), Some(value.into()))
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<Pair> {
    pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()
}

fn wait<F: Future>(future: F) -> F::Output {
    futures::executor::block_on(future)
}

#[test]
fn what_is_committed_is_read_back_after_opening_again() {
    let dir = TempDir::new().unwrap();
    for round in 0..20 {
        let disk = Disk::open(dir.path(), CACHE).unwrap();
        let before = if round == 0 { None } else { Some((round - 1).to_string().into_bytes()) };
        assert_eq!(disk.get(b"round").unwrap(), before);
        wait(disk.commit(vec![put("round", &round.to_string())])).unwrap();
        assert!(disk.last_commit_us() > 0);
    }
}

#[test]
fn scans_go_both_ways_within_a_prefix() {
    let dir = TempDir::new().unwrap();
    let disk = Disk::open(dir.path(), CACHE).unwrap();
    let all = ["a", "b", "b1", "b2", "b3", "c"];
    wait(disk.commit(all.iter().map(|key| put(key, key)).collect())).unwrap();
    let scan = |from: &str, limit| disk.scan(b"b", from.as_bytes(), limit).unwrap();
    assert_eq!(scan("", 9), pairs(&[("b", "b"), ("b1", "b1"), ("b2", "b2"), ("b3", "b3")]));
    assert_eq!(scan("b2", 1), pairs(&[("b2", "b2")]));
    assert_eq!(scan("c", 9), []);
    let back = |before: &str, limit| disk.scan_back(b"b", before.as_bytes(), limit).unwrap();
    assert_eq!(back("", 2), pairs(&[("b3", "b3"), ("b2", "b2")]));
    assert_eq!(back("b2", 9), pairs(&[("b1", "b1"), ("b", "b")]));
    assert_eq!(back("z", 1), pairs(&[("b3", "b3")]));
    assert_eq!(back("b", 9), []);
    assert_eq!(disk.scan(&[255], b"", 9).unwrap(), []);
}

#[test]
fn writes_are_queued_in_the_order_of_the_calls_and_need_no_polling() {
    let dir = TempDir::new().unwrap();
    let disk = Disk::open(dir.path(), CACHE).unwrap();
    for n in 0..500 {
        drop(disk.commit(vec![put("last", &n.to_string())]));
    }
    wait(disk.commit(vec![])).unwrap();
    assert_eq!(disk.get(b"last").unwrap().unwrap(), b"499");
}

#[test]
fn a_decision_sees_all_that_was_queued_before_it() {
    let dir = TempDir::new().unwrap();
    let disk = Disk::open(dir.path(), CACHE).unwrap();
    let count = |disk: &Disk| {
        disk.transact(8, |view: &View<'_>| {
            let n = view.get(b"n")?.map_or(0, |n| n[0]);
            Ok(if n == 100 { Err(n) } else { Ok(vec![(b"n".to_vec(), Some(vec![n + 1]))]) })
        })
    };
    let all: Vec<_> = (0..120).map(|_| count(&disk)).collect();
    let answers: Vec<_> = wait(futures::future::join_all(all));
    assert_eq!(answers.iter().filter(|a| **a == Ok(Ok(()))).count(), 100);
    assert_eq!(answers.iter().filter(|a| **a == Ok(Err(100))).count(), 20);
}

#[test]
fn a_scan_on_the_commit_thread_sees_what_was_queued_before_it() {
    let dir = TempDir::new().unwrap();
    let disk = Disk::open(dir.path(), CACHE).unwrap();
    wait(disk.commit(["b1", "b3", "b5", "c"].map(|key| put(key, "old")).to_vec())).unwrap();
    for limit in 0..6 {
        let (send, seen) = std::sync::mpsc::channel();
        let changes = vec![put("b2", "new"), (b"b3".to_vec(), None), put("b5", "new")];
        // One thread does all that waits in one go: the changes may be in the view or in the store.
        drop(disk.commit(changes));
        let looked = disk.transact(0, move |view: &View<'_>| {
            send.send(view.scan(b"b", b"", limit)?).map_err(|_| DiskError("gone".into()))?;
            Ok(Ok::<_, ()>(Vec::new()))
        });
        wait(looked).unwrap().unwrap();
        let expected = pairs(&[("b1", "old"), ("b2", "new"), ("b5", "new")]);
        assert_eq!(seen.recv().unwrap(), expected[..limit.min(3)], "{limit}");
        wait(disk.commit(vec![(b"b2".to_vec(), None), put("b3", "old"), put("b5", "old")]))
            .unwrap();
    }
}

#[test]
fn large_values_survive() {
    let dir = TempDir::new().unwrap();
    let large = "x".repeat(3 << 20);
    let disk = Disk::open(dir.path(), CACHE).unwrap();
    for key in ["a", "b", "a"] {
        wait(disk.commit(vec![put(key, &large)])).unwrap();
    }
    drop(disk);
    let disk = Disk::open(dir.path(), CACHE).unwrap();
    assert_eq!(disk.scan(b"", b"", 9).unwrap(), pairs(&[("a", &large), ("b", &large)]));
}

#[test]
fn a_second_open_is_refused_and_names_the_process() {
    let dir = TempDir::new().unwrap();
    let disk = Disk::open(dir.path(), CACHE).unwrap();
    let error = Disk::open(dir.path(), CACHE).unwrap_err().to_string();
    let pid = format!("process {}", std::process::id());
    assert!(error.contains(&pid) && error.contains("use another --data folder"), "{error}");
    drop(disk);
    Disk::open(dir.path(), CACHE).unwrap();
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = Disk::open(&file.path().join("data"), CACHE).unwrap_err().to_string();
    assert!(error.contains(&file.path().display().to_string()), "{error}");
}

/// Waits until the store takes writes again.
fn until_mended(disk: &Disk) {
    let begun = std::time::Instant::now();
    while disk.health().is_err() {
        assert!(begun.elapsed() < std::time::Duration::from_secs(30), "{:?}", disk.health());
        std::thread::yield_now();
    }
}

#[test]
fn nothing_acknowledged_is_lost_at_any_fault() {
    for step in [Step::Apply, Step::Flush, Step::Sync] {
        let dir = TempDir::new().unwrap();
        let settings = Settings::new(CACHE);
        let faults = settings.faults.clone();
        let disk = Disk::open_with(dir.path(), settings).unwrap();
        wait(disk.commit(vec![put("a", "1")])).unwrap();
        faults.break_at(step);
        for _ in 0..3 {
            let error = wait(disk.commit(vec![put("b", "2")])).unwrap_err().to_string();
            assert!(error.contains("injected"), "{error}");
        }
        if step == Step::Apply {
            assert_eq!(disk.get(b"b").unwrap(), None, "nothing was touched");
        } else {
            assert_eq!(disk.health().unwrap_err(), disk.get(b"a").unwrap_err());
            assert!(disk.health().unwrap_err().to_string().contains("mend the disk"));
        }
        faults.mend();
        until_mended(&disk);
        wait(disk.commit(vec![put("c", "3")])).unwrap();
        for key in ["a", "c"] {
            assert!(disk.get(key.as_bytes()).unwrap().is_some(), "{key} after a fault at {step:?}");
        }
        drop(disk);
        let disk = Disk::open(dir.path(), CACHE).unwrap();
        let kept: Vec<Pair> = disk.scan(b"", b"", 9).unwrap();
        assert!(kept.contains(&pairs(&[("a", "1")])[0]) && kept.contains(&pairs(&[("c", "3")])[0]));
        wait(disk.commit(vec![put("d", "4")])).unwrap();
    }
}

#[test]
fn readers_and_writers_outlive_many_faults() {
    let dir = TempDir::new().unwrap();
    let settings = Settings::new(CACHE);
    let faults = settings.faults.clone();
    let disk = Disk::open_with(dir.path(), settings).unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    let acknowledged: Vec<String> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let (disk, done) = (&disk, &done);
                scope.spawn(move || {
                    let mut kept = Vec::new();
                    for n in 0.. {
                        if done.load(Ordering::Relaxed) {
                            break;
                        }
                        let key = format!("{writer}/{n:06}");
                        if wait(disk.commit(vec![put(&key, "x")])).is_ok() {
                            kept.push(key);
                        }
                        // A reader gets something or a reason, and is never stuck.
                        let _ = disk.scan(b"1/", b"", 5);
                    }
                    kept
                })
            })
            .collect();
        for step in [Step::Flush, Step::Sync, Step::Flush, Step::Sync] {
            faults.fail_at(step);
            while disk.health().is_ok() {
                std::thread::yield_now();
            }
            until_mended(&disk);
            (0..9)
                .for_each(|n| wait(disk.commit(vec![put(&format!("{step:?}{n}"), "x")])).unwrap());
        }
        done.store(true, Ordering::Relaxed);
        writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect()
    });
    assert!(!acknowledged.is_empty());
    drop(disk);
    let disk = Disk::open(dir.path(), CACHE).unwrap();
    for key in acknowledged {
        assert!(disk.get(key.as_bytes()).unwrap().is_some(), "{key} was acknowledged");
    }
}

#[test]
fn a_nearly_full_disk_refuses_writes_and_goes_on_reading() {
    let dir = TempDir::new().unwrap();
    let disk = Disk::open(dir.path(), CACHE).unwrap();
    wait(disk.commit(vec![put("a", "1")])).unwrap();
    drop(disk);
    let settings = Settings { reserve_bytes: u64::MAX, ..Settings::new(CACHE) };
    let disk = Disk::open_with(dir.path(), settings).unwrap();
    let error = wait(disk.commit(vec![put("b", "2")])).unwrap_err();
    assert!(error.to_string().contains("disk nearly full"), "{error}");
    assert!(disk.health().unwrap_err().to_string().contains("disk nearly full"));
    assert_eq!(disk.get(b"a").unwrap().unwrap(), b"1");
    assert_eq!(disk.get(b"b").unwrap(), None);
}

#[test]
fn writers_on_many_threads_are_committed_together() {
    let dir = TempDir::new().unwrap();
    let disk = Disk::open(dir.path(), CACHE).unwrap();
    std::thread::scope(|scope| {
        for writer in 0..16 {
            let disk = disk.clone();
            scope.spawn(move || {
                for n in 0..50 {
                    wait(disk.commit(vec![put(&format!("{writer}/{n}"), "x")])).unwrap();
                }
            });
        }
    });
    assert_eq!(disk.scan(b"", b"", 1000).unwrap().len(), 800);
}
