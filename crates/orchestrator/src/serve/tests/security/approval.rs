//! Approval: a person's word is good for the call that was shown, once, and nothing else.

use remit_core::event::{Approval, ApprovalDecided, Remember};
use remit_core::task::Command;
use remit_core::{CallNumber, Code, Value};

use super::super::lab::{
    Call, Lab, attenuate, call, create_with, granted, lend, over_both_transports, revoke, said,
    spawn, with,
};
use super::super::questions::{approve, asked, decide, decision, questions};

over_both_transports!(
    approval_for_other_arguments_cannot_be_used,
    approval_cannot_be_used_twice,
    approval_of_one_call_is_none_of_the_same_call_again,
    attenuation_does_not_shed_the_need_for_approval,
    child_task_cannot_shed_the_need_for_approval,
    object_of_a_held_call_cannot_be_used_before_the_decision,
    remembered_approval_ends_with_its_time_and_fits_no_other_method,
    changed_arguments_cannot_leave_the_folder_of_the_grant,
    denial_cannot_be_turned_into_approval,
    agent_cannot_decide_on_its_own_call,
);

const PUT: &str = "lab?requiresApproval=put";

fn put(on: &remit_schema::object_capnp::object::Client, number: u64, n: i64) -> Call {
    with(on, number, "put", &[("n", Value::Integer(n))], &[])
}

async fn approval_for_other_arguments_cannot_be_used(lab: Lab) {
    let run = lab.begin_with(PUT).await;
    let (_one, _two) = (asked(put(&run.granted, 1, 1)), asked(put(&run.granted, 2, 2)));
    questions(&run.owner, 2).await;
    let of_two = decision(&run.owner, 2, Approval::Approve);
    let moved = ApprovalDecided { call: CallNumber(1), ..of_two };
    assert_eq!(decide(&run.owner, moved).await.unwrap_err().detail, "digest");
    let empty = ApprovalDecided { digest: [0; 32], ..decision(&run.owner, 1, Approval::Approve) };
    assert!(decide(&run.owner, empty).await.is_err());
    assert!(lab.seen.borrow().is_empty());
}

async fn approval_cannot_be_used_twice(lab: Lab) {
    let run = lab.begin_with(PUT).await;
    let held = asked(put(&run.granted, 1, 1));
    questions(&run.owner, 1).await;
    let yes = decision(&run.owner, 1, Approval::Approve);
    decide(&run.owner, yes.clone()).await.unwrap();
    held.await.unwrap().unwrap();
    // The very same decision again is no second call; for the next call it is none at all.
    decide(&run.owner, yes.clone()).await.unwrap();
    let again = asked(put(&run.granted, 2, 1));
    questions(&run.owner, 1).await;
    decide(&run.owner, yes).await.unwrap();
    questions(&run.owner, 1).await;
    assert!(!again.is_finished());
    assert_eq!(*lab.seen.borrow(), ["put"]);
    again.abort();
}

async fn approval_of_one_call_is_none_of_the_same_call_again(lab: Lab) {
    let run = lab.begin_with(PUT).await;
    let mut held: Vec<_> = (1..=5).map(|number| asked(put(&run.granted, number, 7))).collect();
    questions(&run.owner, 5).await;
    approve(&run.owner, 3).await.unwrap();
    questions(&run.owner, 4).await;
    held.remove(2).await.unwrap().unwrap();
    assert_eq!(*lab.seen.borrow(), ["put"]);
    held.iter().for_each(tokio::task::JoinHandle::abort);
}

async fn attenuation_does_not_shed_the_need_for_approval(lab: Lab) {
    let run = lab.begin_with(PUT).await;
    let weak = attenuate(&run.granted, 1, "requiresApproval=look");
    let object = weak.pipeline.get_object();
    said(weak).await.unwrap();
    let (_put, _look) = (asked(put(&object, 2, 1)), asked(call(&object, 3, "look")));
    questions(&run.owner, 2).await;
    assert!(lab.seen.borrow().is_empty(), "both are held: by the one above, and by its own");
}

async fn child_task_cannot_shed_the_need_for_approval(lab: Lab) {
    let site = lab.start();
    let owner = create_with(&site, PUT).await;
    let (context, held) = lab.attempt(&site).await;
    let tasks = granted(&context, 1).await;
    said(spawn(&tasks, 1, &held, &[])).await.unwrap();
    let (_child, passed) = lab.attempt(&site).await;
    let held = asked(put(&passed, 1, 1));
    questions(&owner, 1).await;
    assert!(lab.seen.borrow().is_empty());
    let call = owner.with(|task| {
        let asked = task.questions();
        let remit_core::task::Question::Approval(request, _) = asked[0] else { panic!() };
        request.call.0
    });
    decide(&owner, decision(&owner, call, Approval::Deny)).await.unwrap();
    assert_eq!(held.await.unwrap().unwrap_err().code, Code::Denied);
    assert!(lab.seen.borrow().is_empty());
}

