//! A reference that lay unused for too long is gone.

use remit_core::Code;

use super::client::{Spec, said};
use super::world::{World, must_fail};

must_fail!(
    reference_that_was_never_used_cannot_be_restored,
    reference_that_was_used_once_and_then_left_cannot_be_restored,
    reference_that_is_in_use_does_not_lapse,
);

fn ten_seconds() -> Spec {
    Spec { unused_ms: 10_000, ..Spec::new("now and then") }
}

async fn reference_that_was_never_used_cannot_be_restored(world: &World) {
    let me = world.mesh("me");
    let task = me.create().await;
    let saved = [task.save(ten_seconds()).await, task.save_grant(1, ten_seconds()).await];
    world.advance(10_000);
    world.restart().await;
    for saved in saved {
        let refused = world.mesh("me").restore(&saved.unwrap()).await.err().unwrap();
        assert_eq!(refused.code, Code::Denied);
        assert!(refused.message.contains("not used"), "{refused}");
    }
    world.nothing_was_done();
}

async fn reference_that_was_used_once_and_then_left_cannot_be_restored(world: &World) {
    let me = world.mesh("me");
    let task = me.create().await;
    let saved = task.save_grant(1, ten_seconds()).await.unwrap();
    world.advance(9_000);
    let object = me.restore(&saved).await.unwrap().object();
    said(&object, "look", b"1").await.unwrap();
    world.advance(10_000);
    assert_eq!(me.restore(&saved).await.err().unwrap().code, Code::Denied);
    // A thief who tries it meanwhile does not keep it alive.
    let tried = task.save(ten_seconds()).await.unwrap();
    for _ in 0..4 {
        world.advance(3_000);
        assert!(world.mesh("you").restore(&tried).await.is_err());
    }
    assert!(me.restore(&tried).await.err().unwrap().message.contains("not used"));
}

async fn reference_that_is_in_use_does_not_lapse(world: &World) {
    let me = world.mesh("me");
    let task = me.create().await;
    let of_task = task.save(ten_seconds()).await.unwrap();
    let of_grant = task.save_grant(1, ten_seconds()).await.unwrap();
    let again = task.save(ten_seconds()).await.unwrap();
    let held = me.restore(&of_task).await.unwrap().task();
    let object = me.restore(&of_grant).await.unwrap().object();
    for _ in 0..4 {
        world.advance(6_000);
        held.info().await.unwrap();
        said(&object, "look", b"").await.unwrap();
        me.restore(&again).await.unwrap();
        // The note that it is used is on its way; whatever is recorded later is behind it.
        task.save(Spec::new("later")).await.unwrap();
    }
    world.restart().await;
    for saved in [&of_task, &of_grant, &again] {
        assert!(world.mesh("me").restore(saved).await.is_ok());
    }
}
