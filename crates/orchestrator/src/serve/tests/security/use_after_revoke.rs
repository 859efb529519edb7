//! Revocation: what was taken back is gone, by whatever way it is reached.

use std::rc::Rc;

use remit_core::{Code, Outcome, Role};

use super::super::lab::{
    Lab, Site, call, create, granted, lend, over_both_transports, revoke, said, spawn,
};
use crate::runtime::Owner;
use crate::serve::fakes::who;
use crate::tasks::holders::Selection;

over_both_transports!(
    revoked_tool_cannot_be_called,
    object_obtained_before_cannot_be_used_after,
    chain_that_is_on_its_way_ends_where_it_was_cut,
    child_that_is_derived_while_its_parent_is_cut_is_dead,
    callback_that_was_lent_dies_with_the_grant,
    revoked_grant_stays_so_after_a_restart_and_its_past_still_replays,
    sibling_grant_is_no_way_around,
    all_that_is_meant_is_taken_back_at_once_and_nothing_else,
    call_in_flight_is_cancelled_and_recorded_as_cut,
);

fn seen(lab: &Lab) -> Vec<String> {
    lab.seen.borrow().clone()
}

async fn revoked_tool_cannot_be_called(lab: Lab) {
    let run = lab.begin().await;
    said(call(&run.granted, 1, "look")).await.unwrap();
    revoke(&run.owner, 1).await;
    assert_eq!(said(call(&run.granted, 2, "look")).await.unwrap_err().code, Code::Revoked);
    assert_eq!(seen(&lab), ["look"]);
}

async fn object_obtained_before_cannot_be_used_after(lab: Lab) {
    let run = lab.begin().await;
    let opened = call(&run.granted, 1, "open");
    let object = opened.pipeline.get_object();
    said(opened).await.unwrap();
    revoke(&run.owner, 1).await;
    assert_eq!(said(call(&object, 2, "look")).await.unwrap_err().code, Code::Revoked);
    assert!(object.describe_request().send().promise.await.is_err(), "nor looked at");
    assert_eq!(seen(&lab), ["open"]);
}

async fn chain_that_is_on_its_way_ends_where_it_was_cut(lab: Lab) {
    let run = lab.begin().await;
    let first = call(&run.granted, 1, "open");
    let second = call(&first.pipeline.get_object(), 2, "open");
    let third = call(&second.pipeline.get_object(), 3, "put");
    // The promise of the second is unresolved when the grant is cut.
    revoke(&run.owner, 1).await;
    let ends = [said(first).await, said(second).await, said(third).await];
    for end in ends.iter().filter_map(|end| end.as_ref().err()) {
        assert_eq!(end.code, Code::Revoked, "{end}");
    }
    assert!(ends[2].is_err(), "what would have been done was not");
    assert!(!seen(&lab).iter().any(|call| call.ends_with("put")));
    let late = said(call(&run.granted, 4, "put")).await.unwrap_err();
    assert_eq!(late.code, Code::Revoked);
}

async fn child_that_is_derived_while_its_parent_is_cut_is_dead(lab: Lab) {
    let run = lab.begin().await;
    let deriving = call(&run.granted, 1, "attenuate");
    let child = deriving.pipeline.get_object();
    let using = call(&child, 2, "put");
    revoke(&run.owner, 1).await;
    let _either = said(deriving).await;
    assert_eq!(said(using).await.unwrap_err().code, Code::Revoked);
    assert_eq!(said(call(&child, 3, "look")).await.unwrap_err().code, Code::Revoked);
    assert!(seen(&lab).iter().all(|call| call != "put"));
    let alive = run.owner.with(|task| {
        task.grants()
            .filter(|held| held.grant.tool == "lab")
            .any(|held| !task.is_revoked(held.grant.grant))
    });
    assert!(!alive);
}

async fn callback_that_was_lent_dies_with_the_grant(lab: Lab) {
    let run = lab.begin().await;
    let opened = call(&run.granted, 1, "open");
    let object = opened.pipeline.get_object();
    said(opened).await.unwrap();
    said(lend(&run.granted, 2, "use", &object)).await.unwrap();
    let kept = lab.kept.borrow_mut().take().unwrap();
    let refused = said(call(&kept, 0, "look")).await.unwrap_err();
    assert_eq!(refused.code, Code::Revoked, "it was lent for one call");
    revoke(&run.owner, 1).await;
    assert_eq!(said(call(&kept, 0, "look")).await.unwrap_err().code, Code::Revoked);
}

