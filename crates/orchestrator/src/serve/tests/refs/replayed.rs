//! A reference that was overheard is worth nothing elsewhere, at another host, or later.

use remit_core::{Code, Identity, Reference, Role};

use super::client::{Spec, said};
use super::narrowed;
use super::world::{World, must_fail, over_both};

must_fail!(
    sealed_reference_cannot_be_replayed_by_who_overheard_it,
    reference_with_an_audience_cannot_be_used_or_passed_on_by_others,
    reference_cannot_be_replayed_after_it_was_revoked,
    call_that_is_replayed_is_done_once,
);

async fn sealed_reference_cannot_be_replayed_by_who_overheard_it(world: &World) {
    let me = world.mesh("me");
    let task = me.create().await;
    let saved = task.save_grant(1, Spec::new("it")).await.unwrap();
    let object = me.restore(&saved).await.unwrap().object();
    let overheard = saved.to_bytes();
    for name in ["you", "me2", "ME"] {
        let thief = Identity::new("home", "default", Role::Client, name);
        let Ok(thief) = thief else { continue };
        let refused = world.mesh_as(thief).restore_bytes(&overheard).await.err().unwrap();
        assert_eq!(refused.code, Code::Denied, "{name}");
    }
    assert!(said(&object, "look", b"1").await.is_ok(), "its owner is not disturbed");
    assert_eq!(world.seen(), ["look"]);
}

async fn reference_with_an_audience_cannot_be_used_or_passed_on_by_others(world: &World) {
    let me = world.mesh("me");
    let task = me.create().await;
    let saved = task.save(Spec::new("it")).await.unwrap();
    let for_you = narrowed(&saved, "audience=spiffe://home/default/client/you");
    assert_eq!(me.restore(&for_you).await.err().unwrap().code, Code::Denied);
    let for_me = narrowed(&saved, "audience=spiffe://home/default/client/me");
    let held = me.restore(&for_me).await.unwrap().task();
    let passed = held.save(Spec { owner: "you", ..Spec::new("passed on") }).await;
    assert_eq!(passed.unwrap_err().code, Code::Denied);
    assert!(held.save(Spec::new("kept")).await.is_ok());
    let of_grant = task.save_grant(1, Spec::new("it")).await.unwrap();
    let not_mine = narrowed(&of_grant, "audience=spiffe://home/default/client/you");
    if let Ok(live) = me.restore(&not_mine).await {
        assert_eq!(said(&live.object(), "put", b"1").await.unwrap_err().code, Code::Denied);
    }
    assert_eq!(world.seen(), Vec::<String>::new());
}

async fn reference_cannot_be_replayed_after_it_was_revoked(world: &World) {
    let me = world.mesh("me");
    let task = me.create().await;
    let saved = task.save(Spec::new("it")).await.unwrap();
    me.restore(&saved).await.unwrap();
    me.revoke(&saved).await.unwrap();
    // Saved once more it is another reference, which gives the old bits nothing.
    let fresh = task.save(Spec::new("it")).await.unwrap();
    assert_ne!(fresh.id(), saved.id());
    assert_eq!(me.restore(&saved).await.err().unwrap().code, Code::Revoked);
    assert!(me.restore(&fresh).await.is_ok());
}

async fn call_that_is_replayed_is_done_once(world: &World) {
    let me = world.mesh("me");
    let task = me.create().await;
    let saved = task.save_grant(1, Spec::new("it")).await.unwrap();
    for _ in 0..3 {
        let object = world.mesh("me").restore(&saved).await.unwrap().object();
        assert!(said(&object, "put", b"one key").await.is_ok());
        world.restart().await;
    }
    assert_eq!(world.seen(), ["put"]);
}

#[tokio::test]
async fn reference_cannot_be_replayed_at_another_host() {
    let kept: std::cell::RefCell<Vec<Reference>> = std::cell::RefCell::default();
    // Each run is a host of its own, with the same names and another key.
    over_both(async |world: &World| {
        let me = world.mesh("me");
        let task = me.create().await;
        let saved = task.save(Spec::new("it")).await.unwrap();
        kept.borrow_mut().push(saved);
        let elsewhere = kept.borrow()[0].clone();
        if kept.borrow().len() > 1 {
            assert_eq!(me.restore(&elsewhere).await.err().unwrap().code, Code::Denied);
            world.nothing_was_done();
        }
    })
    .await;
    assert_eq!(kept.borrow().len(), 2);
}
