//! What cannot be saved: without a reason that a person can read later, or for no time at all.

use remit_core::Code;

use super::client::Spec;
use super::world::{World, must_fail};

must_fail!(
    nothing_is_saved_without_a_label,
    nothing_is_saved_for_a_time_that_is_over_or_too_short,
    grant_cannot_be_saved_as_a_viewer,
    nothing_is_saved_by_a_viewer,
);

async fn nothing_is_saved_without_a_label(world: &World) {
    let me = world.mesh("me");
    let task = me.create().await;
    for label in ["", " ", "\n\t "] {
        for refused in
            [task.save(Spec::new(label)).await, task.save_grant(1, Spec::new(label)).await]
        {
            let refused = refused.unwrap_err();
            assert_eq!(refused.code, Code::InvalidArgument);
            assert!(refused.message.contains("label"), "{refused}");
        }
    }
    let long = Spec::new(Box::leak("x".repeat(300).into_boxed_str()));
    assert_eq!(task.save(long).await.unwrap_err().code, Code::InvalidArgument);
    assert!(me.refs().await.is_empty());
}

async fn nothing_is_saved_for_a_time_that_is_over_or_too_short(world: &World) {
    let me = world.mesh("me");
    let task = me.create().await;
    for spec in [
        Spec { until_ms: 1, ..Spec::new("past") },
        Spec { until_ms: world.now_ms(), ..Spec::new("now") },
        Spec { unused_ms: 1, ..Spec::new("short") },
    ] {
        assert_eq!(task.save(spec).await.unwrap_err().code, Code::InvalidArgument);
    }
    assert!(me.refs().await.is_empty());
}

async fn grant_cannot_be_saved_as_a_viewer(world: &World) {
    let task = world.mesh("me").create().await;
    let viewer = Spec { viewer: true, ..Spec::new("of a grant") };
    assert_eq!(task.save_grant(1, viewer).await.unwrap_err().code, Code::InvalidArgument);
}

async fn nothing_is_saved_by_a_viewer(world: &World) {
    let me = world.mesh("me");
    let task = me.create().await;
    let viewer = task.save(Spec { viewer: true, ..Spec::new("look") }).await.unwrap();
    let held = me.restore(&viewer).await.unwrap().task();
    assert_eq!(held.save(Spec::new("more")).await.unwrap_err().code, Code::Denied);
    assert_eq!(held.save_grant(1, Spec::new("more")).await.unwrap_err().code, Code::Denied);
    assert_eq!(me.refs().await.len(), 1);
}
