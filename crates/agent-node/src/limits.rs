//! Every bound of this crate, each with its reason.

use std::time::Duration;

/// How many attempts a node runs at once if its operator says nothing: each takes a few MiB when
/// it is idle, and scripts mostly wait.
pub const CAPACITY: u32 = 64;

/// Memory of one script if its task says nothing: enough for some thousand documents.
pub const MEMORY_BYTES: u64 = 64 << 20;

/// The most memory that a task may ask for.
pub const MAX_MEMORY_BYTES: u64 = 4 << 30;

/// The least memory that a script can run in.
pub const MIN_MEMORY_BYTES: u64 = 1 << 20;

/// What a worker process may map beyond its script's memory: messages on their way in and out,
/// each up to 16 MiB, and the parsed source.
pub const MAPPED_BEYOND_BYTES: u64 = 512 << 20;

/// How long a script may compute between two awaits if its task says nothing: an order above what
/// work that belongs in an agent takes.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// The longest deadline that a task may ask for.
pub const MAX_DEADLINE: Duration = Duration::from_secs(3600);

/// How much later than the worker itself its parent notices the deadline, so that the worker,
/// which can say more, comes first when it can.
pub const DEADLINE_GRACE: Duration = Duration::from_millis(300);

/// How often a worker's use of the processor is looked at: a deadline is met within a second.
pub const WATCH_EVERY: Duration = Duration::from_millis(200);

/// A worker that is never idle for this many deadlines of wall time is ended, even if the machine
/// is too busy to give it the processor time that it may use.
pub const WALL_FACTOR: u32 = 6;

/// Bytes spliced at once in each direction.
pub const SPLICE_BYTES: usize = 64 << 10;

/// Bytes kept of what a worker says on stderr before it dies: a panic and its place.
pub const STDERR_BYTES: usize = 4 << 10;

/// Open files of a worker: its socket, stderr, and what the event loop needs.
pub const OPEN_FILES: u64 = 64;

/// How long the orchestrator may take to answer: a commit on a busy disk, and then some.
pub const PORT_DEADLINE: Duration = Duration::from_secs(10);

/// How often the load is reported when it does not change.
pub const REPORT_EVERY: Duration = Duration::from_secs(5);

/// Reports are at least this far apart.
pub const REPORT_AT_MOST_EVERY: Duration = Duration::from_millis(100);

/// How long workers may take to die when the node ends.
pub const STOP: Duration = Duration::from_secs(5);

/// How long attempts may go on after the node was told to end. They lose nothing by going on
/// elsewhere, so it is short.
pub const FAREWELL: Duration = Duration::from_secs(2);

/// How long the orchestrator may take beyond that to move them.
pub const FAREWELL_MORE: Duration = Duration::from_secs(6);

/// Direct connections of one attempt: one for each of its grants that asks for it. Those beyond go
/// without.
pub const DIRECT_PATHS: usize = 16;
