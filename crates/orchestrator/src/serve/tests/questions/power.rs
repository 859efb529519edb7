//! Capabilities that an agent asks people for.

use remit_core::Role;
use remit_core::task::Command;
use remit_core::{CallNumber, Code, Failure, Value};
use remit_schema::object_capnp::object;
use remit_schema::task_capnp::task_context;
use remit_vat::exception::to_failure;
use tokio::task::JoinHandle;

use super::super::super::fakes::who;
use super::super::lab::{call, create_with, grant, over_both, said};
use super::questions;
use crate::tasks::inbox::Asks;

/// A request for power, and the object that it was answered with.
fn request(
    context: &task_context::Client,
    operation: u64,
    tool: &str,
) -> JoinHandle<Result<object::Client, Failure>> {
    let mut request = context.request_request();
    request.get().set_operation(operation);
    request.get().set_tool(tool);
    request.get().set_reason("to try it");
    let promise = request.send().promise;
    tokio::task::spawn_local(async move {
        let response = promise.await.map_err(|error| to_failure(&error))?;
        let object = response.get().unwrap().get_object();
        Ok(object.unwrap())
    })
}

#[tokio::test]
async fn what_is_given_works_within_its_caveats_and_after_a_restart() {
    over_both(|lab| async move {
        let me = who(Role::Client, "me");
        let site = lab.start();
        let owner = create_with(&site, "lab").await;
        let key = owner.key().clone();
        let (context, _granted) = lab.attempt(&site).await;
        let asked = request(&context, 1, "lab");
        questions(&owner, 1).await;
        let items = site.tasks.inbox("default", None, 9, None).unwrap().0;
        assert!(format!("{:?}", items[0].asks).contains("lab@1"), "{items:?}");
        let spec = || remit_lab("lab?methods=look");
        let given = site.tasks.give(&owner, CallNumber(1), spec(), &me).await.unwrap();
        assert_eq!(site.tasks.give(&owner, CallNumber(1), spec(), &me).await.unwrap(), given);
        let other = remit_lab("lab");
        assert!(site.tasks.give(&owner, CallNumber(1), other, &me).await.is_err(), "it stands");
        let lab_object = asked.await.unwrap().unwrap();
        assert_eq!(said(call(&lab_object, 2, "look")).await.unwrap().0, Value::Text("look".into()));
        assert_eq!(said(call(&lab_object, 3, "put")).await.unwrap_err().code, Code::Denied);
        drop(owner);
        site.tasks.shutdown().await;
        drop(site);

        let site = lab.start();
        let _owner = site.tasks.get(&key).unwrap();
        let (context, _granted) = lab.attempt(&site).await;
        let begun = context.begin_request().send().promise.await.unwrap();
        let grants = begun.get().unwrap().get_script().unwrap().get_grants().unwrap().len();
        assert_eq!(grants, 2, "what a replay finds by name is what it found before");
        let again = request(&context, 1, "lab").await.unwrap().unwrap();
        assert_eq!(said(call(&again, 2, "look")).await.unwrap().0, Value::Text("look".into()));
        assert_eq!(lab.seen.borrow().len(), 1, "a replay");
    })
    .await;
}

fn remit_lab(text: &str) -> crate::tasks::GrantSpec {
    let mut spec = grant(text);
    spec.name = String::new();
    spec
}

#[tokio::test]
async fn an_offer_names_the_effects_that_nothing_bounds_and_another_asks_a_person() {
    over_both(|lab| async move {
        let run = lab.begin().await;
        let _asked = request(&run.context, 1, "lab");
        questions(&run.owner, 1).await;
        let (items, _) = run.site.tasks.inbox("default", None, 9, None).unwrap();
        let Asks::CapabilityRequest { offers, .. } = &items[0].asks else { panic!("{items:?}") };
        let asking = offers.iter().position(|offer| offer.unbounded.is_empty()).unwrap();
        let whole = &offers[asking + 1];
        assert!(whole.unbounded.contains(&"put".into()), "{offers:?}");
        assert!(!whole.unbounded.contains(&"look".into()), "it only reads");
        let approval = format!("?requiresApproval={}", whole.unbounded.join(","));
        assert_eq!(offers[asking].grant, format!("{}{approval}", whole.grant));
        let me = who(Role::Client, "me");
        let safe = remit_lab(&offers[asking].grant);
        run.site.tasks.give(&run.owner, CallNumber(1), safe, &me).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_refusal_is_told_and_stands() {
    over_both(|lab| async move {
        let run = lab.begin().await;
        let asked = request(&run.context, 1, "lab");
        questions(&run.owner, 1).await;
        let refuse = Command::RefuseCapability {
            operation: CallNumber(1),
            reason: "no need".into(),
            who: "me".into(),
        };
        run.owner.record_durably(&refuse).await.unwrap();
        let failure = asked.await.unwrap().err().unwrap();
        assert_eq!(failure.code, Code::Denied);
        assert!(failure.message.contains("no need"), "{failure}");
        let me = who(Role::Client, "me");
        let late = run.site.tasks.give(&run.owner, CallNumber(1), remit_lab("lab"), &me).await;
        assert!(late.unwrap_err().message.contains("refused already"));
    })
    .await;
}

#[tokio::test]
async fn another_tool_than_the_one_asked_for_is_not_given() {
    over_both(|lab| async move {
        let run = lab.begin().await;
        let _asked = request(&run.context, 1, "lab");
        questions(&run.owner, 1).await;
        let me = who(Role::Client, "me");
        let refused = run.site.tasks.give(&run.owner, CallNumber(1), remit_lab("tasks"), &me).await;
        assert_eq!(refused.unwrap_err().code, Code::InvalidArgument);
        questions(&run.owner, 1).await;
    })
    .await;
}

#[tokio::test]
async fn a_request_that_nobody_answers_is_refused_when_its_time_is_over() {
    over_both(|lab| async move {
        let run = lab.begin().await;
        let asked = request(&run.context, 1, "lab");
        questions(&run.owner, 1).await;
        lab.ahead_ms.set(remit_core::limits::QUESTION_LIFE_MS + 1);
        let me = who(Role::Client, "me");
        let late = run.site.tasks.give(&run.owner, CallNumber(1), remit_lab("lab"), &me).await;
        assert!(late.is_err());
        run.owner.review();
        assert_eq!(asked.await.unwrap().err().unwrap().code, Code::Denied);
    })
    .await;
}

#[tokio::test]
async fn an_agent_that_asks_for_something_else_on_replay_fails() {
    over_both(|lab| async move {
        let site = lab.start();
        let owner = create_with(&site, "lab").await;
        let key = owner.key().clone();
        let (context, _granted) = lab.attempt(&site).await;
        let _asked = request(&context, 1, "lab");
        questions(&owner, 1).await;
        drop(owner);
        site.tasks.shutdown().await;
        drop(site);
        let site = lab.start();
        let owner = site.tasks.get(&key).unwrap();
        let (context, _granted) = lab.attempt(&site).await;
        let other = request(&context, 1, "vault").await.unwrap().err().unwrap();
        assert!(other.message.contains("not deterministic"), "{other}");
        owner.over().await;
    })
    .await;
}
