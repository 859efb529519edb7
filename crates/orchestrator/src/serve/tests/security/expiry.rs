//! Expiry: what is over by the clock is over, by whatever way it is reached.

use std::rc::Rc;

use futures::FutureExt as _;
use remit_core::Code;

use super::super::lab::{Lab, attenuate, call, granted, lend, over_both_transports, said, spawn};

over_both_transports!(
    use_past_expiry_is_refused,
    object_obtained_before_expiry_is_refused_after,
    narrowed_reference_does_not_outlive_its_parent,
    child_task_cannot_use_what_it_was_passed_past_expiry,
    use_before_its_time_is_refused,
    grant_that_lay_idle_stays_expired,
    clock_that_jumps_back_revives_nothing,
    lent_object_is_refused_past_expiry,
);

const HOUR_MS: u64 = 3_600_000;

async fn use_past_expiry_is_refused(lab: Lab) {
    let run = lab.begin_with("lab?until=1h").await;
    said(call(&run.granted, 1, "look")).await.unwrap();
    lab.ahead_ms.set(HOUR_MS + 1);
    let refused = said(call(&run.granted, 2, "look")).await.unwrap_err();
    assert_eq!(refused.code, Code::Denied);
    assert!(refused.detail.starts_with("until="), "{refused:?}");
    assert_eq!(*lab.seen.borrow(), ["look"]);
}

async fn object_obtained_before_expiry_is_refused_after(lab: Lab) {
    let run = lab.begin_with("lab?until=1h").await;
    let opened = call(&run.granted, 1, "open");
    let object = opened.pipeline.get_object();
    said(opened).await.unwrap();
    lab.ahead_ms.set(HOUR_MS + 1);
    assert_eq!(said(call(&object, 2, "look")).await.unwrap_err().code, Code::Denied);
    assert!(said(attenuate(&object, 3, "until=5h")).await.is_err());
    assert_eq!(*lab.seen.borrow(), ["open"]);
}

async fn narrowed_reference_does_not_outlive_its_parent(lab: Lab) {
    let run = lab.begin_with("lab?until=1h").await;
    let weak = attenuate(&run.granted, 1, "methods=look");
    let object = weak.pipeline.get_object();
    said(weak).await.unwrap();
    lab.ahead_ms.set(HOUR_MS + 1);
    assert_eq!(said(call(&object, 2, "look")).await.unwrap_err().code, Code::Denied);
    assert!(lab.seen.borrow().is_empty());
}

async fn child_task_cannot_use_what_it_was_passed_past_expiry(lab: Lab) {
    let run = lab.begin_with("lab?until=1h").await;
    let tasks = granted(&run.context, 1).await;
    said(spawn(&tasks, 1, &run.granted, &[])).await.unwrap();
    let (_child, passed) = lab.attempt(&run.site).await;
    said(call(&passed, 1, "look")).await.unwrap();
    lab.ahead_ms.set(HOUR_MS + 1);
    assert_eq!(said(call(&passed, 2, "look")).await.unwrap_err().code, Code::Denied);
    assert_eq!(*lab.seen.borrow(), ["look"]);
}

async fn use_before_its_time_is_refused(lab: Lab) {
    let run = lab.begin_with("lab?notBefore=1h").await;
    assert_eq!(said(call(&run.granted, 1, "look")).await.unwrap_err().code, Code::Denied);
    assert!(lab.seen.borrow().is_empty());
    lab.ahead_ms.set(HOUR_MS + 1);
    said(call(&run.granted, 2, "look")).await.unwrap();
}

async fn grant_that_lay_idle_stays_expired(lab: Lab) {
    let run = lab.begin_with("lab?idleExpiry=1h").await;
    said(call(&run.granted, 1, "look")).await.unwrap();
    lab.ahead_ms.set(HOUR_MS + 1_000);
    for number in 2..5 {
        // A refused use is no use that would begin the hour anew.
        assert_eq!(said(call(&run.granted, number, "look")).await.unwrap_err().code, Code::Denied);
    }
    assert_eq!(*lab.seen.borrow(), ["look"]);
}

async fn clock_that_jumps_back_revives_nothing(lab: Lab) {
    lab.ahead_ms.set(10 * HOUR_MS);
    let run = lab.begin_with("lab?until=11h").await;
    said(call(&run.granted, 1, "look")).await.unwrap();
    lab.ahead_ms.set(12 * HOUR_MS);
    assert_eq!(said(call(&run.granted, 2, "look")).await.unwrap_err().code, Code::Denied);
    lab.ahead_ms.set(0);
    assert_eq!(said(call(&run.granted, 3, "look")).await.unwrap_err().code, Code::Denied);
    assert_eq!(*lab.seen.borrow(), ["look"]);
}

async fn lent_object_is_refused_past_expiry(lab: Lab) {
    let ahead = Rc::clone(&lab.ahead_ms);
    let told = Rc::new(std::cell::RefCell::new(None));
    let tell = Rc::clone(&told);
    lab.lies(move |heard, _| {
        let (ahead, tell) = (Rc::clone(&ahead), Rc::clone(&tell));
        async move {
            if let Some(lent) = heard.lent.first() {
                said(call(lent, 0, "look")).await.unwrap();
                ahead.set(HOUR_MS + 1);
                *tell.borrow_mut() = said(call(lent, 0, "look")).await.err();
            }
            Ok(())
        }
        .boxed_local()
    });
    let run = lab.begin().await;
    let weak = attenuate(&run.granted, 1, "until=1h");
    let object = weak.pipeline.get_object();
    said(weak).await.unwrap();
    said(lend(&run.granted, 2, "use", &object)).await.unwrap();
    assert_eq!(told.borrow_mut().take().unwrap().code, Code::Denied);
    assert_eq!(*lab.seen.borrow(), ["use", "look"]);
}
