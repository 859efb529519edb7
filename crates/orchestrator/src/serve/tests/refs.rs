//! Sturdy references: what they give back; and what must fail, one file per property.

mod another_identity;
pub(super) mod audited;
mod bits_unseen;
mod caveat_removed;
mod chain_edited;
mod client;
mod copied_budget;
mod expired;
mod forger;
mod held;
mod no_label;
mod parent_revoked;
mod replayed;
mod revoked;
mod revoked_meanwhile;
mod unused_too_long;
mod world;

use remit_core::audit::Decision;
use remit_core::grant::text::parse_caveat;
use remit_core::{Caveat, Code, Reference, Value};

use self::client::{Spec, said};
use self::world::{World, over_both};

/// The reference with this link appended by its holder.
fn narrowed(reference: &Reference, link: &str) -> Reference {
    let caveats: Vec<Caveat> = link.split('&').map(|part| parse_caveat(part, 0).unwrap()).collect();
    reference.attenuate(&caveats).unwrap()
}

fn text(text: &str) -> Value<u32> {
    Value::Text(text.into())
}

#[tokio::test]
async fn a_saved_grant_is_restored_by_its_owner_after_a_restart_and_used_through_the_membrane() {
    over_both(async |world: &World| {
        let me = world.mesh("me");
        let task = me.create().await;
        let saved = task.save_grant(1, Spec::new("nightly")).await.unwrap();
        let object = me.restore(&saved).await.unwrap().object();
        assert_eq!(said(&object, "look", b"1").await, Ok(text("look")));
        assert_eq!(said(&object, "put", b"2").await, Ok(text("put")));
        world.restart().await;
        let object = world.mesh("me").restore(&saved).await.unwrap().object();
        assert_eq!(said(&object, "put", b"2").await, Ok(text("put")), "a repeated key");
        assert_eq!(world.seen(), ["look", "put"], "nothing was done twice");
        let told = world.told(&task.id);
        assert_eq!(told.iter().filter(|name| **name == "grant-added").count(), 2, "{told:?}");
        assert_eq!(told.iter().filter(|name| **name == "call-requested").count(), 2, "{told:?}");
        let list = world.mesh("me").refs().await;
        assert_eq!(list, [(saved.id().to_string(), "nightly".into(), "good".into(), 2)]);
        let audited = world.audited();
        assert_eq!(audited, [Decision::Saved, Decision::Restored, Decision::Restored]);
    })
    .await;
}

#[tokio::test]
async fn what_a_holder_appends_holds_and_wider_than_the_grant_is_refused() {
    over_both(async |world: &World| {
        let me = world.mesh("me");
        let task = me.create().await;
        let saved = task.save_grant(1, Spec::new("it")).await.unwrap();
        let narrow = narrowed(&saved, "methods=look&label=only%20looks");
        let object = me.restore(&narrow).await.unwrap().object();
        assert_eq!(said(&object, "look", b"1").await, Ok(text("look")));
        let refused = said(&object, "put", b"2").await.unwrap_err();
        assert_eq!((refused.code, refused.detail.as_str()), (Code::Denied, "methods=look"));
        for link in ["methods=look,put", "flavour=vanilla"] {
            let refused = me.restore(&narrowed(&narrow, link)).await.err().unwrap();
            assert_eq!((refused.code, refused.detail.as_str()), (Code::Denied, link));
        }
        let not_for_me = narrowed(&saved, "audience=spiffe://home/default/client/you");
        if let Ok(live) = me.restore(&not_for_me).await {
            assert_eq!(said(&live.object(), "look", b"3").await.unwrap_err().code, Code::Denied);
        }
    })
    .await;
}

#[tokio::test]
async fn a_viewer_sees_all_and_can_do_nothing() {
    over_both(async |world: &World| {
        let me = world.mesh("me");
        let task = me.create().await;
        let spec = Spec { viewer: true, owner: "you", ..Spec::new("look") };
        let viewer = task.save(spec).await.unwrap();
        let whole = task.save(Spec { owner: "you", ..Spec::new("all") }).await.unwrap();
        let narrow = narrowed(&whole, "methods=readOnly");
        let you = world.mesh("you");
        for reference in [&viewer, &narrow] {
            let held = you.restore(reference).await.unwrap().task();
            assert_eq!(held.info().await.unwrap(), task.id);
            assert_eq!(held.grants().await.unwrap(), 1);
            assert_eq!(held.first_event().await.unwrap(), "task-created");
            for refused in [
                held.send().await,
                held.cancel().await,
                held.pause().await,
                held.revoke(1).await,
                held.save(Spec::new("more")).await.map(|_| ()),
                held.save_grant(1, Spec::new("more")).await.map(|_| ()),
            ] {
                let refused = refused.unwrap_err();
                assert!(refused.message.contains("only for looking"), "{refused}");
            }
        }
        assert_eq!(world.told(&task.id).last().copied(), Some("grant-added"), "nothing happened");
        let all = you.restore(&whole).await.unwrap().task();
        all.send().await.unwrap();
        let odd = narrowed(&whole, "calls=3");
        assert_eq!(you.restore(&odd).await.err().unwrap().code, Code::Denied);
    })
    .await;
}
