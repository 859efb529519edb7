//! The audit: each exercise of authority is one record, and a chain that was edited is found.

use std::collections::BTreeMap;
use std::rc::Rc;

use remit_core::audit::{Decision, Record};
use remit_core::event::{Approval, ApprovalDecided};
use remit_core::task::Command;
use remit_core::{Code, Fact, GrantId, TaskId};
use remit_journal::audit::Audit;
use remit_journal::{Journal as _, SledJournal, record};
use remit_store::Disk;
use remit_vat::wire;

use super::super::lab::{
    Lab, Site, Transport, call, events, over, over_both_transports, revoke, said,
};
use super::super::questions::{approve, asked, decide, decision, questions};
use super::manifest_changed::{become_another, other};
use crate::audit::{Filter, Reader};
use crate::runtime::Owner;

over_both_transports!(
    no_use_and_no_refusal_is_left_out,
    a_refusal_that_a_tool_forges_is_none,
    every_decision_in_a_task_is_one_record_that_says_whose,
);

/// All records of what was decided in tasks and outside of them.
async fn audited(lab: &Lab, site: &Site, owner: &Rc<Owner>) -> Vec<Record> {
    owner.durable(owner.with(|task| task.head().number)).await.unwrap();
    let audit = &site.tasks.services().audit;
    let reader = Reader { audit, journal: &*lab.journal, tenant: "default" };
    let (records, next) = reader.page(&Filter::default(), "", 999).unwrap();
    assert!(next.is_empty());
    records
}

async fn every_decision_in_a_task_is_one_record_that_says_whose(lab: Lab) {
    let run = lab.begin_with("lab?route=direct&requiresApproval=put").await;
    let introduced = |event: &remit_core::Event| matches!(event.fact, Fact::Introduced(_));
    while !events(&lab, run.owner.key()).iter().any(introduced) {
        tokio::task::yield_now().await;
    }
    for number in [1, 2] {
        let held = asked(call(&run.granted, number, "put"));
        questions(&run.owner, 1).await;
        if number == 1 {
            approve(&run.owner, number).await.unwrap();
            held.await.unwrap().unwrap();
        } else {
            let no = decision(&run.owner, number, Approval::Deny);
            decide(&run.owner, ApprovalDecided { reason: "no".into(), ..no }).await.unwrap();
            held.await.unwrap().unwrap_err();
        }
    }
    let changed = other(|m| m.description = "other words".into());
    let _lease = become_another(&lab, &run.site.tasks, changed, true);
    said(call(&run.granted, 3, "look")).await.unwrap();
    let end = Command::EndGrant { grant: GrantId(2), reason: "done".into() };
    run.owner.record_durably(&end).await.unwrap();
    revoke(&run.owner, 1).await;
    said(call(&run.granted, 4, "look")).await.unwrap_err();

    let agent = format!("task:{}", run.owner.key().task);
    let records = audited(&lab, &run.site, &run.owner).await;
    let told: Vec<(Decision, &str)> =
        records.iter().map(|record| (record.decision, record.who.as_str())).collect();
    let creator = run.owner.with(|task| task.created().creator.clone());
    use Decision::{
        Allowed, Approved, Asked, Denied, Ended, Granted, Introduced, Repinned, Revoked,
    };
    let expected = [
        (Granted, &*creator),
        (Granted, &*creator),
        (Introduced, &*agent),
        (Asked, &*agent),
        (Approved, "me"),
        (Allowed, &*agent),
        (Asked, &*agent),
        (Denied, "me"),
        (Denied, &*agent),
        (Repinned, &*agent),
        (Allowed, &*agent),
        (Ended, &*agent),
        (Revoked, "me"),
        (Denied, &*agent),
    ];
    assert_eq!(told, expected);
    assert!(records[3..8].iter().all(|record| record.digest.is_some() && record.method == "put"));
    assert!(records[2].subject.ends_with("agent-node/one"), "{:?}", records[2]);
}

