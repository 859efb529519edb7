//! A copy of a reference is no copy of its budget: counters live at the host, by the link.

use remit_core::{Code, Reference};

use super::client::{Spec, said};
use super::narrowed;
use super::world::{World, must_fail};

must_fail!(
    copies_share_one_budget,
    budget_is_not_refilled_by_a_restart_or_by_restoring_again,
    budget_is_not_refilled_by_narrowing_further,
    copies_that_race_get_no_more_than_one_budget,
    budget_of_the_grant_is_not_widened_by_saving_it_twice,
);

async fn three_calls(world: &World) -> (Reference, Reference) {
    let task = world.mesh("me").create().await;
    let saved = task.save_grant(1, Spec::new("it")).await.unwrap();
    let three = narrowed(&saved, "calls=3");
    (saved, three)
}

async fn copies_share_one_budget(world: &World) {
    let (whole, three) = three_calls(world).await;
    let copy: Reference = three.to_line().parse().unwrap();
    let (a, b) = (world.mesh("me"), world.mesh("me"));
    let a = a.restore(&three).await.unwrap().object();
    let b = b.restore(&copy).await.unwrap().object();
    for (object, key) in [(&a, b"1"), (&b, b"2"), (&a, b"3")] {
        assert!(said(object, "look", key).await.is_ok());
    }
    for object in [&a, &b] {
        let refused = said(object, "look", b"4").await.unwrap_err();
        assert_eq!((refused.code, refused.detail.as_str()), (Code::Denied, "calls=3"));
    }
    assert_eq!(world.seen().len(), 3);
    let whole = world.mesh("me").restore(&whole).await.unwrap().object();
    assert!(said(&whole, "look", b"5").await.is_ok(), "the one above was not narrowed");
}

async fn budget_is_not_refilled_by_a_restart_or_by_restoring_again(world: &World) {
    let (_, three) = three_calls(world).await;
    for key in [b"1", b"2", b"3"] {
        let object = world.mesh("me").restore(&three).await.unwrap().object();
        assert!(said(&object, "look", key).await.is_ok());
        world.restart().await;
    }
    let object = world.mesh("me").restore(&three).await.unwrap().object();
    assert_eq!(said(&object, "look", b"4").await.unwrap_err().detail, "calls=3");
    assert_eq!(world.seen().len(), 3);
}

async fn budget_is_not_refilled_by_narrowing_further(world: &World) {
    let (_, three) = three_calls(world).await;
    for key in [b"1", b"2", b"3"] {
        let label = format!("label={}", String::from_utf8_lossy(key));
        let fresh = narrowed(&narrowed(&three, &label), "calls=3");
        let object = world.mesh("me").restore(&fresh).await.unwrap().object();
        assert!(said(&object, "look", key).await.is_ok());
    }
    let fresh = narrowed(&three, "methods=look");
    let object = world.mesh("me").restore(&fresh).await.unwrap().object();
    assert_eq!(said(&object, "look", b"4").await.unwrap_err().detail, "calls=3");
    assert_eq!(world.seen().len(), 3);
}

async fn copies_that_race_get_no_more_than_one_budget(world: &World) {
    let (_, three) = three_calls(world).await;
    let mut objects = Vec::new();
    for _ in 0..4 {
        objects.push(world.mesh("me").restore(&three).await.unwrap().object());
    }
    let calls = (0..12_u8).map(|number| {
        let object = objects[usize::from(number) % objects.len()].clone();
        async move { said(&object, "look", &[number]).await }
    });
    let ends = futures::future::join_all(calls).await;
    assert_eq!(ends.iter().filter(|end| end.is_ok()).count(), 3);
    assert_eq!(world.seen().len(), 3);
}

async fn budget_of_the_grant_is_not_widened_by_saving_it_twice(world: &World) {
    let me = world.mesh("me");
    let task = me.create_with(&["calls=2"]).await;
    let one = task.save_grant(1, Spec::new("one")).await.unwrap();
    let two = task.save_grant(1, Spec::new("two")).await.unwrap();
    let one = me.restore(&one).await.unwrap().object();
    let two = me.restore(&two).await.unwrap().object();
    assert!(said(&one, "look", b"1").await.is_ok());
    assert!(said(&two, "look", b"2").await.is_ok());
    for object in [&one, &two] {
        assert_eq!(said(object, "look", b"3").await.unwrap_err().detail, "calls=2");
    }
    assert_eq!(world.seen().len(), 2);
}