async fn object_of_a_held_call_cannot_be_used_before_the_decision(lab: Lab) {
    let run = lab.begin_with("lab?requiresApproval=make").await;
    let made = call(&run.granted, 1, "make");
    let object = made.pipeline.get_object();
    let used = asked(call(&object, 2, "put"));
    let lent = asked(lend(&run.granted, 3, "use", &object));
    let made = asked(made);
    questions(&run.owner, 1).await;
    decide(&run.owner, decision(&run.owner, 1, Approval::Deny)).await.unwrap();
    assert_eq!(made.await.unwrap().unwrap_err().code, Code::Denied);
    assert_eq!(used.await.unwrap().unwrap_err().code, Code::Denied);
    assert!(lent.await.unwrap().is_err());
    assert!(lab.seen.borrow().iter().all(|seen| seen == "use"), "{:?}", lab.seen.borrow());
}

async fn remembered_approval_ends_with_its_time_and_fits_no_other_method(lab: Lab) {
    let run = lab.begin_with("lab?requiresApproval=*").await;
    let first = asked(put(&run.granted, 1, 1));
    questions(&run.owner, 1).await;
    let until_ms = crate::node::now_ms() + 60_000;
    let yes = decision(&run.owner, 1, Approval::Approve);
    let yes = ApprovalDecided { remember: Remember::Method(until_ms), ..yes };
    decide(&run.owner, yes).await.unwrap();
    first.await.unwrap().unwrap();
    let _other = asked(call(&run.granted, 2, "set"));
    questions(&run.owner, 1).await;
    lab.ahead_ms.set(61_000);
    let _late = asked(put(&run.granted, 3, 1));
    questions(&run.owner, 2).await;
    assert_eq!(*lab.seen.borrow(), ["put"]);
}

async fn changed_arguments_cannot_leave_the_folder_of_the_grant(lab: Lab) {
    let run = lab.begin_with("lab?requiresApproval=read&path=src").await;
    let path = |path: &str| Value::Text(path.into());
    let held = asked(with(&run.granted, 1, "read", &[("path", path("src/a"))], &[]));
    questions(&run.owner, 1).await;
    for outside in ["lib/a", "src/../lib/a", "../src/a", "/etc/passwd"] {
        let other = Value::Fields(vec![("path".into(), Value::Text(outside.into()))]);
        let refused = decide(&run.owner, decision(&run.owner, 1, Approval::Change(other))).await;
        assert!(refused.is_err(), "{outside}");
    }
    assert!(lab.seen.borrow().is_empty());
    questions(&run.owner, 1).await;
    held.abort();
}

async fn denial_cannot_be_turned_into_approval(lab: Lab) {
    let run = lab.begin_with(PUT).await;
    let held = asked(put(&run.granted, 1, 1));
    questions(&run.owner, 1).await;
    let yes = decision(&run.owner, 1, Approval::Approve);
    decide(&run.owner, decision(&run.owner, 1, Approval::Deny)).await.unwrap();
    assert_eq!(held.await.unwrap().unwrap_err().code, Code::Denied);
    assert!(decide(&run.owner, yes.clone()).await.is_err());
    let other = asked(put(&run.granted, 2, 2));
    questions(&run.owner, 1).await;
    revoke(&run.owner, 1).await;
    assert_eq!(other.await.unwrap().unwrap_err().code, Code::Revoked);
    assert!(decide(&run.owner, yes).await.is_err());
    assert!(lab.seen.borrow().is_empty());
}

async fn agent_cannot_decide_on_its_own_call(lab: Lab) {
    let run = lab.begin_with("lab?requiresApproval=*").await;
    let _held = asked(put(&run.granted, 1, 1));
    questions(&run.owner, 1).await;
    // Whatever a person could use, the agent's end does not have.
    let task = remit_schema::mesh_capnp::task::Client { client: run.context.client.clone() };
    let refused = task.info_request().send().promise.await.err().unwrap();
    assert_eq!(refused.kind, capnp::ErrorKind::Unimplemented);
    for method in ["approve", "decide", "deny", "settle"] {
        let number = 2 + method.len() as u64;
        assert!(said(call(&run.granted, number, method)).await.is_err(), "{method}");
    }
    questions(&run.owner, 1).await;
    assert!(lab.seen.borrow().is_empty());
    let why = remit_core::Failure::new(Code::Cancelled, "enough");
    let _over = run.owner.record(&Command::RequestCancel { why, who: String::new() });
}
