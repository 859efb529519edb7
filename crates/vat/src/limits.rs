//! Every bound of this crate, each with its reason.

use std::time::Duration;

/// The bounds of one connection.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionLimits {
    /// The largest message in words of eight bytes.
    pub message_words: usize,
    /// How deep pointers in a message may nest.
    pub nesting: i32,
    /// How many calls of the peer may be in flight. Above it, nothing more is read from the peer.
    pub calls_in_flight: usize,
    /// How long a peer may be silent before it is taken for dead; zero: for ever.
    pub silence: Duration,
    /// How often a ping is sent by the side that dialled; zero: never.
    pub ping_every: Duration,
}

impl Default for ConnectionLimits {
    /// Messages of at most 16 MiB: a value of 4 MiB, the largest that is recorded, with room for
    /// its structure. 192 levels: a value may nest 48 deep, and a named field takes three. 4,096
    /// calls in flight: enough to wait for the results of some thousand tasks at once. A ping every
    /// 3 s and 9 s of silence: a dead peer is noticed within 10 s, and two pings may be late.
    fn default() -> Self {
        Self {
            message_words: (16 << 20) / 8,
            nesting: 192,
            calls_in_flight: 4096,
            silence: Duration::from_secs(9),
            ping_every: Duration::from_secs(3),
        }
    }
}

impl ConnectionLimits {
    /// The bounds of an attempt's connection. Its worker may compute for long without a word: the
    /// agent node watches its process instead.
    pub fn attempt() -> Self {
        Self { silence: Duration::ZERO, ping_every: Duration::ZERO, ..Self::default() }
    }
}

/// Questions that a peer may leave without `finish`, as a multiple of its calls in flight. Each
/// keeps its answer in memory; a peer that never finishes its questions is cut off.
pub const UNFINISHED_FACTOR: usize = 16;

/// Calls of a peer that hang on each other, each on the result of the one before, while none of them
/// is answered. capnp-rpc drives and drops such a chain recursively, with up to 10 KiB of stack for
/// each in an unoptimised build; a thread has two MiB.
pub const PIPELINE_DEPTH: u32 = 64;

/// How deep a promise of a peer's counts before it is known what it comes to, and how deep that may
/// be then.
pub const PROMISED_DEPTH: u32 = 16;

/// Promises of a peer's over one connection that come to another promise: hardly any peer makes
/// one, and a chain of them is dropped recursively.
pub const PROMISES_OF_PROMISES: usize = 64;

/// Promises that a reference may lead through, each come to the next, before it is taken to lead
/// nowhere.
pub const PROMISES_IN_A_ROW: usize = 2 * PROMISES_OF_PROMISES;

/// Objects that a peer may give in one message: a page of tasks, each with its own, and to spare.
pub const OBJECTS_PER_MESSAGE: usize = 4_096;

/// Objects of one side that the other one may hold at the same time: some hundred bytes each.
pub const OBJECTS_HELD: usize = 1 << 17;

/// Bytes that an object in the arguments of a call counts for beside those of the message.
pub const OBJECT_BYTES: usize = 512;

/// Bytes of the arguments of a peer's calls in flight before nothing more is read from it: some of
/// the largest.
pub const CALLS_HELD_BYTES: usize = 64 << 20;

/// The same for all connections of one identity: some of them at their bound.
pub const CALLS_HELD_PER_IDENTITY_BYTES: usize = 256 << 20;

/// Bytes that a connection may hold though its identity holds as much as it may: a call by which a
/// person takes back what holds so much.
pub const CALLS_HELD_FLOOR_BYTES: usize = 1 << 20;

/// Calls that a peer may cancel over one connection: capnp-rpc keeps some hundred bytes of each for
/// as long as the connection lasts.
pub const CANCELLED_CALLS: usize = 1 << 20;

/// Bytes that wait to be written to a peer before the vat stops making more for it.
pub const WRITE_BUFFER_BYTES: usize = 256 << 10;

/// Bytes of answers that wait to be written to a peer before nothing more is read from it: some of
/// the largest.
pub const ANSWERS_QUEUED_BYTES: usize = 32 << 20;

/// Bytes that wait to be written to a peer before it is cut off: it does not read.
pub const QUEUED_BYTES: usize = 256 << 20;

/// How long the last bytes of a connection that ends may take to be written: longer than any round
/// trip, and nobody waits for it.
pub const LAST_BYTES: Duration = Duration::from_secs(2);

/// Bytes of a write buffer that are kept for the next turn.
pub const WRITE_BUFFER_KEPT_BYTES: usize = 16 << 10;

/// Bytes read from a peer at once.
pub const READ_BUFFER_BYTES: usize = 64 << 10;

/// Visitors that wait at a vat's door. One more waits outside.
pub const DOOR_QUEUE: usize = 1024;

/// How long offloaded work may go on after its vat has ended: a write to a disk that still moves.
pub const LAST_OFFLOADED: Duration = Duration::from_secs(5);

/// How long one connection's work may keep all others on its vat waiting before that is counted and
/// logged: a peer notices no less.
pub const LONGEST_TURN: Duration = Duration::from_millis(10);

/// How long the end of a connection may take to be told: to calls of ours at once, to a peer that
/// takes no more bytes never.
pub const FAREWELL: Duration = Duration::from_millis(100);
