//! What waits for a person: held calls, requests for power, calls of unknown outcome.

mod power;
mod settle;

use std::rc::Rc;

use capnp::capability::RemotePromise;
use remit_core::event::{Approval, ApprovalDecided, Remember};
use remit_core::task::{Command, Question};
use remit_core::{CallNumber, Code, Failure, GrantId, Value};
use remit_schema::object_capnp::object;
use remit_schema::object_capnp::object::call_results;
use tokio::task::JoinHandle;

use super::lab::{Call, call, create_with, over_both, revoke, said, with};
use crate::runtime::Owner;

pub(super) type Said = Result<(Value<u32>, u64), Failure>;

/// A call whose answer is not waited for here.
pub(super) fn asked(promise: RemotePromise<call_results::Owned>) -> JoinHandle<Said> {
    tokio::task::spawn_local(said(promise))
}

/// Waits until so many questions wait for a person.
pub(super) async fn questions(owner: &Rc<Owner>, count: usize) {
    let mut progress = owner.progress();
    while owner.with(|task| task.count_questions()) != count {
        progress.changed().await.unwrap();
    }
}

/// A decision on a held call, which names its digest.
pub(super) fn decision(owner: &Owner, call: u64, approval: Approval) -> ApprovalDecided {
    let call = CallNumber(call);
    let digest = owner.with(|task| task.request(call).map(|request| request.digest));
    ApprovalDecided {
        call,
        digest: digest.unwrap_or_default(),
        approval,
        who: "me".into(),
        reason: String::new(),
        remember: Remember::Nothing,
    }
}

pub(super) async fn decide(owner: &Rc<Owner>, decided: ApprovalDecided) -> Result<(), Failure> {
    owner.record_durably(&Command::DecideApproval(Box::new(decided))).await.map(|_| ())
}

pub(super) async fn approve(owner: &Rc<Owner>, call: u64) -> Result<(), Failure> {
    decide(owner, decision(owner, call, Approval::Approve)).await
}

fn use_with(on: &object::Client, number: u64, what: i64) -> Call {
    with(on, number, "put", &[("n", Value::Integer(what))], &[])
}

#[tokio::test]
async fn a_held_call_reaches_the_tool_only_when_it_was_approved() {
    over_both(|lab| async move {
        let run = lab.begin_with("lab?requiresApproval=put").await;
        let held = asked(call(&run.granted, 1, "put"));
        questions(&run.owner, 1).await;
        assert!(said(call(&run.granted, 2, "look")).await.is_ok(), "others are not held up");
        assert_eq!(*lab.seen.borrow(), ["look"]);
        assert_eq!(run.owner.with(|task| task.grant(GrantId(1)).unwrap().used()), 1, "not charged");
        assert!(run.owner.head().detail.contains("remit inbox"), "{}", run.owner.head().detail);
        approve(&run.owner, 1).await.unwrap();
        assert_eq!(held.await.unwrap().unwrap().0, Value::Text("put".into()));
        questions(&run.owner, 0).await;
        assert_eq!(
            run.owner.with(|task| task.request(CallNumber(1)).unwrap().approval),
            Some(CallNumber(1))
        );
    })
    .await;
}

#[tokio::test]
async fn a_denied_call_never_reaches_the_tool() {
    over_both(|lab| async move {
        let run = lab.begin_with("lab?requiresApproval=*").await;
        let held = asked(call(&run.granted, 1, "put"));
        questions(&run.owner, 1).await;
        let denied = ApprovalDecided {
            reason: "not today".into(),
            ..decision(&run.owner, 1, Approval::Deny)
        };
        decide(&run.owner, denied).await.unwrap();
        let failure = held.await.unwrap().unwrap_err();
        assert_eq!((failure.code, &failure.detail[..]), (Code::Denied, "requiresApproval=*"));
        assert!(failure.message.contains("not today"), "{failure}");
        assert!(lab.seen.borrow().is_empty());
    })
    .await;
}

#[tokio::test]
async fn approval_for_other_arguments_is_refused() {
    over_both(|lab| async move {
        let run = lab.begin_with("lab?requiresApproval=put").await;
        let _one = asked(call(&run.granted, 1, "put"));
        let _two = asked(use_with(&run.granted, 2, 7));
        questions(&run.owner, 2).await;
        let other = decision(&run.owner, 2, Approval::Approve);
        let mixed = ApprovalDecided { call: CallNumber(1), ..other };
        let refused = decide(&run.owner, mixed).await.unwrap_err();
        assert_eq!((refused.code, &refused.detail[..]), (Code::InvalidArgument, "digest"));
        assert!(lab.seen.borrow().is_empty());
        questions(&run.owner, 2).await;
    })
    .await;
}

