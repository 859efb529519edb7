//! A durable key-value store: a log, which is the truth, and a state over sled that is made from it.
//!
//! For: a few durable writes at once, by group commit, and reads in order of the keys ([`Disk`]); the
//! queue that gives each writer its turn ([`fair`]). Not for: what the records mean. Journals and
//! ledgers are thin over it.

mod acknowledged;
mod blobs;
mod checkpoint;
mod commit;
mod compaction;
pub mod fair;
mod faults;
mod folder;
pub mod limits;
mod log;
mod opening;
mod point;
mod queue;
mod range;
mod state;
mod store;
/// What threads meet at: the checker of schedules puts its own in this place.
mod sync {
    pub(super) use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
    pub(super) use std::thread;
}
mod view;
mod work;

#[cfg(test)]
mod tests;

use std::future::Future;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

pub use acknowledged::Subject;
pub use compaction::Compacted;
pub use faults::{Faults, Step};
pub use queue::{Lane, Size};
pub use view::View;

use tokio::sync::oneshot;

use commit::Commits;
use folder::Folder;
use queue::{Line, SHARED};
use store::Store;

/// An open store. Clones share it; the last one dropped writes what is queued and ends the commit
/// thread.
#[derive(Clone)]
pub struct Disk {
    inner: Arc<Inner>,
}

/// Why a store could not be opened, read or written: what was asked, what was found, what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DiskError(pub String);

/// One write: a key and its new value, or `None` to remove it.
pub type Write = (Vec<u8>, Option<Vec<u8>>);

/// A key and its value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// How a store is opened.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Bound on the cache in bytes.
    pub cache_bytes: u64,
    /// Bytes of the file system that are never used: with less free, writes are refused and reads
    /// go on.
    pub reserve_bytes: u64,
    /// What the keys of records begin with that are written once, and for which another record
    /// vouches: they are not looked at when the store is opened. A store keeps those with which it
    /// was made.
    pub bulk: &'static [&'static [u8]],
    /// Bytes of commits in memory at which a checkpoint begins.
    pub memory_bytes: usize,
    /// Bytes of the state from which on it is compacted when most of it is holes.
    pub compact_bytes: u64,
    /// Bytes of the log that are kept though a checkpoint has them.
    pub log_bytes: u64,
    /// What to do when less is there than was acknowledged.
    pub on_damage: OnDamage,
    /// How a loss is confined to what it is about, if it can be: then the store is opened all the same.
    /// Of no use with another `on_damage` than the default.
    pub confine: Option<Confine>,
    /// What a person is to do then.
    pub advice: &'static str,
    /// Faults that a test injects; none by default.
    pub faults: Faults,
}

/// What to do with a store that holds less than was acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnDamage {
    /// It is not opened.
    #[default]
    Refuse,
    /// It is opened, and nothing can be written.
    ReadOnly,
    /// What is left counts as all there is, from now on.
    Accept,
}

/// How the loss of some commits is confined to what they were about.
#[derive(Debug, Clone, Copy)]
pub struct Confine {
    /// What a record is about, by its key.
    pub subject: fn(&[u8]) -> Subject,
    /// The record that tells of a loss from then on. It is written at once with what is left.
    pub record: fn(&Loss) -> Write,
}

/// Commits that were acknowledged and are lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// Their numbers.
    pub commits: Vec<RangeInclusive<u64>>,
    /// What they were about, by id.
    pub subjects: Vec<[u8; 16]>,
}

impl Settings {
    /// The usual settings with a cache of this size.
    pub fn new(cache_bytes: u64) -> Self {
        Self {
            cache_bytes,
            reserve_bytes: limits::DISK_RESERVE_BYTES,
            bulk: &[],
            memory_bytes: limits::DISK_MEMORY_BYTES,
            compact_bytes: limits::DISK_COMPACT_FROM,
            log_bytes: limits::DISK_LOG_BYTES,
            on_damage: OnDamage::default(),
            confine: None,
            advice: "Restore the folder from a backup, or move it away to begin anew",
            faults: Faults::default(),
        }
    }
}

struct Inner {
    store: Arc<Store>,
    commits: Commits<Store>,
}

impl Disk {
    /// Opens the store in the folder `dir`, making it at first. `cache_bytes` bounds the cache.
    /// A second open of the same folder, by any process, is refused.
    pub fn open(dir: &Path, cache_bytes: u64) -> Result<Self, DiskError> {
        Self::open_with(dir, Settings::new(cache_bytes))
    }

    /// As [`Disk::open`], with all settings.
    pub fn open_with(dir: &Path, settings: Settings) -> Result<Self, DiskError> {
        let folder = Folder::claim(dir, settings.cache_bytes)?;
        let store = Arc::new(Store::open(folder, settings)?);
        let (most, of_lane) = (limits::DISK_QUEUE, limits::DISK_LANE);
        let commits = Commits::start(Arc::clone(&store), most, of_lane, limits::DISK_BATCH);
        let commits = commits.map_err(|error| {
            let dir = dir.display();
            DiskError(format!("the commit thread for {dir} cannot start: {error}"))
        })?;
        Ok(Self { inner: Arc::new(Inner { store, commits }) })
    }

