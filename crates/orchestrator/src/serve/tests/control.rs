//! Pausing, cancelling and limits of time, as an agent and a tool see them.

use std::rc::Rc;

use remit_core::event::TimeLimits;
use remit_core::status::Status;
use remit_core::task::{Command, Ending};
use remit_core::{CallNumber, Code, EventNumber, Failure, GrantId, ObjectId, Value};
use remit_journal::Journal as _;
use tokio::task::LocalSet;

use super::lab::{Lab, Transport, call, create, create_within, over_both, said};
use crate::runtime::Owner;
use crate::runtime::membrane::Membrane;

fn pause() -> Command {
    Command::Pause { reason: "a look".into(), who: "me".into(), call: None }
}

fn resume() -> Command {
    Command::Resume { who: "me".into() }
}

fn enough() -> Failure {
    Failure::new(Code::Cancelled, "enough")
}

/// The names of all events.
pub(super) fn told(lab: &Lab, owner: &Owner) -> Vec<&'static str> {
    let key = owner.key();
    let events = lab.journal.read(&key.tenant, key.task, EventNumber(0), 1_000).unwrap();
    events.iter().map(|event| event.fact.name()).collect()
}

/// The code and message with which a task failed.
fn failure(owner: &Owner) -> Failure {
    match owner.with(|task| task.ending().cloned()) {
        Some(Ending::Failed(failure)) => failure,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_paused_task_has_no_attempt_until_it_is_resumed_and_then_goes_on() {
    over_both(|lab| async move {
        let site = lab.start();
        let owner = create(&site).await;
        let (_context, granted) = lab.attempt(&site).await;
        let first = said(call(&granted, 1, "put")).await.unwrap();
        owner.record_durably(&pause()).await.unwrap();
        assert!(said(call(&granted, 2, "put")).await.is_err(), "its attempt is over");
        let head = owner.head();
        assert_eq!(head.status, Status::Paused);
        assert!(head.detail.contains("a look") && head.detail.contains("remit resume"), "{head:?}");
        let refused = owner.record(&Command::StartAttempt { node: "n".into() }).unwrap_err();
        assert_eq!(refused.code, Code::Unavailable, "{refused}");
        owner.record_durably(&pause()).await.unwrap();

        owner.record_durably(&resume()).await.unwrap();
        let (_context, granted) = lab.attempt(&site).await;
        assert_eq!(said(call(&granted, 1, "put")).await.unwrap(), first, "a replay");
        assert!(said(call(&granted, 2, "put")).await.is_ok());
        assert_eq!(lab.seen.borrow().len(), 2, "nothing was done twice");
        let paused = told(&lab, &owner).iter().filter(|name| **name == "task-paused").count();
        assert_eq!(paused, 1);
    })
    .await;
}

#[tokio::test]
async fn a_pause_holds_calls_of_lent_objects_and_timers() {
    over_both(|lab| async move {
        let run = lab.begin().await;
        let _hanging = tokio::task::spawn_local(said(call(&run.granted, 1, "hang")));
        while lab.seen.borrow().is_empty() {
            tokio::task::yield_now().await;
        }
        let attempt = run.owner.with(|task| task.running()).unwrap();
        let timer = Command::SetTimer { attempt, operation: CallNumber(2), duration_ms: 0 };
        let root = ObjectId::Grant(GrantId(1));
        let lent =
            run.owner.membranes().wrap(Membrane::lent(&run.owner, attempt, root, CallNumber(1)));
        run.owner.record(&timer).unwrap();
        run.owner.record_durably(&pause()).await.unwrap();
        let held = call(&lent, 0, "look");
        let mut held = std::pin::pin!(said(held));
        for _ in 0..50 {
            assert!(futures::poll!(&mut held).is_pending());
            tokio::task::yield_now().await;
        }
        assert!(!told(&lab, &run.owner).contains(&"timer-fired"));
        run.owner.record_durably(&resume()).await.unwrap();
        assert_eq!(held.await.unwrap().0, Value::Text("look".into()));
        let mut progress = run.owner.progress();
        while run.owner.with(|task| task.timers().next().is_some()) {
            progress.changed().await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn a_cancelled_task_tells_its_tools_revokes_its_grants_and_ends_in_that_order() {
    over_both(|lab| async move {
        let run = lab.begin().await;
        let hanging = tokio::task::spawn_local(said(call(&run.granted, 1, "hang")));
        while lab.seen.borrow().is_empty() {
            tokio::task::yield_now().await;
        }
        run.owner.cancel(enough(), "me").await.unwrap();
        run.owner.over().await;
        // The tool is told over a connection of its own.
        while lab.seen.borrow().last().unwrap() != "stopped" {
            tokio::task::yield_now().await;
        }
        assert!(hanging.await.unwrap().is_err());
        let told = told(&lab, &run.owner);
        assert_eq!(
            told[told.len() - 6..],
            [
                "attempt-ended",
                "cancel-requested",
                "call-completed",
                "grant-revoked",
                "grant-revoked",
                "task-cancelled"
            ]
        );
        let state = run.owner.with(|task| task.operation(CallNumber(1)).unwrap().settled());
        assert!(state.is_some(), "the call has an end");
        run.owner.cancel(enough(), "me").await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_task_that_does_nothing_is_cancelled_at_once_even_while_paused() {
    over_both(|lab| async move {
        let site = lab.start();
        let owner = create(&site).await;
        let _agent = lab.attempt(&site).await;
        owner.record_durably(&pause()).await.unwrap();
        owner.cancel(enough(), "me").await.unwrap();
        assert_eq!(owner.head().status, Status::Cancelled);
        assert!(owner.record(&resume()).is_err());
    })
    .await;
}

#[tokio::test]
async fn a_restart_in_the_middle_of_a_cancellation_goes_on_with_it() {
    over_both(|lab| async move {
        let site = lab.start();
        let owner = create(&site).await;
        let (_context, granted) = lab.attempt(&site).await;
        let _hanging = tokio::task::spawn_local(said(call(&granted, 1, "hang")));
        while lab.seen.borrow().is_empty() {
            tokio::task::yield_now().await;
        }
        owner.record(&Command::RequestCancel { why: enough(), who: String::new() }).unwrap();
        let key = owner.key().clone();
        drop(owner);
        site.tasks.shutdown().await;
        drop(site);
        let site = lab.start();
        let owner = site.tasks.get(&key).unwrap();
        owner.over().await;
        assert_eq!(owner.head().status, Status::Cancelled);
    })
    .await;
}

/// Runs a body in virtual time.
async fn limited<F: Future<Output = ()>>(
    limits: TimeLimits,
    body: impl FnOnce(Lab, super::lab::Site, Rc<Owner>) -> F,
) {
    let test = async {
        let lab = Lab::new(Transport::SameProcess);
        let site = lab.start();
        let owner = create_within(&site, limits).await;
        body(lab, site, owner).await;
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn a_task_ends_as_timed_out_when_its_time_is_up() {
    let limits = TimeLimits { task_ms: 50, ..TimeLimits::default() };
    limited(limits, async |lab, site, owner| {
        let (_context, granted) = lab.attempt(&site).await;
        let _hanging = tokio::task::spawn_local(said(call(&granted, 1, "hang")));
        owner.over().await;
        let failure = failure(&owner);
        assert_eq!(failure.code, Code::TimedOut, "{failure}");
        assert!(failure.message.contains("50 ms"), "{failure}");
        assert_eq!(lab.seen.borrow().last().unwrap(), "stopped");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_call_ends_as_timed_out_when_its_time_is_up() {
    let limits = TimeLimits { call_ms: 50, ..TimeLimits::default() };
    limited(limits, async |lab, site, _owner| {
        let (_context, granted) = lab.attempt(&site).await;
        let failure = said(call(&granted, 1, "hang")).await.unwrap_err();
        assert_eq!(failure.code, Code::TimedOut, "{failure}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn attempts_that_get_nowhere_end_in_a_pause_that_says_why() {
    let limits = TimeLimits { attempt_ms: 50, ..TimeLimits::default() };
    limited(limits, async |lab, _site, owner| {
        let mut progress = owner.progress();
        while owner.with(|task| task.paused().is_none()) {
            progress.changed().await.unwrap();
        }
        let head = owner.head();
        assert!(head.detail.contains("timed-out: the attempt took longer"), "{head:?}");
        assert!(head.detail.contains("remit resume"), "{head:?}");
        assert!(head.detail.contains("agent-node/one (5)"), "where: {head:?}");
        let starts = told(&lab, &owner).iter().filter(|name| **name == "attempt-started").count();
        assert_eq!(starts, 5);
        owner.record_durably(&resume()).await.unwrap();
        while owner.with(|task| task.running().is_none()) {
            progress.changed().await.unwrap();
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn fruitless_attempts_are_counted_across_restarts() {
    let limits = TimeLimits { attempt_ms: 50, ..TimeLimits::default() };
    limited(limits, async |lab, site, owner| {
        let key = owner.key().clone();
        let mut progress = owner.progress();
        while owner.with(|task| task.fruitless().len() < 3) {
            progress.changed().await.unwrap();
        }
        drop((owner, progress));
        site.tasks.shutdown().await;
        drop(site);
        let site = lab.start();
        let owner = site.tasks.get(&key).unwrap();
        let mut progress = owner.progress();
        while owner.with(|task| task.paused().is_none()) {
            progress.changed().await.unwrap();
        }
        let ends = super::lab::events(&lab, &key).into_iter().filter(|event| {
            matches!(event.fact, remit_core::Fact::AttemptEnded { fruitless: true, .. })
        });
        assert_eq!(ends.count(), 5, "three before the restart and two after it");
        owner.record_durably(&resume()).await.unwrap();
        assert_eq!(owner.with(|task| task.fruitless().len()), 0, "a person looked at it");
    })
    .await;
}

#[tokio::test]
async fn a_panic_over_one_task_halts_it_and_no_other() {
    let test = async {
        let lab = Lab::new(Transport::SameProcess);
        let site = lab.start();
        let (broken, other) = (create(&site).await, create(&site).await);
        broken.spawn("a test", async { panic!("on purpose") });
        let why = broken.durable(EventNumber(u64::MAX)).await.unwrap_err();
        assert!(
            why.message.contains("a defect of the orchestrator, in a test: on purpose"),
            "{why}"
        );
        other.cancel(Failure::new(Code::Cancelled, "enough"), "").await.unwrap();
        other.over().await;
        assert_eq!(other.head().status, Status::Cancelled);
        assert_eq!(broken.head().status, Status::Halted);
    };
    LocalSet::new().run_until(test).await;
}