#[tokio::test]
async fn a_decision_stands_and_another_one_is_refused() {
    over_both(|lab| async move {
        let run = lab.begin_with("lab?requiresApproval=put").await;
        let held = asked(call(&run.granted, 1, "put"));
        questions(&run.owner, 1).await;
        let yes = decision(&run.owner, 1, Approval::Approve);
        decide(&run.owner, yes.clone()).await.unwrap();
        held.await.unwrap().unwrap();
        decide(&run.owner, yes.clone()).await.unwrap();
        let no = ApprovalDecided { approval: Approval::Deny, ..yes.clone() };
        let refused = decide(&run.owner, no).await.unwrap_err();
        assert!(refused.message.contains("approved already"), "{refused}");
        let more = ApprovalDecided { remember: Remember::Arguments(u64::MAX), ..yes };
        assert!(decide(&run.owner, more).await.is_err(), "nor is more remembered afterwards");
        assert_eq!(*lab.seen.borrow(), ["put"], "once");
    })
    .await;
}

#[tokio::test]
async fn approval_after_its_time_is_refused_and_the_call_denied() {
    over_both(|lab| async move {
        let run = lab.begin_with("lab?requiresApproval=put").await;
        let held = asked(call(&run.granted, 1, "put"));
        questions(&run.owner, 1).await;
        lab.ahead_ms.set(remit_core::limits::QUESTION_LIFE_MS + 1);
        let late = approve(&run.owner, 1).await.unwrap_err();
        assert_eq!(late.code, Code::Denied, "{late}");
        run.owner.review();
        assert_eq!(held.await.unwrap().unwrap_err().code, Code::Denied);
        assert!(lab.seen.borrow().is_empty());
    })
    .await;
}

