//! Every bound of this crate, each with its reason.

use std::time::Duration;

use crate::disk::Size;

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

/// How long a listener waits after it could not accept: connections that end free what it needs.
pub const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// How long a peer may take for the TLS handshake: a round trip or two, and a busy machine.
pub const HANDSHAKE: Duration = Duration::from_secs(5);

/// How long a connection keeps its place before it may be dropped for a newcomer, from the moment its
/// first bytes are looked for: some round trips, so that a flood drops no honest peer.
pub const HANDSHAKE_LEAST: Duration = Duration::from_millis(100);

/// Handshakes that show the same hint and count as known at once: a client's parallel commands.
/// Whoever saw a hint on the wire and shows it gains no more.
pub const HANDSHAKES_PER_HINT: usize = 8;

/// Refused connections that are logged one by one within [`REFUSALS_LOGGED_EVERY`]; of the others
/// only their number is.
pub const REFUSALS_LOGGED: u32 = 20;

/// How often refused connections are logged anew.
pub const REFUSALS_LOGGED_EVERY: Duration = Duration::from_secs(1);

/// How long one connection's work may keep all others on its vat waiting before that is counted and
/// logged: a peer notices no less.
pub const LONGEST_TURN: Duration = Duration::from_millis(10);

/// Bytes of a join message: a signing request is under one kibibyte.
pub const JOIN_MESSAGE_BYTES: usize = 16 << 10;

/// TCP: how long the kernel waits for acknowledgement of bytes it sent.
pub const TCP_UNACKNOWLEDGED: Duration = Duration::from_secs(10);

/// TCP: how long a connection is idle before the kernel asks whether the peer is there.
pub const TCP_KEEPALIVE: Duration = Duration::from_secs(3);

/// Writes that wait for the disk: some seconds' worth of a busy node's. More would only wait
/// longer, so they are refused.
pub const DISK_QUEUE: Size = Size { jobs: 65_536, bytes: 256 << 20 };

/// Those of them that one task may have: it is refused before others are.
pub const DISK_LANE: Size = Size { jobs: 16_384, bytes: 128 << 20 };

/// Writes that belong to no task, such as those of the audit, that are taken for one of each task.
pub const DISK_SHARED_WEIGHT: u32 = 8;

/// Writes that are made durable together. One flush for thousands costs each almost nothing; more
/// would make the first of them wait for the last.
pub const DISK_BATCH: Size = Size { jobs: 4096, bytes: 8 << 20 };

/// Bytes of commits in memory at which a checkpoint begins: some thousands, which a crash leaves to be
/// read again in a fraction of a second.
pub const DISK_MEMORY_BYTES: usize = 4 << 20;

/// Bytes of a checkpoint that are written between two batches: the batch behind waits for one flush.
pub const DISK_PIECE_BYTES: usize = 256 << 10;

/// Commits of which is noted what they were about: more than the log has commits that are nowhere else,
/// in two MiB.
pub const DISK_NOTES: u64 = 4096;

/// Bytes of the log that are kept, though a checkpoint has them: from a log that goes back to the
/// first commit a damaged state is made anew.
pub const DISK_LOG_BYTES: u64 = 64 << 20;

/// Files of the log that are kept, though they are short.
pub const DISK_LOG_SEGMENTS: usize = 1024;

/// Bytes of the state from which on it is compacted by itself: less is not worth the copy.
pub const DISK_COMPACT_FROM: u64 = 64 << 20;

/// How many times as large as its records the state must be to be compacted by itself. The storage
/// engine needs about 1.7 times as much.
pub const DISK_COMPACT_RATIO: u64 = 4;

/// Bytes that a compaction copies at once.
pub const DISK_COPY_BYTES: usize = 4 << 20;

/// How often the commit thread looks whether a compaction has ended.
pub const DISK_COPY_LOOK: Duration = Duration::from_millis(20);

/// Bytes of a store's file system that are left free, so that a full disk is met before the
/// storage engine meets it, which takes it badly.
pub const DISK_RESERVE_BYTES: u64 = 64 << 20;

/// The first wait before a store whose disk failed tries whether it is mended.
pub const DISK_MEND_FIRST: Duration = Duration::from_millis(100);

/// The longest such wait: work goes on within seconds of the cause going away.
pub const DISK_MEND_MOST: Duration = Duration::from_secs(5);

/// Bytes from which on a value may get a file of its own in the storage engine: well below an
/// eighth of its segments of 512 KiB, at a quarter of which it does.
pub const DISK_LARGE_VALUE: usize = 32 << 10;

/// How long the storage engine may take to end. One that does not was left in the middle of
/// something, and only the end of the process ends it.
pub const DISK_ENGINE_END: Duration = Duration::from_secs(10);

/// How often to look whether it has.
pub const DISK_ENGINE_LOOK: Duration = Duration::from_millis(5);

/// How long the answer to a renewal may take.
pub const RENEWAL: Duration = Duration::from_secs(10);

/// How long a connection that was replaced still serves new calls: longer than its successor takes
/// to register.
pub const HANDOVER: Duration = Duration::from_secs(5);

/// The first wait before dialling again.
pub const RECONNECT_FIRST: Duration = Duration::from_millis(100);

/// The longest wait before dialling again: a node is back within two seconds of its orchestrator,
/// and a dial that nobody answers costs next to nothing.
pub const RECONNECT_MOST: Duration = Duration::from_secs(2);

/// How long a connection must have lasted for the waits to begin anew. One that is lost sooner, as
/// by a peer that lets nobody in, must not be dialled again at once.
pub const SETTLED: Duration = Duration::from_millis(500);

/// How long the end of a connection may take to be told: to calls of ours at once, to a peer that
/// takes no more bytes never.
pub const FAREWELL: Duration = Duration::from_millis(100);
