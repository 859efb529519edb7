//! What a holder took away, whoever gets the reference from it cannot put back.

use remit_core::{Code, Reference};

use super::client::{Spec, said};
use super::forger::Parts;
use super::narrowed;
use super::world::{World, must_fail};

must_fail!(
    chain_cannot_be_cut_anywhere,
    link_cannot_be_taken_out,
    caveat_cannot_be_taken_out_of_a_link,
    holder_of_the_narrow_one_cannot_do_what_the_wide_one_may,
);

async fn wide_and_narrow(world: &World) -> (Reference, Reference) {
    let task = world.mesh("me").create().await;
    let wide = task.save_grant(1, Spec::new("it")).await.unwrap();
    let narrow = narrowed(&narrowed(&wide, "methods=look,put&calls=9"), "methods=look");
    (wide, narrow)
}

async fn refused(world: &World, forged: &[u8], what: &str) {
    let refused = world.mesh("me").restore_bytes(forged).await;
    let refused = refused.err().unwrap_or_else(|| panic!("{what} was believed"));
    assert!(matches!(refused.code, Code::Denied | Code::InvalidArgument), "{what}: {refused}");
}

async fn chain_cannot_be_cut_anywhere(world: &World) {
    let (_, narrow) = wide_and_narrow(world).await;
    let bytes = narrow.to_bytes();
    for size in 0..bytes.len() {
        refused(world, &bytes[..size], &format!("the first {size} bytes")).await;
        refused(world, &bytes[bytes.len() - size..], &format!("the last {size} bytes")).await;
    }
    world.nothing_was_done();
}

async fn link_cannot_be_taken_out(world: &World) {
    let (_, narrow) = wide_and_narrow(world).await;
    let parts = Parts::of(&narrow);
    for at in 0..parts.links.len() {
        let mut forged = parts.clone();
        forged.links.remove(at);
        refused(world, &forged.bytes(), &format!("without link {at}")).await;
    }
    let forged = Parts { links: Vec::new(), ..parts };
    refused(world, &forged.bytes(), "without links").await;
    world.nothing_was_done();
}

async fn caveat_cannot_be_taken_out_of_a_link(world: &World) {
    let (_, narrow) = wide_and_narrow(world).await;
    let parts = Parts::of(&narrow);
    for left in ["methods=look,put", "calls=9"] {
        let mut forged = parts.clone();
        forged.links[0] = left.into();
        refused(world, &forged.bytes(), left).await;
    }
    world.nothing_was_done();
}

async fn holder_of_the_narrow_one_cannot_do_what_the_wide_one_may(world: &World) {
    let (wide, narrow) = wide_and_narrow(world).await;
    let me = world.mesh("me");
    let object = me.restore(&narrow).await.unwrap().object();
    let refused = said(&object, "put", b"1").await.unwrap_err();
    assert_eq!((refused.code, refused.detail.as_str()), (Code::Denied, "methods=look"));
    // Nor by narrowing it by something wider.
    let wider = narrowed(&narrow, "methods=look,put");
    let refused = me.restore(&wider).await.err().unwrap();
    assert_eq!((refused.code, refused.detail.as_str()), (Code::Denied, "methods=look,put"));
    assert_eq!(world.seen(), Vec::<String>::new());
    let object = me.restore(&wide).await.unwrap().object();
    assert!(said(&object, "put", b"2").await.is_ok());
}