#[test]
fn every_decision_is_one_of_a_task_or_of_the_mesh() {
    use Decision as D;
    // What follows, `refs/audited.rs`, `people/expelled.rs`, the journal's own tests of losses and those
    // of notifications and of peers that are cut off see every one of them recorded.
    let in_tasks = [D::Allowed, D::Denied, D::Granted, D::Revoked, D::Ended, D::Asked];
    let as_well = [D::Approved, D::Introduced, D::Repinned, D::Lost, D::LossAccepted, D::Removed]
        .into_iter()
        .chain([D::Undelivered, D::CutOff]);
    let of_the_mesh = super::super::refs::audited::OF_THE_MESH;
    let of_people = super::super::people::expelled::OF_PEOPLE;
    let of_both = of_the_mesh.into_iter().chain(of_people);
    let all: Vec<D> = in_tasks.into_iter().chain(as_well).chain(of_both).collect();
    assert!(D::ALL.iter().all(|decision| all.contains(decision)), "{all:?}");
}

/// A task's chain and the mesh's, both on one disk.
struct Kept {
    disk: Disk,
    journal: SledJournal,
    audit: Rc<Audit>,
    task: TaskId,
    _dir: tempfile::TempDir,
}

impl Kept {
    /// What a task lived through is written to a disk, and four records of the mesh.
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::open(&dir.path().join("journal"), 4 << 20).unwrap();
        let journal = SledJournal::new(disk.clone());
        let lived = std::cell::RefCell::new(None);
        over(Transport::SameProcess, async |lab: Lab| {
            let run = lab.begin().await;
            said(call(&run.granted, 1, "put")).await.unwrap();
            said(call(&run.granted, 2, "nothing-like-it")).await.unwrap_err();
            revoke(&run.owner, 1).await;
            let task = run.owner.key().task;
            let head = lab.journal.head("default", task).unwrap().unwrap();
            *lived.borrow_mut() = Some((task, events(&lab, run.owner.key()), head));
        })
        .await;
        let (task, events, mut head) = lived.into_inner().unwrap();
        head.number = events.last().unwrap().number;
        journal.append("default", task, &events, head).await.unwrap();
        let audit = Audit::new(disk.clone(), Box::new(|| 7));
        for who in ["one", "two", "three", "four"] {
            audit.record("default", Record::new(who, Decision::Joined)).await.unwrap();
        }
        Self { disk, journal, audit, task, _dir: dir }
    }

    fn broken(&self) -> Vec<String> {
        let reader = Reader { audit: &self.audit, journal: &self.journal, tenant: "default" };
        let checked = reader.verify("").unwrap();
        assert_eq!(checked.cursor, "", "all was looked at");
        checked.broken
    }
}

/// The ways to edit what is stored: bytes that are other, and a record that is another, under a
/// checksum that was mended.
fn edits(bytes: &[u8]) -> BTreeMap<&'static str, Option<Vec<u8>>> {
    let mut flipped = bytes.to_vec();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    let before: [u8; 32] = bytes[1..33].try_into().unwrap();
    let forged = match wire::event::decode(record::payload(bytes)) {
        // Its bodies are elsewhere: another event takes its place.
        _ if bytes[0] == 2 => {
            let fact = remit_core::Fact::TaskCancelled("forged".into());
            let number = remit_core::EventNumber(1);
            let forged = remit_core::Event { number, time_ms: 1, fact };
            record::seal(&before, &wire::event::encode(&forged)).0
        }
        Ok(event) => {
            let forged = remit_core::Event { time_ms: event.time_ms + 1, ..event };
            record::seal(&before, &wire::event::encode(&forged)).0
        }
        Err(_) => {
            let known = wire::audit::decode(record::payload(bytes), before).unwrap();
            let forged = Record { who: "nobody".into(), ..known };
            record::seal(&before, &wire::audit::encode(&forged)).0
        }
    };
    BTreeMap::from([("flipped", Some(flipped)), ("forged", Some(forged)), ("removed", None)])
}

