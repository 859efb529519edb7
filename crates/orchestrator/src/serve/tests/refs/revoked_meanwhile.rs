//! Revocation wins every race with a restore: what is handed out meanwhile is dead.

use remit_core::Code;

use super::client::{Spec, said};
use super::world::{World, must_fail};

must_fail!(
    reference_revoked_between_restore_and_first_call_gives_nothing_that_works,
    reference_revoked_while_it_is_restored_gives_nothing_that_works,
    grant_revoked_while_its_reference_is_restored_gives_nothing_that_works,
    parent_revoked_while_a_child_is_saved_leaves_no_child,
);

async fn reference_revoked_between_restore_and_first_call_gives_nothing_that_works(world: &World) {
    let me = world.mesh("me");
    let task = me.create().await;
    let saved = task.save_grant(1, Spec::new("it")).await.unwrap();
    let of_task = task.save(Spec::new("task")).await.unwrap();
    let object = me.restore(&saved).await.unwrap().object();
    let held = me.restore(&of_task).await.unwrap().task();
    me.revoke(&saved).await.unwrap();
    me.revoke(&of_task).await.unwrap();
    assert_eq!(said(&object, "put", b"1").await.unwrap_err().code, Code::Revoked);
    assert_eq!(held.send().await.unwrap_err().code, Code::Revoked);
    assert_eq!(world.seen(), Vec::<String>::new());
}

/// Lets so many others have their turn.
async fn after(turns: usize) {
    for _ in 0..turns {
        tokio::task::yield_now().await;
    }
}

async fn reference_revoked_while_it_is_restored_gives_nothing_that_works(world: &World) {
    let me = world.mesh("me");
    let task = me.create().await;
    for turns in 0..16 {
        let saved = task.save_grant(1, Spec::new("it")).await.unwrap();
        let of_task = task.save(Spec::new("task")).await.unwrap();
        let revoke = async {
            after(turns).await;
            let (one, other) = tokio::join!(me.revoke(&saved), me.revoke(&of_task));
            one.and(other).unwrap();
        };
        let (object, held, ()) = tokio::join!(me.restore(&saved), me.restore(&of_task), revoke);
        if let Ok(live) = object {
            let refused = said(&live.object(), "put", b"").await.unwrap_err();
            assert_eq!(refused.code, Code::Revoked, "after {turns} turns");
        }
        if let Ok(live) = held {
            let refused = live.task().send().await.unwrap_err();
            assert_eq!(refused.code, Code::Revoked, "after {turns} turns");
        }
    }
    assert_eq!(world.seen(), Vec::<String>::new());
}

async fn grant_revoked_while_its_reference_is_restored_gives_nothing_that_works(world: &World) {
    let me = world.mesh("me");
    for turns in 0..12 {
        let task = me.create().await;
        let saved = task.save_grant(1, Spec::new("it")).await.unwrap();
        let revoke = async {
            after(turns).await;
            task.revoke(1).await.unwrap();
        };
        let (restored, ()) = tokio::join!(me.restore(&saved), revoke);
        if let Ok(live) = restored {
            let refused = said(&live.object(), "put", b"").await.unwrap_err();
            assert_eq!(refused.code, Code::Revoked, "after {turns} turns");
        }
    }
    assert_eq!(world.seen(), Vec::<String>::new());
}

async fn parent_revoked_while_a_child_is_saved_leaves_no_child(world: &World) {
    let me = world.mesh("me");
    let task = me.create().await;
    for turns in 0..12 {
        let parent = task.save(Spec::new("parent")).await.unwrap();
        let held = me.restore(&parent).await.unwrap().task();
        let revoke = async {
            after(turns).await;
            me.revoke(&parent).await.unwrap();
        };
        let (child, ()) = tokio::join!(held.save(Spec::new("child")), revoke);
        if let Ok(child) = child {
            assert_eq!(me.restore(&child).await.err().unwrap().code, Code::Revoked);
        }
    }
}
