//! Sturdy references: what they give back, to whom, and what no holder can make of them.

mod world;

use remit_core::audit::Decision;
use remit_core::grant::text::parse_caveat;
use remit_core::{Caveat, Code, Reference, Value};

use self::world::{Spec, World, over_both, said};

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
async fn restore_by_another_identity_is_refused_and_recorded() {
    over_both(async |world: &World| {
        let task = world.mesh("me").create().await;
        let saved = task.save(Spec::new("mine")).await.unwrap();
        let refused = world.mesh("you").restore(&saved).await.err().unwrap();
        assert_eq!(refused.code, Code::Denied);
        assert!(!refused.message.contains("mine"), "nothing is told of it: {refused}");
        assert!(world.audited().contains(&Decision::Denied));
        let for_you = task.save(Spec { owner: "you", ..Spec::new("yours") }).await.unwrap();
        assert!(world.mesh("you").restore(&for_you).await.is_ok());
        assert_eq!(world.mesh("me").restore(&for_you).await.err().unwrap().code, Code::Denied);
    })
    .await;
}

#[tokio::test]
async fn past_its_expiry_nothing_is_restored_and_what_was_held_is_cut() {
    over_both(async |world: &World| {
        let me = world.mesh("me");
        let task = me.create().await;
        let until_ms = world.now_ms() + 60_000;
        let spec = Spec { until_ms, ..Spec::new("an hour") };
        let (of_task, of_grant) = (task.save(spec.clone()).await, task.save_grant(1, spec).await);
        let (of_task, of_grant) = (of_task.unwrap(), of_grant.unwrap());
        let sooner = narrowed(&of_task, "until=2000-01-01T00:00:00.000Z");
        assert_eq!(me.restore(&sooner).await.err().unwrap().code, Code::Denied);
        let held = me.restore(&of_task).await.unwrap().task();
        let object = me.restore(&of_grant).await.unwrap().object();
        assert!(held.info().await.is_ok());
        world.advance(60_000);
        assert_eq!(held.info().await.unwrap_err().code, Code::Denied);
        assert_eq!(said(&object, "look", b"1").await.unwrap_err().code, Code::Denied);
        for reference in [&of_task, &of_grant] {
            let refused = me.restore(reference).await.err().unwrap();
            assert!(refused.message.contains("expired"), "{refused}");
        }
    })
    .await;
}

#[tokio::test]
async fn unused_for_too_long_it_is_gone_and_use_keeps_it() {
    over_both(async |world: &World| {
        let me = world.mesh("me");
        let task = me.create().await;
        let spec = Spec { unused_ms: 10_000, ..Spec::new("now and then") };
        let used = task.save(spec.clone()).await.unwrap();
        let unused = task.save(spec.clone()).await.unwrap();
        let called = task.save_grant(1, spec).await.unwrap();
        let object = me.restore(&called).await.unwrap().object();
        for _ in 0..3 {
            world.advance(9_000);
            me.restore(&used).await.unwrap();
            said(&object, "look", b"").await.unwrap();
        }
        assert!(me.restore(&unused).await.err().unwrap().message.contains("not used"));
        assert!(me.restore(&called).await.is_ok(), "it was used on one connection all along");
    })
    .await;
}

