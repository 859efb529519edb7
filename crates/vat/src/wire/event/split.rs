//! Events with large bodies: the ranges of the stored form in which the bodies lie.

use std::ops::Range;

use capnp::dynamic_value;
use remit_core::Event;
use remit_core::event::Fact;
use remit_schema::event_capnp::event;

use super::super::Malformed;
use super::{FIRST_SEGMENT_WORDS, options, read, write};

/// An event in its stored form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Encoded {
    /// An event without large bodies, packed, as [`super::encode`] gives it.
    Packed(Vec<u8>),
    /// An event with large bodies, not packed. [`decode_flat`] reads it.
    Flat {
        /// All bytes, bodies included.
        bytes: Vec<u8>,
        /// Ranges of `bytes`, ascending and apart from each other. Each covers one large text or
        /// data, or a gap between two of them that is large itself.
        bodies: Vec<Range<usize>>,
    },
}

/// The size from which on the manifest of a grant is a body: every grant of a tool carries the same
/// manifest.
const MANIFEST_LEAST: usize = 1 << 10;

/// Encodes an event for the store. Texts and data of at least `least` bytes become bodies.
pub fn encode_split(event: &Event, least: usize) -> Encoded {
    let mut message = in_segment(event, FIRST_SEGMENT_WORDS);
    let carries_manifest = matches!(event.fact, Fact::GrantAdded(_) | Fact::GrantRepinned { .. });
    if carries_manifest && message.get_segments_for_output().len() > 1 {
        // In one segment the bytes of the manifest lie together, with no pointer out of them.
        let words = u32::try_from(message.size_in_words() + 1).unwrap_or(u32::MAX);
        message = in_segment(event, words);
    }
    let mut found = Vec::new();
    if let Ok(root) = message.get_root_as_reader::<event::Reader<'_>>() {
        let segments = message.get_segments_for_output();
        let places = places(&segments);
        if carries_manifest && segments.len() == 1 {
            // A manifest that cannot be read is stored with the bytes around it.
            found.extend(manifest_of(root, &places).ok().flatten());
        }
        if message.size_in_words() * 8 >= least {
            let mut seek = Seek { places, least, found: &mut found };
            // A body that the walk does not reach is stored with the bytes around it.
            let _walked = seek.value(root.into());
        }
    }
    if found.is_empty() && message.size_in_words() * 8 < least {
        return Encoded::Packed(super::pack(&message));
    }
    let bytes = capnp::serialize::write_message_to_words(&message);
    let bodies = fill(found, bytes.len(), least);
    Encoded::Flat { bytes, bodies }
}

type Message = capnp::message::Builder<capnp::message::HeapAllocator>;

fn in_segment(event: &Event, words: u32) -> Message {
    let allocator = capnp::message::HeapAllocator::new().first_segment_words(words);
    let mut message = capnp::message::Builder::new(allocator);
    write(message.init_root(), event);
    message
}

/// The range of the texts of a grant's manifest and the lists between them, if it is large.
/// Pointers are relative, so equal manifests give equal bytes.
fn manifest_of(
    root: event::Reader<'_>,
    places: &[(&[u8], usize)],
) -> capnp::Result<Option<Range<usize>>> {
    let manifest = match root.which()? {
        event::GrantAdded(grant) => grant?.get_manifest()?,
        event::GrantRepinned(grant) => grant?.get_manifest()?,
        _ => return Ok(None),
    };
    let mut texts = Vec::new();
    Seek { places: places.to_vec(), least: 1, found: &mut texts }.value(manifest.into())?;
    let start = texts.iter().map(|text| text.start).min();
    let end = texts.iter().map(|text| text.end).max();
    Ok(start.zip(end).map(|(start, end)| start..end).filter(|range| range.len() >= MANIFEST_LEAST))
}

/// Decodes an event in its flat form.
pub fn decode_flat(bytes: &[u8]) -> Result<Event, Malformed> {
    let message = capnp::serialize::read_message(bytes, options())?;
    read(message.get_root()?)
}

/// Each segment in memory, with its offset in the flat form, which begins with the segment table.
fn places<'a>(segments: &'a [&'a [u8]]) -> Vec<(&'a [u8], usize)> {
    let mut at = (4 * (segments.len() + 1)).next_multiple_of(8);
    segments
        .iter()
        .map(|segment| {
            let place = (*segment, at);
            at += segment.len();
            place
        })
        .collect()
}

