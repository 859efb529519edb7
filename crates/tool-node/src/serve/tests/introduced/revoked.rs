//! What the task's owner lets go of is over at the tool node: before the agent node came, while it is
//! connected, and with all that was still to be fetched.

use remit_core::{Code, Value};

use super::super::desk::settle;
use super::{Answer, Direct, Introduced, Site, call, kept, over_both_transports, size};
use crate::limits::KEPT_FROM_BYTES;

over_both_transports!(
    ticket_is_refused_after_the_lease_was_dropped,
    connection_is_cut_when_the_lease_is_dropped,
    connection_is_cut_with_the_orchestrators,
    values_not_yet_fetched_are_gone,
    call_that_still_runs_keeps_nothing,
    call_that_comes_later_keeps_nothing,
);

/// Drops the lease, and waits until the tool node has heard of it.
async fn revoke(site: &Site, introduced: Introduced) -> remit_schema::object_capnp::object::Client {
    let Introduced { lease, object, .. } = introduced;
    drop(lease);
    assert_eq!(settle(&site.desk, b"nothing").await, "never started");
    object
}

async fn until_cut(direct: &Direct) {
    direct.connection.ended().await;
    assert_eq!(direct.body(b"any").await.unwrap_err().code, Code::Unavailable);
}

async fn ticket_is_refused_after_the_lease_was_dropped(site: Site) {
    let introduced = site.expect("one").await;
    let ticket = introduced.ticket;
    let _object = revoke(&site, introduced).await;
    assert!(site.dial("one", &ticket).await.is_none());
}

async fn connection_is_cut_when_the_lease_is_dropped(site: Site) {
    let (introduced, direct) = site.met("one").await;
    let (other, stays) = site.met("one").await;
    revoke(&site, introduced).await;
    until_cut(&direct).await;
    let token = kept(&other.object, b"k").await;
    stays.body(&token).await.expect("the other introduction stands");
}

async fn connection_is_cut_with_the_orchestrators(site: Site) {
    let (_introduced, direct) = site.met("one").await;
    // Nobody could revoke anything any more.
    site.desk.connection.abort("the orchestrator is gone");
    until_cut(&direct).await;
}

async fn values_not_yet_fetched_are_gone(site: Site) {
    let (introduced, direct) = site.met("one").await;
    let (_other, stays) = site.met("one").await;
    let token = kept(&introduced.object, b"k").await;
    revoke(&site, introduced).await;
    until_cut(&direct).await;
    assert_eq!(direct.body(&token).await.unwrap_err().code, Code::Unavailable);
    assert_eq!(stays.body(&token).await.unwrap_err().code, Code::NotFound, "by no other way");
}

async fn call_that_still_runs_keeps_nothing(site: Site) {
    let (introduced, direct) = site.met("one").await;
    let object = introduced.object.clone();
    let bytes = KEPT_FROM_BYTES;
    let late =
        tokio::task::spawn_local(async move { call(&object, "late", size(bytes), b"k").await });
    site.lab.began.notified().await;
    revoke(&site, introduced).await;
    until_cut(&direct).await;
    site.lab.gate.notify_one();
    // Its outcome is the owner's business, who records it or not.
    let answer = late.await.unwrap().unwrap();
    assert!(matches!(answer, Answer::Value(Value::Text(_))), "{answer:?}");
}

async fn call_that_comes_later_keeps_nothing(site: Site) {
    let (introduced, direct) = site.met("one").await;
    let object = revoke(&site, introduced).await;
    until_cut(&direct).await;
    let answer = call(&object, "large", size(KEPT_FROM_BYTES), b"k").await.unwrap();
    assert!(matches!(answer, Answer::Value(Value::Text(_))), "{answer:?}");
}
