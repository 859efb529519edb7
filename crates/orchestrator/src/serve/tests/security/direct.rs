//! Direct paths: what a tool says of a value that it keeps gives nothing that was not granted, and a
//! path ends with what it was made for.

use futures::FutureExt as _;
use remit_core::event::{Event, Fact};
use remit_core::task::Command;
use remit_core::{CallNumber, Code, Failure, Role, Task, Value};
use remit_schema::object_capnp::object;
use remit_schema::task_capnp::task_context;
use remit_vat::exception::{to_exception, to_failure};
use remit_vat::wire;

use super::super::super::fakes::who;
use super::super::lab::{Lab, call, events, grant, over_both_transports, revoke};

over_both_transports!(
    value_larger_than_was_said_is_never_told,
    value_larger_than_was_said_is_never_told_when_it_is_read_again,
    value_that_is_said_to_be_larger_than_a_result_may_be_is_not_kept,
    value_that_is_said_to_be_larger_than_the_budget_is_not_kept,
    value_that_is_said_to_be_larger_than_any_may_be_is_not_kept,
    value_that_nobody_asked_to_keep_is_a_failure,
    value_that_its_tool_fails_to_read_again_pauses_the_task,
    refusal_that_a_tool_claims_without_an_introduction_is_its_own_failure,
    grant_without_a_direct_path_says_why,
    grant_that_comes_later_is_introduced_at_once_and_no_other,
    revoked_grant_has_no_introduction,
    attempt_that_ended_has_no_introduction,
    task_that_ended_has_no_introduction,
);

/// A tool that keeps this value as soon as it may, and says that it has so many bytes. Before, it has
/// nothing to say; after, whoever asks in another way gets the value.
pub(super) fn keeps(lab: &Lab, value: &Value<u32>, said: u64) {
    let (value, digest) = (value.clone(), value.digest().unwrap());
    let kept_once = std::cell::Cell::new(false);
    lab.lies(move |heard, mut results| {
        if heard.direct {
            kept_once.set(true);
            let mut kept = results.get().init_kept();
            kept.set_digest(&digest);
            kept.set_bytes(said);
            kept.set_token(&[7; 32]);
        } else if kept_once.get() {
            wire::value::write(results.get().init_value(), &value, &[]);
        }
        async { Ok(()) }.boxed_local()
    });
}

/// The number of the first call that goes directly, and how it ended.
pub(super) async fn directly(lab: &Lab, granted: &object::Client) -> (u64, Result<u64, Failure>) {
    while lab.introduced.get() == 0 {
        tokio::task::yield_now().await;
    }
    for number in 1.. {
        let answer = call(granted, number, "look").promise.await;
        let kept = answer.map_err(|error| to_failure(&error)).map(|answer| {
            let results = answer.get().unwrap();
            results.has_kept().then(|| results.get_kept().unwrap().get_bytes())
        });
        match kept {
            Ok(None) => {}
            Ok(Some(bytes)) => return (number, Ok(bytes)),
            Err(failure) => return (number, Err(failure)),
        }
    }
    unreachable!("numbers do not end")
}

async fn body(context: &task_context::Client, call: u64) -> Result<Value<u32>, Failure> {
    let mut request = context.body_request();
    request.get().set_operation(call);
    let answer = request.send().promise.await.map_err(|error| to_failure(&error))?;
    Ok(wire::value::read(answer.get().unwrap().get_value().unwrap()).unwrap().0)
}

/// The value is refused, and the task has failed for good, in a later life of its owner as well.
async fn refused_for_good(lab: Lab, value: &Value<u32>) {
    let run = lab.begin_with("lab?route=direct&resultBytes=100&bytesOut=1000").await;
    let (number, kept) = directly(&lab, &run.granted).await;
    assert_eq!(kept.unwrap(), 1, "the run.owner has no more than the tool's word");
    let refused = body(&run.context, number).await.unwrap_err();
    assert_eq!(refused.code, Code::Failed, "{refused}");
    let (weight, said) = (format!("{} bytes", value.weight()), "said 1");
    assert!(refused.message.contains(&weight) && refused.message.contains(said), "{refused}");
    let failed = |events: &[Event]| {
        events.iter().find_map(|event| match &event.fact {
            Fact::TaskFailed(failure) => Some(failure.clone()),
            _ => None,
        })
    };
    while failed(&events(&lab, run.owner.key())).is_none() {
        tokio::task::yield_now().await;
    }
    let recorded = events(&lab, run.owner.key());
    let end = failed(&recorded);
    assert_eq!(end, Some(refused), "the task says why it failed");
    let folded = Task::fold(&recorded).unwrap().unwrap();
    assert!(run.owner.with(|task| *task == folded), "and its journal says the same");
    assert!(body(&run.context, number).await.is_err(), "asking again gives it no more than before");
}