#[tokio::test]
async fn chain_that_was_edited_is_found() {
    let kept = Kept::new().await;
    assert_eq!(kept.broken(), Vec::<String>::new());
    for (prefix, least, names) in
        [(&b"e"[..], 6, kept.task.to_string()), (b"audit/r", 4, "audit log".to_owned())]
    {
        let stored = kept.disk.scan(prefix, prefix, 99).unwrap();
        assert!(stored.len() >= least, "{} of {names}", stored.len());
        for (at, (key, whole)) in stored.iter().enumerate() {
            for (how, edit) in edits(whole) {
                kept.disk.commit(vec![(key.clone(), edit)]).await.unwrap();
                let broken = kept.broken();
                let says = broken.len() == 1 && broken[0].contains(&names);
                assert!(says, "record {} {how}: {broken:?}", at + 1);
            }
            kept.disk.commit(vec![(key.clone(), Some(whole.clone()))]).await.unwrap();
        }
    }
    assert_eq!(kept.broken(), Vec::<String>::new(), "and what is whole is not");
}

async fn no_use_and_no_refusal_is_left_out(lab: Lab) {
    let run = lab.begin().await;
    said(call(&run.granted, 1, "look")).await.unwrap();
    said(call(&run.granted, 2, "fail")).await.unwrap_err();
    said(call(&run.granted, 3, "nothing-like-it")).await.unwrap_err();
    revoke(&run.owner, 1).await;
    assert_eq!(said(call(&run.granted, 4, "put")).await.unwrap_err().code, Code::Revoked);
    let head = run.owner.with(|task| task.head().number);
    run.owner.durable(head).await.unwrap();
    let audit = &run.site.tasks.services().audit;
    let reader = Reader { audit, journal: &*lab.journal, tenant: "default" };
    let mut found = Vec::new();
    let mut cursor = String::new();
    loop {
        // One at a time: a page ends anywhere.
        let (records, next) = reader.page(&Filter::default(), &cursor, 1).unwrap();
        assert!(records.len() <= 1);
        found.extend(records);
        cursor = next;
        if cursor.is_empty() {
            break;
        }
    }
    let decisions: Vec<Decision> = found.iter().map(|record| record.decision).collect();
    use Decision::{Allowed, Denied, Granted, Revoked};
    assert_eq!(decisions, [Granted, Granted, Allowed, Allowed, Denied, Revoked, Denied]);
    let me = format!("task:{}", run.owner.key().task);
    assert!(found[2..5].iter().all(|record| record.who == me && record.digest.is_some()));
    assert!(found[2..5].iter().all(|record| record.chain == [GrantId(1)]));
    assert_eq!(found[5].who, "me");
    let only = Filter { decision: Some(Denied), ..Filter::default() };
    assert_eq!(reader.page(&only, "", 99).unwrap().0.len(), 2);
    let nobody = Filter { who: "nobody".into(), ..Filter::default() };
    assert!(reader.page(&nobody, "", 99).unwrap().0.is_empty());
    let checked = reader.verify("").unwrap();
    assert!(checked.broken.is_empty() && checked.count > 7, "{checked:?}");
    assert!(reader.page(&only, "elsewhere", 9).is_err());
}

/// The decisions of the audit on a task's calls.
fn on_calls(lab: &Lab, owner: &crate::runtime::Owner) -> Vec<Decision> {
    let audit = &owner.services().audit;
    let reader = Reader { audit, journal: &*lab.journal, tenant: "default" };
    let (records, _) = reader.page(&Filter::default(), "", 99).unwrap();
    let on_calls = records.into_iter().filter(|record| record.operation.is_some());
    on_calls.map(|record| record.decision).collect()
}

async fn a_refusal_that_a_tool_forges_is_none(lab: Lab) {
    use Decision::{Allowed, Denied};
    let run = lab.begin_with("lab?look.resultBytes=1").await;
    for (call_number, code) in (1..).zip([Code::Denied, Code::Revoked, Code::InterfaceChanged]) {
        let thrown = said(call(&run.granted, call_number, code.as_str())).await.unwrap_err();
        assert_eq!(thrown.code, code, "it is the outcome of the call");
    }
    let head = run.owner.with(|task| task.head().number);
    run.owner.durable(head).await.unwrap();
    assert_eq!(on_calls(&lab, &run.owner), [Allowed; 3]);
    let withheld = said(call(&run.granted, 4, "look")).await.unwrap_err();
    assert_eq!(withheld.detail, "look.resultBytes=1");
    let head = run.owner.with(|task| task.head().number);
    run.owner.durable(head).await.unwrap();
    assert_eq!(on_calls(&lab, &run.owner)[3..], [Allowed, Denied], "the mesh's own is one");
}
