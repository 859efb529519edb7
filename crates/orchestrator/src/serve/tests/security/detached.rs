//! Tasks that would outlive the one that spawns them, without a grant that says so.

use remit_core::{Code, Fact, GrantId, Value};
use remit_journal::Journal as _;

use super::super::lab::{
    Lab, attenuate, create_with, events, over_both_transports, said, spawn, with,
};

over_both_transports!(
    detached_task_is_refused_to_a_grant_that_does_not_say_so,
    narrowing_a_grant_makes_no_task_detached,
    a_family_of_tasks_does_not_grow_without_end,
    a_chain_of_detached_tasks_is_one_family,
);

async fn detached_task_is_refused_to_a_grant_that_does_not_say_so(lab: Lab) {
    for grant in ["tasks", "tasks?methods=spawn", "tasks?arg.detached=equals:true"] {
        let lab = Lab::new(lab.transport);
        let site = lab.start();
        let owner = create_with(&site, grant).await;
        let (_context, tasks) = lab.attempt(&site).await;
        let others = [
            (Value::Bool(true), Code::Denied),
            (Value::Integer(1), Code::InvalidArgument),
            (Value::Text("false".into()), Code::InvalidArgument),
        ];
        for (number, (value, code)) in (1..).zip(others) {
            let refused = said(spawn(&tasks, number, &tasks, &[("detached", value)])).await;
            assert_eq!(refused.unwrap_err().code, code, "{grant}");
        }
        let denied = |event: &remit_core::Event| matches!(event.fact, Fact::CallDenied { .. });
        assert_eq!(events(&lab, owner.key()).iter().filter(|event| denied(event)).count(), 3);
        assert!(crate::tasks::Tasks::children(&owner).is_empty());
    }
    let site = lab.start();
    let owner = create_with(&site, "tasks").await;
    let (_context, tasks) = lab.attempt(&site).await;
    said(spawn(&tasks, 1, &tasks, &[("detached", Value::Bool(false))])).await.unwrap();
    said(spawn(&tasks, 2, &tasks, &[])).await.unwrap();
    let children = crate::tasks::Tasks::children(&owner);
    assert_eq!(children.iter().map(|child| child.detached).collect::<Vec<_>>(), [false, false]);
}

async fn narrowing_a_grant_makes_no_task_detached(lab: Lab) {
    let site = lab.start();
    let owner = create_with(&site, "tasks").await;
    let (_context, tasks) = lab.attempt(&site).await;
    let made = attenuate(&tasks, 1, "arg.detached=equals:true");
    let narrowed = made.pipeline.get_object();
    // A grant that no call passes may be refused as such, too.
    let _either = said(made).await;
    let source = ("source", Value::Text("export default () => 1".into()));
    let detached = [source, ("detached", Value::Bool(true))];
    assert!(said(with(&narrowed, 2, "spawn", &detached, &[])).await.is_err());

    // What is passed on is bound as well.
    let child = said(spawn(&tasks, 3, &tasks, &[])).await.unwrap().0;
    let id = child.field("id").and_then(Value::as_text).unwrap().parse().unwrap();
    let key = crate::runtime::TaskKey { task: id, ..owner.key().clone() };
    let child = site.tasks.working(&key).unwrap();
    let (_theirs, passed) = lab.attempt(&site).await;
    let refused = said(with(&passed, 1, "spawn", &detached, &[])).await.unwrap_err();
    assert_eq!(refused.code, Code::Denied, "{refused}");
    assert!(child.with(|task| task.grant(GrantId(1)).is_some()));
    assert_eq!(crate::tasks::Tasks::children(&owner).len(), 1);
}

async fn a_family_of_tasks_does_not_grow_without_end(lab: Lab) {
    let site = lab.start();
    let owner = create_with(&site, "tasks").await;
    let (_context, tasks) = lab.attempt(&site).await;
    let check = |key: &crate::runtime::TaskKey, most| site.tasks.place_below(key, (most, 9));
    assert!(check(owner.key(), 1).is_ok());
    said(spawn(&tasks, 1, &tasks, &[])).await.unwrap();
    let child = &crate::tasks::Tasks::children(&owner)[0];
    let child = crate::runtime::TaskKey { task: child.task, ..owner.key().clone() };
    // Whoever spawns it, the next one counts in the same family.
    for key in [owner.key(), &child] {
        let refused = check(key, 1).unwrap_err();
        assert_eq!(refused.code, Code::Limit);
        assert!(refused.message.contains(&owner.key().task.to_string()), "{refused}");
        assert!(check(key, 2).is_ok());
    }
    // One that has ended makes room.
    let spawned = site.tasks.get(&child).unwrap();
    spawned.record(&remit_core::task::Command::Cancel { reason: "enough".into() }).unwrap();
    assert!(check(owner.key(), 1).is_ok());
    // It still counts among all that there ever were.
    let full = site.tasks.place_below(owner.key(), (9, 1)).unwrap_err();
    assert!(full.code == Code::Limit && full.message.contains("ended ones included"), "{full}");
}

/// A chain in which each task spawns the next one: how deep it is stands with each, on disk.
async fn a_chain_of_detached_tasks_is_one_family(lab: Lab) {
    let site = lab.start();
    let owner = create_with(&site, "tasks:detached").await;
    let (_context, tasks) = lab.attempt(&site).await;
    let mut key = owner.key().clone();
    let (mut contexts, mut spawner) = (vec![_context], tasks);
    for depth in 1..=3_u8 {
        let child = said(spawn(&spawner, 1, &spawner, &[("detached", Value::Bool(true))])).await;
        let id = child.unwrap().0.field("id").and_then(Value::as_text).unwrap().parse().unwrap();
        let parent = site.tasks.get(&key).unwrap();
        key = crate::runtime::TaskKey { task: id, ..key };
        let (context, passed) = lab.attempt(&site).await;
        contexts.push(context);
        spawner = passed;
        let head = lab.journal.head(&key.tenant, id).unwrap().unwrap();
        assert_eq!(head.family.unwrap().root, owner.key().task);
        assert_eq!(head.family.unwrap().depth, depth);
        drop(parent);
    }
    let members = lab.journal.family(&key.tenant, owner.key().task, 9).unwrap();
    assert_eq!(members.len(), 3);
}
