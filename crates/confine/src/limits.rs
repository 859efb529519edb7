//! Every bound of this crate, each with its reason.

use std::time::Duration;

/// The interval at which a program's usage is checked. It may exceed a bound in between: a quarter
/// of a second is little compared with the bounds, and a check costs under a percent of a core.
pub const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The longest report of a launcher in bytes: one line with a path or two in it.
pub const REPORT_BYTES: u64 = 64 << 10;

/// The longest order in bytes: arguments and environment, of which the kernel takes about two
/// megabytes.
pub const ORDER_BYTES: u64 = 16 << 20;

/// How long a launcher may take to end what it started: it kills, and waits for the kernel.
pub const END: Duration = Duration::from_secs(5);

/// Memory of one program with everything that it starts: a compiler of a large crate needs about
/// two GiB.
pub const MEMORY_BYTES: u64 = 4 << 30;

/// Processes and threads at once: enough for a build on many cores, too few to starve a machine.
pub const PROCESSES: u64 = 1024;

/// Open files of one process: what most systems allow.
pub const OPEN_FILES: u64 = 4096;

/// Bytes of one file: the largest files of a build are executables with debug information.
pub const FILE_BYTES: u64 = 4 << 30;

/// Bytes written to disk by one call: some full builds of a large project.
pub const WRITTEN_BYTES: u64 = 16 << 30;

/// Bytes of the temporary folder of one call, which is in memory.
pub const TEMP_BYTES: u64 = 1 << 30;

/// Entries of the temporary folder of one call.
pub const TEMP_FILES: u64 = 100_000;

/// The smallest bound on process ids that the kernel accepts for a namespace.
pub const LEAST_PROCESS_IDS: u64 = 400;
