//! Every bound of this crate, each with its reason.

use std::time::Duration;

/// The longest the first connection may take: two round trips of TLS on a bad line, several times.
pub(crate) const CONNECT: Duration = Duration::from_secs(10);

/// The longest an ordinary call may take, reconnecting included: an orchestrator that restarts is
/// back within it.
pub(crate) const CALL: Duration = Duration::from_secs(30);

/// How long it may take to expel a member: all that it holds is revoked, task by task.
pub(crate) const EXPEL: Duration = Duration::from_secs(300);

/// How long a request without a deadline of its own is made again that was refused with a time to come
/// back: some checks of a large journal one after the other.
pub(crate) const REFUSED: Duration = Duration::from_secs(300);

/// The first and the longest wait between two attempts to connect again.
pub(crate) const RECONNECT: (Duration, Duration) =
    (Duration::from_millis(100), Duration::from_secs(5));

/// Visits that wait to be let into the client's vat. Above it, callers wait.
pub(crate) const VISITS: usize = 256;

/// Followed items that wait for the reader of a stream. Above it the orchestrator is not answered
/// and sends no more.
pub(crate) const FOLLOWED: usize = 256;

/// How long a slow reader may hold up the orchestrator before its subscription is let go. It is
/// taken up again from the cursor when the reader has read.
pub(crate) const SLOW_READER: Duration = Duration::from_secs(5);

/// How often a certificate is looked at, to be renewed in time.
pub(crate) const RENEWAL_CHECK: Duration = Duration::from_secs(60);

/// Calls on one of the caller's own objects that run at once: each holds its arguments in memory.
pub(crate) const OWN_CALLS: usize = 64;

/// How long the end of a connection may take after its peer took leave.
pub(crate) const FAREWELL: Duration = Duration::from_millis(500);

/// How long to wait before a renewal that failed is tried again.
pub(crate) const RENEWAL_RETRY: Duration = Duration::from_millis(500);

/// Audit records that are asked for at once.
pub(crate) const AUDIT_PAGE: u32 = 500;

/// How long the trial of another program may take, a little longer than the mesh gives it.
pub(crate) const TRIAL: Duration = Duration::from_secs(130);

/// How long a node may take to be drained beyond the time that was given for it.
pub(crate) const DRAIN_MORE: Duration = Duration::from_secs(10);

/// The longest name under which a reference is kept: it is a part of a file's name.
pub(crate) const KEPT_NAME_BYTES: usize = 64;