#[tokio::test]
async fn revoking_the_grant_ends_what_is_held_and_approval_comes_too_late() {
    over_both(|lab| async move {
        let run = lab.begin_with("lab?requiresApproval=put").await;
        let held = asked(call(&run.granted, 1, "put"));
        questions(&run.owner, 1).await;
        let yes = decision(&run.owner, 1, Approval::Approve);
        revoke(&run.owner, 1).await;
        assert_eq!(held.await.unwrap().unwrap_err().code, Code::Revoked);
        assert_eq!(decide(&run.owner, yes).await.unwrap_err().code, Code::NotFound);
        assert!(lab.seen.borrow().is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_held_call_outlives_its_owner_and_the_decision_too() {
    over_both(|lab| async move {
        let site = lab.start();
        let owner = create_with(&site, "lab?requiresApproval=put").await;
        let key = owner.key().clone();
        let (_context, granted) = lab.attempt(&site).await;
        let _held = asked(call(&granted, 1, "put"));
        questions(&owner, 1).await;
        drop(owner);
        site.tasks.shutdown().await;
        drop(site);

        let site = lab.start();
        let owner = site.tasks.get(&key).unwrap();
        let (_context, granted) = lab.attempt(&site).await;
        let held = asked(call(&granted, 1, "put"));
        assert_eq!(site.tasks.inbox("default", None, 9, None).unwrap().0.len(), 1);
        // Decided, and the owner is gone before anything is sent.
        let decided = decision(&owner, 1, Approval::Approve);
        owner.record(&Command::DecideApproval(Box::new(decided.clone()))).unwrap();
        assert!(lab.seen.borrow().is_empty());
        drop((owner, held));
        site.tasks.shutdown().await;
        drop(site);
        lab.seen.borrow_mut().clear();

        let site = lab.start();
        let owner = site.tasks.get(&key).unwrap();
        assert!(site.tasks.inbox("default", None, 9, None).unwrap().0.is_empty());
        let state = owner.with(|task| task.operation(CallNumber(1)).cloned());
        assert!(matches!(state, Some(remit_core::task::Operation::Call { .. })), "{state:?}");
        decide(&owner, decided).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn calls_on_the_result_of_a_held_call_wait_with_it() {
    over_both(|lab| async move {
        let run = lab.begin_with("lab?requiresApproval=make").await;
        let made = call(&run.granted, 1, "make");
        let opened = call(&made.pipeline.get_object(), 2, "open");
        let looked = asked(call(&opened.pipeline.get_object(), 3, "look"));
        let (made, opened) = (asked(made), asked(opened));
        questions(&run.owner, 1).await;
        assert!(lab.seen.borrow().is_empty(), "nothing went out");
        approve(&run.owner, 1).await.unwrap();
        made.await.unwrap().unwrap();
        opened.await.unwrap().unwrap();
        assert_eq!(looked.await.unwrap().unwrap().0, Value::Text("make.open.look".into()));
    })
    .await;
}

#[tokio::test]
async fn calls_on_the_result_of_a_denied_call_fail_with_its_cause() {
    over_both(|lab| async move {
        let run = lab.begin_with("lab?requiresApproval=make").await;
        let made = call(&run.granted, 1, "make");
        let looked = asked(call(&made.pipeline.get_object(), 2, "look"));
        let made = asked(made);
        questions(&run.owner, 1).await;
        decide(&run.owner, decision(&run.owner, 1, Approval::Deny)).await.unwrap();
        let (one, two) = (made.await.unwrap().unwrap_err(), looked.await.unwrap().unwrap_err());
        assert_eq!(one, two);
        assert!(lab.seen.borrow().is_empty());
    })
    .await;
}

#[tokio::test]
async fn what_is_remembered_lets_the_same_call_through_and_no_other() {
    over_both(|lab| async move {
        let run = lab.begin_with("lab?requiresApproval=*").await;
        let first = asked(use_with(&run.granted, 1, 7));
        questions(&run.owner, 1).await;
        let yes = decision(&run.owner, 1, Approval::Approve);
        let yes = ApprovalDecided { remember: Remember::Arguments(u64::MAX), ..yes };
        decide(&run.owner, yes).await.unwrap();
        first.await.unwrap().unwrap();
        said(use_with(&run.granted, 2, 7)).await.unwrap();
        assert_eq!(
            run.owner.with(|task| task.request(CallNumber(2)).unwrap().approval),
            Some(CallNumber(1))
        );
        let other = asked(use_with(&run.granted, 3, 8));
        questions(&run.owner, 1).await;

        let until_ms = crate::node::now_ms() + 600_000;
        let yes = decision(&run.owner, 3, Approval::Approve);
        decide(&run.owner, ApprovalDecided { remember: Remember::Method(until_ms), ..yes })
            .await
            .unwrap();
        other.await.unwrap().unwrap();
        let shown = |at_ms| run.owner.with(|task| task.standing_on(GrantId(1), at_ms));
        let until = remit_core::grant::text::moment(until_ms);
        let method = format!("put with whatever arguments, as call 3, until {until}");
        assert_eq!(shown(until_ms - 1), ["put with the arguments of call 1", &method]);
        assert_eq!(shown(until_ms), ["put with the arguments of call 1"]);
        said(use_with(&run.granted, 4, 9)).await.unwrap();
        let _looked = asked(call(&run.granted, 5, "look"));
        questions(&run.owner, 1).await;
        lab.ahead_ms.set(700_000);
        let _later = asked(use_with(&run.granted, 6, 9));
        questions(&run.owner, 2).await;
    })
    .await;
}

#[tokio::test]
async fn arguments_may_be_changed_but_not_beyond_what_the_grant_allows() {
    over_both(|lab| async move {
        let run = lab.begin_with("lab?requiresApproval=put&arg.n=range:0..9").await;
        let held = asked(use_with(&run.granted, 1, 3));
        questions(&run.owner, 1).await;
        let with = |n| Approval::Change(Value::Fields(vec![("n".into(), Value::Integer(n))]));
        let refused = decide(&run.owner, decision(&run.owner, 1, with(50))).await.unwrap_err();
        assert_eq!(refused.code, Code::Denied, "{refused}");
        questions(&run.owner, 1).await;
        decide(&run.owner, decision(&run.owner, 1, with(5))).await.unwrap();
        held.await.unwrap().unwrap();
        let sent = run.owner.with(|task| task.request(CallNumber(1)).unwrap().args.clone());
        assert_eq!(sent.field("n"), Some(&Value::Integer(5)));
    })
    .await;
}

#[tokio::test]
async fn an_agent_that_floods_people_with_questions_is_refused() {
    over_both(|lab| async move {
        let run = lab.begin_with("lab?requiresApproval=put").await;
        let most = remit_core::limits::MAX_QUESTIONS as u64;
        let _held: Vec<_> = (1..=most).map(|n| asked(call(&run.granted, n, "put"))).collect();
        questions(&run.owner, remit_core::limits::MAX_QUESTIONS).await;
        let refused = said(call(&run.granted, most + 1, "put")).await.unwrap_err();
        assert_eq!(refused.code, Code::Limit, "{refused}");
    })
    .await;
}

#[tokio::test]
async fn a_task_that_was_cancelled_asks_nothing_any_more() {
    over_both(|lab| async move {
        let run = lab.begin_with("lab?requiresApproval=put").await;
        let _held = asked(call(&run.granted, 1, "put"));
        questions(&run.owner, 1).await;
        let yes = decision(&run.owner, 1, Approval::Approve);
        run.owner.cancel(Failure::new(Code::Cancelled, "enough"), "me").await.unwrap();
        run.owner.over().await;
        assert!(run.site.tasks.inbox("default", None, 9, None).unwrap().0.is_empty());
        assert_eq!(decide(&run.owner, yes).await.unwrap_err().code, Code::NotFound);
        assert!(lab.seen.borrow().is_empty());
    })
    .await;
}

#[tokio::test]
async fn the_question_says_what_a_person_must_know() {
    over_both(|lab| async move {
        let run = lab.begin_with("lab?requiresApproval=put").await;
        let _held = asked(use_with(&run.granted, 1, 7));
        questions(&run.owner, 1).await;
        run.owner.with(|task| {
            let questions = task.questions();
            let Question::Approval(request, hold) = questions[0] else { panic!() };
            assert_eq!(request.digest.len(), 32);
            for part in ["lab: put", "7", "the task's agent", "`lab`", "has an effect"] {
                assert!(hold.summary.contains(part), "{part}: {}", hold.summary);
            }
            assert_eq!(hold.caveat, "requiresApproval=put");
        });
    })
    .await;
}
