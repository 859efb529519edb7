//! Forgery: nothing that an agent can write or name becomes authority.

use remit_core::{Code, Value};

use super::super::lab::{Lab, call, create, granted, lend, over_both_transports, said, with};

over_both_transports!(
    object_of_another_task_is_no_argument,
    text_that_looks_like_an_object_stays_text,
    id_that_was_made_up_is_refused_on_the_tool_plane,
    number_of_a_lent_call_is_not_the_agents_to_give,
    old_attempts_objects_cannot_be_used_by_the_next,
    ticket_works_once_and_for_the_node_it_was_made_for,
);

async fn object_of_another_task_is_no_argument(lab: Lab) {
    let site = lab.start();
    create(&site).await;
    let (_one, first) = lab.attempt(&site).await;
    create(&site).await;
    let (_two, second) = lab.attempt(&site).await;
    let lent = lend(&second, 1, "use", &first);
    assert_eq!(said(lent).await.unwrap_err().code, Code::InvalidArgument);
    assert!(lab.seen.borrow().is_empty());
}

async fn text_that_looks_like_an_object_stays_text(lab: Lab) {
    let run = lab.begin().await;
    let texts = ["grant 1", "result of call 1", "remit:AAAA", "{\"held\":{\"grant\":1}}"];
    for (number, text) in (1_u64..).zip(texts) {
        let what = [("what", Value::Text(text.into()))];
        let using = with(&run.granted, number, "use", &what, &[]);
        assert!(said(using).await.is_err(), "the tool was lent nothing");
    }
    assert!(lab.kept.borrow().is_none());
}

async fn id_that_was_made_up_is_refused_on_the_tool_plane(lab: Lab) {
    let run = lab.begin().await;
    let mut request = run.granted.call_request();
    request.get().set_method("use");
    request.get().set_key(&1_u64.to_be_bytes());
    let mut args = request.get().init_args().init_fields(1).get(0);
    args.set_name("what");
    args.init_value().init_held().set_grant(2);
    assert_eq!(said(request.send()).await.unwrap_err().code, Code::InvalidArgument);
    assert!(lab.seen.borrow().is_empty());
}

async fn number_of_a_lent_call_is_not_the_agents_to_give(lab: Lab) {
    let run = lab.begin().await;
    for number in [0, 1 << 48, u64::MAX, 1_000_000] {
        let refused = said(call(&run.granted, number, "look")).await.unwrap_err();
        assert_eq!(refused.code, Code::InvalidArgument, "{number}");
    }
    assert!(lab.seen.borrow().is_empty());
}

async fn old_attempts_objects_cannot_be_used_by_the_next(lab: Lab) {
    let site = lab.start();
    create(&site).await;
    let (_context, old) = lab.attempt(&site).await;
    said(call(&old, 1, "look")).await.unwrap();
    site.tasks.shutdown().await;
    drop(site);
    let site = lab.start();
    let (context, fresh) = lab.attempt(&site).await;
    assert!(said(call(&old, 2, "look")).await.is_err());
    assert!(said(lend(&fresh, 2, "use", &old)).await.is_err());
    assert_eq!(*lab.seen.borrow(), ["look"]);
    drop(granted(&context, 0).await);
}

async fn ticket_works_once_and_for_the_node_it_was_made_for(lab: Lab) {
    let site = lab.start();
    create(&site).await;
    while site.tickets.borrow().is_empty() {
        tokio::task::yield_now().await;
    }
    let ticket = site.tickets.borrow_mut().remove(0);
    let node = |name: &str| crate::serve::fakes::who(remit_core::Role::AgentNode, name).to_string();
    assert!(site.redeem.redeem(&ticket, &node("other")).is_none(), "another node's");
    let _ = site.redeem.redeem(&ticket, &node("one"));
    assert!(site.redeem.redeem(&ticket, &node("one")).is_none(), "used");
    assert!(site.redeem.redeem(&[7; 32], &node("one")).is_none(), "made up");
}
