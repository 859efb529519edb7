//! A task's past begun from anew: forks, retries, and other programs that repeat it.

use std::collections::BTreeSet;
use std::rc::Rc;

use futures::FutureExt as _;
use remit_core::event::SourceFile;
use remit_core::task::Ending;
use remit_core::{CallNumber, Code, EventNumber, Failure, GrantId, Identity, Role, Value};
use remit_schema::task_capnp::task_context;
use remit_vat::exception::to_exception;

use super::control::told;
use super::lab::{Lab, Site, call, create, over_both, revoke, said};
use crate::runtime::Owner;
use crate::serve::fakes::who;
use crate::tasks::{ForkOptions, Forked, Program, Then, Upgraded};

fn me() -> Identity {
    who(Role::Client, "me")
}

fn program(at: u64, again: &[u64], then: Then) -> Program {
    Program {
        source: vec![SourceFile { path: "new.js".into(), text: "2".into() }],
        entry: "new.js".into(),
        at: EventNumber(at),
        again: again.iter().copied().map(CallNumber).collect(),
        then,
    }
}

/// The number of the event that settled an operation.
fn settled(owner: &Owner, call: u64) -> u64 {
    owner.with(|task| task.operation(CallNumber(call)).unwrap().settled().unwrap().number.0)
}

async fn fork(site: &Site, of: &Owner, at: u64) -> Result<Forked, Failure> {
    site.tasks.fork(of.key(), EventNumber(at), ForkOptions::default(), &me()).await
}

/// Begins an upgrade; gives its answer to be awaited, and the program under trial as it is seen.
async fn trial(
    lab: &Lab,
    site: &Site,
    owner: &Rc<Owner>,
    program: Program,
) -> (
    tokio::task::JoinHandle<Result<Upgraded, Failure>>,
    task_context::Client,
    remit_schema::object_capnp::object::Client,
) {
    let (tasks, key) = (Rc::clone(&site.tasks), owner.key().clone());
    let upgrade = tokio::task::spawn_local(async move {
        tasks.upgrade(&key, program, &who(Role::Client, "me")).await
    });
    let (context, granted) = lab.attempt(site).await;
    (upgrade, context, granted)
}

#[tokio::test]
async fn a_fork_serves_what_was_recorded_and_does_the_rest_anew() {
    over_both(|lab| async move {
        let site = lab.start();
        let owner = create(&site).await;
        let (_context, granted) = lab.attempt(&site).await;
        let first = said(call(&granted, 1, "put")).await.unwrap();
        said(call(&granted, 2, "make")).await.unwrap();
        let forked = fork(&site, &owner, settled(&owner, 1)).await.unwrap();
        let (_fork, granted) = lab.attempt(&site).await;
        assert_eq!(said(call(&granted, 1, "put")).await.unwrap(), first);
        assert!(said(call(&granted, 2, "look")).await.is_ok(), "it goes another way");
        assert_eq!(*lab.seen.borrow(), ["put", "make", "look"]);
        assert_ne!(forked.owner.key(), owner.key());
        assert!(told(&lab, &forked.owner).contains(&"task-forked"));
    })
    .await;
}

#[tokio::test]
async fn a_fork_never_sent_what_was_in_flight_and_asks_for_it_anew() {
    over_both(|lab| async move {
        let site = lab.start();
        let owner = create(&site).await;
        let (_context, granted) = lab.attempt(&site).await;
        let put = said(call(&granted, 1, "put")).await;
        let requested = settled(&owner, 1) - 1;
        assert!(put.is_ok());
        let forked = fork(&site, &owner, requested).await.unwrap();
        assert_eq!(forked.dropped, [CallNumber(1)]);
        let (_fork, granted) = lab.attempt(&site).await;
        assert!(said(call(&granted, 1, "look")).await.is_ok(), "the number is free");
        assert!(forked.owner.with(|task| task.open_calls().next().is_none()));
    })
    .await;
}

#[tokio::test]
async fn what_was_revoked_does_not_come_back_with_a_fork() {
    over_both(|lab| async move {
        let site = lab.start();
        let owner = create(&site).await;
        let _agent = lab.attempt(&site).await;
        let at = owner.with(|task| task.head().number.0);
        revoke(&owner, 1).await;
        let forked = fork(&site, &owner, at).await.unwrap();
        assert!(forked.owner.with(|task| task.is_revoked(GrantId(1))));
        let beyond = fork(&site, &owner, 1_000).await.err().unwrap();
        assert_eq!(beyond.code, Code::InvalidArgument, "{beyond}");
    })
    .await;
}

