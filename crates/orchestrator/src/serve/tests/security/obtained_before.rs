//! Objects obtained before: what came through a grant has no life beyond it.

use futures::FutureExt as _;
use remit_core::{Code, Value};
use remit_vat::wire;

use super::super::lab::{Lab, attenuate, call, granted, over_both_transports, revoke, said, spawn};

over_both_transports!(
    object_in_a_value_dies_with_its_grant,
    object_deep_in_a_chain_dies_with_its_grant,
    object_narrowed_from_one_obtained_dies_with_its_grant,
    object_passed_to_a_child_dies_with_its_grant,
    object_obtained_through_a_weaker_reference_stays_as_weak,
    object_obtained_before_cannot_be_described_after,
    promise_that_is_unresolved_when_it_is_cut_resolves_to_nothing,
);

async fn object_in_a_value_dies_with_its_grant(lab: Lab) {
    let inner = lab.liar(|_, _| async { Ok(()) }.boxed_local());
    lab.lies(move |_, mut results| {
        let value = Value::Fields(vec![("deep".into(), Value::List(vec![Value::Object(0)]))]);
        wire::value::write(results.get().init_value(), &value, std::slice::from_ref(&inner));
        async { Ok(()) }.boxed_local()
    });
    let run = lab.begin().await;
    let response = call(&run.granted, 1, "look").promise.await.unwrap();
    let (_, table) = wire::value::read(response.get().unwrap().get_value().unwrap()).unwrap();
    drop(response);
    said(call(&table[0], 2, "anything")).await.unwrap();
    revoke(&run.owner, 1).await;
    assert_eq!(said(call(&table[0], 3, "anything")).await.unwrap_err().code, Code::Revoked);
    assert_eq!(*lab.seen.borrow(), ["look", "anything"]);
}

async fn object_deep_in_a_chain_dies_with_its_grant(lab: Lab) {
    let run = lab.begin().await;
    let mut objects = vec![run.granted];
    for number in 1..=5 {
        let opened = call(objects.last().unwrap(), number, "open");
        objects.push(opened.pipeline.get_object());
        said(opened).await.unwrap();
    }
    revoke(&run.owner, 1).await;
    for (number, object) in (6..).zip(&objects) {
        assert_eq!(said(call(object, number, "put")).await.unwrap_err().code, Code::Revoked);
    }
    assert!(lab.seen.borrow().iter().all(|seen| seen.ends_with("open")));
}

async fn object_narrowed_from_one_obtained_dies_with_its_grant(lab: Lab) {
    let run = lab.begin().await;
    let opened = call(&run.granted, 1, "open");
    let weak = attenuate(&opened.pipeline.get_object(), 2, "methods=look");
    let object = weak.pipeline.get_object();
    said(opened).await.unwrap();
    said(weak).await.unwrap();
    said(call(&object, 3, "look")).await.unwrap();
    revoke(&run.owner, 1).await;
    assert_eq!(said(call(&object, 4, "look")).await.unwrap_err().code, Code::Revoked);
    assert_eq!(*lab.seen.borrow(), ["open", "open.look"]);
}

async fn object_passed_to_a_child_dies_with_its_grant(lab: Lab) {
    let run = lab.begin().await;
    let tasks = granted(&run.context, 1).await;
    let opened = call(&run.granted, 1, "open");
    let object = opened.pipeline.get_object();
    said(opened).await.unwrap();
    said(spawn(&tasks, 2, &object, &[])).await.unwrap();
    let (_child, passed) = lab.attempt(&run.site).await;
    let deeper = call(&passed, 1, "open");
    let deep = deeper.pipeline.get_object();
    said(deeper).await.unwrap();
    revoke(&run.owner, 1).await;
    for (number, object) in [(2, &passed), (3, &deep)] {
        assert_eq!(said(call(object, number, "put")).await.unwrap_err().code, Code::Revoked);
    }
    assert_eq!(*lab.seen.borrow(), ["open", "open.open"]);
}

async fn object_obtained_through_a_weaker_reference_stays_as_weak(lab: Lab) {
    let run = lab.begin().await;
    let weak = attenuate(&run.granted, 1, "methods=open,look&calls=4");
    let mut object = weak.pipeline.get_object();
    said(weak).await.unwrap();
    for number in 2..=4 {
        let opened = call(&object, number, "open");
        object = opened.pipeline.get_object();
        said(opened).await.unwrap();
    }
    assert_eq!(said(call(&object, 5, "put")).await.unwrap_err().detail, "methods=open,look");
    said(call(&object, 6, "look")).await.unwrap();
    assert_eq!(said(call(&object, 7, "look")).await.unwrap_err().detail, "calls=4");
    said(call(&run.granted, 8, "put")).await.unwrap();
}

async fn object_obtained_before_cannot_be_described_after(lab: Lab) {
    let run = lab.begin_with("lab?methods=open").await;
    let opened = call(&run.granted, 1, "open");
    let object = opened.pipeline.get_object();
    said(opened).await.unwrap();
    assert!(object.describe_request().send().promise.await.is_ok());
    revoke(&run.owner, 1).await;
    for object in [&run.granted, &object] {
        assert!(object.describe_request().send().promise.await.is_err());
    }
}

async fn promise_that_is_unresolved_when_it_is_cut_resolves_to_nothing(lab: Lab) {
    let run = lab.begin().await;
    let stuck = call(&run.granted, 1, "once");
    let object = stuck.pipeline.get_object();
    let after = tokio::task::spawn_local(said(call(&object, 2, "put")));
    let stuck = tokio::task::spawn_local(said(stuck));
    while lab.seen.borrow().is_empty() {
        tokio::task::yield_now().await;
    }
    revoke(&run.owner, 1).await;
    assert_eq!(stuck.await.unwrap().unwrap_err().code, Code::Revoked);
    assert!(after.await.unwrap().is_err());
    assert!(said(call(&object, 3, "put")).await.is_err());
    assert_eq!(*lab.seen.borrow(), ["once"]);
}