/// A walk through a message for its large bodies.
struct Seek<'a, 'f> {
    places: Vec<(&'a [u8], usize)>,
    least: usize,
    found: &'f mut Vec<Range<usize>>,
}

impl Seek<'_, '_> {
    fn value(&mut self, value: dynamic_value::Reader<'_>) -> capnp::Result<()> {
        match value {
            dynamic_value::Reader::Text(text) => self.body(text.as_bytes()),
            dynamic_value::Reader::Data(data) => self.body(data),
            dynamic_value::Reader::List(list) => {
                for at in 0..list.len() {
                    self.value(list.get(at)?)?;
                }
            }
            dynamic_value::Reader::Struct(fields) => {
                for field in fields.get_schema().get_non_union_fields()? {
                    if fields.has(field)? {
                        self.value(fields.get(field)?)?;
                    }
                }
                if let Some(field) = fields.which()?
                    && fields.has(field)?
                {
                    self.value(fields.get(field)?)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn body(&mut self, body: &[u8]) {
        if body.len() < self.least {
            return;
        }
        let start = body.as_ptr().addr();
        for (segment, at) in &self.places {
            let first = segment.as_ptr().addr();
            if (first..first + segment.len()).contains(&start) {
                let from = at + (start - first);
                self.found.push(from..from + body.len());
                return;
            }
        }
    }
}

/// The ranges in ascending order, and the gaps between them that are large.
fn fill(mut found: Vec<Range<usize>>, len: usize, least: usize) -> Vec<Range<usize>> {
    found.sort_by_key(|body| body.start);
    let mut all = Vec::with_capacity(found.len());
    let mut end = 0;
    for body in found.into_iter().chain(std::iter::once(len..len)) {
        // Ranges overlap only in a foreign message: our writers share no body between two places.
        if body.start < end {
            continue;
        }
        if body.start - end >= least {
            all.push(end..body.start);
        }
        end = body.end;
        if !body.is_empty() {
            all.push(body);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use remit_core::event::Grant;
    use remit_core::manifest::{Interface, Method};
    use remit_core::{CallNumber, Code, EventNumber, Failure, GrantId, Manifest, Outcome, Value};

    use super::*;

    const LEAST: usize = 1_000;

    fn completed(value: Value) -> Event {
        let fact = Fact::CallCompleted {
            call: CallNumber(1),
            outcome: Outcome::value(value),
            cost: 0,
            refused: false,
        };
        Event { number: EventNumber(3), time_ms: 7, fact }
    }

    fn split(event: &Event) -> (Vec<u8>, Vec<Range<usize>>) {
        match encode_split(event, LEAST) {
            Encoded::Flat { bytes, bodies } => (bytes, bodies),
            Encoded::Packed(_) => panic!("no large body in {event:?}"),
        }
    }

    #[test]
    fn large_texts_and_data_are_found_wherever_they_are() {
        let (text, data) = ("t".repeat(LEAST), vec![9; 5 * LEAST]);
        let small = Value::Text("s".repeat(LEAST / 2));
        let nested = Value::Fields(vec![
            ("a".into(), Value::List(vec![small.clone(), Value::Text(text.clone())])),
            ("b".into(), small),
            ("c".into(), Value::Data(data.clone())),
        ]);
        let event = completed(nested);
        let (bytes, bodies) = split(&event);
        let found: Vec<&[u8]> = bodies.iter().map(|body| &bytes[body.clone()]).collect();
        assert!(found.contains(&text.as_bytes()) && found.contains(&&data[..]), "{bodies:?}");
        assert_eq!(decode_flat(&bytes).unwrap(), event);
    }

    #[test]
    fn a_large_value_without_a_large_text_is_a_body_too() {
        let event = completed(Value::List((0..LEAST as i64).map(Value::Integer).collect()));
        let (bytes, bodies) = split(&event);
        assert_eq!((bodies.len(), &bodies[0]), (1, &(0..bytes.len())));
        assert_eq!(decode_flat(&bytes).unwrap(), event);
    }

    #[test]
    fn a_text_outside_a_value_is_a_body_too() {
        let failure = Failure::new(Code::Failed, "x".repeat(2 * LEAST)).with_detail("y");
        let event = Event { fact: Fact::TaskFailed(failure), ..completed(Value::Null) };
        let (bytes, bodies) = split(&event);
        assert_eq!(bodies.iter().map(Range::len).collect::<Vec<_>>(), [2 * LEAST]);
        assert_eq!(decode_flat(&bytes).unwrap(), event);
    }

    #[test]
    fn an_event_without_large_bodies_is_packed() {
        let event = completed(Value::Integer(1));
        assert_eq!(encode_split(&event, LEAST), Encoded::Packed(super::super::encode(&event)));
    }

    fn granted(grant: u32, methods: usize, words: usize) -> Event {
        let method = |n: usize| Method {
            name: format!("method{n}"),
            description: "what it does".repeat(words),
            ..Method::default()
        };
        let interface = Interface {
            name: "Root".into(),
            methods: (0..methods).map(method).collect(),
            ..Interface::default()
        };
        let manifest = Manifest {
            tool: "fs".into(),
            version: "1".into(),
            root: "Root".into(),
            interfaces: vec![interface],
            ..Manifest::default()
        };
        let grant = Grant {
            grant: GrantId(grant),
            name: format!("name{}", "x".repeat(grant as usize)),
            manifest: Arc::new(manifest),
            ..super::super::tests::a_grant()
        };
        Event { fact: Fact::GrantAdded(Box::new(grant)), ..completed(Value::Null) }
    }

    #[test]
    fn grants_of_one_tool_share_the_body_of_its_manifest() {
        // The second does not fit the first segment of a message.
        for (methods, words) in [(9, 9), (250, 9), (250, 300)] {
            let split = |grant| {
                let event = granted(grant, methods, words);
                let (bytes, bodies) = split(&event);
                assert_eq!(decode_flat(&bytes).unwrap(), event);
                let largest = bodies.iter().max_by_key(|body| body.len()).unwrap().clone();
                (bytes[largest.clone()].to_vec(), bytes.len() - largest.len())
            };
            let (one, two) = (split(1), split(700));
            assert!(one.0 == two.0, "{methods} methods");
            assert!(one.1 < 1_000 && two.1 < 2_000, "{} and {} are left", one.1, two.1);
        }
    }

    #[test]
    fn a_grant_of_a_small_tool_is_packed() {
        let event = granted(1, 1, 9);
        assert_eq!(encode_split(&event, LEAST * 64), Encoded::Packed(super::super::encode(&event)));
    }
}