    /// Applies all of `writes` at once, durably when it answers: group commit. They are queued when
    /// this function is called, in the order of the calls that name no lane; polling or dropping the future changes
    /// nothing about that. Works from any runtime.
    ///
    /// After an error the writes may still be found on disk later, or not. When the disk failed,
    /// nothing is read or written until a write succeeds again, which is tried every few seconds:
    /// from then on reads give what is on disk, and whoever kept some of it in memory reads again.
    pub fn commit(
        &self,
        writes: Vec<Write>,
    ) -> impl Future<Output = Result<(), DiskError>> + Send + 'static + use<> {
        let size = |(key, value): &Write| key.len() + value.as_ref().map_or(0, Vec::len);
        let bytes = writes.iter().map(size).sum();
        let done =
            self.transact(bytes, move |_: &View<'_>| Ok(Ok::<_, std::convert::Infallible>(writes)));
        async move { done.await.map(|Ok(())| ()) }
    }

    /// As [`Disk::commit`], for writes that depend on what is stored: `decide` runs on the commit
    /// thread, sees all that was queued before it by this and by `commit`, and gives the writes or a
    /// refusal. `bytes` is about how much it will write. A refusal, too, is answered once what it saw
    /// is durable.
    pub fn transact<E, F>(
        &self,
        bytes: usize,
        decide: F,
    ) -> impl Future<Output = Result<Result<(), E>, DiskError>> + Send + 'static + use<E, F>
    where
        E: Send + 'static,
        F: FnOnce(&View<'_>) -> Result<Result<Vec<Write>, E>, DiskError> + Send + 'static,
    {
        self.inner.commits.transact(Line::In(SHARED), bytes, decide)
    }

    /// As [`Disk::transact`], in a lane of its own: what is queued in one lane takes effect in order,
    /// and lanes take turns with each other and with all that is in none.
    pub fn transact_in<E, F>(
        &self,
        lane: Lane,
        bytes: usize,
        decide: F,
    ) -> impl Future<Output = Result<Result<(), E>, DiskError>> + Send + 'static + use<E, F>
    where
        E: Send + 'static,
        F: FnOnce(&View<'_>) -> Result<Result<Vec<Write>, E>, DiskError> + Send + 'static,
    {
        self.inner.commits.transact(Line::In(lane), bytes, decide)
    }

    /// As [`Disk::transact`], seeing all that was queued before it in any lane.
    pub fn transact_after_all<E, F>(
        &self,
        bytes: usize,
        decide: F,
    ) -> impl Future<Output = Result<Result<(), E>, DiskError>> + Send + 'static + use<E, F>
    where
        E: Send + 'static,
        F: FnOnce(&View<'_>) -> Result<Result<Vec<Write>, E>, DiskError> + Send + 'static,
    {
        self.inner.commits.transact(Line::AfterAll, bytes, decide)
    }

    /// The value of a key.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, DiskError> {
        self.inner.store.get(key)
    }

    /// Up to `limit` pairs whose keys begin with `prefix` and are at or after `from`, in order.
    pub fn scan(&self, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<Pair>, DiskError> {
        self.inner.store.scan(prefix, from, limit)
    }

    /// Up to `limit` pairs whose keys begin with `prefix` and are before `before`, last first. An
    /// empty `before` starts at the end.
    pub fn scan_back(
        &self,
        prefix: &[u8],
        before: &[u8],
        limit: usize,
    ) -> Result<Vec<Pair>, DiskError> {
        self.inner.store.scan_back(prefix, before, limit)
    }

    /// How long the last commit took, in microseconds; 0: none yet.
    pub fn last_commit_us(&self) -> u64 {
        self.inner.store.last_commit_us.load(Ordering::Relaxed)
    }

    /// How many records readers were given since the store was opened.
    pub fn records_read(&self) -> u64 {
        self.inner.store.read.load(Ordering::Relaxed)
    }

    /// Copies the state without the holes that removed records left, and puts the copy in its
    /// place. Reads and commits go on meanwhile; a long copy makes commits wait once much is in
    /// memory.
    ///
    /// # Errors
    /// There is no room for the copy, or the state cannot be read.
    pub async fn compact(&self) -> Result<Compacted, DiskError> {
        let (reply, answer) = oneshot::channel();
        self.inner.store.admit(0)?;
        self.inner.store.lock_compaction().want(reply);
        // The commit thread, which may be waiting, looks after each batch.
        self.commit(Vec::new()).await?;
        answer.await.unwrap_or_else(|_| Err(DiskError("the store was closed: try again".into())))
    }

    /// Bytes of the store's files.
    pub fn size(&self) -> u64 {
        self.inner.store.size()
    }

    /// Why nothing can be written: less is there than was acknowledged.
    pub fn damage(&self) -> Option<&DiskError> {
        self.inner.store.damage()
    }

    /// Whether a commit would be tried now; if not, why.
    pub fn health(&self) -> Result<(), DiskError> {
        self.inner.store.admit(0)
    }
}

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Disk").field("folder", &self.inner.store.dir()).finish_non_exhaustive()
    }
}
