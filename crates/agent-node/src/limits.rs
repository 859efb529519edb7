//! Every bound of this crate, each with its reason.

use std::time::Duration;

/// Attempts that a node runs at once if its operator sets no number: each takes a few MiB while
/// idle, and scripts mostly wait.
pub const CAPACITY: u32 = 64;

/// Memory of one script if its task sets none: enough for some thousand documents.
pub const MEMORY_BYTES: u64 = 64 << 20;

/// The most memory that a task may ask for.
pub const MAX_MEMORY_BYTES: u64 = 4 << 30;

/// The least memory that a script can run in.
pub const MIN_MEMORY_BYTES: u64 = 1 << 20;

/// Address space of a worker process beyond its script's memory: messages on their way in and out,
/// each up to 16 MiB, and the parsed source.
pub const MAPPED_BEYOND_BYTES: u64 = 512 << 20;

/// How long a script may compute between two awaits if its task sets no deadline: an order of
/// magnitude above what work that belongs in an agent takes.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// The longest deadline that a task may ask for.
pub const MAX_DEADLINE: Duration = Duration::from_secs(3600);

/// How much later than the worker itself its parent enforces the deadline. The worker can report
/// more, so it goes first if it can.
pub const DEADLINE_GRACE: Duration = Duration::from_millis(300);

/// The interval at which a worker's processor time is checked: a deadline is met within a second.
pub const WATCH_EVERY: Duration = Duration::from_millis(200);

/// A worker that is never idle is killed after this many deadlines of wall time, even if the
/// machine is too busy to give it the processor time that it may use.
pub const WALL_FACTOR: u32 = 6;

/// Bytes spliced at a time in each direction.
pub const SPLICE_BYTES: usize = 64 << 10;

/// Bytes kept of a worker's standard error: a panic and its place.
pub const STDERR_BYTES: usize = 4 << 10;

/// Open files of a worker: its socket, standard error, and the descriptors of the event loop.
pub const OPEN_FILES: u64 = 64;

/// How long the orchestrator may take to answer: a commit on a busy disk, with time to spare.
pub const PORT_DEADLINE: Duration = Duration::from_secs(10);

/// The interval of load reports while the load does not change.
pub const REPORT_EVERY: Duration = Duration::from_secs(5);

/// The shortest interval between two load reports.
pub const REPORT_AT_MOST_EVERY: Duration = Duration::from_millis(100);

/// How long workers may take to die when the node ends.
pub const STOP: Duration = Duration::from_secs(5);

/// How long attempts may go on after the node was told to end. It is short, because they continue
/// elsewhere without loss.
pub const FAREWELL: Duration = Duration::from_secs(2);

/// How much longer the orchestrator may take to move them.
pub const FAREWELL_MORE: Duration = Duration::from_secs(6);

/// Direct connections of one attempt: one for each grant that asks for one. Further grants do
/// without.
pub const DIRECT_PATHS: usize = 16;
