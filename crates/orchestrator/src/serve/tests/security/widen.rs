//! Widening: nothing that is narrowed allows more than what it was narrowed from.

use remit_core::{Code, Value};

use super::super::lab::{
    Lab, attenuate, call, create, create_with, granted, over_both_transports, said, spawn, split,
    with,
};

over_both_transports!(
    attenuation_that_claims_more_is_refused_with_the_caveat_that_is_wider,
    caveat_that_is_left_out_still_applies,
    depth_that_is_used_up_allows_no_further_narrowing,
    split_of_more_than_is_left_is_refused,
    split_below_a_purse_cannot_exceed_the_purse,
    child_task_cannot_narrow_what_it_was_passed_beyond_its_depth,
    child_task_cannot_be_spawned_with_more_than_its_parent_has,
    spawned_task_cannot_be_given_a_tool_by_name,
    spawn_without_a_grant_of_tasks_is_impossible,
    unknown_caveat_in_any_spelling_makes_nothing,
);

async fn attenuation_that_claims_more_is_refused_with_the_caveat_that_is_wider(lab: Lab) {
    let has = "lab?methods=look,open&calls=10&resultBytes=100&until=1h&arg.n?=range:0..9&\
               concurrency=2&cost=5&rate=1/s";
    let run = lab.begin_with(has).await;
    for (number, wider) in (1_u64..).step_by(2).zip([
        "methods=look,put",
        "calls=11",
        "resultBytes=101",
        "until=2h",
        "arg.n?=range:0..10",
        "concurrency=3",
        "cost=6",
        "rate=2/s",
    ]) {
        let made = attenuate(&run.granted, number, wider);
        let used = call(&made.pipeline.get_object(), number + 1, "look");
        let refused = said(made).await.unwrap_err();
        assert_eq!(refused.code, Code::Denied, "{wider}: {refused}");
        let term = wider.split('=').next().unwrap();
        assert!(refused.detail.starts_with(term), "{wider}: {refused:?}");
        assert!(said(used).await.is_err(), "{wider}");
        assert_eq!(run.owner.with(|task| task.grants().count()), 2, "{wider}");
    }
    assert!(lab.seen.borrow().is_empty());
}

async fn caveat_that_is_left_out_still_applies(lab: Lab) {
    let run = lab.begin_with("lab?methods=look&resultBytes=100").await;
    let one = attenuate(&run.granted, 1, "label=mine");
    let two = attenuate(&one.pipeline.get_object(), 2, "calls=9");
    let three = attenuate(&two.pipeline.get_object(), 3, "label=deeper");
    let last = three.pipeline.get_object();
    let (put, look) = (call(&last, 4, "put"), call(&last, 5, "look"));
    for made in [one, two, three] {
        said(made).await.unwrap();
    }
    assert_eq!(said(put).await.unwrap_err().detail, "methods=look");
    said(look).await.unwrap();
    assert_eq!(*lab.seen.borrow(), ["look"]);
}

async fn depth_that_is_used_up_allows_no_further_narrowing(lab: Lab) {
    let run = lab.begin_with("lab?delegationDepth=1").await;
    let one = attenuate(&run.granted, 1, "methods=look");
    let weak = one.pipeline.get_object();
    let two = attenuate(&weak, 2, "calls=1");
    let more = attenuate(&weak, 3, "delegationDepth=5");
    said(one).await.unwrap();
    for refused in [said(two).await, said(more).await] {
        assert_eq!(refused.unwrap_err().code, Code::Denied);
    }
    said(call(&weak, 4, "look")).await.unwrap();
}

async fn split_of_more_than_is_left_is_refused(lab: Lab) {
    let run = lab.begin_with("lab?calls=10").await;
    said(split(&run.granted, 1, "calls=6")).await.unwrap();
    assert_eq!(said(split(&run.granted, 2, "calls=5")).await.unwrap_err().code, Code::Denied);
    assert_eq!(said(split(&run.granted, 3, "calls=11")).await.unwrap_err().code, Code::Denied);
    assert!(said(split(&run.granted, 4, "label=free")).await.is_err(), "a purse of nothing");
    said(split(&run.granted, 5, "calls=4")).await.unwrap();
    assert_eq!(said(call(&run.granted, 6, "look")).await.unwrap_err().detail, "calls=10");
    assert_eq!(run.owner.with(|task| task.grants().count()), 4);
    assert!(lab.seen.borrow().is_empty());
}

