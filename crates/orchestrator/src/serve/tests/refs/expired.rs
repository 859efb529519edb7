//! Past its time a reference is worth nothing, whoever set the time.

use remit_core::Code;
use remit_core::grant::text::moment;

use super::client::{Spec, said};
use super::narrowed;
use super::world::{World, must_fail};

must_fail!(
    expired_reference_cannot_be_restored,
    what_was_restored_cannot_be_used_past_the_expiry,
    expiry_that_a_holder_appended_holds,
    reference_saved_through_another_does_not_outlive_it,
    reference_cannot_be_restored_before_its_time,
);

async fn expired_reference_cannot_be_restored(world: &World) {
    let me = world.mesh("me");
    let task = me.create().await;
    let spec = Spec { until_ms: world.now_ms() + 60_000, ..Spec::new("a minute") };
    let saved = [task.save(spec.clone()).await, task.save_grant(1, spec).await];
    world.advance(60_000);
    world.restart().await;
    for saved in saved {
        let refused = world.mesh("me").restore(&saved.unwrap()).await.err().unwrap();
        assert_eq!(refused.code, Code::Denied);
        assert!(refused.message.contains("expired"), "{refused}");
    }
    world.nothing_was_done();
}

async fn what_was_restored_cannot_be_used_past_the_expiry(world: &World) {
    let me = world.mesh("me");
    let task = me.create().await;
    let spec = Spec { until_ms: world.now_ms() + 60_000, ..Spec::new("a minute") };
    let of_task = task.save(spec.clone()).await.unwrap();
    let of_grant = task.save_grant(1, spec).await.unwrap();
    let held = me.restore(&of_task).await.unwrap().task();
    let object = me.restore(&of_grant).await.unwrap().object();
    world.advance(60_000);
    assert_eq!(held.info().await.unwrap_err().code, Code::Denied);
    assert_eq!(held.send().await.unwrap_err().code, Code::Denied);
    assert_eq!(held.save(Spec::new("more")).await.unwrap_err().code, Code::Denied);
    assert_eq!(said(&object, "put", b"1").await.unwrap_err().code, Code::Denied);
    assert_eq!(world.seen(), Vec::<String>::new());
}

async fn expiry_that_a_holder_appended_holds(world: &World) {
    let me = world.mesh("me");
    let task = me.create().await;
    let until = format!("until={}", moment(world.now_ms() + 60_000));
    let of_task = narrowed(&task.save(Spec::new("it")).await.unwrap(), &until);
    let of_grant = narrowed(&task.save_grant(1, Spec::new("it")).await.unwrap(), &until);
    let held = me.restore(&of_task).await.unwrap().task();
    let object = me.restore(&of_grant).await.unwrap().object();
    world.advance(60_001);
    assert_eq!(held.info().await.unwrap_err().code, Code::Denied);
    assert_eq!(said(&object, "put", b"1").await.unwrap_err().code, Code::Denied);
    assert_eq!(me.restore(&of_task).await.err().unwrap().code, Code::Denied);
    if let Ok(again) = me.restore(&of_grant).await {
        assert_eq!(said(&again.object(), "put", b"2").await.unwrap_err().code, Code::Denied);
    }
    assert_eq!(world.seen(), Vec::<String>::new());
}

async fn reference_saved_through_another_does_not_outlive_it(world: &World) {
    let me = world.mesh("me");
    let task = me.create().await;
    let spec = Spec { until_ms: world.now_ms() + 60_000, ..Spec::new("a minute") };
    let parent = task.save(spec).await.unwrap();
    let held = me.restore(&parent).await.unwrap().task();
    let later = world.now_ms() + 600_000;
    let child = held.save(Spec { until_ms: later, ..Spec::new("ten minutes") }).await.unwrap();
    let of_grant = held.save_grant(1, Spec::new("for ever")).await.unwrap();
    world.advance(60_000);
    for late in [&child, &of_grant] {
        assert_eq!(me.restore(late).await.err().unwrap().code, Code::Denied);
    }
}

async fn reference_cannot_be_restored_before_its_time(world: &World) {
    let me = world.mesh("me");
    let task = me.create().await;
    let from = format!("notBefore={}", moment(world.now_ms() + 60_000));
    let early = narrowed(&task.save(Spec::new("it")).await.unwrap(), &from);
    assert_eq!(me.restore(&early).await.err().unwrap().code, Code::Denied);
    let early_object = narrowed(&task.save_grant(1, Spec::new("it")).await.unwrap(), &from);
    if let Ok(live) = me.restore(&early_object).await {
        assert_eq!(said(&live.object(), "put", b"1").await.unwrap_err().code, Code::Denied);
    }
    assert_eq!(world.seen(), Vec::<String>::new());
    world.advance(60_001);
    assert!(me.restore(&early).await.is_ok());
}