#[tokio::test]
async fn a_fork_of_a_cancelled_task_holds_what_that_one_held() {
    over_both(|lab| async move {
        let site = lab.start();
        let owner = create(&site).await;
        let _agent = lab.attempt(&site).await;
        owner.cancel(Failure::new(Code::Cancelled, "enough"), "me").await.unwrap();
        let end = owner.with(|task| task.head().number.0);
        assert!(fork(&site, &owner, end).await.is_err(), "an end is no point to go on from");
        let forked = site
            .tasks
            .fork(
                owner.key(),
                EventNumber(0),
                ForkOptions { key: "k", ..ForkOptions::default() },
                &me(),
            )
            .await
            .unwrap();
        assert!(!forked.owner.with(|task| task.is_revoked(GrantId(1))));
        assert!(forked.owner.with(|task| task.ending().is_none()));
        let again = site
            .tasks
            .fork(
                owner.key(),
                EventNumber(0),
                ForkOptions { key: "k", ..ForkOptions::default() },
                &me(),
            )
            .await
            .unwrap();
        assert_eq!(again.owner.key(), forked.owner.key(), "the key was used before");
    })
    .await;
}

async fn fail(context: &task_context::Client) {
    let mut finish = context.finish_request();
    let mut failure = finish.get().init_outcome().init_failure();
    failure.set_message("as asked");
    finish.send().promise.await.unwrap();
}

#[tokio::test]
async fn a_retry_makes_the_failed_call_again_and_no_other() {
    over_both(|lab| async move {
        let site = lab.start();
        let owner = create(&site).await;
        let (context, granted) = lab.attempt(&site).await;
        said(call(&granted, 1, "put")).await.unwrap();
        said(call(&granted, 2, "fail")).await.unwrap_err();
        fail(&context).await;
        owner.over().await;
        let retried = site
            .tasks
            .retry(owner.key(), &BTreeSet::new(), ForkOptions::default(), &me())
            .await
            .unwrap();
        let (_again, granted) = lab.attempt(&site).await;
        said(call(&granted, 1, "put")).await.unwrap();
        said(call(&granted, 2, "fail")).await.unwrap_err();
        assert_eq!(*lab.seen.borrow(), ["put", "fail", "fail"]);
        let running = site
            .tasks
            .retry(retried.owner.key(), &BTreeSet::new(), ForkOptions::default(), &me())
            .await;
        assert!(running.err().unwrap().message.contains("has not ended"));
    })
    .await;
}

#[tokio::test]
async fn a_retry_asks_again_a_tool_whose_own_time_was_up() {
    over_both(|lab| async move {
        let slow = || to_exception(&Failure::new(Code::TimedOut, "the server is slow"));
        lab.lies(move |_, _| async move { Err(slow()) }.boxed_local());
        let run = lab.begin().await;
        said(call(&run.granted, 1, "look")).await.unwrap_err();
        let mut finish = run.context.finish_request();
        let mut failure = finish.get().init_outcome().init_failure();
        failure.set_code(remit_schema::object_capnp::failure::Code::TimedOut);
        failure.set_message("the server is slow");
        finish.send().promise.await.unwrap();
        run.owner.over().await;
        let _retried = run
            .site
            .tasks
            .retry(run.owner.key(), &BTreeSet::new(), ForkOptions::default(), &me())
            .await
            .unwrap();
        let (_again, granted) = lab.attempt(&run.site).await;
        said(call(&granted, 1, "look")).await.unwrap_err();
        assert_eq!(*lab.seen.borrow(), ["look", "look"]);
    })
    .await;
}

#[tokio::test]
async fn a_tool_cannot_make_the_end_at_a_limit_look_like_its_own_failure() {
    over_both(|lab| async move {
        let limit = "the task took longer than its limit of 1 s";
        let forged = move || to_exception(&Failure::new(Code::TimedOut, limit));
        lab.lies(move |_, _| async move { Err(forged()) }.boxed_local());
        let run = lab.begin().await;
        said(call(&run.granted, 1, "look")).await.unwrap_err();
        run.owner.cancel(Failure::new(Code::TimedOut, limit), "").await.unwrap();
        run.owner.over().await;
        let key = run.owner.key();
        let (again, me) = (BTreeSet::new(), me());
        let retry = run.site.tasks.retry(key, &again, ForkOptions::default(), &me);
        let _retried = retry.await.unwrap();
        let (_again, granted) = lab.attempt(&run.site).await;
        said(call(&granted, 1, "look")).await.unwrap_err();
        assert_eq!(*lab.seen.borrow(), ["look"], "the retry begins at the end");
    })
    .await;
}

#[tokio::test]
async fn a_retry_does_not_repeat_an_effect_that_nobody_named() {
    over_both(|lab| async move {
        let run = lab.begin().await;
        said(call(&run.granted, 1, "fail")).await.unwrap_err();
        said(call(&run.granted, 2, "put")).await.unwrap();
        fail(&run.context).await;
        run.owner.over().await;
        let refused = run
            .site
            .tasks
            .retry(run.owner.key(), &BTreeSet::new(), ForkOptions::default(), &me())
            .await;
        let refused = refused.err().unwrap();
        assert!(refused.message.contains("call 2 (put"), "{refused}");
        let named = [CallNumber(2)].into();
        assert!(
            run.site
                .tasks
                .retry(run.owner.key(), &named, ForkOptions::default(), &me())
                .await
                .is_ok()
        );
    })
    .await;
}