async fn split_below_a_purse_cannot_exceed_the_purse(lab: Lab) {
    let run = lab.begin_with("lab?calls=100").await;
    let purse = split(&run.granted, 1, "calls=3");
    let part = purse.pipeline.get_object();
    said(purse).await.unwrap();
    assert_eq!(said(split(&part, 2, "calls=4")).await.unwrap_err().code, Code::Denied);
    let within = split(&part, 3, "calls=2");
    let small = within.pipeline.get_object();
    said(within).await.unwrap();
    for (number, object, allowed) in [
        (4, &part, true),
        (5, &part, false),
        (6, &small, true),
        (7, &small, true),
        (8, &small, false),
    ] {
        assert_eq!(said(call(object, number, "look")).await.is_ok(), allowed, "{number}");
    }
    assert_eq!(lab.seen.borrow().len(), 3);
}

/// A child of a task with this grant, with the object that it was passed.
async fn child(lab: &Lab, grant: &str) -> Child {
    let site = lab.start();
    create_with(&site, grant).await;
    let (context, held) = lab.attempt(&site).await;
    let tasks = granted(&context, 1).await;
    said(spawn(&tasks, 1, &held, &[])).await.unwrap();
    let (childs, passed) = lab.attempt(&site).await;
    Child { passed, _kept: (site, context, childs, tasks) }
}

struct Child {
    passed: remit_schema::object_capnp::object::Client,
    _kept: (
        super::super::lab::Site,
        remit_schema::task_capnp::task_context::Client,
        remit_schema::task_capnp::task_context::Client,
        remit_schema::object_capnp::object::Client,
    ),
}

async fn child_task_cannot_narrow_what_it_was_passed_beyond_its_depth(lab: Lab) {
    let child = child(&lab, "lab?delegationDepth=1").await;
    let refused = said(attenuate(&child.passed, 1, "methods=look")).await.unwrap_err();
    assert_eq!(refused.code, Code::Denied, "{refused}");
    let refused = said(attenuate(&child.passed, 2, "delegationDepth=3")).await.unwrap_err();
    assert_eq!(refused.code, Code::Denied, "{refused}");
    said(call(&child.passed, 3, "look")).await.unwrap();
}

async fn child_task_cannot_be_spawned_with_more_than_its_parent_has(lab: Lab) {
    let child = child(&lab, "lab?methods=look&calls=2").await;
    assert_eq!(said(call(&child.passed, 1, "put")).await.unwrap_err().code, Code::Denied);
    said(call(&child.passed, 2, "look")).await.unwrap();
    said(call(&child.passed, 3, "look")).await.unwrap();
    assert_eq!(said(call(&child.passed, 4, "look")).await.unwrap_err().detail, "calls=2");
    assert_eq!(lab.seen.borrow().len(), 2);
}

async fn spawned_task_cannot_be_given_a_tool_by_name(lab: Lab) {
    let site = lab.start();
    create(&site).await;
    let (context, _held) = lab.attempt(&site).await;
    let tasks = granted(&context, 1).await;
    let source = || ("source", Value::Text("export default () => 1".into()));
    let it = |value: Value<u32>| Value::Fields(vec![("it".into(), value)]);
    for (number, grants) in (1..).zip([
        it(Value::Text("lab".into())),
        it(Value::Text("lab?calls=1000000".into())),
        it(Value::Integer(1)),
        it(Value::Null),
        Value::List(vec![Value::Text("lab".into())]),
        Value::Text("lab".into()),
    ]) {
        let args = [source(), ("grants", grants)];
        let refused = said(with(&tasks, number, "spawn", &args, &[])).await.unwrap_err();
        assert_eq!(refused.code, Code::InvalidArgument, "{number}: {refused}");
    }
    assert_eq!(site.tasks.list("default", None, None, 9, None).unwrap().0.len(), 1);
}

async fn spawn_without_a_grant_of_tasks_is_impossible(lab: Lab) {
    let run = lab.begin().await;
    let args =
        [("source", Value::Text("export default () => 1".into())), ("detached", Value::Bool(true))];
    let refused = said(with(&run.granted, 1, "spawn", &args, &[])).await.unwrap_err();
    assert_eq!(refused.code, Code::NotFound, "{refused}");
    assert_eq!(run.site.tasks.list("default", None, None, 9, None).unwrap().0.len(), 1);
}

async fn unknown_caveat_in_any_spelling_makes_nothing(lab: Lab) {
    let run = lab.begin().await;
    for (number, caveats) in (1..).zip([
        "moon=full",
        "Methods=look",
        "methods=look&moon=full",
        "calls=-1",
        "calls=1&calls",
        "until=yesterday",
        "rate=0/s",
        "cel=",
    ]) {
        let made = attenuate(&run.granted, number, caveats);
        assert!(said(made).await.is_err(), "{caveats}");
    }
    assert_eq!(run.owner.with(|task| task.grants().count()), 2);
}
