//! Calls of which nobody knows whether they happened.

use std::rc::Rc;

use remit_core::event::{Ledger, Settlement, SettlementDecided};
use remit_core::task::Question;
use remit_core::{CallNumber, Code, EventNumber, Failure, Value};
use tokio::task::LocalSet;

use super::super::lab::{Lab, Site, Transport, call, create_with, events, over_both};
use super::{asked, questions};
use crate::runtime::Owner;

/// A task whose first call was under way when everything died, taken up again.
async fn interrupted(lab: &Lab, grant: &str, method: &str) -> (Site, Rc<Owner>) {
    let site = lab.start();
    let owner = create_with(&site, grant).await;
    let key = owner.key().clone();
    let (_context, granted) = lab.attempt(&site).await;
    let _lost = asked(call(&granted, 1, method));
    while lab.seen.borrow().is_empty() {
        tokio::task::yield_now().await;
    }
    drop(owner);
    site.tasks.shutdown().await;
    drop(site);
    let site = lab.start();
    let owner = site.tasks.get(&key).unwrap();
    (site, owner)
}

async fn settle(owner: &Rc<Owner>, settlement: Settlement) -> Result<(), Failure> {
    let decided = SettlementDecided { call: CallNumber(1), settlement, who: "me".into() };
    owner.decide_settlement(decided, EventNumber(0)).await
}

#[tokio::test]
async fn a_person_is_asked_what_became_of_a_call_and_its_outcome_reaches_the_script() {
    over_both(|lab| async move {
        let (site, owner) = interrupted(&lab, "lab", "once").await;
        let (_context, granted) = lab.attempt(&site).await;
        let waits = asked(call(&granted, 1, "once"));
        questions(&owner, 1).await;
        owner.with(|task| {
            let questions = task.questions();
            let Question::Settlement(_, unsettled) = questions[0] else { panic!() };
            assert_eq!(unsettled.ledger, Ledger::Started);
        });
        settle(&owner, Settlement::Outcome(Value::Integer(42))).await.unwrap();
        assert_eq!(waits.await.unwrap().unwrap().0, Value::Integer(42));
        assert_eq!(*lab.seen.borrow(), ["once"], "it was not sent again");
        settle(&owner, Settlement::Outcome(Value::Integer(42))).await.unwrap();
        let refused = settle(&owner, Settlement::Retry).await.unwrap_err();
        assert!(refused.message.contains("given an outcome already"), "{refused}");
        assert_eq!(*lab.seen.borrow(), ["once"]);
    })
    .await;
}

#[tokio::test]
async fn a_call_that_was_given_up_fails_with_unknown() {
    over_both(|lab| async move {
        let (site, owner) = interrupted(&lab, "lab", "once").await;
        let (_context, granted) = lab.attempt(&site).await;
        let waits = asked(call(&granted, 1, "once"));
        questions(&owner, 1).await;
        settle(&owner, Settlement::Abandon).await.unwrap();
        assert_eq!(waits.await.unwrap().unwrap_err().code, Code::Unknown);
        questions(&owner, 0).await;
    })
    .await;
}

#[tokio::test]
async fn a_retry_is_sent_once_under_the_same_key_after_the_ledger_forgot() {
    over_both(|lab| async move {
        let (site, owner) = interrupted(&lab, "lab", "once").await;
        let (_context, granted) = lab.attempt(&site).await;
        let waits = asked(call(&granted, 1, "once"));
        questions(&owner, 1).await;
        settle(&owner, Settlement::Retry).await.unwrap();
        assert_eq!(waits.await.unwrap().unwrap().0, Value::Text("once".into()));
        assert_eq!(*lab.seen.borrow(), ["once", "reopened", "once"]);
        settle(&owner, Settlement::Retry).await.unwrap();
        assert_eq!(lab.seen.borrow().len(), 3, "the same decision again sends nothing");
        let (one, two) = (&lab.keys.borrow()[0], &lab.keys.borrow()[1]);
        assert_eq!(one, two, "the same key");
    })
    .await;
}

#[tokio::test]
async fn the_question_outlives_another_death_of_everything() {
    over_both(|lab| async move {
        let (site, owner) = interrupted(&lab, "lab", "once").await;
        let key = owner.key().clone();
        let (_context, granted) = lab.attempt(&site).await;
        let _waits = asked(call(&granted, 1, "once"));
        questions(&owner, 1).await;
        drop(owner);
        site.tasks.shutdown().await;
        drop(site);
        let site = lab.start();
        let owner = site.tasks.get(&key).unwrap();
        let (_context, granted) = lab.attempt(&site).await;
        let waits = asked(call(&granted, 1, "once"));
        assert_eq!(site.tasks.inbox("default", None, 9, None).unwrap().0.len(), 1);
        settle(&owner, Settlement::Abandon).await.unwrap();
        assert_eq!(waits.await.unwrap().unwrap_err().code, Code::Unknown);
        assert_eq!(*lab.seen.borrow(), ["once"]);
    })
    .await;
}

