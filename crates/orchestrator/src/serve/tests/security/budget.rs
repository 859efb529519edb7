//! Budgets: never more than what was granted, whatever is raced against whatever.

use std::rc::Rc;

use remit_core::{Code, GrantId, Value};
use remit_schema::object_capnp::object;

use super::super::lab::{
    Lab, attenuate, call, create, granted, over_both_transports, said, spawn, with,
};

over_both_transports!(
    budget_cannot_be_exceeded_by_racing_on_one_object,
    budget_cannot_be_exceeded_by_racing_through_children_and_objects,
    budget_cannot_be_exceeded_by_racing_with_another_task,
    budget_is_not_refunded_for_calls_that_fail,
    refused_calls_cost_nothing_and_reach_nobody,
    concurrency_cannot_be_exceeded_by_racing,
    rate_cannot_be_exceeded_by_waiting_less,
    bytes_cannot_be_exceeded_by_many_small_calls,
    calls_held_open_count_as_calls,
);

async fn budget_cannot_be_exceeded_by_racing_on_one_object(lab: Lab) {
    let run = lab.begin_with("lab?calls=7").await;
    let racing = (1..=40).map(|number| said(call(&run.granted, number, "put")));
    let went = futures::future::join_all(racing).await;
    assert_eq!(went.iter().filter(|one| one.is_ok()).count(), 7);
    for refused in went.into_iter().filter_map(Result::err) {
        assert_eq!((refused.code, &refused.detail[..]), (Code::Denied, "calls=7"));
    }
    assert_eq!(lab.seen.borrow().len(), 7);
}

async fn budget_cannot_be_exceeded_by_racing_through_children_and_objects(lab: Lab) {
    let run = lab.begin_with("lab?calls=9").await;
    let opened = call(&run.granted, 1, "open");
    let mut ways = vec![run.granted.clone(), opened.pipeline.get_object()];
    let weak = [attenuate(&run.granted, 2, "calls=8"), attenuate(&run.granted, 3, "calls=8")];
    ways.extend(weak.iter().map(|made| made.pipeline.get_object()));
    said(opened).await.unwrap();
    for made in weak {
        said(made).await.unwrap();
    }
    let racing = (4..=43_u64).map(|number| {
        let way: &object::Client = &ways[usize::try_from(number).unwrap() % ways.len()];
        said(call(way, number, "put"))
    });
    let went = futures::future::join_all(racing).await;
    assert_eq!(went.iter().filter(|one| one.is_ok()).count(), 8, "one was used to open");
    assert_eq!(lab.seen.borrow().len(), 9);
    assert_eq!(run.owner.with(|task| task.grant(GrantId(1)).unwrap().used()), 9);
}

async fn budget_cannot_be_exceeded_by_racing_with_another_task(lab: Lab) {
    let run = lab.begin_with("lab?calls=6").await;
    let tasks = granted(&run.context, 1).await;
    said(spawn(&tasks, 1, &run.granted, &[])).await.unwrap();
    let (_child, passed) = lab.attempt(&run.site).await;
    let mine = (2..=21).map(|number| said(call(&run.granted, number, "put")));
    let theirs = (1..=20).map(|number| said(call(&passed, number, "put")));
    let (mine, theirs) =
        tokio::join!(futures::future::join_all(mine), futures::future::join_all(theirs));
    let allowed = mine.iter().chain(&theirs).filter(|one| one.is_ok()).count();
    assert_eq!(allowed, 6);
    assert_eq!(lab.seen.borrow().len(), 6);
    assert_eq!(run.owner.with(|task| task.grant(GrantId(1)).unwrap().used()), 6);
}

async fn budget_is_not_refunded_for_calls_that_fail(lab: Lab) {
    let run = lab.begin_with("lab?calls=3").await;
    for number in 1..=3 {
        assert_eq!(said(call(&run.granted, number, "fail")).await.unwrap_err().code, Code::Failed);
    }
    assert_eq!(said(call(&run.granted, 4, "look")).await.unwrap_err().detail, "calls=3");
    assert_eq!(lab.seen.borrow().len(), 3);
}

