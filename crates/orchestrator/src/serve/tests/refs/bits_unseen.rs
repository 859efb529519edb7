//! The bits are nowhere but in the holder's hands: on no disk, in no journal, audit record or error.

use remit_core::{EventNumber, Reference};
use remit_vat::wire;

use super::client::{Spec, said};
use super::narrowed;
use super::world::{World, must_fail};

must_fail!(
    bits_cannot_be_found_in_the_store,
    bits_cannot_be_found_in_the_journal_that_an_agent_replays,
    bits_cannot_be_found_in_the_audit_or_in_an_error,
    bits_cannot_be_printed_by_accident,
);

/// All that would be of use to a thief: the secret and each tag.
fn secrets(references: &[&Reference]) -> Vec<Vec<u8>> {
    let parts = references.iter().map(|reference| super::forger::Parts::of(reference));
    parts.flat_map(|parts| [parts.secret, parts.tag]).collect()
}

/// Whether any form of a secret is in there: its bytes, hexadecimal, base64, or a list of numbers.
fn holds(text: &[u8], secrets: &[Vec<u8>]) -> bool {
    use base64::Engine as _;
    let there = |needle: &[u8]| text.windows(needle.len()).any(|part| part == needle);
    secrets.iter().any(|secret| {
        let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        let numbers: Vec<String> = secret.iter().map(u8::to_string).collect();
        // Of base64 the middle stands however the bytes before it are aligned.
        let coded = (0..3).map(|skip| {
            let whole = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(&secret[skip..]);
            whole[..36].to_owned()
        });
        there(secret)
            || there(hex.as_bytes())
            || there(hex.to_uppercase().as_bytes())
            || there(numbers.join(", ").as_bytes())
            || there(numbers.join(",").as_bytes())
            || coded.into_iter().any(|coded| there(coded.as_bytes()))
    })
}

/// A reference and a narrowed one, both used, refused and revoked in every way there is.
async fn used(world: &World) -> (String, [Reference; 3]) {
    let me = world.mesh("me");
    let task = me.create().await;
    let saved = task.save_grant(1, Spec::new("it")).await.unwrap();
    let narrow = narrowed(&saved, "calls=3");
    let object = me.restore(&narrow).await.unwrap().object();
    said(&object, "put", b"1").await.unwrap();
    let of_task = task.save(Spec::new("task")).await.unwrap();
    me.restore(&of_task).await.unwrap().task().send().await.unwrap();
    (task.id, [saved, narrow, of_task])
}

async fn bits_cannot_be_found_in_the_store(world: &World) {
    let (_, references) = used(world).await;
    world.mesh("me").revoke(&references[2]).await.unwrap();
    let secrets = secrets(&references.each_ref());
    assert!(holds(&references[0].to_bytes(), &secrets), "they would be found");
    assert!(holds(references[1].to_line().as_bytes(), &secrets), "in text as well");
    let stored = world.stored().await;
    assert!(stored.len() > 4);
    for (key, value) in stored {
        let what = String::from_utf8_lossy(&key).into_owned();
        assert!(!holds(&key, &secrets) && !holds(&value, &secrets), "{what}");
    }
}

async fn bits_cannot_be_found_in_the_journal_that_an_agent_replays(world: &World) {
    let (task, references) = used(world).await;
    let secrets = secrets(&references.each_ref());
    let events = world.events(&task, EventNumber(0));
    assert!(events.len() > 4);
    for event in events {
        let mut message = capnp::message::Builder::new_default();
        wire::event::write(message.init_root(), &event);
        let bytes = capnp::serialize::write_message_to_words(&message);
        assert!(!holds(&bytes, &secrets), "{}", event.fact.name());
        assert!(!holds(format!("{event:?}").as_bytes(), &secrets), "{}", event.fact.name());
    }
}

async fn bits_cannot_be_found_in_the_audit_or_in_an_error(world: &World) {
    let (_, references) = used(world).await;
    let secrets = secrets(&references.each_ref());
    let (me, you) = (world.mesh("me"), world.mesh("you"));
    let mut said = Vec::new();
    for reference in &references {
        said.push(you.restore(reference).await.err().unwrap());
        let wider = narrowed(reference, "flavour=vanilla");
        said.push(me.restore(&wider).await.err().unwrap());
        let mut bytes = reference.to_bytes();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        said.push(me.restore_bytes(&bytes).await.err().unwrap());
        said.push(me.restore_bytes(&bytes[..last]).await.err().unwrap());
        me.revoke(reference).await.unwrap();
        said.push(me.restore(reference).await.err().unwrap());
    }
    for failure in said {
        assert!(!holds(format!("{failure:?}").as_bytes(), &secrets), "{failure}");
    }
    for record in world.records() {
        assert!(!holds(format!("{record:?}").as_bytes(), &secrets), "{record:?}");
    }
}

async fn bits_cannot_be_printed_by_accident(world: &World) {
    let (_, references) = used(world).await;
    let secrets = secrets(&references.each_ref());
    for reference in &references {
        assert!(!holds(format!("{reference:?} {reference:#?}").as_bytes(), &secrets));
        let wrong = format!("{}!", reference.to_line()).parse::<Reference>().unwrap_err();
        assert!(!holds(format!("{wrong:?} {wrong}").as_bytes(), &secrets));
        assert!(!holds(reference.id().to_string().as_bytes(), &secrets));
    }
}
