//! Every bound of this crate, each with its reason.

use std::time::Duration;

/// The timeout of a connection attempt: several times the two round trips of TLS on a bad line.
pub(crate) const CONNECT: Duration = Duration::from_secs(10);

/// The timeout of an ordinary call, reconnecting included: a restarting orchestrator is back within
/// it.
pub(crate) const CALL: Duration = Duration::from_secs(30);

/// The timeout of expelling a member: everything that it holds is revoked, task by task.
pub(crate) const EXPEL: Duration = Duration::from_secs(300);

/// How long a call without a deadline is retried while it is refused with a `retry-after`: enough
/// for several verifications of a large journal, one after the other.
pub(crate) const REFUSED: Duration = Duration::from_secs(300);

/// The first and the longest wait between two attempts to reconnect.
pub(crate) const RECONNECT: (Duration, Duration) =
    (Duration::from_millis(100), Duration::from_secs(5));

/// Visits queued for the client's thread. Callers wait while the queue is full.
pub(crate) const VISITS: usize = 256;

/// Items buffered for the reader of a stream. While the buffer is full, the orchestrator gets no
/// answer and sends no more.
pub(crate) const FOLLOWED: usize = 256;

/// How long a slow reader may keep the orchestrator waiting before its subscription is ended. The
/// client subscribes again from the cursor once the reader has room.
pub(crate) const SLOW_READER: Duration = Duration::from_secs(5);

/// The longest wait between two checks whether the certificate is due for renewal.
pub(crate) const RENEWAL_CHECK: Duration = Duration::from_secs(60);

/// Concurrent calls on one of the caller's own objects: each holds its arguments in memory.
pub(crate) const OWN_CALLS: usize = 64;

/// How long a connection may take to close after the peer announced its end.
pub(crate) const FAREWELL: Duration = Duration::from_millis(500);

/// The wait before a failed renewal is retried.
pub(crate) const RENEWAL_RETRY: Duration = Duration::from_millis(500);

/// Audit records per page.
pub(crate) const AUDIT_PAGE: u32 = 500;

/// The timeout of trying another program, a little longer than the mesh's own.
pub(crate) const TRIAL: Duration = Duration::from_secs(130);

/// How much longer than its own timeout the draining of a node may take to answer.
pub(crate) const DRAIN_MORE: Duration = Duration::from_secs(10);

/// The longest name of a stored reference: it is part of a file's name.
pub(crate) const KEPT_NAME_BYTES: usize = 64;