async fn revoked_grant_stays_so_after_a_restart_and_its_past_still_replays(lab: Lab) {
    let site = lab.start();
    let owner = create(&site).await;
    let (_context, held) = lab.attempt(&site).await;
    let first = said(call(&held, 1, "look")).await.unwrap();
    revoke(&owner, 1).await;
    site.tasks.shutdown().await;
    drop(site);
    let site = lab.start();
    let (_context, held) = lab.attempt(&site).await;
    assert_eq!(said(call(&held, 1, "look")).await.unwrap(), first);
    assert_eq!(said(call(&held, 2, "look")).await.unwrap_err().code, Code::Revoked);
    assert_eq!(seen(&lab), ["look"]);
}

async fn sibling_grant_is_no_way_around(lab: Lab) {
    let run = lab.begin().await;
    let tasks = granted(&run.context, 1).await;
    revoke(&run.owner, 1).await;
    // The sibling still works, and is handed the revoked object as an argument.
    let spawned = said(spawn(&tasks, 1, &run.granted, &[])).await;
    assert_eq!(spawned.unwrap_err().code, Code::Revoked);
    assert!(seen(&lab).is_empty());
}

async fn selected(site: &Site, which: Selection) -> usize {
    site.tasks.revoke_all(&which, "bulk", &who(Role::Client, "me")).await.unwrap().len()
}

async fn all_that_is_meant_is_taken_back_at_once_and_nothing_else(lab: Lab) {
    let site = lab.start();
    let (one, two) = (create(&site).await, create(&site).await);
    let alive = |owner: &Rc<Owner>| {
        owner.with(|task| {
            let held = task.grants().filter(|held| !task.is_revoked(held.grant.grant));
            held.map(|held| held.grant.tool.clone()).collect::<Vec<_>>()
        })
    };
    let nothing = Selection { tool: "git".into(), ..Selection::default() };
    assert_eq!(selected(&site, nothing).await, 0);
    let all = site.tasks.revoke_all(&Selection::default(), "", &who(Role::Client, "me")).await;
    assert_eq!(all.unwrap_err().code, Code::InvalidArgument, "all is never meant");
    let of_one =
        Selection { task: Some(one.key().task), tool: "lab".into(), ..Selection::default() };
    assert_eq!(selected(&site, of_one).await, 1);
    assert_eq!((alive(&one), alive(&two).len()), (vec!["tasks".to_owned()], 2));
    let manifest = Some(super::super::lab::manifest().hash());
    let by_hash = Selection { manifest, ..Selection::default() };
    assert_eq!(selected(&site, by_hash).await, 1);
    assert_eq!(alive(&two), ["tasks"]);
    let holder = format!("task:{}", two.key().task);
    assert_eq!(selected(&site, Selection { holder, ..Selection::default() }).await, 1);
    assert!(alive(&two).is_empty());
    let audit = site.tasks.services().audit.read("default", 0, 99).unwrap();
    assert_eq!(audit.len(), 4, "one record for each time, and none for a refusal to guess");
}

async fn call_in_flight_is_cancelled_and_recorded_as_cut(lab: Lab) {
    let run = lab.begin().await;
    let hanging = call(&run.granted, 1, "hang");
    let mut hanging = Box::pin(said(hanging));
    while seen(&lab).is_empty() {
        assert!(futures::poll!(&mut hanging).is_pending());
        tokio::task::yield_now().await;
    }
    revoke(&run.owner, 1).await;
    assert_eq!(hanging.await.unwrap_err().code, Code::Revoked);
    while seen(&lab).len() < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(seen(&lab), ["hang", "stopped"], "and the tool no longer works on it");
    let outcome = run.owner.with(|task| match task.operation(remit_core::CallNumber(1)) {
        Some(remit_core::task::Operation::Call {
            state: remit_core::task::CallState::Completed(outcome, _),
            ..
        }) => Some((**outcome).clone()),
        _ => None,
    });
    assert!(matches!(outcome, Some(Outcome::Failure(failure)) if failure.code == Code::Revoked));
}
