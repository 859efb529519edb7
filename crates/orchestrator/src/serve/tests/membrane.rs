//! The membrane and the owner behind it, as an agent and a tool see them. One body, two transports:
//! in the same process, and over a stream.

mod caller_capabilities;
mod family;

use std::rc::Rc;

use futures::FutureExt as _;
use remit_core::value::copied_text_bytes;
use remit_core::{Code, Value};
use remit_vat::exception::to_failure;

use super::lab::{Tool, call, create, over_both, said, with};

#[tokio::test]
async fn a_replay_gets_what_was_recorded_and_nothing_is_done_again() {
    over_both(|lab| async move {
        let site = lab.start();
        create(&site).await;
        let (_context, granted) = lab.attempt(&site).await;
        let made = call(&granted, 1, "make");
        let put = call(&made.pipeline.get_object(), 2, "put");
        let failed = call(&granted, 3, "fail");
        let (first, second) = (said(made).await.unwrap(), said(put).await.unwrap());
        assert_eq!(second.0, Value::Text("make.put".into()));
        assert!(first.1 < second.1, "told in the order in which they were recorded");
        assert_eq!(said(failed).await.unwrap_err().message, "as asked");
        let before = lab.seen.borrow().clone();
        site.tasks.shutdown().await;
        drop(site);

        let site = lab.start();
        let (_context, granted) = lab.attempt(&site).await;
        // Asked for in another order, told in the recorded one.
        let failed = call(&granted, 3, "fail");
        let made = call(&granted, 1, "make");
        let put = call(&made.pipeline.get_object(), 2, "put");
        assert_eq!(said(made).await.unwrap(), first);
        assert_eq!(said(put).await.unwrap(), second);
        assert_eq!(said(failed).await.unwrap_err().message, "as asked");
        assert_eq!(*lab.seen.borrow(), before, "the tool heard nothing of it");
    })
    .await;
}

#[tokio::test]
async fn an_agent_that_does_something_else_on_replay_fails_with_both_calls_shown() {
    over_both(|lab| async move {
        let site = lab.start();
        let owner = create(&site).await;
        let key = owner.key().clone();
        let (_context, granted) = lab.attempt(&site).await;
        said(call(&granted, 1, "put")).await.unwrap();
        drop(owner);
        site.tasks.shutdown().await;
        drop(site);

        let site = lab.start();
        let owner = site.tasks.get(&key).unwrap();
        let (_context, granted) = lab.attempt(&site).await;
        let failure = said(call(&granted, 1, "look")).await.unwrap_err();
        assert!(failure.message.contains("not deterministic"), "{failure}");
        assert!(failure.message.contains("`put") && failure.message.contains("`look"), "{failure}");
        owner.over().await;
        assert!(owner.with(|task| task.ending().is_some()), "the task failed");
    })
    .await;
}

#[tokio::test]
async fn an_agent_that_leaves_out_on_replay_what_it_did_fails() {
    over_both(|lab| async move {
        let site = lab.start();
        create(&site).await;
        let (_context, granted) = lab.attempt(&site).await;
        said(call(&granted, 1, "put")).await.unwrap();
        site.tasks.shutdown().await;
        drop(site);

        let site = lab.start();
        let (context, _granted) = lab.attempt(&site).await;
        let mut finish = context.finish_request();
        finish.get().init_outcome().init_value().set_null(());
        finish.send().promise.await.unwrap();
        let listed = site.tasks.list("default", None, None, 9, None).unwrap().0;
        assert!(listed[0].1.detail.contains("ended without it"), "{:?}", listed[0].1);
    })
    .await;
}

#[tokio::test]
async fn after_a_replay_an_object_is_got_again_only_if_that_changes_nothing() {
    over_both(|lab| async move {
        let site = lab.start();
        create(&site).await;
        let (_context, granted) = lab.attempt(&site).await;
        said(call(&granted, 1, "open")).await.unwrap();
        said(call(&granted, 2, "make")).await.unwrap();
        site.tasks.shutdown().await;
        drop(site);

        let site = lab.start();
        let (_context, granted) = lab.attempt(&site).await;
        let (opened, made) = (call(&granted, 1, "open"), call(&granted, 2, "make"));
        let objects = (opened.pipeline.get_object(), made.pipeline.get_object());
        said(opened).await.unwrap();
        said(made).await.unwrap();
        let look = said(call(&objects.0, 3, "look")).await.unwrap();
        assert_eq!(look.0, Value::Text("open.look".into()));
        let lost = said(call(&objects.1, 4, "look")).await.unwrap_err();
        assert_eq!(lost.code, Code::ObjectLost, "{lost}");
        assert_eq!(lab.seen.borrow().iter().filter(|seen| *seen == "make").count(), 1);
    })
    .await;
}

