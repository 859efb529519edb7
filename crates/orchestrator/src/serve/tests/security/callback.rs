//! Callbacks: what a tool is lent for a call works for that call, within its grant, and no longer.

use std::cell::RefCell;
use std::rc::Rc;

use futures::FutureExt as _;
use remit_core::{Code, Failure, GrantId, Value};
use remit_schema::object_capnp::object;
use remit_vat::wire;

use super::super::lab::{Lab, attenuate, call, create, lend, over_both_transports, revoke, said};

over_both_transports!(
    lent_object_allows_the_tool_no_more_than_its_own_grant_does,
    lent_object_cannot_be_attenuated_into_one_that_lasts,
    lent_object_cannot_be_used_when_its_call_has_ended,
    lent_object_obtains_nothing_that_lasts,
    lent_object_is_cut_when_its_grant_is_revoked_during_the_call,
    uses_by_a_tool_are_charged_to_the_grant_that_was_lent,
    grant_for_another_audience_cannot_be_used_by_the_tool_it_is_lent_to,
    object_that_comes_back_in_a_value_is_what_went_out_and_no_more,
    object_that_comes_back_as_the_result_is_dead_with_the_call,
);

/// Lets the tool do this with what it is lent by `use`, and keeps how that went.
fn using<F: Future<Output = Result<(), Failure>> + 'static>(
    lab: &Lab,
    how: impl Fn(object::Client) -> F + 'static,
) -> Rc<RefCell<Vec<Result<(), Failure>>>> {
    let went = Rc::new(RefCell::new(Vec::new()));
    let told = Rc::clone(&went);
    let kept = Rc::clone(&lab.kept);
    lab.lies(move |heard, _| {
        let used = (heard.method == "use").then(|| heard.lent.into_iter().next()).flatten();
        *kept.borrow_mut() = used.clone();
        let used = used.map(&how);
        let told = Rc::clone(&told);
        async move {
            if let Some(used) = used {
                let how = used.await;
                told.borrow_mut().push(how);
            }
            Ok(())
        }
        .boxed_local()
    });
    went
}

async fn lent_object_allows_the_tool_no_more_than_its_own_grant_does(lab: Lab) {
    let went = using(&lab, |lent| async move { said(call(&lent, 0, "put")).await.map(|_| ()) });
    let run = lab.begin().await;
    let weak = attenuate(&run.granted, 1, "methods=look");
    let object = weak.pipeline.get_object();
    said(weak).await.unwrap();
    said(lend(&run.granted, 2, "use", &object)).await.unwrap();
    let refused = went.borrow_mut().pop().unwrap().unwrap_err();
    assert_eq!((refused.code, &refused.detail[..]), (Code::Denied, "methods=look"));
    assert_eq!(*lab.seen.borrow(), ["use"]);
}

async fn lent_object_cannot_be_attenuated_into_one_that_lasts(lab: Lab) {
    let kept = Rc::clone(&lab.kept);
    let _went = using(&lab, move |lent| {
        let kept = Rc::clone(&kept);
        async move {
            let made = attenuate(&lent, 0, "methods=put");
            *kept.borrow_mut() = Some(made.pipeline.get_object());
            said(made).await.map(|_| ())
        }
    });
    let run = lab.begin().await;
    said(lend(&run.granted, 1, "use", &run.granted)).await.unwrap();
    let made = lab.kept.borrow_mut().take().unwrap();
    assert_eq!(said(call(&made, 0, "put")).await.unwrap_err().code, Code::Revoked);
    assert_eq!(*lab.seen.borrow(), ["use"]);
}

async fn lent_object_cannot_be_used_when_its_call_has_ended(lab: Lab) {
    let kept = Rc::clone(&lab.kept);
    let went = using(&lab, move |lent| {
        let kept = Rc::clone(&kept);
        async move {
            let during = said(call(&lent, 0, "look")).await.map(|_| ());
            *kept.borrow_mut() = Some(lent);
            during
        }
    });
    let run = lab.begin().await;
    said(lend(&run.granted, 1, "use", &run.granted)).await.unwrap();
    assert!(went.borrow_mut().pop().unwrap().is_ok(), "during the call it works");
    let kept = lab.kept.borrow_mut().take().unwrap();
    for method in ["look", "put", "attenuate", "split"] {
        let refused = said(call(&kept, 0, method)).await.unwrap_err();
        assert_eq!(refused.code, Code::Revoked, "{method}");
    }
    assert_eq!(*lab.seen.borrow(), ["use", "look"]);
}

async fn lent_object_obtains_nothing_that_lasts(lab: Lab) {
    let kept = Rc::clone(&lab.kept);
    let inner = lab.liar(|_, _| async { Ok(()) }.boxed_local());
    lab.lies(move |heard, mut results| {
        let (kept, inner) = (Rc::clone(&kept), inner.clone());
        async move {
            match heard.lent.into_iter().next() {
                Some(lent) => {
                    let opened = call(&lent, 0, "open");
                    let object = opened.pipeline.get_object();
                    said(opened).await.unwrap();
                    said(call(&object, 0, "look")).await.unwrap();
                    *kept.borrow_mut() = Some(object);
                }
                None if heard.method == "open" => results.get().set_object(inner),
                None => {}
            }
            Ok(())
        }
        .boxed_local()
    });
    let run = lab.begin().await;
    said(lend(&run.granted, 1, "use", &run.granted)).await.unwrap();
    let obtained = lab.kept.borrow_mut().take().unwrap();
    assert_eq!(said(call(&obtained, 0, "look")).await.unwrap_err().code, Code::Revoked);
    assert_eq!(*lab.seen.borrow(), ["use", "open", "look"]);
}

