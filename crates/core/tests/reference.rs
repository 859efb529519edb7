//! References: the vectors of their format, and what nobody can do to one but add to it.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says clearly enough what it expected")]

use proptest::collection::vec;
use proptest::prelude::*;
use remit_core::grant::Caveat;
use remit_core::grant::text::parse_caveat;
use remit_core::reference::{Home, HostKey, NotGenuine};
use remit_core::{RefId, Reference};
use serde_json::Value as Json;

#[path = "property/config.rs"]
mod property;

const KEY: [u8; 32] = [7; 32];

fn home() -> Home {
    Home { mesh: "home".into(), tenant: "default".into(), address: "localhost:7440".into() }
}

fn fresh(secret: u8) -> Reference {
    Reference::issue(&HostKey::new(KEY), home(), [secret; 32]).unwrap()
}

fn bytes(json: &Json, name: &str) -> Vec<u8> {
    let text = json[name].as_str().unwrap();
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn text(json: &Json, name: &str) -> String {
    json[name].as_str().unwrap().to_owned()
}

#[test]
fn references_are_what_the_test_vectors_say() {
    let vectors = include_str!("../../../tests/vectors/reference.json");
    let vectors: Vec<Json> = serde_json::from_str(vectors).unwrap();
    assert!(vectors.len() >= 4);
    for vector in &vectors {
        let key = HostKey::new(bytes(vector, "key").try_into().unwrap());
        let [mesh, tenant, address] = ["mesh", "tenant", "address"].map(|name| text(vector, name));
        let secret = bytes(vector, "secret").try_into().unwrap();
        let mut made = Reference::issue(&key, Home { mesh, tenant, address }, secret).unwrap();
        for link in vector["links"].as_array().unwrap() {
            let parts = link.as_str().unwrap().split('&');
            let caveats: Vec<Caveat> = parts.map(|part| parse_caveat(part, 0).unwrap()).collect();
            made = made.attenuate(&caveats).unwrap();
        }
        assert_eq!(hex(&made.to_bytes()), text(vector, "bytes"), "{}", vector["name"]);
        assert_eq!(made.to_line(), text(vector, "line"));
        assert_eq!(made.id().to_string(), text(vector, "id"));
        assert_eq!(hex(&made.hash()), text(vector, "hash"));
        let read: Reference = text(vector, "line").parse().unwrap();
        assert!(read == made);
        let links = read.verify(&key).unwrap();
        let ids: Vec<Json> = links.iter().map(|link| hex(&link.id).into()).collect();
        assert_eq!(Json::from(ids), vector["linkIds"]);
    }
}

#[test]
fn nothing_prints_the_bits_by_accident() {
    let made = fresh(0xa5).attenuate(&[Caveat::Calls(1)]).unwrap();
    let shown = format!("{made:?} {:?}", HostKey::new(KEY));
    let bytes = made.to_bytes();
    for part in bytes.windows(8) {
        assert!(!shown.contains(&hex(part)));
    }
    assert!(shown.contains(&made.id().to_string()));
}

#[test]
fn what_is_no_reference_is_not_repeated_in_the_error() {
    for wrong in ["hunter2hunter2", "remit:hunter2hunter2", "remit:", "", "remit:AQ=="] {
        let error = wrong.parse::<Reference>().err().unwrap().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }
    let mut newer = fresh(1).to_bytes();
    newer[0] = 2;
    assert!(Reference::from_bytes(&newer).unwrap_err().to_string().contains("version 2"));
    assert!(Reference::from_bytes(&vec![1; 1 << 20]).is_err());
}

#[test]
fn a_link_that_would_mean_something_else_tomorrow_is_refused() {
    // By hand, since `attenuate` never writes one: the tag is the holder's to compute.
    let key = HostKey::new(KEY);
    let vectors = ["until=10m", "calls=010", "calls", "methods=b,,a", ""];
    for link in vectors {
        let forged = appended(&fresh(1), link);
        assert!(matches!(forged.verify(&key), Err(NotGenuine::Unreadable(_))), "{link}");
    }
    let unknown = appended(&fresh(1), "flavour=vanilla").verify(&key).unwrap();
    assert_eq!(unknown[0].caveats, [Caveat::Unknown("flavour=vanilla".into())]);
}

/// A reference with this link, as a holder with a program of its own would append it.
fn appended(to: &Reference, link: &str) -> Reference {
    use hmac::Mac as _;
    let mut bytes = to.to_bytes();
    let tag = bytes.split_off(bytes.len() - 32);
    *bytes.last_mut().unwrap() += 1;
    bytes.extend(u16::try_from(link.len()).unwrap().to_be_bytes());
    bytes.extend(link.as_bytes());
    let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(&tag).unwrap();
    mac.update(link.as_bytes());
    bytes.extend(mac.finalize().into_bytes());
    Reference::from_bytes(&bytes).unwrap()
}

#[test]
fn an_id_reads_back_as_it_was_written() {
    let id = fresh(3).id();
    assert_eq!(id.to_string().parse::<RefId>(), Ok(id));
    for wrong in ["", "abc", &"g".repeat(32), &"é".repeat(16)] {
        assert!(wrong.parse::<RefId>().is_err());
    }
}

#[test]
fn there_is_an_end_to_narrowing() {
    let mut made = fresh(1);
    while let Ok(next) = made.attenuate(&[Caveat::Calls(1)]) {
        made = next;
    }
    assert_eq!(made.links().len(), remit_core::limits::MAX_LINKS);
    assert!(fresh(1).attenuate(&[]).is_err());
    let long = Caveat::Methods(vec!["m".repeat(1000); 9]);
    assert!(fresh(1).attenuate(&[long]).is_err());
}

fn caveat() -> impl Strategy<Value = Caveat> {
    prop_oneof![
        any::<u64>().prop_map(Caveat::Calls),
        vec("[a-z]{1,8}", 1..4).prop_map(Caveat::Methods),
        ".{1,20}".prop_map(Caveat::Label),
        (0..4_000_000_000_000_u64).prop_map(Caveat::Expires),
        Just(Caveat::NoObjects),
    ]
}

fn chain() -> impl Strategy<Value = Vec<Vec<Caveat>>> {
    vec(vec(caveat(), 1..3), 0..6)
}

fn narrowed(secret: u8, chain: &[Vec<Caveat>]) -> Reference {
    chain.iter().fold(fresh(secret), |made, caveats| made.attenuate(caveats).unwrap())
}

proptest! {
    #![proptest_config(property::config())]

    #[test]
    fn what_a_holder_appends_verifies_and_is_read_as_it_was_meant(chain in chain(), secret: u8) {
        let made = narrowed(secret, &chain);
        let read: Reference = made.to_line().parse().unwrap();
        let links = read.verify(&HostKey::new(KEY)).unwrap();
        let meant: Vec<_> = links.iter().map(|link| link.caveats.clone()).collect();
        prop_assert_eq!(meant, chain);
        prop_assert_eq!(read.id(), fresh(secret).id());
        prop_assert!(made.verify(&HostKey::new([8; 32])) == Err(NotGenuine::Forged));
    }

    #[test]
    fn no_edited_byte_verifies(chain in chain(), at: prop::sample::Index, by in 1..=255_u8) {
        let mut bytes = narrowed(1, &chain).to_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= by;
        if let Ok(edited) = Reference::from_bytes(&bytes) {
            prop_assert!(edited.verify(&HostKey::new(KEY)).is_err());
        }
    }

    #[test]
    fn no_truncated_reference_verifies(chain in chain(), to: prop::sample::Index) {
        let bytes = narrowed(1, &chain).to_bytes();
        let cut = &bytes[..to.index(bytes.len())];
        if let Ok(cut) = Reference::from_bytes(cut) {
            prop_assert!(cut.verify(&HostKey::new(KEY)).is_err());
        }
    }

    #[test]
    fn no_link_can_be_taken_out_moved_or_carried_over(
        chain in vec(vec(caveat(), 1..3), 1..6),
        from: prop::sample::Index,
        to: prop::sample::Index,
    ) {
        let made = narrowed(1, &chain);
        let mut links: Vec<String> = made.links().to_vec();
        let link = links.remove(from.index(links.len()));
        prop_assert!(rebuilt(&made, &links).verify(&HostKey::new(KEY)).is_err(), "taken out");
        links.insert(to.index(links.len() + 1), link);
        if links != made.links() {
            prop_assert!(rebuilt(&made, &links).verify(&HostKey::new(KEY)).is_err(), "moved");
        }
        // The tag of one reference with the head of another.
        let other = fresh(2).to_bytes();
        let mut mixed = made.to_bytes();
        let head = other.len() - 33;
        mixed[..head].copy_from_slice(&other[..head]);
        prop_assert!(Reference::from_bytes(&mixed).unwrap().verify(&HostKey::new(KEY)).is_err());
    }

    #[test]
    fn the_links_of_different_chains_have_different_ids(one in chain(), other in chain()) {
        let ids = |chain: &[Vec<Caveat>], secret: u8| -> Vec<[u8; 32]> {
            let links = narrowed(secret, chain).verify(&HostKey::new(KEY)).unwrap();
            links.into_iter().map(|link| link.id).collect()
        };
        let same = one.iter().zip(&other).take_while(|(a, b)| a == b).count();
        let (a, b) = (ids(&one, 1), ids(&other, 1));
        prop_assert_eq!(&a[..same], &b[..same], "copies share");
        prop_assert!(a[same..].iter().all(|id| !b.contains(id)));
        prop_assert!(ids(&one, 2).iter().all(|id| !a.contains(id)), "another reference");
    }

    #[test]
    fn reading_never_panics(bytes in vec(any::<u8>(), 0..400)) {
        let _ = Reference::from_bytes(&bytes);
    }
}

/// The reference with other links under the same tag.
fn rebuilt(of: &Reference, links: &[String]) -> Reference {
    let whole = of.to_bytes();
    let mut bytes = fresh(1).to_bytes();
    bytes.truncate(bytes.len() - 33);
    bytes.push(u8::try_from(links.len()).unwrap());
    for link in links {
        bytes.extend(u16::try_from(link.len()).unwrap().to_be_bytes());
        bytes.extend(link.as_bytes());
    }
    bytes.extend(&whole[whole.len() - 32..]);
    Reference::from_bytes(&bytes).unwrap()
}