#[tokio::test]
async fn under_fail_nobody_is_asked() {
    over_both(|lab| async move {
        let (site, owner) = interrupted(&lab, "lab?onUnknown=fail", "once").await;
        let (_context, granted) = lab.attempt(&site).await;
        let failed = asked(call(&granted, 1, "once")).await.unwrap().unwrap_err();
        assert_eq!(failed.code, Code::Unknown, "{failed}");
        assert_eq!(owner.with(|task| task.count_questions()), 0);
    })
    .await;
}

#[tokio::test]
async fn under_retry_and_for_what_is_harmless_it_is_sent_again() {
    over_both(|lab| async move {
        for (grant, method, seen) in [
            ("lab?onUnknown=retry", "once", &["once", "reopened", "once"][..]),
            ("lab", "setOnce", &["setOnce", "setOnce"]),
            ("lab", "lookOnce", &["lookOnce", "lookOnce"]),
        ] {
            let lab = Lab::new(lab.transport);
            let (site, _owner) = interrupted(&lab, grant, method).await;
            let (_context, granted) = lab.attempt(&site).await;
            let again = asked(call(&granted, 1, method)).await.unwrap().unwrap();
            assert_eq!(again.0, Value::Text(method.into()));
            assert_eq!(*lab.seen.borrow(), seen);
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_harmless_is_not_sent_again_either_where_the_grant_says_ask_or_fail() {
    over_both(|lab| async move {
        for method in ["setOnce", "lookOnce"] {
            let lab = Lab::new(lab.transport);
            let (site, _owner) = interrupted(&lab, "lab?onUnknown=fail", method).await;
            let (_context, granted) = lab.attempt(&site).await;
            let failed = asked(call(&granted, 1, method)).await.unwrap().unwrap_err();
            assert_eq!(failed.code, Code::Unknown, "{failed}");
            assert_eq!(*lab.seen.borrow(), [method]);
            let lab = Lab::new(lab.transport);
            let (site, owner) = interrupted(&lab, "lab?onUnknown=ask", method).await;
            let (_context, granted) = lab.attempt(&site).await;
            let waits = asked(call(&granted, 1, method));
            questions(&owner, 1).await;
            assert_eq!(*lab.seen.borrow(), [method]);
            settle(&owner, Settlement::Retry).await.unwrap();
            assert_eq!(waits.await.unwrap().unwrap().0, Value::Text(method.into()));
        }
    })
    .await;
}

#[tokio::test]
async fn what_never_began_is_sent_under_every_policy() {
    over_both(|lab| async move {
        for policy in ["fail", "ask", "retry"] {
            for method in ["once", "setOnce"] {
                let lab = Lab::new(lab.transport);
                lab.started.set(false);
                let grant = format!("lab?onUnknown={policy}");
                let (site, _owner) = interrupted(&lab, &grant, method).await;
                let (_context, granted) = lab.attempt(&site).await;
                asked(call(&granted, 1, method)).await.unwrap().unwrap();
                assert_eq!(*lab.seen.borrow(), [method, method], "{policy}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn what_the_tool_node_does_not_know_itself_is_settled_like_a_lost_call() {
    over_both(|lab| async move {
        for policy in ["", "?onUnknown=retry", "?onUnknown=fail"] {
            let lab = Lab::new(lab.transport);
            let run = lab.begin_with(&format!("lab{policy}")).await;
            let waits = asked(call(&run.granted, 1, "vague"));
            match policy {
                "" => {
                    questions(&run.owner, 1).await;
                    settle(&run.owner, Settlement::Outcome(Value::Integer(7))).await.unwrap();
                    assert_eq!(waits.await.unwrap().unwrap().0, Value::Integer(7));
                    assert_eq!(*lab.seen.borrow(), ["vague"]);
                }
                "?onUnknown=retry" => {
                    let again = waits.await.unwrap().unwrap().0;
                    assert_eq!(again, Value::Text("vague".into()));
                    assert_eq!(*lab.seen.borrow(), ["vague", "reopened", "vague"]);
                }
                _ => {
                    let failed = waits.await.unwrap().unwrap_err();
                    assert_eq!(failed.code, Code::Unknown, "{failed}");
                    assert_eq!(*lab.seen.borrow(), ["vague"]);
                }
            }
            let unknown = |event: &remit_core::Event| event.fact.name() == "call-unknown";
            assert_eq!(events(&lab, run.owner.key()).iter().filter(|e| unknown(e)).count(), 1);
        }
    })
    .await;
}

/// The call of a task whose tool node never comes back, under this grant.
async fn abandoned(grant: &str) -> (Lab, Site, Rc<Owner>) {
    let lab = Lab::new(Transport::SameProcess);
    let (mut site, owner) = interrupted(&lab, grant, "once").await;
    site.leases.0 = None;
    let (_context, granted) = lab.attempt(&site).await;
    let _waits = asked(call(&granted, 1, "once"));
    let mut progress = owner.progress();
    while owner.with(|task| task.count_questions() == 0 && task.paused().is_none()) {
        progress.changed().await.unwrap();
    }
    (lab, site, owner)
}

#[tokio::test(start_paused = true)]
async fn of_a_tool_that_stays_away_a_person_is_asked() {
    let body = async {
        let (_lab, _site, owner) = abandoned("lab").await;
        owner.with(|task| {
            let Question::Settlement(_, unsettled) = task.questions()[0] else { panic!() };
            assert_eq!(unsettled.ledger, Ledger::Away);
            assert!(task.paused().is_none());
        });
    };
    LocalSet::new().run_until(body).await;
}

#[tokio::test(start_paused = true)]
async fn a_task_whose_call_is_tried_in_vain_is_paused_with_the_reason() {
    let body = async {
        let (_lab, _site, owner) = abandoned("lab?onUnknown=retry").await;
        owner.with(|task| {
            let why = &task.paused().unwrap().reason;
            assert!(why.contains("call 1 (once)") && why.contains("8 tries"), "{why}");
            assert_eq!(task.count_questions(), 0);
        });
    };
    LocalSet::new().run_until(body).await;
}

/// Waits until the first call of the task has ended.
async fn settled(owner: &Rc<Owner>) {
    let mut progress = owner.progress();
    while owner.with(|task| task.order().is_empty()) {
        progress.changed().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_question_about_a_node_that_was_away_is_withdrawn_when_it_is_back() {
    let body = async {
        for grant in ["lab", "lab?onUnknown=retry"] {
            let (lab, _site, owner) = abandoned(grant).await;
            lab.started.set(false);
            let lease = lab.register_tool(&owner.services().registry);
            settled(&owner).await;
            assert_eq!(*lab.seen.borrow(), ["once", "once"], "the ledger said that it never began");
            owner.with(|task| {
                assert_eq!((task.count_questions(), task.paused().is_some()), (0, false));
            });
            drop(lease);
        }
    };
    LocalSet::new().run_until(body).await;
}

#[tokio::test(start_paused = true)]
async fn a_question_and_a_pause_end_also_when_everything_died_in_between() {
    let body = async {
        for grant in ["lab", "lab?onUnknown=retry"] {
            let (lab, site, owner) = abandoned(grant).await;
            let key = owner.key().clone();
            drop(owner);
            site.tasks.shutdown().await;
            drop(site);
            lab.started.set(false);
            let site = lab.start();
            let owner = site.tasks.get(&key).unwrap();
            settled(&owner).await;
            owner.with(|task| {
                assert_eq!((task.count_questions(), task.paused().is_some()), (0, false));
            });
        }
    };
    LocalSet::new().run_until(body).await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_back_and_began_the_call_leaves_it_to_a_person() {
    let body = async {
        let (lab, _site, owner) = abandoned("lab").await;
        let _lease = lab.register_tool(&owner.services().registry);
        let mut progress = owner.progress();
        let started = || {
            owner.with(|task| {
                task.questions().iter().any(|question| {
                    matches!(question, Question::Settlement(_, unsettled)
                        if unsettled.ledger == Ledger::Started)
                })
            })
        };
        while !started() {
            progress.changed().await.unwrap();
        }
        assert_eq!(*lab.seen.borrow(), ["once"], "it was not sent again");
    };
    LocalSet::new().run_until(body).await;
}

#[tokio::test]
async fn a_call_that_is_not_lost_cannot_be_settled() {
    over_both(|lab| async move {
        let run = lab.begin_with("lab?requiresApproval=put").await;
        let refused = settle(&run.owner, Settlement::Abandon).await.unwrap_err();
        assert_eq!(refused.code, Code::NotFound);
        asked(call(&run.granted, 1, "look")).await.unwrap().unwrap();
        let refused = settle(&run.owner, Settlement::Outcome(Value::Null)).await.unwrap_err();
        assert!(refused.message.contains("it has ended"), "{refused}");
        let _held = asked(call(&run.granted, 2, "put"));
        questions(&run.owner, 1).await;
        let decided = SettlementDecided {
            call: CallNumber(2),
            settlement: Settlement::Outcome(Value::Null),
            who: "me".into(),
        };
        let refused = run.owner.decide_settlement(decided, EventNumber(0)).await.unwrap_err();
        assert!(refused.message.contains("approval"), "{refused}");
    })
    .await;
}

#[tokio::test]
async fn an_answer_to_an_earlier_question_does_not_answer_a_later_one() {
    over_both(|lab| async move {
        let (site, owner) = interrupted(&lab, "lab", "once").await;
        let (_context, granted) = lab.attempt(&site).await;
        let _waits = asked(call(&granted, 1, "once"));
        questions(&owner, 1).await;
        let decided = SettlementDecided {
            call: CallNumber(1),
            settlement: Settlement::Abandon,
            who: "me".into(),
        };
        assert!(owner.decide_settlement(decided, EventNumber(1)).await.is_err());
        questions(&owner, 1).await;
    })
    .await;
}