async fn lent_object_is_cut_when_its_grant_is_revoked_during_the_call(lab: Lab) {
    let kept = Rc::clone(&lab.kept);
    lab.lies(move |heard, _| {
        *kept.borrow_mut() = heard.lent.into_iter().next();
        std::future::pending().boxed_local()
    });
    let run = lab.begin().await;
    let weak = attenuate(&run.granted, 1, "methods=look");
    let object = weak.pipeline.get_object();
    said(weak).await.unwrap();
    let using = tokio::task::spawn_local(said(lend(&run.granted, 2, "use", &object)));
    while lab.kept.borrow().is_none() {
        tokio::task::yield_now().await;
    }
    let derived = run.owner.with(|task| task.grants().last().unwrap().grant.grant);
    revoke(&run.owner, derived.0).await;
    let kept = lab.kept.borrow_mut().take().unwrap();
    assert_eq!(said(call(&kept, 0, "look")).await.unwrap_err().code, Code::Revoked);
    assert!(!using.is_finished(), "the call that lent it is of another grant, and goes on");
    assert_eq!(*lab.seen.borrow(), ["use"]);
}

async fn uses_by_a_tool_are_charged_to_the_grant_that_was_lent(lab: Lab) {
    let went = using(&lab, |lent| async move {
        let tries = (0..5).map(|_| said(call(&lent, 0, "look")));
        let went = futures::future::join_all(tries).await;
        assert_eq!(went.iter().filter(|one| one.is_ok()).count(), 2);
        Ok(())
    });
    let run = lab.begin().await;
    let weak = attenuate(&run.granted, 1, "calls=2");
    let object = weak.pipeline.get_object();
    said(weak).await.unwrap();
    said(lend(&run.granted, 2, "use", &object)).await.unwrap();
    assert_eq!(went.borrow().len(), 1);
    assert_eq!(said(call(&object, 3, "look")).await.unwrap_err().detail, "calls=2");
    assert_eq!(run.owner.with(|task| task.grant(GrantId(1)).unwrap().used()), 3);
}

async fn grant_for_another_audience_cannot_be_used_by_the_tool_it_is_lent_to(lab: Lab) {
    let went = using(&lab, |lent| async move { said(call(&lent, 0, "look")).await.map(|_| ()) });
    let run = lab.begin_with("lab?audience=task").await;
    said(lend(&run.granted, 1, "use", &run.granted)).await.unwrap();
    let refused = went.borrow_mut().pop().unwrap().unwrap_err();
    assert_eq!((refused.code, &refused.detail[..]), (Code::Denied, "audience=task"));
    said(call(&run.granted, 2, "look")).await.unwrap();
}

async fn object_that_comes_back_in_a_value_is_what_went_out_and_no_more(lab: Lab) {
    lab.lies(|heard, mut results| {
        if let Some(lent) = heard.lent.first() {
            let value = Value::List(vec![Value::Object(0), Value::Text("here".into())]);
            wire::value::write(results.get().init_value(), &value, std::slice::from_ref(lent));
        }
        async { Ok(()) }.boxed_local()
    });
    let site = lab.start();
    let owner = create(&site).await;
    let (_context, granted) = lab.attempt(&site).await;
    let weak = attenuate(&granted, 1, "methods=look");
    let object = weak.pipeline.get_object();
    said(weak).await.unwrap();
    let response = lend(&granted, 2, "use", &object).promise.await.unwrap();
    let value = response.get().unwrap().get_value().unwrap();
    let (_, table) = wire::value::read(value).unwrap();
    drop(response);
    let refused = said(call(&table[0], 3, "put")).await.unwrap_err();
    assert_eq!((refused.code, &refused.detail[..]), (Code::Denied, "methods=look"));
    said(call(&table[0], 4, "look")).await.expect("it is the agent's own, and outlives the call");
    let used = |grant| owner.with(|task| task.grant(GrantId(grant)).unwrap().used());
    assert_eq!(used(3), 1, "charged to the grant of what went out, once");
    revoke(&owner, 3).await;
    assert_eq!(said(call(&table[0], 5, "look")).await.unwrap_err().code, Code::Revoked);
}

async fn object_that_comes_back_as_the_result_is_dead_with_the_call(lab: Lab) {
    lab.lies(|heard, mut results| {
        if let Some(lent) = heard.lent.first() {
            results.get().set_object(lent.clone());
        }
        async { Ok(()) }.boxed_local()
    });
    let run = lab.begin().await;
    let response = lend(&run.granted, 1, "use", &run.granted).promise.await.unwrap();
    let back = response.get().unwrap().get_object().unwrap();
    drop(response);
    let refused = said(call(&back, 2, "look")).await.unwrap_err();
    assert_eq!(refused.code, Code::Revoked, "{refused}");
    assert_eq!(*lab.seen.borrow(), ["use"]);
}