#[tokio::test]
async fn a_program_that_repeats_everything_takes_over() {
    over_both(|lab| async move {
        let site = lab.start();
        let owner = create(&site).await;
        let (_context, granted) = lab.attempt(&site).await;
        let first = said(call(&granted, 1, "put")).await.unwrap();
        let (upgrade, context, granted) =
            trial(&lab, &site, &owner, program(0, &[], Then::Switch)).await;
        let begun = context.begin_request().send().promise.await.unwrap();
        let entry = begun.get().unwrap().get_script().unwrap().get_entry().unwrap();
        assert_eq!(entry.to_str().unwrap(), "new.js");
        assert_eq!(said(call(&granted, 1, "put")).await.unwrap(), first);
        let beyond = tokio::task::spawn_local(said(call(&granted, 2, "put")));
        let upgraded = upgrade.await.unwrap().unwrap();
        assert!(upgraded.switched && upgraded.difference.is_none());
        assert_eq!(upgraded.repeated, 1);
        assert!(beyond.await.unwrap().is_err(), "a trial sends nothing");
        assert_eq!(*lab.seen.borrow(), ["put"]);
        let (context, granted) = lab.attempt(&site).await;
        assert_eq!(said(call(&granted, 1, "put")).await.unwrap(), first);
        said(call(&granted, 2, "put")).await.unwrap();
        drop(context);
        assert_eq!(owner.with(|task| task.program().1.to_owned()), "new.js");
    })
    .await;
}

#[tokio::test]
async fn a_program_that_differs_is_told_with_both_calls_and_the_task_goes_on_as_it_was() {
    over_both(|lab| async move {
        let site = lab.start();
        let owner = create(&site).await;
        let (_context, granted) = lab.attempt(&site).await;
        let first = said(call(&granted, 1, "put")).await.unwrap();
        let (upgrade, _trial, granted) =
            trial(&lab, &site, &owner, program(0, &[], Then::Switch)).await;
        said(call(&granted, 1, "make")).await.unwrap_err();
        let upgraded = upgrade.await.unwrap().unwrap();
        let difference = upgraded.difference.unwrap();
        assert_eq!(difference.operation, CallNumber(1));
        assert!(difference.was.starts_with("put on"), "{difference:?}");
        assert!(difference.is.starts_with("make on"), "{difference:?}");
        assert!(!upgraded.switched);
        let (_context, granted) = lab.attempt(&site).await;
        assert_eq!(said(call(&granted, 1, "put")).await.unwrap(), first);
        assert!(!told(&lab, &owner).contains(&"task-upgraded"));
    })
    .await;
}

#[tokio::test]
async fn a_program_that_ends_early_leaves_something_out() {
    over_both(|lab| async move {
        let run = lab.begin().await;
        said(call(&run.granted, 1, "put")).await.unwrap();
        let before = told(&lab, &run.owner);
        let (upgrade, context, _granted) =
            trial(&lab, &run.site, &run.owner, program(0, &[], Then::Stay)).await;
        let mut finish = context.finish_request();
        finish.get().init_outcome().init_value().set_null(());
        let _answer = tokio::task::spawn_local(finish.send().promise);
        let difference = upgrade.await.unwrap().unwrap().difference.unwrap();
        assert_eq!((difference.operation, difference.is), (CallNumber(1), String::new()));
        assert_eq!(told(&lab, &run.owner), before, "a dry run writes nothing");
    })
    .await;
}

#[tokio::test]
async fn what_came_after_a_named_point_is_dropped_only_if_it_may_be_done_again() {
    over_both(|lab| async move {
        let site = lab.start();
        let owner = create(&site).await;
        let (_context, granted) = lab.attempt(&site).await;
        said(call(&granted, 1, "look")).await.unwrap();
        let at = settled(&owner, 1);
        said(call(&granted, 2, "put")).await.unwrap();
        let unnamed = site.tasks.upgrade(owner.key(), program(at, &[], Then::Stay), &me()).await;
        let refused = unnamed.err().unwrap();
        assert!(refused.message.contains("call 2 (put"), "{refused}");
        let (upgrade, _trial, granted) =
            trial(&lab, &site, &owner, program(at, &[2], Then::Switch)).await;
        said(call(&granted, 1, "look")).await.unwrap();
        let _beyond = tokio::task::spawn_local(said(call(&granted, 2, "make")));
        assert!(upgrade.await.unwrap().unwrap().switched);
        let (context, granted) = lab.attempt(&site).await;
        said(call(&granted, 1, "look")).await.unwrap();
        said(call(&granted, 2, "make")).await.unwrap();
        assert_eq!(*lab.seen.borrow(), ["look", "put", "make"]);
        assert_eq!(owner.with(|task| task.generation(CallNumber(2))), 1, "its key is another");
        let mut finish = context.finish_request();
        finish.get().init_outcome().init_value().set_null(());
        finish.send().promise.await.unwrap();
        owner.over().await;
        assert_eq!(owner.with(|task| task.ending().cloned()), Some(Ending::Completed(Value::Null)));
    })
    .await;
}
