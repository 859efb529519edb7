//! Revocation in bulk: nothing that is meant is left out because it is not in memory.

use remit_core::{Code, GrantId, Role, TaskId, Value};

use super::super::lab::{Lab, Site, call, create, granted, over_both_transports, said, spawn};
use crate::runtime::{Owner, TaskKey};
use crate::serve::fakes::who;
use crate::tasks::holders::Selection;

over_both_transports!(
    tasks_that_only_the_disk_knows_are_revoked_too,
    task_that_cannot_be_read_keeps_no_other_from_being_revoked,
    grants_that_an_ended_task_passed_on_are_revoked_too,
    grants_that_a_holder_has_of_an_ended_task_are_revoked_too,
    task_of_another_tenant_is_not_reached,
    tool_with_another_manifest_is_not_meant,
);

async fn revoke_all(site: &Site, which: Selection) -> Vec<(TaskId, GrantId)> {
    let by = who(Role::Client, "me");
    let revoked = site.tasks.revoke_all(&which, "bulk", &by).await.unwrap();
    revoked.into_iter().map(|(key, grant)| (key.task, grant)).collect()
}

fn by_tool() -> Selection {
    Selection { tool: "lab".into(), ..Selection::default() }
}

async fn tasks_that_only_the_disk_knows_are_revoked_too(lab: Lab) {
    let site = lab.start();
    let mut tasks = Vec::new();
    for _ in 0..3 {
        tasks.push((create(&site).await.key().task, GrantId(1)));
    }
    site.tasks.shutdown().await;
    drop(site);
    let site = lab.start();
    tasks.sort();
    assert_eq!(revoke_all(&site, by_tool()).await, tasks);
    assert!(revoke_all(&site, by_tool()).await.is_empty(), "nothing is left");
    for _ in 0..3 {
        let (_context, held) = lab.attempt(&site).await;
        assert_eq!(said(call(&held, 1, "look")).await.unwrap_err().code, Code::Revoked);
    }
    assert!(lab.seen.borrow().is_empty());
}

async fn task_that_cannot_be_read_keeps_no_other_from_being_revoked(lab: Lab) {
    let site = lab.start();
    let mut tasks = Vec::new();
    for _ in 0..3 {
        tasks.push(create(&site).await.key().clone());
    }
    site.tasks.shutdown().await;
    drop(site);
    // The first in the order in which they are looked at.
    tasks.sort_by_key(|key| key.task);
    lab.journal.damage(&tasks[0].tenant, tasks[0].task);
    let site = lab.start();
    let by = who(Role::Client, "me");
    let failure = site.tasks.revoke_all(&by_tool(), "bulk", &by).await.unwrap_err();
    assert!(failure.message.contains(&tasks[0].task.to_string()), "{failure}");
    assert!(failure.message.contains("2 grants of other tasks were"), "{failure}");
    for key in &tasks[1..] {
        let owner = site.tasks.get(key).unwrap();
        assert!(owner.with(|task| task.is_revoked(GrantId(1))), "{}", key.task);
    }
}

/// An ended task that passed its lab on to a detached one, after a restart.
async fn ended_parent(lab: &Lab) -> (Site, TaskId, TaskId) {
    let site = lab.start();
    let owner: std::rc::Rc<Owner> = create(&site).await;
    let parent = owner.key().task;
    let (context, held) = lab.attempt(&site).await;
    let tasks = granted(&context, 1).await;
    let detached = [("detached", Value::Bool(true))];
    let spawned = said(spawn(&tasks, 1, &held, &detached)).await.unwrap();
    let child = spawned.0.field("id").and_then(Value::as_text).unwrap().parse().unwrap();
    let mut finish = context.finish_request();
    finish.get().init_outcome().init_value().set_null(());
    finish.send().promise.await.unwrap();
    owner.over().await;
    drop(owner);
    site.tasks.shutdown().await;
    drop(site);
    lab.seen.borrow_mut().clear();
    (lab.start(), parent, child)
}

async fn grants_that_an_ended_task_passed_on_are_revoked_too(lab: Lab) {
    let (site, parent, _child) = ended_parent(&lab).await;
    let of_parent = Selection { task: Some(parent), ..Selection::default() };
    let revoked = revoke_all(&site, of_parent).await;
    assert_eq!(revoked, [(parent, GrantId(3))], "what it passed on, and not what it held itself");
    let (_context, passed) = lab.attempt(&site).await;
    assert_eq!(said(call(&passed, 1, "look")).await.unwrap_err().code, Code::Revoked);
    assert!(lab.seen.borrow().is_empty());
}

async fn grants_that_a_holder_has_of_an_ended_task_are_revoked_too(lab: Lab) {
    let (site, parent, child) = ended_parent(&lab).await;
    let holder = Selection { holder: format!("task:{child}"), ..Selection::default() };
    let revoked = revoke_all(&site, holder).await;
    assert!(revoked.contains(&(parent, GrantId(3))), "{revoked:?}");
    assert!(revoked.contains(&(child, GrantId(1))), "{revoked:?}");
    let (_context, passed) = lab.attempt(&site).await;
    assert_eq!(said(call(&passed, 1, "look")).await.unwrap_err().code, Code::Revoked);
}

async fn task_of_another_tenant_is_not_reached(lab: Lab) {
    let site = lab.start();
    let owner = create(&site).await;
    let stranger = remit_core::Identity::new("home", "others", Role::Client, "me").unwrap();
    for which in [by_tool(), Selection { task: Some(owner.key().task), ..Selection::default() }] {
        let revoked = site.tasks.revoke_all(&which, "bulk", &stranger).await;
        assert!(revoked.map_or(true, |revoked| revoked.is_empty()));
    }
    assert!(!owner.with(|task| task.is_revoked(GrantId(1))));
    let key = TaskKey { tenant: "others".into(), ..owner.key().clone() };
    assert!(site.tasks.get(&key).is_err());
}

async fn tool_with_another_manifest_is_not_meant(lab: Lab) {
    let site = lab.start();
    create(&site).await;
    let hash = super::super::lab::manifest().hash();
    let none = Selection { manifest: Some([7; 32]), ..Selection::default() };
    assert!(revoke_all(&site, none).await.is_empty());
    site.tasks.shutdown().await;
    drop(site);
    let site = lab.start();
    let by_hash = Selection { manifest: Some(hash), ..Selection::default() };
    assert_eq!(revoke_all(&site, by_hash).await.len(), 1);
}
