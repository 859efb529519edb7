//! Tasks that would outlive the one that spawns them, without a grant that says so.

use remit_core::{Code, Fact, GrantId, Value};

use super::super::lab::{
    Lab, attenuate, create_with, events, over_both_transports, said, spawn, with,
};

over_both_transports!(
    detached_task_is_refused_to_a_grant_that_does_not_say_so,
    narrowing_a_grant_makes_no_task_detached,
    a_family_of_tasks_does_not_grow_without_end,
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
    let key = crate::owner::TaskKey { task: id, ..owner.key().clone() };
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
    let check = |key: &crate::owner::TaskKey, most| site.tasks.check_family(key, most);
    assert!(check(owner.key(), 1).is_ok());
    said(spawn(&tasks, 1, &tasks, &[])).await.unwrap();
    let child = &crate::tasks::Tasks::children(&owner)[0];
    let child = crate::owner::TaskKey { task: child.task, ..owner.key().clone() };
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
}
