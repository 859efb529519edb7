//! Every bound of this crate, each with its reason.

use std::time::Duration;

/// How long a listener waits after it failed to accept: connections that end free descriptors.
pub const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// How long a peer may take for the TLS handshake: a round trip or two, on a busy machine.
pub const HANDSHAKE: Duration = Duration::from_secs(5);

/// How long a connection keeps its place before a newcomer may take it, counted from the first
/// read: a few round trips, so that a flood drops no honest peer.
pub const HANDSHAKE_LEAST: Duration = Duration::from_millis(100);

/// Handshakes that show the same hint and count as known at once: a client's parallel commands. A
/// stranger that replays a hint from the wire gains no more places than this.
pub const HANDSHAKES_PER_HINT: usize = 8;

/// Refused connections that are logged one by one within [`REFUSALS_LOGGED_EVERY`]. The others are
/// only counted.
pub const REFUSALS_LOGGED: u32 = 20;

/// The period of [`REFUSALS_LOGGED`].
pub const REFUSALS_LOGGED_EVERY: Duration = Duration::from_secs(1);

/// Bytes of a join message: a signing request is under one kibibyte.
pub const JOIN_MESSAGE_BYTES: usize = 16 << 10;

/// TCP: how long the kernel waits for the acknowledgement of bytes that it sent.
pub const TCP_UNACKNOWLEDGED: Duration = Duration::from_secs(10);

/// TCP: how long a connection is idle before the kernel probes the peer.
pub const TCP_KEEPALIVE: Duration = Duration::from_secs(3);

/// How long the answer to a renewal may take.
pub const RENEWAL: Duration = Duration::from_secs(10);

/// How long a replaced connection still serves new calls: longer than its successor takes to
/// register.
pub const HANDOVER: Duration = Duration::from_secs(5);

/// The first wait before dialling again.
pub const RECONNECT_FIRST: Duration = Duration::from_millis(100);

/// The longest wait before dialling again: a node is back within two seconds of its orchestrator,
/// and an unanswered dial costs next to nothing.
pub const RECONNECT_MOST: Duration = Duration::from_secs(2);

/// How long a connection must have lasted for the waits to start over. A peer that refuses every
/// connection ends it sooner, and must not be dialled again at once.
pub const SETTLED: Duration = Duration::from_millis(500);
