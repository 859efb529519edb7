//! Other families: what a task may do with its own sub-tasks, it may do with nobody else's.

use remit_core::{Code, Value};
use remit_schema::object_capnp::object;

use super::super::lab::{
    Lab, Site, attenuate, call, create, granted, lend, over_both_transports, revoke, said, spawn,
    with,
};
use crate::runtime::{Owner, TaskKey};

over_both_transports!(
    task_of_another_family_cannot_be_cancelled_by_its_id,
    handle_of_another_family_is_no_argument,
    handle_dies_with_the_grant_that_spawned,
    handle_without_the_method_cannot_cancel,
    child_cannot_spawn_without_being_passed_the_means,
    child_cannot_reach_its_parents_other_grants,
    input_cannot_carry_an_object_to_a_child,
    made_up_fields_of_a_spawn_are_refused,
);

/// A task at work that has spawned another, and its handle on that one.
struct Family {
    owner: std::rc::Rc<Owner>,
    held: object::Client,
    tasks: object::Client,
    handle: object::Client,
    child: TaskKey,
    passed: object::Client,
    contexts: [remit_schema::task_capnp::task_context::Client; 2],
}

async fn family(lab: &Lab, site: &Site) -> Family {
    let owner = create(site).await;
    let (context, held) = lab.attempt(site).await;
    let tasks = granted(&context, 1).await;
    let spawned = spawn(&tasks, 1, &held, &[]);
    let handle = spawned.pipeline.get_object();
    let id = said(spawned).await.unwrap().0;
    let task = id.field("id").and_then(Value::as_text).unwrap().parse().unwrap();
    let child = TaskKey { task, ..owner.key().clone() };
    let (childs, passed) = lab.attempt(site).await;
    Family { owner, held, tasks, handle, child, passed, contexts: [context, childs] }
}

fn is_free(site: &Site, key: &TaskKey) -> bool {
    site.tasks.get(key).unwrap().with(|task| task.is_free())
}

async fn task_of_another_family_cannot_be_cancelled_by_its_id(lab: Lab) {
    let site = lab.start();
    let (mine, other) = (family(&lab, &site).await, family(&lab, &site).await);
    let id = || Value::Text(other.child.task.to_string());
    for (number, (method, field)) in
        (2..).zip([("cancel", "task"), ("open", "id"), ("task", "id"), ("info", "id")])
    {
        let refused = said(with(&mine.tasks, number, method, &[(field, id())], &[])).await;
        assert_eq!(refused.unwrap_err().code, Code::NotFound, "{method}");
    }
    // On its own handle a field that names another task names nothing.
    let _either = said(with(&mine.handle, 6, "cancel", &[("task", id())], &[])).await;
    assert!(is_free(&site, &other.child), "it works on");
    assert!(is_free(&site, other.owner.key()));
}

async fn handle_of_another_family_is_no_argument(lab: Lab) {
    let site = lab.start();
    let (mine, other) = (family(&lab, &site).await, family(&lab, &site).await);
    let refused = said(lend(&mine.held, 2, "use", &other.handle)).await.unwrap_err();
    assert_eq!(refused.code, Code::InvalidArgument, "{refused}");
    let refused = said(spawn(&mine.tasks, 3, &other.handle, &[])).await.unwrap_err();
    assert_eq!(refused.code, Code::InvalidArgument, "{refused}");
    assert!(is_free(&site, &other.child));
    assert!(lab.seen.borrow().is_empty());
}

async fn handle_dies_with_the_grant_that_spawned(lab: Lab) {
    let site = lab.start();
    let mine = family(&lab, &site).await;
    revoke(&mine.owner, 2).await;
    for (number, method) in (2..).zip(["cancel", "info", "send", "events", "result"]) {
        let refused = said(call(&mine.handle, number, method)).await.unwrap_err();
        assert_eq!(refused.code, Code::Revoked, "{method}");
    }
    assert!(is_free(&site, &mine.child));
}

async fn handle_without_the_method_cannot_cancel(lab: Lab) {
    let site = lab.start();
    let mine = family(&lab, &site).await;
    let weak = attenuate(&mine.handle, 2, "methods=info");
    let object = weak.pipeline.get_object();
    said(weak).await.unwrap();
    said(call(&object, 3, "info")).await.unwrap();
    for (number, method) in (4..).zip(["cancel", "send", "grant", "result"]) {
        assert_eq!(said(call(&object, number, method)).await.unwrap_err().code, Code::Denied);
    }
    assert!(is_free(&site, &mine.child));
}

async fn child_cannot_spawn_without_being_passed_the_means(lab: Lab) {
    let site = lab.start();
    let mine = family(&lab, &site).await;
    let refused = said(spawn(&mine.passed, 1, &mine.passed, &[])).await.unwrap_err();
    assert_eq!(refused.code, Code::NotFound, "{refused}");
    let begun = mine.contexts[1].begin_request().send().promise.await.unwrap();
    let grants = begun.get().unwrap().get_script().unwrap().get_grants().unwrap();
    assert_eq!(grants.len(), 1, "what it was passed, and nothing besides");
    assert_eq!(site.tasks.list("default", None, None, 9, None).unwrap().0.len(), 2);
}

async fn child_cannot_reach_its_parents_other_grants(lab: Lab) {
    let site = lab.start();
    let mine = family(&lab, &site).await;
    let origin = |grant| remit_core::event::Origin {
        task: mine.owner.key().task,
        grant: remit_core::GrantId(grant),
    };
    for grant in [1, 2, 4, 99] {
        let refused = site.tasks.passed(&mine.child, origin(grant)).err().unwrap();
        assert_eq!(refused.code, Code::Denied, "{grant}");
    }
    let refused = said(lend(&mine.passed, 1, "use", &mine.tasks)).await.unwrap_err();
    assert_eq!(refused.code, Code::InvalidArgument, "{refused}");
}

async fn input_cannot_carry_an_object_to_a_child(lab: Lab) {
    let site = lab.start();
    let mine = family(&lab, &site).await;
    let args = [("value", Value::List(vec![Value::Object(0)]))];
    let sent = with(&mine.handle, 2, "send", &args, std::slice::from_ref(&mine.held));
    assert_eq!(said(sent).await.unwrap_err().code, Code::InvalidArgument);
    let child = site.tasks.get(&mine.child).unwrap();
    assert_eq!(child.with(|task| task.grants().count()), 1);
}

async fn made_up_fields_of_a_spawn_are_refused(lab: Lab) {
    let site = lab.start();
    let mine = family(&lab, &site).await;
    let text = |text: &str| Value::Text(text.into());
    for (number, (field, value)) in (2..).zip([
        ("creator", text("spiffe://home/default/client/me")),
        ("tenant", text("others")),
        ("parent", text("")),
        ("holder", text("spiffe://home/default/client/me")),
        ("id", text(&mine.child.task.to_string())),
        ("key", text("mine")),
    ]) {
        let refused = said(spawn(&mine.tasks, number, &mine.held, &[(field, value)])).await;
        let refused = refused.unwrap_err();
        assert_eq!((refused.code, &refused.detail[..]), (Code::InvalidArgument, field));
    }
    assert_eq!(site.tasks.list("default", None, None, 9, None).unwrap().0.len(), 2);
}
