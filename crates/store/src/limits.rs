//! Every bound of this crate, each with its reason.

use std::time::Duration;

use crate::Size;

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
