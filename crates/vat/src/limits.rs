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
    /// How long a peer may be silent before it counts as dead. Zero: no bound.
    pub silence: Duration,
    /// The interval of the pings that the dialling side sends. Zero: no pings.
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
    /// The bounds of an attempt's connection: no pings, and no bound on silence. The worker may
    /// compute for long without sending anything, and the agent node watches its process instead.
    pub fn attempt() -> Self {
        Self { silence: Duration::ZERO, ping_every: Duration::ZERO, ..Self::default() }
    }
}

/// Questions that a peer may leave without `finish`, as a multiple of its calls in flight. Each
/// keeps its answer in memory, so a peer that never finishes its questions is cut off.
pub const UNFINISHED_FACTOR: usize = 16;

/// The longest chain of unanswered calls of a peer, each made on the result of the one before.
/// capnp-rpc drives and drops such a chain recursively, with up to 10 KiB of stack for each call in
/// an unoptimised build, and a thread has two MiB.
pub const PIPELINE_DEPTH: u32 = 64;

/// The depth that an unresolved promise of a peer counts as, and the greatest depth that it may
/// resolve to.
pub const PROMISED_DEPTH: u32 = 16;

/// Promises of a peer over one connection that resolve to another promise. Hardly any peer makes
/// one, and capnp-rpc drops a chain of them recursively.
pub const PROMISES_OF_PROMISES: usize = 64;

/// Promises that a reference may lead through, each resolved to the next, before its object counts
/// as lost.
pub const PROMISES_IN_A_ROW: usize = 2 * PROMISES_OF_PROMISES;

/// Objects that a peer may give in one message: a page of tasks, each with its own object, with
/// room to spare.
pub const OBJECTS_PER_MESSAGE: usize = 4_096;

/// Objects of one side that the other may hold at the same time: some hundred bytes each.
pub const OBJECTS_HELD: usize = 1 << 17;

/// Bytes that an object in the arguments of a call counts as, beside the bytes of the message.
pub const OBJECT_BYTES: usize = 512;

/// Bytes of the arguments of a peer's calls in flight at which nothing more is read from it: some
/// of the largest messages.
pub const CALLS_HELD_BYTES: usize = 64 << 20;

/// As `CALLS_HELD_BYTES`, for all connections of one identity: some of them at their bound. Messages
/// that are being read count in full. Above it, one connection at a time reads its next one.
pub const CALLS_HELD_PER_IDENTITY_BYTES: usize = 256 << 20;

/// Bytes of calls that a connection may hold, and of its next message, even when its identity is at
/// its bound: room for the call by which a person frees what the others hold.
pub const CALLS_HELD_FLOOR_BYTES: usize = 1 << 20;

/// Calls that a peer may cancel over one connection. capnp-rpc keeps some hundred bytes of each
/// until the connection ends.
pub const CANCELLED_CALLS: usize = 1 << 20;

/// Bytes that wait to be written to a peer at which the vat stops producing more for it.
pub const WRITE_BUFFER_BYTES: usize = 256 << 10;

/// Bytes of answers that wait to be written to a peer at which nothing more is read from it: some
/// of the largest messages.
pub const ANSWERS_QUEUED_BYTES: usize = 32 << 20;

/// Bytes that wait to be written to a peer above which it is cut off, because it does not read.
pub const QUEUED_BYTES: usize = 256 << 20;

/// How long the last bytes of an ending connection may take to be written: longer than any round
/// trip. No call waits for them.
pub const LAST_BYTES: Duration = Duration::from_secs(2);

/// The largest write buffer that is kept for the next turn. A larger one is freed.
pub const WRITE_BUFFER_KEPT_BYTES: usize = 16 << 10;

/// Bytes read from a peer at a time.
pub const READ_BUFFER_BYTES: usize = 64 << 10;

/// Closures that wait in a vat's queue. A sender waits while it is full.
pub const DOOR_QUEUE: usize = 1024;

/// How long offloaded work may go on after its vat has ended, such as a write to a slow disk.
pub const LAST_OFFLOADED: Duration = Duration::from_secs(5);

/// How long one connection's work may delay all others on its vat before the turn is counted and
/// logged. A peer does not notice a shorter delay.
pub const LONGEST_TURN: Duration = Duration::from_millis(10);

/// How long a connection may take to report its end. Our own calls learn of it at once, and a peer
/// that accepts no more bytes never does.
pub const FAREWELL: Duration = Duration::from_millis(100);
