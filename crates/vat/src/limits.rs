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
    /// How long a peer may be silent before it is taken for dead.
    pub silence: Duration,
    /// How often a ping is sent by the side that dialled; zero: never.
    pub ping_every: Duration,
}
