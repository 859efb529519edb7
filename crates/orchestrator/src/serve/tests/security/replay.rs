//! Replay: a number or a key that was used is good for what it was used for, and nothing else.

use remit_core::event::Origin;
use remit_core::{Code, Value};

use super::super::lab::{
    Lab, call, create, create_with, granted, over_both_transports, revoke, said, spawn, with,
};

over_both_transports!(
    number_that_was_used_makes_no_second_call,
    number_used_for_one_call_cannot_stand_for_another,
    number_far_ahead_is_not_taken,
    key_that_is_no_number_is_refused,
    key_of_one_task_is_never_that_of_another_at_the_tool,
    key_of_a_passed_grant_is_no_key_of_its_sibling,
    budget_is_not_given_back_by_a_restart,
    revoked_object_is_not_got_again_by_a_replay,
    replay_with_other_arguments_ends_the_task_and_reaches_no_tool,
);

async fn number_that_was_used_makes_no_second_call(lab: Lab) {
    let run = lab.begin().await;
    said(call(&run.granted, 1, "put")).await.unwrap();
    for _ in 0..3 {
        let again = said(call(&run.granted, 1, "put")).await.unwrap_err();
        assert_eq!(again.code, Code::InvalidArgument);
    }
    assert_eq!(*lab.seen.borrow(), ["put"]);
}

async fn number_used_for_one_call_cannot_stand_for_another(lab: Lab) {
    let run = lab.begin_with("lab?methods=look").await;
    said(call(&run.granted, 1, "look")).await.unwrap();
    assert!(
        said(call(&run.granted, 1, "put")).await.is_err(),
        "an allowed number allows no other call"
    );
    assert_eq!(said(call(&run.granted, 2, "put")).await.unwrap_err().code, Code::Denied);
    assert_eq!(*lab.seen.borrow(), ["look"]);
}

async fn number_far_ahead_is_not_taken(lab: Lab) {
    let run = lab.begin().await;
    said(call(&run.granted, 5, "look")).await.unwrap();
    for ahead in [5 + remit_core::limits::MAX_AHEAD + 1, 1 << 40, (1 << 48) - 1] {
        let refused = said(call(&run.granted, ahead, "look")).await.unwrap_err();
        assert_eq!(refused.code, Code::InvalidArgument, "{ahead}");
    }
    // Backwards is allowed: pipelined calls arrive in any order.
    said(call(&run.granted, 2, "look")).await.unwrap();
    assert_eq!(run.owner.with(|task| task.operations().count()), 2);
}

async fn key_that_is_no_number_is_refused(lab: Lab) {
    let run = lab.begin().await;
    for key in [&b""[..], b"1", &[0; 7], &[0; 9], &[0; 24], &[255; 300]] {
        let mut request = run.granted.call_request();
        request.get().set_method("put");
        request.get().set_key(key);
        request.get().init_args().set_null(());
        let refused = said(request.send()).await.unwrap_err();
        assert_eq!(refused.code, Code::InvalidArgument, "{key:?}");
    }
    assert!(lab.seen.borrow().is_empty());
}

async fn key_of_one_task_is_never_that_of_another_at_the_tool(lab: Lab) {
    let site = lab.start();
    for _ in 0..3 {
        create(&site).await;
        let (_context, granted) = lab.attempt(&site).await;
        said(call(&granted, 1, "put")).await.unwrap();
        said(call(&granted, 2, "put")).await.unwrap();
    }
    let keys: std::collections::BTreeSet<_> = lab.keys.borrow().iter().cloned().collect();
    assert_eq!(keys.len(), 6, "or one task would be told the outcome of another's");
    assert!(keys.iter().all(|key| key.len() == 24));
}

async fn key_of_a_passed_grant_is_no_key_of_its_sibling(lab: Lab) {
    let run = lab.begin().await;
    let tasks = granted(&run.context, 1).await;
    let mut passed = Vec::new();
    for number in [1, 2] {
        let spawned = said(spawn(&tasks, number, &run.granted, &[])).await.unwrap();
        let id = spawned.0.field("id").and_then(Value::as_text).unwrap().parse().unwrap();
        let grant = run.owner.with(|task| task.grants().last().unwrap().grant.grant);
        let to = crate::runtime::TaskKey { task: id, ..run.owner.key().clone() };
        let origin = Origin { task: run.owner.key().task, grant };
        passed.push(run.site.tasks.passed(&to, origin).unwrap());
    }
    let said_put = Value::Text("put".into());
    assert_eq!(said(call(&passed[0], 7, "put")).await.unwrap().0, said_put);
    assert_eq!(said(call(&passed[1], 7, "put")).await.unwrap().0, said_put);
    assert_eq!(*lab.seen.borrow(), ["put", "put"], "neither was answered with the other's outcome");
    let other = said(call(&passed[0], 7, "look")).await.unwrap_err();
    assert_eq!(other.code, Code::InvalidArgument, "{other}");
}

async fn budget_is_not_given_back_by_a_restart(lab: Lab) {
    let site = lab.start();
    create_with(&site, "lab?calls=3").await;
    let (_context, granted) = lab.attempt(&site).await;
    for number in 1..=3 {
        said(call(&granted, number, "put")).await.unwrap();
    }
    for _ in 0..2 {
        // Each attempt replays the three, and none is charged or made again.
        site.tasks.shutdown().await;
        let site = lab.start();
        let (_context, granted) = lab.attempt(&site).await;
        for number in 1..=3 {
            said(call(&granted, number, "put")).await.unwrap();
        }
        assert_eq!(said(call(&granted, 4, "put")).await.unwrap_err().detail, "calls=3");
        site.tasks.shutdown().await;
    }
    assert_eq!(lab.seen.borrow().len(), 3);
}

async fn revoked_object_is_not_got_again_by_a_replay(lab: Lab) {
    let site = lab.start();
    let owner = create(&site).await;
    let (_context, granted) = lab.attempt(&site).await;
    said(call(&granted, 1, "open")).await.unwrap();
    revoke(&owner, 1).await;
    site.tasks.shutdown().await;
    drop(site);
    let site = lab.start();
    let (_context, granted) = lab.attempt(&site).await;
    let opened = call(&granted, 1, "open");
    let object = opened.pipeline.get_object();
    said(opened).await.unwrap();
    assert_eq!(said(call(&object, 2, "look")).await.unwrap_err().code, Code::Revoked);
    assert_eq!(*lab.seen.borrow(), ["open"], "the tool was not even asked for it");
}

async fn replay_with_other_arguments_ends_the_task_and_reaches_no_tool(lab: Lab) {
    let site = lab.start();
    let owner = create(&site).await;
    let key = owner.key().clone();
    let (_context, granted) = lab.attempt(&site).await;
    let small = [("n", Value::Integer(1))];
    said(with(&granted, 1, "put", &small, &[])).await.unwrap();
    drop(owner);
    site.tasks.shutdown().await;
    drop(site);
    let site = lab.start();
    let owner = site.tasks.get(&key).unwrap();
    let (_context, granted) = lab.attempt(&site).await;
    let large = [("n", Value::Integer(1_000_000))];
    let refused = said(with(&granted, 1, "put", &large, &[])).await.unwrap_err();
    assert!(refused.message.contains("not deterministic"), "{refused}");
    owner.over().await;
    assert_eq!(*lab.seen.borrow(), ["put"]);
}