#[tokio::test]
async fn what_is_pipelined_on_a_failed_call_fails_with_the_same_cause() {
    over_both(|lab| async move {
        let run = lab.begin().await;
        let nothing = call(&run.granted, 1, "nothing");
        let after = call(&nothing.pipeline.get_object(), 2, "look");
        let (first, second) = (said(nothing).await.unwrap_err(), said(after).await.unwrap_err());
        assert_eq!(first.code, Code::NotFound);
        assert_eq!(first, second);
        assert!(lab.seen.borrow().is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_lent_object_is_good_for_one_call() {
    over_both(|lab| async move {
        let run = lab.begin().await;
        let opened = call(&run.granted, 1, "open");
        let mut request = run.granted.call_request();
        request.get().set_method("use");
        request.get().set_key(&2_u64.to_be_bytes());
        request.get().init_args().init_list(1).get(0).set_object(opened.pipeline.get_object());
        let used = said(request.send()).await.unwrap();
        assert_eq!(used.0, Value::Text("open.look".into()), "the tool used what it was lent");
        let through = run.owner.with(|task| {
            task.operations().filter(|(_, op)| op.describe().contains("look")).count()
        });
        assert_eq!(through, 1, "and that is in the journal");
        let kept = lab.kept.borrow_mut().take().unwrap();
        let later = said(call(&kept, 0, "look")).await.unwrap_err();
        assert_eq!(later.code, Code::Revoked, "{later}");
    })
    .await;
}

#[tokio::test]
async fn an_object_that_the_task_does_not_hold_is_refused_in_arguments() {
    over_both(|lab| async move {
        let run = lab.begin().await;
        let stranger = Tool {
            path: "x".into(),
            keys: Rc::default(),
            seen: Rc::clone(&lab.seen),
            kept: Rc::default(),
        };
        let mut request = run.granted.call_request();
        request.get().set_method("use");
        request.get().set_key(&1_u64.to_be_bytes());
        let mut args = request.get().init_args().init_list(1);
        args.reborrow().get(0).set_object(capnp_rpc::new_client(stranger));
        let refused = said(request.send()).await.unwrap_err();
        assert_eq!(refused.code, Code::InvalidArgument, "{refused}");
        assert!(lab.seen.borrow().is_empty());
    })
    .await;
}

#[tokio::test]
async fn revoked_attempt_can_do_nothing() {
    over_both(|lab| async move {
        let run = lab.begin().await;
        said(call(&run.granted, 1, "look")).await.unwrap();
        let next = remit_core::task::Command::StartAttempt { node: "elsewhere".into() };
        run.owner.record_durably(&next).await.unwrap();
        // Whether it is told or its connection is cut depends on which comes first.
        let is_over = |code| matches!(code, Code::Revoked | Code::Unavailable);
        let refused = said(call(&run.granted, 2, "put")).await.unwrap_err();
        assert!(is_over(refused.code), "{refused}");
        let mut finish = run.context.finish_request();
        finish.get().init_outcome().init_value().set_null(());
        let refused = finish.send().promise.await.err().unwrap();
        assert!(is_over(to_failure(&refused).code), "{refused}");
        assert!(!lab.seen.borrow().contains(&"put".to_owned()));
        assert!(run.owner.with(|task| task.ending().is_none()));
    })
    .await;
}

#[tokio::test]
async fn an_operation_asked_for_twice_is_refused() {
    over_both(|lab| async move {
        let run = lab.begin().await;
        let (one, two) = (call(&run.granted, 1, "put"), call(&run.granted, 1, "put"));
        assert!(said(one).await.is_ok());
        assert_eq!(said(two).await.unwrap_err().code, Code::InvalidArgument);
        assert_eq!(lab.seen.borrow().len(), 1);
    })
    .await;
}

/// Arrival, decision, journal, forward and reply share one value. The one copy is that of the
/// arguments, which are recorded by name, with their paths normalised.
#[tokio::test]
async fn a_call_copies_its_arguments_once_and_its_result_never() {
    over_both(|lab| async move {
        let (args, result) = (10_000, 1_000_000);
        lab.lies(move |_, mut results| {
            async move {
                results.get().init_value().set_text("r".repeat(result));
                Ok(())
            }
            .boxed_local()
        });
        let run = lab.begin().await;
        let named = [("text", Value::Text("a".repeat(args)))];
        let asked = with(&run.granted, 1, "put", &named, &[]);
        let before = copied_text_bytes::get();
        said(asked).await.unwrap();
        assert_eq!(copied_text_bytes::get() - before, args);
    })
    .await;
}