async fn refused_calls_cost_nothing_and_reach_nobody(lab: Lab) {
    let run = lab.begin_with("lab?calls=2&methods=look").await;
    for number in 1..=20 {
        assert_eq!(said(call(&run.granted, number, "put")).await.unwrap_err().code, Code::Denied);
    }
    said(call(&run.granted, 21, "look")).await.unwrap();
    said(call(&run.granted, 22, "look")).await.unwrap();
    assert_eq!(*lab.seen.borrow(), ["look", "look"]);
}

async fn concurrency_cannot_be_exceeded_by_racing(lab: Lab) {
    let run = lab.begin_with("lab?concurrency=3").await;
    let hanging: Vec<_> = (1..=10)
        .map(|number| tokio::task::spawn_local(said(call(&run.granted, number, "hang"))))
        .collect();
    let mut progress = run.owner.progress();
    while run.owner.with(|task| task.calls()) < 10 || lab.seen.borrow().len() < 3 {
        let _ = tokio::time::timeout(std::time::Duration::from_millis(1), progress.changed()).await;
    }
    assert_eq!(lab.seen.borrow().len(), 3);
    assert_eq!(run.owner.with(|task| task.open_calls().count()), 3);
    hanging.iter().for_each(tokio::task::JoinHandle::abort);
}

async fn rate_cannot_be_exceeded_by_waiting_less(lab: Lab) {
    let run = lab.begin_with("lab?rate=2/h").await;
    let racing = (1..=10).map(|number| said(call(&run.granted, number, "look")));
    let went = futures::future::join_all(racing).await;
    assert_eq!(went.iter().filter(|one| one.is_ok()).count(), 2);
    lab.ahead_ms.set(29 * 60_000);
    assert_eq!(said(call(&run.granted, 11, "look")).await.unwrap_err().detail, "rate=2/h");
    lab.ahead_ms.set(31 * 60_000);
    said(call(&run.granted, 12, "look")).await.unwrap();
    assert_eq!(said(call(&run.granted, 13, "look")).await.unwrap_err().detail, "rate=2/h");
}

async fn bytes_cannot_be_exceeded_by_many_small_calls(lab: Lab) {
    let run = lab.begin_with("lab?bytesIn=2000").await;
    let racing = (1..=50).map(|number| {
        let args = [("text", Value::Text("x".repeat(100)))];
        said(with(&run.granted, number, "put", &args, &[]))
    });
    let went = futures::future::join_all(racing).await;
    let allowed = went.iter().filter(|one| one.is_ok()).count();
    assert!((1..=20).contains(&allowed), "{allowed} of 100 bytes each");
    let args = [("text", Value::Text("x".repeat(2_001)))];
    assert_eq!(
        said(with(&run.granted, 51, "put", &args, &[])).await.unwrap_err().code,
        Code::Denied
    );
    assert_eq!(lab.seen.borrow().len(), allowed);
}

async fn calls_held_open_count_as_calls(lab: Lab) {
    let site = lab.start();
    let owner = create(&site).await;
    let (_context, granted) = lab.attempt(&site).await;
    let weak = attenuate(&granted, 1, "calls=1");
    let object = weak.pipeline.get_object();
    said(weak).await.unwrap();
    let hanging = tokio::task::spawn_local(said(call(&object, 2, "hang")));
    while lab.seen.borrow().is_empty() {
        tokio::task::yield_now().await;
    }
    let owner = Rc::clone(&owner);
    let second = tokio::task::spawn_local(said(call(&object, 3, "look")));
    while owner.with(|task| task.operation(remit_core::CallNumber(3)).is_none()) {
        tokio::task::yield_now().await;
    }
    assert_eq!(*lab.seen.borrow(), ["hang"]);
    second.abort();
    hanging.abort();
}