async fn value_larger_than_was_said_is_never_told(lab: Lab) {
    let value = Value::Text("x".repeat(4_000_000));
    keeps(&lab, &value, 1);
    *lab.ledger.borrow_mut() = Some(value.clone());
    refused_for_good(lab, &value).await;
}

async fn value_larger_than_was_said_is_never_told_when_it_is_read_again(lab: Lab) {
    let value = Value::Text("x".repeat(4_000_000));
    keeps(&lab, &value, 1);
    refused_for_good(lab, &value).await;
}

/// Whatever the tool says: whether trying again helps, a person decides.
async fn value_that_its_tool_fails_to_read_again_pauses_the_task(lab: Lab) {
    let digest = Value::<u32>::Text("x".into()).digest().unwrap();
    lab.lies(move |heard, mut results| {
        let failure = Failure::new(Code::Unavailable, "the server is down");
        if heard.direct {
            let mut kept = results.get().init_kept();
            kept.set_digest(&digest);
            kept.set_bytes(1);
            kept.set_token(&[7; 32]);
        }
        async move { if heard.direct { Ok(()) } else { Err(to_exception(&failure)) } }.boxed_local()
    });
    let run = lab.begin_with("lab?route=direct").await;
    while lab.introduced.get() == 0 {
        tokio::task::yield_now().await;
    }
    let mut number = 0;
    let kept = loop {
        number += 1;
        match call(&run.granted, number, "look").promise.await {
            Ok(answer) if answer.get().unwrap().has_kept() => break number,
            _ => {}
        }
    };
    body(&run.context, kept).await.unwrap_err();
    let paused = run.owner.with(|task| task.paused().map(|paused| paused.reason.clone()));
    assert!(paused.is_some_and(|reason| reason.contains("the server is down")));
}

async fn refusal_that_a_tool_claims_without_an_introduction_is_its_own_failure(lab: Lab) {
    lab.lies(|_, mut results| {
        let failure = Failure::new(Code::Denied, "the grant does not allow it");
        wire::outcome::write_failure(results.get().init_refused(), &failure);
        async { Ok(()) }.boxed_local()
    });
    let run = lab.begin_with("lab").await;
    let answer = call(&run.granted, 1, "look").promise.await;
    assert_eq!(to_failure(&answer.err().unwrap()).code, Code::Denied);
    let head = run.owner.with(|task| task.head().number);
    run.owner.durable(head).await.unwrap();
    let refused = events(&lab, run.owner.key())
        .into_iter()
        .any(|event| matches!(event.fact, Fact::CallCompleted { refused, .. } if refused));
    assert!(!refused, "the audit would tell of a refusal of the mesh");
}

async fn grant_without_a_direct_path_says_why(lab: Lab) {
    lab.address.borrow_mut().clear();
    let run = lab.begin_with("lab?route=direct").await;
    let reason = loop {
        let said = events(&lab, run.owner.key()).into_iter().find_map(|event| match event.fact {
            Fact::NotIntroduced { reason, .. } => Some(reason),
            _ => None,
        });
        match said {
            Some(reason) => break reason,
            None => tokio::task::yield_now().await,
        }
    };
    assert!(reason.contains("lets nobody dial it"), "{reason}");
    call(&run.granted, 1, "look").promise.await.unwrap();
}

/// Why a value that is said to have so many bytes is not kept under a grant with these caveats.
async fn withheld(lab: Lab, caveats: &str, said: u64) -> Failure {
    keeps(&lab, &Value::Null, said);
    let run = lab.begin_with(&format!("lab?route=direct{caveats}")).await;
    let (number, kept) = directly(&lab, &run.granted).await;
    assert_eq!(
        body(&run.context, number).await.unwrap_err().code,
        Code::NotFound,
        "nor can it be had"
    );
    kept.unwrap_err()
}

