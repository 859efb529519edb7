//! A full disk: nothing acknowledged is lost, new work is refused with a reason, and work goes on
//! once there is room.

use std::path::Path;
use std::process::Command;

use super::*;

/// A file system of so many MiB in memory, if this process may mount one.
struct Small(TempDir);

impl Small {
    fn mount(mib: usize) -> Option<Self> {
        let dir = TempDir::new().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={mib}m"), "tmpfs"])
            .arg(dir.path())
            .output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self(dir)),
            refused => {
                eprintln!("skipped: mounting a small file system is not permitted ({refused:?})");
                None
            }
        }
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(self.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "unmounting {:?}", self.path());
    }
}

/// Appends until it is refused. Gives how many events were acknowledged, and why no more.
fn fill(journal: &SledJournal) -> (u64, String) {
    let text = |n: u64| {
        // Different everywhere, so that no file system can store it in less.
        let noise: String =
            (0..4_000_u64).map(|i| char::from(b'a' + ((n * 31 + i * i) % 26) as u8)).collect();
        Fact::LogEmitted { line: n, level: remit_core::event::Level::Info, text: noise }
    };
    append(journal, 1, 1..=1, Status::Running).unwrap();
    for n in 2_u64.. {
        let event = Event { number: EventNumber(n), time_ms: n, fact: text(n) };
        let appended = journal.append(TENANT, task(1), &[event], head(Status::Running));
        if let Err(error) = wait(appended) {
            return (n - 1, error.to_string());
        }
    }
    unreachable!("the disk is finite")
}

#[test]
fn with_a_reserve_reading_goes_on_and_writing_resumes() {
    let Some(small) = Small::mount(24) else { return };
    let filler = small.path().join("filler");
    std::fs::write(&filler, vec![1; 4 << 20]).unwrap();
    let data = small.path().join("data");
    let settings = Settings { reserve_bytes: 8 << 20, ..Settings::new(1 << 20) };
    let journal = SledJournal::new(Disk::open_with(&data, settings.clone()).unwrap());
    let (acknowledged, why) = fill(&journal);
    assert!(why.contains("disk nearly full") && why.contains("8 MiB"), "{why}");
    assert!(acknowledged > 100, "{acknowledged}");
    // The store may give a little back after a refusal: well below the reserve it stays refused.
    let more = small.path().join("more");
    std::fs::write(&more, vec![1; 6 << 20]).unwrap();
    assert!(journal.health().is_err());
    assert_eq!(read_all(&journal, 1).unwrap().len() as u64, acknowledged);

    std::fs::remove_file(more).unwrap();
    std::fs::remove_file(filler).unwrap();
    journal.health().unwrap();
    append(&journal, 1, acknowledged + 1..=acknowledged + 1, Status::Running).unwrap();
    drop(journal);
    let journal = SledJournal::new(Disk::open_with(&data, settings).unwrap());
    assert_eq!(read_all(&journal, 1).unwrap().len() as u64, acknowledged + 1);
}

#[test]
fn without_a_reserve_nothing_acknowledged_is_lost() {
    let Some(small) = Small::mount(40) else { return };
    let filler = small.path().join("filler");
    // As much again as the rest: an engine that a write left stuck is gone on from with a copy.
    std::fs::write(&filler, vec![1; 24 << 20]).unwrap();
    let data = small.path().join("data");
    let settings = Settings { reserve_bytes: 0, ..Settings::new(1 << 20) };
    let journal = SledJournal::new(Disk::open_with(&data, settings.clone()).unwrap());
    let (acknowledged, _) = fill(&journal);
    drop(journal);

    std::fs::remove_file(filler).unwrap();
    let journal = SledJournal::new(Disk::open_with(&data, settings).unwrap());
    let found = read_all(&journal, 1).unwrap().len() as u64;
    assert!(found == acknowledged || found == acknowledged + 1, "{found} of {acknowledged}");
    append(&journal, 1, found + 1..=found + 1, Status::Running).unwrap();
}

#[test]
fn a_reserve_that_is_not_there_refuses_work_with_a_reason() {
    let dir = TempDir::new().unwrap();
    let settings = Settings { reserve_bytes: u64::MAX, ..Settings::new(CACHE) };
    let journal = SledJournal::new(Disk::open_with(dir.path(), settings).unwrap());
    let refused = append(&journal, 1, 1..=1, Status::Pending).unwrap_err();
    assert!(refused.to_string().contains("make room"), "{refused}");
    assert!(journal.health().unwrap_err().to_string().contains("make room"));
    assert_eq!(journal.list(TENANT, None, None, 9).unwrap(), []);
}
