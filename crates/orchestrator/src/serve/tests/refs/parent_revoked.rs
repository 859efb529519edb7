//! What was saved through another reference, or below a grant, dies with it.

use remit_core::Code;

use super::client::{Spec, said};
use super::world::{World, must_fail};

must_fail!(
    reference_saved_through_a_revoked_one_cannot_be_restored,
    what_was_restored_by_it_cannot_be_used,
    reference_to_a_revoked_grant_cannot_be_restored,
    revoked_grant_cannot_be_saved,
    reference_to_a_grant_of_a_cancelled_task_cannot_be_restored,
);

async fn reference_saved_through_a_revoked_one_cannot_be_restored(world: &World) {
    let me = world.mesh("me");
    let task = me.create().await;
    let parent = task.save(Spec::new("parent")).await.unwrap();
    let held = me.restore(&parent).await.unwrap().task();
    let child = held.save(Spec::new("child")).await.unwrap();
    let grant = held.save_grant(1, Spec::new("grant")).await.unwrap();
    let held = me.restore(&child).await.unwrap().task();
    let grandchild = held.save(Spec { owner: "you", ..Spec::new("grandchild") }).await.unwrap();
    me.revoke(&parent).await.unwrap();
    world.restart().await;
    let (me, you) = (world.mesh("me"), world.mesh("you"));
    assert_eq!(me.restore(&child).await.err().unwrap().code, Code::Revoked);
    assert_eq!(me.restore(&grant).await.err().unwrap().code, Code::Revoked);
    assert_eq!(you.restore(&grandchild).await.err().unwrap().code, Code::Revoked);
    let states = me.refs().await.into_iter().map(|(_, _, state, _)| state);
    assert!(states.into_iter().all(|state| state == "revoked"));
}

async fn what_was_restored_by_it_cannot_be_used(world: &World) {
    let me = world.mesh("me");
    let task = me.create().await;
    let parent = task.save(Spec::new("parent")).await.unwrap();
    let held = me.restore(&parent).await.unwrap().task();
    let child = held.save(Spec::new("child")).await.unwrap();
    let grant = held.save_grant(1, Spec::new("grant")).await.unwrap();
    let by_child = me.restore(&child).await.unwrap().task();
    let object = me.restore(&grant).await.unwrap().object();
    me.revoke(&parent).await.unwrap();
    assert_eq!(by_child.info().await.unwrap_err().code, Code::Revoked);
    assert_eq!(by_child.save(Spec::new("more")).await.unwrap_err().code, Code::Revoked);
    assert_eq!(said(&object, "put", b"1").await.unwrap_err().code, Code::Revoked);
    assert_eq!(world.seen(), Vec::<String>::new());
}

async fn reference_to_a_revoked_grant_cannot_be_restored(world: &World) {
    let me = world.mesh("me");
    let task = me.create().await;
    let saved = task.save_grant(1, Spec::new("it")).await.unwrap();
    let object = me.restore(&saved).await.unwrap().object();
    task.revoke(1).await.unwrap();
    assert_eq!(said(&object, "put", b"1").await.unwrap_err().code, Code::Revoked);
    assert_eq!(me.restore(&saved).await.err().unwrap().code, Code::Revoked);
    let fresh = me.create().await;
    let never = fresh.save_grant(1, Spec::new("never restored")).await.unwrap();
    fresh.revoke(1).await.unwrap();
    assert_eq!(me.restore(&never).await.err().unwrap().code, Code::Revoked);
    assert_eq!(world.seen(), Vec::<String>::new());
}

async fn revoked_grant_cannot_be_saved(world: &World) {
    let task = world.mesh("me").create().await;
    task.revoke(1).await.unwrap();
    assert_eq!(task.save_grant(1, Spec::new("late")).await.unwrap_err().code, Code::Revoked);
    assert_eq!(task.save_grant(9, Spec::new("none")).await.unwrap_err().code, Code::NotFound);
}

async fn reference_to_a_grant_of_a_cancelled_task_cannot_be_restored(world: &World) {
    let me = world.mesh("me");
    let task = me.create().await;
    let saved = task.save_grant(1, Spec::new("it")).await.unwrap();
    let viewer = task.save(Spec { viewer: true, ..Spec::new("look") }).await.unwrap();
    task.cancel().await.unwrap();
    assert!(task.result().await.is_err());
    assert_eq!(me.restore(&saved).await.err().unwrap().code, Code::Revoked);
    assert!(me.restore(&viewer).await.unwrap().task().info().await.is_ok(), "how it ended");
}
