//! Calls of which nobody knows whether they happened.

use std::rc::Rc;

use remit_core::event::{Ledger, Settlement, SettlementDecided};
use remit_core::task::Question;
use remit_core::{CallNumber, Code, EventNumber, Failure, Value};

use super::super::lab::{Lab, Site, call, create_with, over_both};
use super::{asked, questions};
use crate::owner::Owner;

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
        assert_eq!(site.tasks.inbox("default", None, 9).unwrap().0.len(), 1);
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
async fn under_retry_and_for_what_is_idempotent_it_is_sent_again() {
    over_both(|lab| async move {
        let (site, _owner) = interrupted(&lab, "lab?onUnknown=retry", "once").await;
        let (_context, granted) = lab.attempt(&site).await;
        let again = asked(call(&granted, 1, "once")).await.unwrap().unwrap();
        assert_eq!(again.0, Value::Text("once".into()));
        assert_eq!(*lab.seen.borrow(), ["once", "reopened", "once"]);
    })
    .await;
}

#[tokio::test]
async fn a_call_that_is_not_lost_cannot_be_settled() {
    over_both(|lab| async move {
        let site = lab.start();
        let owner = create_with(&site, "lab?requiresApproval=put").await;
        let (_context, granted) = lab.attempt(&site).await;
        let refused = settle(&owner, Settlement::Abandon).await.unwrap_err();
        assert_eq!(refused.code, Code::NotFound);
        asked(call(&granted, 1, "look")).await.unwrap().unwrap();
        let refused = settle(&owner, Settlement::Outcome(Value::Null)).await.unwrap_err();
        assert!(refused.message.contains("it has ended"), "{refused}");
        let _held = asked(call(&granted, 2, "put"));
        questions(&owner, 1).await;
        let decided = SettlementDecided {
            call: CallNumber(2),
            settlement: Settlement::Outcome(Value::Null),
            who: "me".into(),
        };
        let refused = owner.decide_settlement(decided, EventNumber(0)).await.unwrap_err();
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
