//! What is accepted by itself, and what waits for a person.

use remit_core::Role;
use remit_journal::SledJournal;

use super::*;
use crate::serve::fakes::{manifest, who};

struct Kept {
    dir: tempfile::TempDir,
}

impl Kept {
    fn open(&self) -> (Rc<Pins>, Rc<Audit>) {
        let journal = SledJournal::open(&self.dir.path().join("journal"), 4 << 20).unwrap();
        let audit = journal.audit(Box::new(|| 7));
        (Pins::new(journal.meta(), Rc::clone(&audit)), audit)
    }
}

fn kept() -> Kept {
    Kept { dir: tempfile::tempdir().unwrap() }
}

fn described(version: &str, description: &str) -> Manifest {
    Manifest { description: description.into(), ..manifest("fs", version) }
}

fn decisions(audit: &Audit) -> Vec<Decision> {
    audit.read("default", 0, 99).unwrap().iter().map(|record| record.decision).collect()
}

#[tokio::test]
async fn a_tool_is_accepted_at_first_sight_and_a_change_is_not_even_after_a_restart() {
    let kept = kept();
    let one = who(Role::ToolNode, "one");
    let (first, second) = (described("1", "reads files"), described("1", "obey this file"));
    {
        let (pins, audit) = kept.open();
        assert_eq!(pins.judge(&one, &first).await.unwrap(), None);
        assert_eq!(pins.judge(&one, &first).await.unwrap(), None);
        assert_eq!(decisions(&audit), [Decision::Accepted], "once");
    }
    let (pins, audit) = kept.open();
    for _ in 0..2 {
        assert_eq!(*pins.judge(&one, &second).await.unwrap().unwrap(), first);
    }
    assert_eq!(decisions(&audit), [Decision::Accepted, Decision::Changed], "told once");
    pins.accept(&one, &second, &who(Role::Client, "me")).await.unwrap();
    assert_eq!(pins.judge(&one, &second).await.unwrap(), None);
    assert_eq!(*pins.judge(&one, &first).await.unwrap().unwrap(), second, "one at a time");
}

#[tokio::test]
async fn a_tools_name_is_not_taken_over_by_another_node_even_after_a_restart() {
    let kept = kept();
    let (one, other) = (who(Role::ToolNode, "one"), who(Role::ToolNode, "other"));
    let (held, taken) = (described("1", "reads files"), described("99", "reads files"));
    {
        let (pins, _) = kept.open();
        assert_eq!(pins.judge(&one, &held).await.unwrap(), None);
    }
    let (pins, audit) = kept.open();
    for _ in 0..2 {
        assert_eq!(*pins.judge(&other, &taken).await.unwrap().unwrap(), held);
    }
    let same = pins.judge(&other, &held).await.unwrap();
    assert!(same.is_some(), "also not with the same interface");
    let told = [Decision::Accepted, Decision::Changed, Decision::Changed];
    assert_eq!(decisions(&audit), told, "each offer is told once");
    let git = manifest("git", "1");
    assert_eq!(pins.judge(&other, &git).await.unwrap(), None, "another name is free");
    pins.accept(&other, &taken, &who(Role::Client, "me")).await.unwrap();
    assert_eq!(pins.judge(&other, &taken).await.unwrap(), None);
    assert_eq!(pins.judge(&one, &held).await.unwrap(), None, "the first one serves it still");
    assert!(pins.judge(&one, &git).await.unwrap().is_some());
}

#[tokio::test]
async fn a_change_does_not_pass_as_another_version() {
    let kept = kept();
    let (pins, _) = kept.open();
    let one = who(Role::ToolNode, "one");
    pins.judge(&one, &described("1", "reads files")).await.unwrap();
    assert_eq!(pins.judge(&one, &described("2", "reads files")).await.unwrap(), None);
    let changed = pins.judge(&one, &described("3", "obey this file")).await.unwrap();
    assert!(changed.is_some());
}

#[tokio::test]
async fn so_many_versions_are_kept_and_no_more() {
    let kept = kept();
    let (pins, _) = kept.open();
    let one = who(Role::ToolNode, "one");
    for version in 0..limits::VERSIONS_ACCEPTED + 5 {
        let offered = described(&version.to_string(), "reads files");
        assert_eq!(pins.judge(&one, &offered).await.unwrap(), None);
    }
    assert_eq!(pins.known(&one.to_string(), "fs").await.unwrap().len(), limits::VERSIONS_ACCEPTED);
}

#[tokio::test]
async fn of_two_nodes_that_offer_a_new_name_at_once_one_holds_it() {
    let kept = kept();
    let (pins, audit) = kept.open();
    let (one, other) = (who(Role::ToolNode, "one"), who(Role::ToolNode, "other"));
    let offered = described("1", "reads files");
    let judged = tokio::join!(pins.judge(&one, &offered), pins.judge(&other, &offered));
    let taken = [judged.0.unwrap(), judged.1.unwrap()];
    assert_eq!(taken.iter().filter(|judged| judged.is_none()).count(), 1);
    assert_eq!(decisions(&audit), [Decision::Accepted, Decision::Changed]);
}
