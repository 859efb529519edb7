//! The chain: what was made by the host and by the holders cannot be edited by anyone.

use remit_core::{Code, Reference};

use super::client::Spec;
use super::forger::Parts;
use super::narrowed;
use super::world::{World, must_fail};

must_fail!(
    no_bit_of_a_reference_can_be_changed,
    no_field_can_be_changed,
    no_link_can_be_changed,
    links_cannot_be_swapped_doubled_or_moved_to_another_reference,
    link_cannot_be_added_without_the_tag_before,
);

async fn saved(world: &World) -> Reference {
    let task = world.mesh("me").create().await;
    let saved = task.save_grant(1, Spec::new("it")).await.unwrap();
    narrowed(&narrowed(&narrowed(&saved, "methods=look,put"), "calls=3"), "methods=look")
}

async fn refused(world: &World, forged: &[u8], what: &str) {
    let refused = world.mesh("me").restore_bytes(forged).await;
    let refused = refused.err().unwrap_or_else(|| panic!("{what} was believed"));
    assert!(matches!(refused.code, Code::Denied | Code::InvalidArgument), "{what}: {refused}");
}

async fn no_bit_of_a_reference_can_be_changed(world: &World) {
    let genuine = saved(world).await.to_bytes();
    let me = world.mesh("me");
    for at in 0..genuine.len() * 8 {
        let mut forged = genuine.clone();
        forged[at / 8] ^= 1 << (at % 8);
        let refused = me.restore_bytes(&forged).await.err();
        let refused = refused.unwrap_or_else(|| panic!("bit {at} was changed and believed"));
        assert!(matches!(refused.code, Code::Denied | Code::InvalidArgument), "{at}: {refused}");
    }
    world.nothing_was_done();
}

async fn no_field_can_be_changed(world: &World) {
    let genuine = Parts::of(&saved(world).await);
    let others = Parts::of(&saved(world).await);
    for version in (0..=u8::MAX).filter(|version| *version != genuine.version) {
        refused(world, &Parts { version, ..genuine.clone() }.bytes(), "another version").await;
    }
    for (at, what) in [(0, "mesh"), (1, "tenant"), (2, "address")] {
        for other in [&b""[..], b"x", b"home2", b"default2", b"localhost:2"] {
            let mut forged = genuine.clone();
            forged.home[at] = other.to_vec();
            refused(world, &forged.bytes(), what).await;
        }
    }
    let secret = others.secret.clone();
    refused(world, &Parts { secret, ..genuine.clone() }.bytes(), "another's bits").await;
    let tag = others.tag.clone();
    refused(world, &Parts { tag, ..genuine.clone() }.bytes(), "another's tag").await;
    let tag = vec![0; 32];
    refused(world, &Parts { tag, ..genuine }.bytes(), "no tag").await;
    world.nothing_was_done();
}

async fn no_link_can_be_changed(world: &World) {
    let genuine = Parts::of(&saved(world).await);
    for at in 0..genuine.links.len() {
        for wider in ["methods=look,put,make", "calls=4", "calls=1000000", "label=x", ""] {
            let mut forged = genuine.clone();
            forged.links[at] = wider.into();
            refused(world, &forged.bytes(), wider).await;
        }
    }
    world.nothing_was_done();
}

async fn links_cannot_be_swapped_doubled_or_moved_to_another_reference(world: &World) {
    let genuine = Parts::of(&saved(world).await);
    for (one, other) in [(0, 1), (1, 2), (0, 2)] {
        let mut forged = genuine.clone();
        forged.links.swap(one, other);
        refused(world, &forged.bytes(), "swapped").await;
    }
    for at in 0..genuine.links.len() {
        let mut forged = genuine.clone();
        forged.links.insert(at, genuine.links[at].clone());
        refused(world, &forged.bytes(), "doubled").await;
    }
    let other = Parts::of(&saved(world).await);
    let moved = Parts { links: genuine.links, tag: genuine.tag, ..other };
    refused(world, &moved.bytes(), "moved").await;
    world.nothing_was_done();
}

async fn link_cannot_be_added_without_the_tag_before(world: &World) {
    let genuine = Parts::of(&saved(world).await);
    let mut forged = genuine.clone();
    forged.links.push(b"label=mine".to_vec());
    refused(world, &forged.bytes(), "a link with the old tag").await;
    let mut forged = genuine;
    forged.links.insert(0, b"label=mine".to_vec());
    refused(world, &forged.bytes(), "a link in front").await;
    world.nothing_was_done();
}
