//! Every bound of this crate, each with its reason.

/// Events read at once when a task is taken up.
pub const EVENTS_PER_PAGE: usize = 1_000;

/// Bytes of a text or data from which on it is kept apart from its event, once for all events that
/// hold it.
pub const BODY_BYTES: usize = 64 << 10;

/// Bytes of events that are read from the journal at once, so that a page of large ones does not
/// fill the memory.
pub const READ_BYTES: usize = 16 << 20;

/// Events after which a snapshot is worth its while: folding so many takes some milliseconds.
pub const SNAPSHOT_EVENTS: u64 = 1_000;

/// A snapshot is taken when this part of the events that are in the last one, a quarter, has come
/// on top: all snapshots of a task together then write some five times as much as the last of them.
pub const SNAPSHOT_GROWTH: u64 = 4;

/// Bytes of a snapshot: a task with a larger state is folded from its events, since writing it
/// down would hold up everyone's commits for seconds.
pub const SNAPSHOT_BYTES: usize = 64 << 20;

/// Events that are removed in one commit, so that others do not wait long for theirs.
pub const REMOVED_AT_ONCE: u64 = 1_000;

/// Bytes of a backup that are sent, or written, at once.
pub const BACKUP_PIECE_BYTES: usize = 1 << 20;

/// Bytes of one record of a backup: a head or an event with its large bodies cut out is far smaller.
pub const RECORD_BYTES: usize = 64 << 20;

/// Small records that a restore writes at once.
pub const RESTORED_AT_ONCE: usize = 4_096;

/// Bytes of cache of a store that is only restored, or only checked.
pub const RESTORE_CACHE_BYTES: u64 = 32 << 20;

/// What a check of a journal says is damaged. What is beyond that is counted: a person needs a
/// backup then, and no longer list.
pub const FINDINGS: usize = 1_000;

/// Notifications of one topic, about tasks of one creator, that wait for one sink. Of more, the oldest
/// are given up: they are too old to act on.
pub const NOTICES: usize = 1_000;

/// How often a small record is read and written anew because another writer was first. Each loss is
/// another writer's success, and one identity has at most some hundred requests under way.
pub const UPDATE_TRIES: usize = 512;
