//! A revoked reference is worth nothing, and neither is what was had by it.

use remit_core::Code;
use remit_core::audit::Decision;

use super::client::{Spec, said};
use super::narrowed;
use super::world::{World, must_fail, stranger};

must_fail!(
    revoked_reference_cannot_be_restored,
    narrowed_copy_of_a_revoked_reference_cannot_be_restored,
    what_was_restored_cannot_be_used_after_revocation,
    what_waits_is_told_of_the_revocation,
    stranger_cannot_be_revoked_and_revoking_twice_changes_nothing,
);

async fn revoked_reference_cannot_be_restored(world: &World) {
    let me = world.mesh("me");
    let task = me.create().await;
    let saved = [
        task.save(Spec::new("task")).await.unwrap(),
        task.save(Spec { viewer: true, ..Spec::new("viewer") }).await.unwrap(),
        task.save_grant(1, Spec::new("grant")).await.unwrap(),
    ];
    let other = task.save(Spec::new("another")).await.unwrap();
    for saved in &saved {
        me.revoke(saved).await.unwrap();
        assert_eq!(me.restore(saved).await.err().unwrap().code, Code::Revoked);
    }
    // It is on disk: a restart does not bring it back.
    world.restart().await;
    for saved in &saved {
        assert_eq!(world.mesh("me").restore(saved).await.err().unwrap().code, Code::Revoked);
    }
    world.nothing_was_done();
    assert!(world.mesh("me").restore(&other).await.is_ok(), "another is not meant");
}

async fn narrowed_copy_of_a_revoked_reference_cannot_be_restored(world: &World) {
    let me = world.mesh("me");
    let task = me.create().await;
    let saved = task.save_grant(1, Spec::new("it")).await.unwrap();
    let narrow = narrowed(&saved, "calls=9");
    let object = me.restore(&narrow).await.unwrap().object();
    me.revoke(&saved).await.unwrap();
    for copy in [&narrow, &narrowed(&narrow, "methods=look"), &narrowed(&saved, "label=x")] {
        assert_eq!(me.restore(copy).await.err().unwrap().code, Code::Revoked);
    }
    assert_eq!(said(&object, "look", b"1").await.unwrap_err().code, Code::Revoked);
    assert_eq!(world.seen(), Vec::<String>::new());
}

async fn what_was_restored_cannot_be_used_after_revocation(world: &World) {
    let me = world.mesh("me");
    let task = me.create().await;
    let of_grant = task.save_grant(1, Spec::new("grant")).await.unwrap();
    let of_task = task.save(Spec::new("task")).await.unwrap();
    let object = me.restore(&of_grant).await.unwrap().object();
    let opened = super::client::opened(&object).await;
    let held = me.restore(&of_task).await.unwrap().task();
    for saved in [&of_grant, &of_task] {
        me.revoke(saved).await.unwrap();
    }
    for (object, key) in [(&object, b"1"), (&opened, b"2")] {
        assert_eq!(said(object, "put", key).await.unwrap_err().code, Code::Revoked);
    }
    assert_eq!(world.seen(), ["open"]);
    for refused in [
        held.info().await.map(|_| ()),
        held.send().await,
        held.cancel().await,
        held.revoke(1).await,
        held.save(Spec::new("more")).await.map(|_| ()),
        held.first_event().await.map(|_| ()),
    ] {
        assert_eq!(refused.unwrap_err().code, Code::Revoked);
    }
}

async fn what_waits_is_told_of_the_revocation(world: &World) {
    let me = world.mesh("me");
    let task = me.create().await;
    let saved = task.save(Spec::new("it")).await.unwrap();
    let held = me.restore(&saved).await.unwrap().task();
    let result = tokio::task::spawn_local(held.result());
    held.info().await.unwrap();
    me.revoke(&saved).await.unwrap();
    assert_eq!(result.await.unwrap().unwrap_err().code, Code::Revoked);
}

async fn stranger_cannot_be_revoked_and_revoking_twice_changes_nothing(world: &World) {
    let me = world.mesh("me");
    assert_eq!(me.revoke(&stranger()).await.unwrap_err().code, Code::NotFound);
    let task = me.create().await;
    let saved = task.save(Spec::new("it")).await.unwrap();
    me.revoke(&saved).await.unwrap();
    me.revoke(&saved).await.unwrap();
    let revoked = world.audited().into_iter().filter(|decision| *decision == Decision::Revoked);
    assert_eq!(revoked.count(), 1);
}
