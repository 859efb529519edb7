//! The tool node holds a direct call to the caveats itself, whatever the orchestrator lets through.

use remit_core::{Code, Failure, Role, Value};
use remit_schema::object_capnp::object;

use super::{Answer, Introduced, Site, call, over_both_transports, request, size, who};
use crate::limits::KEPT_FROM_BYTES;

over_both_transports!(
    method_that_is_not_allowed_is_refused,
    argument_that_is_not_allowed_is_refused,
    call_outside_its_time_is_refused,
    caveat_of_a_grant_above_is_held_to,
    path_outside_the_grants_is_refused,
    object_obtained_is_held_to_the_same,
    result_that_is_too_large_is_withheld,
    caveats_with_a_memory_are_left_to_the_owner,
);

/// An agent node that has come, introduced for a chain of grants.
async fn introduced(site: &Site, links: &[(&str, &str)]) -> (Introduced, super::Direct) {
    let introduced = site.introduce(&who(Role::AgentNode, "one"), links).await;
    let direct = site.dial("one", &introduced.ticket).await.unwrap();
    (introduced, direct)
}

#[track_caller]
fn denied(answer: Result<Answer, Failure>, caveat: &str) {
    let refused = answer.unwrap_err();
    assert_eq!((refused.code, refused.detail.as_str()), (Code::Denied, caveat));
}

fn path(path: &str) -> Value<u32> {
    Value::Fields(vec![("path".into(), Value::Text(path.into()))])
}

/// The object that a direct call returns at once.
fn open(on: &object::Client, at: &str) -> object::Client {
    let mut asked = request(on, "shelf", &path(at), b"");
    asked.get().set_direct(true);
    asked.send().pipeline.get_object()
}

async fn method_that_is_not_allowed_is_refused(site: Site) {
    let (introduced, _direct) = introduced(&site, &[("methods=large", "")]).await;
    denied(call(&introduced.object, "set", Value::Null, b"k").await, "methods=large");
    assert_eq!(site.lab.runs.get(), 0, "it was not done");
    let large = call(&introduced.object, "large", size(KEPT_FROM_BYTES), b"k").await;
    assert!(matches!(large, Ok(Answer::Kept(_))));
}

async fn argument_that_is_not_allowed_is_refused(site: Site) {
    let caveat = "arg.bytes=range:..100";
    let (introduced, _direct) = introduced(&site, &[(caveat, "")]).await;
    denied(call(&introduced.object, "large", size(101), b"k").await, caveat);
    call(&introduced.object, "large", size(100), b"k").await.unwrap();
}

async fn call_outside_its_time_is_refused(site: Site) {
    for caveat in ["until=2020-01-01T00:00:00.000Z", "notBefore=2999-01-01T00:00:00.000Z"] {
        let (introduced, _direct) = introduced(&site, &[(caveat, "")]).await;
        denied(call(&introduced.object, "set", Value::Null, b"k").await, caveat);
    }
    assert_eq!(site.lab.runs.get(), 0);
}

async fn caveat_of_a_grant_above_is_held_to(site: Site) {
    let chain = [("methods=large,set", ""), ("", ""), ("methods=large,count", "")];
    let (introduced, _direct) = introduced(&site, &chain).await;
    denied(call(&introduced.object, "set", Value::Null, b"k").await, "methods=large,count");
    denied(call(&introduced.object, "count", Value::Null, b"k").await, "methods=large,set");
    call(&introduced.object, "large", size(1), b"k").await.unwrap();
}

async fn path_outside_the_grants_is_refused(site: Site) {
    // The grant's root is `a` as the one above it sees it, which allows `a/b` alone.
    let (introduced, _direct) = introduced(&site, &[("", ""), ("path=a/b", "a")]).await;
    denied(call(&introduced.object, "shelf", path("c"), b"k").await, "path=a/b");
    denied(call(&introduced.object, "shelf", path("bc"), b"k").await, "path=a/b");
    call(&introduced.object, "shelf", path("b/c"), b"k").await.unwrap();
}

async fn object_obtained_is_held_to_the_same(site: Site) {
    let (introduced, _direct) = introduced(&site, &[("methods=shelf,place&path=a", "")]).await;
    let shelf = open(&introduced.object, "a/b");
    let place = call(&shelf, "place", Value::Null, b"k").await.unwrap();
    assert!(matches!(place, Answer::Value(Value::Text(place)) if place == "a/b"));
    denied(call(&shelf, "large", size(1), b"k").await, "methods=shelf,place");
    let outside = call(&open(&introduced.object, "b"), "place", Value::Null, b"k").await;
    denied(outside, "path=a");
}

async fn result_that_is_too_large_is_withheld(site: Site) {
    let (introduced, _direct) = introduced(&site, &[("", ""), ("resultBytes=100000", "")]).await;
    denied(call(&introduced.object, "large", size(100_001), b"k").await, "resultBytes=100000");
    let large = call(&introduced.object, "large", size(90_000), b"l").await;
    assert!(matches!(large, Ok(Answer::Kept(_))));
}

async fn caveats_with_a_memory_are_left_to_the_owner(site: Site) {
    // The owner has counted this call already, and knows who may ask.
    let caveats = "calls=0&rate=1/d&cost=0&bytesOut=1&audience=task&requiresApproval=*";
    let (introduced, _direct) = introduced(&site, &[(caveats, "")]).await;
    for key in [b"k", b"l"] {
        let large = call(&introduced.object, "large", size(KEPT_FROM_BYTES), key).await;
        assert!(matches!(large, Ok(Answer::Kept(_))));
    }
}