async fn value_that_is_said_to_be_larger_than_a_result_may_be_is_not_kept(lab: Lab) {
    let refused = withheld(lab, "&resultBytes=100", 101).await;
    assert_eq!((refused.code, refused.detail.as_str()), (Code::Denied, "resultBytes=100"));
}

async fn value_that_is_said_to_be_larger_than_the_budget_is_not_kept(lab: Lab) {
    let refused = withheld(lab, "&bytesOut=100000", 100_001).await;
    assert_eq!((refused.code, refused.detail.as_str()), (Code::Denied, "bytesOut=100000"));
}

async fn value_that_is_said_to_be_larger_than_any_may_be_is_not_kept(lab: Lab) {
    let most = remit_core::limits::MAX_VALUE_BYTES as u64;
    assert_eq!(withheld(lab, "", most + 1).await.code, Code::Limit);
}

async fn value_that_nobody_asked_to_keep_is_a_failure(lab: Lab) {
    lab.lies(|_, mut results| {
        let mut kept = results.get().init_kept();
        kept.set_digest(&[9; 32]);
        kept.set_bytes(1);
        kept.set_token(&[7; 32]);
        async { Ok(()) }.boxed_local()
    });
    let run = lab.begin().await;
    let answer = call(&run.granted, 1, "look").promise.await;
    let refused = to_failure(&answer.err().unwrap());
    assert_eq!(refused.code, Code::Failed);
    assert!(refused.message.contains("not asked to keep"), "{refused}");
}

/// Waits until the tool node expects nobody any more.
async fn until_cut(lab: &Lab) {
    while lab.introduced.get() > 0 {
        tokio::task::yield_now().await;
    }
}

async fn grant_that_comes_later_is_introduced_at_once_and_no_other(lab: Lab) {
    keeps(&lab, &Value::Null, 70_000);
    let run = lab.begin().await;
    let mut asked = run.context.request_request();
    asked.get().set_operation(1_000);
    asked.get().set_tool("lab");
    asked.get().set_reason("to read much");
    let asked = tokio::task::spawn_local(asked.send().promise);
    while run.site.tasks.inbox("default", None, 9, None).unwrap().0.is_empty() {
        tokio::task::yield_now().await;
    }
    let mut given = grant("lab?route=direct");
    given.name = String::new();
    let me = who(Role::Client, "me");
    run.site.tasks.give(&run.owner, CallNumber(1_000), given, &me).await.unwrap();
    let given = asked.await.unwrap().unwrap().get().unwrap().get_object().unwrap();
    directly(&lab, &given).await.1.unwrap();
    assert_eq!(lab.introduced.get(), 1);
    let other = call(&run.granted, 2_000, "look").promise.await.unwrap();
    assert!(!other.get().unwrap().has_kept(), "the first grant does not say so");
    until_over(&run.owner, &lab).await;
}

/// Whatever was introduced goes with the task.
async fn until_over(owner: &std::rc::Rc<crate::runtime::Owner>, lab: &Lab) {
    owner.fail(Failure::new(Code::Failed, "enough"));
    until_cut(lab).await;
}

async fn revoked_grant_has_no_introduction(lab: Lab) {
    keeps(&lab, &Value::Null, 70_000);
    let run = lab.begin_with("lab?route=direct").await;
    directly(&lab, &run.granted).await.1.unwrap();
    revoke(&run.owner, 1).await;
    until_cut(&lab).await;
}

async fn attempt_that_ended_has_no_introduction(lab: Lab) {
    keeps(&lab, &Value::Null, 70_000);
    let run = lab.begin_with("lab?route=direct").await;
    directly(&lab, &run.granted).await.1.unwrap();
    let pause =
        Command::Pause { reason: "enough for today".into(), who: String::new(), call: None };
    run.owner.record_durably(&pause).await.unwrap();
    until_cut(&lab).await;
}

async fn task_that_ended_has_no_introduction(lab: Lab) {
    keeps(&lab, &Value::Null, 70_000);
    let run = lab.begin_with("lab?route=direct").await;
    directly(&lab, &run.granted).await.1.unwrap();
    until_over(&run.owner, &lab).await;
}