#[tokio::test]
async fn an_edited_or_shortened_chain_is_refused() {
    over_both(async |world: &World| {
        let me = world.mesh("me");
        let task = me.create().await;
        let saved = task.save_grant(1, Spec::new("it")).await.unwrap();
        let narrow = narrowed(&narrowed(&saved, "methods=look"), "calls=3");
        assert!(me.restore(&narrow).await.is_ok());
        let bytes = narrow.to_bytes();
        for at in 0..bytes.len() {
            let mut edited = bytes.clone();
            edited[at] ^= 1;
            let refused = me.restore_bytes(&edited).await.err().unwrap();
            assert!(matches!(refused.code, Code::Denied | Code::InvalidArgument), "{refused}");
        }
        for to in 0..bytes.len() {
            assert!(me.restore_bytes(&bytes[..to]).await.is_err());
        }
        // The last link cut off, and its tag put in the place of the one before.
        let mut cut = narrowed(&saved, "methods=look").to_bytes();
        let (tag, whole) = (cut.len() - 32, bytes.len() - 32);
        cut[tag..].copy_from_slice(&bytes[whole..]);
        assert_eq!(me.restore_bytes(&cut).await.err().unwrap().code, Code::Denied);
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
async fn two_copies_of_a_reference_share_one_budget_across_restarts() {
    over_both(async |world: &World| {
        let me = world.mesh("me");
        let task = me.create().await;
        let saved = task.save_grant(1, Spec::new("it")).await.unwrap();
        let one = narrowed(&saved, "calls=3");
        let copy: Reference = one.to_line().parse().unwrap();
        let (a, b) =
            (me.restore(&one).await.unwrap().object(), me.restore(&copy).await.unwrap().object());
        assert!(said(&a, "look", b"1").await.is_ok());
        assert!(said(&b, "look", b"2").await.is_ok());
        world.restart().await;
        let me = world.mesh("me");
        // Narrowed once more it is another reference, below the same link.
        let below = narrowed(&copy, "methods=look");
        let c = me.restore(&below).await.unwrap().object();
        assert!(said(&c, "look", b"3").await.is_ok());
        let a = me.restore(&one).await.unwrap().object();
        for object in [&a, &c] {
            let refused = said(object, "look", b"").await.unwrap_err();
            assert_eq!((refused.code, refused.detail.as_str()), (Code::Denied, "calls=3"));
        }
        let whole = me.restore(&saved).await.unwrap().object();
        assert!(said(&whole, "look", b"5").await.is_ok(), "the one above has its own");
    })
    .await;
}

#[tokio::test]
async fn a_revoked_reference_restores_nothing_and_cuts_what_was_obtained_with_it() {
    over_both(async |world: &World| {
        let me = world.mesh("me");
        let task = me.create().await;
        let of_grant = task.save_grant(1, Spec::new("grant")).await.unwrap();
        let of_task = task.save(Spec::new("task")).await.unwrap();
        let object = me.restore(&narrowed(&of_grant, "calls=9")).await.unwrap().object();
        let held = me.restore(&of_task).await.unwrap().task();
        let through = held.save(Spec::new("through it")).await.unwrap();
        let second = me.restore(&through).await.unwrap().task();
        let result = tokio::task::spawn_local(held.result());
        let other = task.save(Spec::new("another")).await.unwrap();
        for reference in [&of_grant, &of_task] {
            me.revoke(reference).await.unwrap();
            me.revoke(reference).await.unwrap();
        }
        assert_eq!(said(&object, "look", b"1").await.unwrap_err().code, Code::Revoked);
        assert_eq!(held.info().await.unwrap_err().code, Code::Revoked);
        assert_eq!(result.await.unwrap().unwrap_err().code, Code::Revoked, "what waits is told");
        assert_eq!(second.info().await.unwrap_err().code, Code::Revoked, "saved through it");
        world.restart().await;
        let me = world.mesh("me");
        for reference in [&of_grant, &of_task, &through] {
            assert_eq!(me.restore(reference).await.err().unwrap().code, Code::Revoked);
        }
        assert!(me.restore(&other).await.is_ok());
        assert_eq!(me.revoke(&world::stranger()).await.unwrap_err().code, Code::NotFound);
    })
    .await;
}

#[tokio::test]
async fn revoked_while_it_is_being_restored_it_gives_nothing_that_works() {
    over_both(async |world: &World| {
        let me = world.mesh("me");
        let task = me.create().await;
        for turns in 0..12 {
            let saved = task.save_grant(1, Spec::new("it")).await.unwrap();
            let revoke = async {
                for _ in 0..turns {
                    tokio::task::yield_now().await;
                }
                me.revoke(&saved).await.unwrap();
            };
            let (restored, ()) = tokio::join!(me.restore(&saved), revoke);
            if let Ok(live) = restored {
                let refused = said(&live.object(), "look", b"").await.unwrap_err();
                assert_eq!(refused.code, Code::Revoked, "after {turns} turns");
            }
        }
        assert_eq!(world.seen(), Vec::<String>::new());
    })
    .await;
}

#[tokio::test]
async fn with_its_grant_or_its_task_a_reference_is_gone() {
    over_both(async |world: &World| {
        let me = world.mesh("me");
        let task = me.create().await;
        let saved = task.save_grant(1, Spec::new("it")).await.unwrap();
        let object = me.restore(&saved).await.unwrap().object();
        task.revoke(1).await.unwrap();
        assert_eq!(said(&object, "look", b"1").await.unwrap_err().code, Code::Revoked);
        assert_eq!(me.restore(&saved).await.err().unwrap().code, Code::Revoked);
        assert_eq!(task.save_grant(1, Spec::new("late")).await.unwrap_err().code, Code::Revoked);
        assert_eq!(task.save_grant(9, Spec::new("none")).await.unwrap_err().code, Code::NotFound);

        let task = me.create().await;
        let saved = task.save_grant(1, Spec::new("it")).await.unwrap();
        let viewer = task.save(Spec { viewer: true, ..Spec::new("look") }).await.unwrap();
        task.cancel().await.unwrap();
        assert!(task.result().await.is_err());
        assert_eq!(me.restore(&saved).await.err().unwrap().code, Code::Revoked);
        assert!(me.restore(&viewer).await.unwrap().task().info().await.is_ok(), "how it ended");
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

#[tokio::test]
async fn the_bits_are_on_no_disk_and_in_no_journal() {
    over_both(async |world: &World| {
        let me = world.mesh("me");
        let task = me.create().await;
        let saved = task.save_grant(1, Spec::new("it")).await.unwrap();
        let narrow = narrowed(&saved, "calls=3");
        let object = me.restore(&narrow).await.unwrap().object();
        said(&object, "look", b"1").await.unwrap();
        let bits = |reference: &Reference| {
            let bytes = reference.to_bytes();
            let home = reference.home();
            let head = 4 + home.mesh.len() + home.tenant.len() + home.address.len();
            [bytes[head..head + 32].to_vec(), bytes[bytes.len() - 32..].to_vec()]
        };
        let secrets = [bits(&saved), bits(&narrow)].concat();
        for (key, value) in world.stored() {
            for secret in &secrets {
                let holds = |bytes: &[u8]| bytes.windows(32).any(|part| part == secret);
                assert!(!holds(&key) && !holds(&value), "{}", String::from_utf8_lossy(&key));
            }
        }
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_saved_is_refused() {
    over_both(async |world: &World| {
        let task = world.mesh("me").create().await;
        for spec in [
            Spec::new(""),
            Spec { until_ms: 1, ..Spec::new("past") },
            Spec { unused_ms: 1, ..Spec::new("short") },
        ] {
            assert_eq!(task.save(spec).await.unwrap_err().code, Code::InvalidArgument);
        }
        let viewer = Spec { viewer: true, ..Spec::new("of a grant") };
        assert_eq!(task.save_grant(1, viewer).await.unwrap_err().code, Code::InvalidArgument);
    })
    .await;
}
