//! Events, as they travel and as they are stored.

mod caveat;
mod fact;
mod intern;
mod split;

#[cfg(test)]
mod strategies;
#[cfg(test)]
mod tests;

use remit_core::{Event, EventNumber};
use remit_schema::event_capnp::event;

pub use caveat::{read as read_caveat, read_budgets, write as write_caveat, write_budgets};
pub use fact::{read_on_unknown, wire_on_unknown};
pub use split::{Encoded, decode_flat, encode_split};

use super::Malformed;
use super::value::HELD_DEPTH;

/// Words of the first segment of an encoded event. Most events fit into it.
const FIRST_SEGMENT_WORDS: u32 = 128;

/// Words that reading one stored event may touch: the largest value that is recorded, four MiB,
/// several times over.
const MAX_STORED_WORDS: usize = (32 << 20) / 8;

/// How deep an event may nest: each named field of a value takes three levels, and the event around
/// it takes some more.
const STORED_NESTING: usize = 3 * HELD_DEPTH + 16;

/// Encodes an event for the store. The form is packed: a typical call takes 165 bytes instead of
/// 360.
pub fn encode(event: &Event) -> Vec<u8> {
    let allocator = capnp::message::HeapAllocator::new().first_segment_words(FIRST_SEGMENT_WORDS);
    let mut message = capnp::message::Builder::new(allocator);
    write(message.init_root(), event);
    pack(&message)
}

fn pack<A: capnp::message::Allocator>(message: &capnp::message::Builder<A>) -> Vec<u8> {
    let mut bytes = Vec::new();
    // Writing to memory does not fail.
    let written = capnp::serialize_packed::write_message(&mut bytes, message);
    debug_assert!(written.is_ok());
    bytes
}

/// Decodes an event of [`encode`].
pub fn decode(bytes: &[u8]) -> Result<Event, Malformed> {
    let message = capnp::serialize_packed::read_message(bytes, options())?;
    read(message.get_root()?)
}

fn options() -> capnp::message::ReaderOptions {
    let mut options = capnp::message::ReaderOptions::new();
    options.traversal_limit_in_words(Some(MAX_STORED_WORDS));
    options.nesting_limit(i32::try_from(STORED_NESTING).unwrap_or(i32::MAX));
    options
}

/// Reads an event.
pub fn read(reader: event::Reader<'_>) -> Result<Event, Malformed> {
    Ok(Event {
        number: EventNumber(reader.get_number()),
        time_ms: reader.get_time_ms(),
        fact: fact::read(reader)?,
    })
}

/// Writes an event.
pub fn write(mut builder: event::Builder<'_>, event: &Event) {
    builder.set_number(event.number.0);
    builder.set_time_ms(event.time_ms);
    fact::write(builder, &event.fact);
}
