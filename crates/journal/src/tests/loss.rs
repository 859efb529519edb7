//! Commits that are missing: the tasks that they were about are named, and the others go on.

use std::fs;
use std::path::Path;

use remit_core::EventNumber;
use remit_core::audit::Decision;
use remit_core::status::Status;
use remit_store::{Disk, OnDamage, Settings};
use tempfile::TempDir;

use super::super::loss::{self, Lost};
use super::super::verify::verify;
use super::super::{Journal as _, SledJournal};
use super::damage::copy;
use super::*;
use crate::audit::Audit;

fn open(dir: &Path, settings: Settings) -> SledJournal {
    SledJournal::new(Disk::open_with(dir, settings).unwrap())
}

/// A task's next events.
fn lives(journal: &SledJournal, n: u64, events: std::ops::Range<usize>) {
    let life = super::kept::life(20);
    let head = TaskHead::of(&super::kept::fold(&life[..events.end]), task(n));
    wait(journal.append(TENANT, task(n), &life[events], head)).unwrap();
}

/// Two tasks, of which the second one's last commit is cut off the log.
fn cut() -> TempDir {
    let (dir, cut) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let journal = open(dir.path(), SledJournal::confining(CACHE));
    lives(&journal, 1, 0..10);
    lives(&journal, 2, 0..10);
    lives(&journal, 2, 10..20);
    copy(dir.path(), cut.path());
    let segments = fs::read_dir(cut.path().join("log")).unwrap();
    let last = segments.map(|entry| entry.unwrap().path()).max().unwrap();
    let bytes = fs::read(&last).unwrap();
    fs::write(&last, &bytes[..bytes.len() - 1]).unwrap();
    cut
}

#[test]
fn a_lost_commit_names_its_task_and_the_others_go_on() {
    let dir = cut();
    let refused = Disk::open_with(dir.path(), SledJournal::settings(CACHE)).unwrap_err();
    assert!(refused.to_string().contains("missing"), "{refused}");
    let journal = open(dir.path(), SledJournal::confining(CACHE));
    let lost = journal.lost().unwrap();
    let tasks: Vec<_> = lost.iter().flat_map(Lost::tasks).collect();
    assert_eq!(tasks, [task(2)]);
    loss::mend_lists(&journal).unwrap();
    let stopped = loss::stopped(&lost);
    assert!(stopped[&task(2)].message.contains("the journal lost"), "{stopped:?}");
    lives(&journal, 1, 10..11);
    let found = verify(&journal).unwrap().damaged;
    let says = found.len() == 1 && found[0].contains(&task(2).to_string());
    assert!(says, "it is said until somebody accepts it: {found:?}");
}

#[test]
fn a_loss_and_its_acceptance_are_in_the_audit() {
    let dir = cut();
    let journal = open(dir.path(), SledJournal::confining(CACHE));
    let audit = Audit::new(journal.disk().clone(), Box::new(|| 7));
    for _ in 0..2 {
        wait(loss::tell(&journal, &audit, TENANT, "the orchestrator")).unwrap();
    }
    let (accepted, _) = loss::accept(&journal, &audit, TENANT, "a person", None).unwrap();
    assert_eq!((accepted.len(), journal.lost().unwrap().len()), (1, 0));
    let records = audit.read("default", 0, 99).unwrap();
    let decisions: Vec<_> = records.iter().map(|record| record.decision).collect();
    assert_eq!(decisions, [Decision::Lost, Decision::LossAccepted], "each once");
    assert!(records.iter().all(|record| record.subject == task(2).to_string()));
    assert_eq!(verify(&journal).unwrap().damaged, Vec::<String>::new());
    let head = journal.head(TENANT, task(2)).unwrap().unwrap();
    assert_eq!((head.number, head.status), (EventNumber(10), Status::Waiting));
    lives(&journal, 2, 10..12);
}

#[test]
fn a_loss_that_is_accepted_at_rest_is_in_the_audit_too() {
    let dir = cut();
    let seen = open(
        dir.path(),
        Settings { on_damage: OnDamage::ReadOnly, ..SledJournal::settings(CACHE) },
    );
    let damage = seen.disk().damage().map(ToString::to_string);
    drop(seen);
    let journal =
        open(dir.path(), Settings { on_damage: OnDamage::Accept, ..SledJournal::settings(CACHE) });
    let audit = Audit::new(journal.disk().clone(), Box::new(|| 7));
    let (accepted, _) = loss::accept(&journal, &audit, TENANT, "a person", damage).unwrap();
    assert!(accepted[0].contains("missing"), "{accepted:?}");
    let records = audit.read("default", 0, 99).unwrap();
    assert_eq!(records[0].decision, Decision::LossAccepted);
}
