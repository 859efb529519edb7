//! Events read back as they were written, and no input makes the reader panic.

use std::sync::Arc;

use proptest::prelude::*;
use remit_core::event::Grant;
use remit_core::grant::Budgets;
use remit_core::{Caveat, Fact, GrantId, Manifest, Value};
use remit_schema::caveat_capnp::caveat;

use super::*;

proptest! {
    #[test]
    fn any_event_reads_back_as_it_was_written(event in strategies::event()) {
        let bytes = encode(&event);
        prop_assert_eq!(decode(&bytes).unwrap(), event);
    }

    #[test]
    fn any_caveat_reads_back_as_it_was_written(written in strategies::caveat()) {
        let mut message = capnp::message::Builder::new_default();
        write_caveat(message.init_root(), &written);
        let read = read_caveat(message.get_root_as_reader().unwrap()).unwrap();
        prop_assert_eq!(read, written);
    }

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        // An error or, by chance, some event.
        drop(decode(&bytes));
    }

    #[test]
    fn damaged_events_never_panic(
        event in strategies::event(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = encode(&event);
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        drop(decode(&bytes));
    }
}

#[test]
fn a_value_as_deep_as_allowed_reads_back() {
    let mut value = Value::Null;
    for _ in 1..HELD_DEPTH {
        value = Value::Fields(vec![("deeper".into(), value)]);
    }
    let event = Event { number: EventNumber(1), time_ms: 1, fact: Fact::TaskCompleted(value) };
    assert_eq!(decode(&encode(&event)).unwrap(), event);
}

#[test]
fn the_largest_value_reads_back() {
    let value = Value::Data(vec![7; remit_core::limits::MAX_VALUE_BYTES]);
    let event = Event { number: EventNumber(1), time_ms: 1, fact: Fact::TaskCompleted(value) };
    assert_eq!(decode(&encode(&event)).unwrap(), event);
}

#[test]
fn an_unknown_kind_of_caveat_is_kept_and_refuses() {
    let mut message = capnp::message::Builder::new_default();
    write_caveat(message.init_root(), &Caveat::Calls(7));
    let mut segments =
        message.get_segments_for_output().iter().map(|s| s.to_vec()).collect::<Vec<_>>();
    // The root pointer takes one word; the data section of the struct follows, and in it the kind.
    let kind = segments[0][8..].iter().position(|byte| *byte == 3).unwrap() + 8;
    segments[0][kind] = 99;
    let array: Vec<&[u8]> = segments.iter().map(Vec::as_slice).collect();
    let reader = capnp::message::Reader::new(
        capnp::message::SegmentArray::new(&array),
        capnp::message::ReaderOptions::new(),
    );
    let read = read_caveat(reader.get_root::<caveat::Reader<'_>>().unwrap()).unwrap();
    assert!(matches!(read, Caveat::Unknown(kind) if kind.contains("99")));
}

/// A grant of a tool without methods.
pub(super) fn a_grant() -> Grant {
    Grant {
        grant: GrantId(1),
        parent: None,
        name: "repo".into(),
        tool: "fs".into(),
        version: String::new(),
        node: String::new(),
        path: String::new(),
        caveats: vec![],
        manifest: Arc::default(),
        holder: "task".into(),
        derived: None,
        origin: None,
        interface: String::new(),
        reserve: Budgets::NONE,
        by: String::new(),
        on_unknown: Default::default(),
    }
}

#[test]
fn equal_manifests_share_one_place() {
    let grant = |version: &str| {
        let manifest =
            Manifest { tool: "fs".into(), version: version.into(), ..Manifest::default() };
        let manifest = Arc::new(manifest);
        let grant = Grant { version: version.into(), manifest, ..a_grant() };
        let fact = Fact::GrantAdded(Box::new(grant));
        let event = Event { number: EventNumber(1), time_ms: 1, fact };
        match decode(&encode(&event)).unwrap().fact {
            Fact::GrantAdded(grant) => grant.manifest,
            _ => unreachable!("a grant was written"),
        }
    };
    let (one, again, other) = (grant("shared 1"), grant("shared 1"), grant("shared 2"));
    assert!(Arc::ptr_eq(&one, &again));
    assert!(!Arc::ptr_eq(&one, &other));
}
