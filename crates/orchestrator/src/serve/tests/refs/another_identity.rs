//! A reference is sealed: whoever else has the bits has nothing.

use remit_core::audit::Decision;
use remit_core::{Code, Identity, Role};

use super::client::{Spec, said};
use super::world::{World, must_fail};

must_fail!(
    reference_cannot_be_restored_by_another_client,
    reference_cannot_be_restored_by_the_same_name_in_another_tenant,
    reference_for_another_cannot_be_restored_by_who_saved_it,
    refusal_tells_a_thief_nothing,
    reference_cannot_be_saved_for_a_node_or_another_tenant,
);

async fn reference_cannot_be_restored_by_another_client(world: &World) {
    let task = world.mesh("me").create().await;
    let you = world.mesh("you");
    for saved in [task.save(Spec::new("it")).await, task.save_grant(1, Spec::new("it")).await] {
        let saved = saved.unwrap();
        // Again and again: nothing of it is remembered in the thief's favour.
        for _ in 0..3 {
            assert_eq!(you.restore(&saved).await.err().unwrap().code, Code::Denied);
        }
    }
    world.nothing_was_done();
    let denied = world.records().into_iter().filter(|record| record.decision == Decision::Denied);
    let thief = remit_core::Identity::new("home", "default", Role::Client, "you").unwrap();
    assert!(denied.clone().all(|record| record.who == thief.to_string()));
    assert_eq!(denied.count(), 6, "each attempt is in the audit");
}

async fn reference_cannot_be_restored_by_the_same_name_in_another_tenant(world: &World) {
    let task = world.mesh("me").create().await;
    let saved = task.save_grant(1, Spec::new("it")).await.unwrap();
    let other = Identity::new("home", "elsewhere", Role::Client, "me").unwrap();
    let refused = world.mesh_as(other).restore(&saved).await.err().unwrap();
    assert_eq!(refused.code, Code::Denied);
    world.nothing_was_done();
}

async fn reference_for_another_cannot_be_restored_by_who_saved_it(world: &World) {
    let me = world.mesh("me");
    let task = me.create().await;
    let saved = task.save(Spec { owner: "you", ..Spec::new("yours") }).await.unwrap();
    assert_eq!(me.restore(&saved).await.err().unwrap().code, Code::Denied);
    world.nothing_was_done();
    assert!(world.mesh("you").restore(&saved).await.is_ok(), "its owner can");
}

async fn refusal_tells_a_thief_nothing(world: &World) {
    let task = world.mesh("me").create().await;
    let saved = task.save(Spec::new("the wage list")).await.unwrap();
    let thief = world.mesh("you");
    let known = thief.restore(&saved).await.err().unwrap();
    let unknown = thief.restore(&super::world::stranger()).await.err().unwrap();
    assert_eq!(known, unknown, "whether there is such a reference is not told");
    world.mesh("me").revoke(&saved).await.unwrap();
    assert_eq!(thief.restore(&saved).await.err().unwrap(), unknown, "nor what became of it");
}

async fn reference_cannot_be_saved_for_a_node_or_another_tenant(world: &World) {
    let task = world.mesh("me").create().await;
    for owner in [
        "spiffe://home/default/agent-node/one",
        "spiffe://home/default/tool-node/one",
        "spiffe://home/elsewhere/client/me",
        "me",
    ] {
        let refused = task.save_for(owner, Spec::new("it")).await.unwrap_err();
        assert_eq!(refused.code, Code::InvalidArgument, "{owner}");
    }
    let kept = said(
        &world
            .mesh("me")
            .restore(&task.save_grant(1, Spec::new("it")).await.unwrap())
            .await
            .unwrap()
            .object(),
        "look",
        b"1",
    )
    .await;
    assert!(kept.is_ok(), "a client of the tenant can have it");
}
