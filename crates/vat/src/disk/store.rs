//! The medium behind the commit thread: sled, synced by file.

use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use super::blobs::Blobs;
use super::commit::{Medium, Writes};
use super::folder::{Engine, Folder};
use super::range::{collect, end_of, range_of};
use super::view::View;
use super::{DiskError, Faults, Pair, Settings, Step};
use crate::backoff::Backoff;
use crate::crash;
use crate::limits;

/// An open folder with what was learnt of it.
pub(super) struct Store {
    folder: Folder,
    /// `None`: it was stopped after a failure and could not be started again yet.
    engine: RwLock<Option<Engine>>,
    reserve_bytes: u64,
    faults: Faults,
    /// Set by a write that failed half-way. From then on what sled has in memory is not what is on
    /// disk, so nothing is read or written until the engine was started afresh.
    failed: Mutex<Option<Failed>>,
    /// Large values, which sled keeps in files of their own and does not sync.
    blobs: Mutex<Blobs>,
    pub(super) last_commit_us: AtomicU64,
    /// How many records readers were given.
    pub(super) read: AtomicU64,
}

/// A failure, and when to look whether its cause has gone.
struct Failed {
    error: DiskError,
    backoff: Backoff,
    again: Instant,
}

/// The key of the record by which a mended disk is told. No other key begins with a zero.
const PROBE: &[u8] = b"\0probe";

/// What to say of an engine that panicked.
const PANICKED: &str = "the storage engine panicked";

impl Store {
    pub(super) fn open(folder: Folder, settings: Settings) -> Result<Self, DiskError> {
        let Settings { reserve_bytes, faults, .. } = settings;
        Ok(Self {
            engine: RwLock::new(Some(folder.open()?)),
            folder,
            reserve_bytes,
            faults,
            failed: Mutex::default(),
            blobs: Mutex::default(),
            last_commit_us: AtomicU64::new(0),
            read: AtomicU64::new(0),
        })
    }

    pub(super) fn dir(&self) -> &Path {
        &self.folder.dir
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, DiskError> {
        let value = self.with(|engine| engine.db.get(key).map_err(|e| unreadable(&e)))?;
        self.read.fetch_add(1, Ordering::Relaxed);
        Ok(value.map(|value| value.to_vec()))
    }

    pub(super) fn scan(
        &self,
        prefix: &[u8],
        from: &[u8],
        limit: usize,
    ) -> Result<Vec<Pair>, DiskError> {
        let Some(range) = range_of(prefix, from) else { return Ok(Vec::new()) };
        self.given(self.with(|engine| collect(engine.db.range::<Vec<u8>, _>(range).take(limit))))
    }

    pub(super) fn scan_back(
        &self,
        prefix: &[u8],
        before: &[u8],
        limit: usize,
    ) -> Result<Vec<Pair>, DiskError> {
        let mut end = end_of(prefix);
        if !before.is_empty() {
            if before <= prefix {
                return Ok(Vec::new());
            }
            if !matches!(&end, Bound::Excluded(end) if end.as_slice() <= before) {
                end = Bound::Excluded(before.to_vec());
            }
        }
        let range = (Bound::Included(prefix.to_vec()), end);
        self.given(
            self.with(|engine| collect(engine.db.range::<Vec<u8>, _>(range).rev().take(limit))),
        )
    }

    /// Lets `look` at the engine, unless it failed.
    fn with<R>(&self, look: impl FnOnce(&Engine) -> Result<R, DiskError>) -> Result<R, DiskError> {
        // First, so that nobody waits while a failed engine is started afresh.
        self.check_failed()?;
        let engine = self.engine.read().unwrap_or_else(PoisonError::into_inner);
        self.check_failed()?;
        match &*engine {
            Some(engine) => look(engine),
            None => Err(being_opened()),
        }
    }

    fn given(&self, pairs: Result<Vec<Pair>, DiskError>) -> Result<Vec<Pair>, DiskError> {
        let count = pairs.as_ref().map_or(0, Vec::len);
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        pairs
    }

    /// Whether a batch of about `bytes` may be tried.
    pub(super) fn admit(&self, bytes: usize) -> Result<(), DiskError> {
        self.check_failed()?;
        self.admit_bytes(bytes)
    }

    fn admit_bytes(&self, bytes: usize) -> Result<(), DiskError> {
        let dir = self.dir().display();
        let found = rustix::fs::statvfs(self.dir())
            .map_err(|e| DiskError(format!("the free space of {dir} cannot be read: {e}")))?;
        let free = found.f_bavail.saturating_mul(found.f_frsize);
        if free >= self.reserve_bytes.saturating_add(bytes as u64) {
            return Ok(());
        }
        let (free, kept) = (free >> 20, self.reserve_bytes >> 20);
        Err(DiskError(format!(
            "disk nearly full: {free} MiB free under {dir}, {kept} MiB are kept in reserve; make room, and writes go on"
        )))
    }

    /// Writes a batch, and syncs it.
    fn write_through(&self, engine: &Engine, writes: Writes) -> Result<(), String> {
        let is_large = |value: &Option<Vec<u8>>| {
            value.as_ref().is_some_and(|value| value.len() >= limits::DISK_LARGE_VALUE)
        };
        if writes.values().any(is_large) {
            self.folder.takes_files().map_err(|e| format!("a file cannot be made: {e}"))?;
        }
        let write = || {
            let mut batch = sled::Batch::default();
            for (key, value) in writes {
                match value {
                    Some(value) => batch.insert(key, value),
                    None => batch.remove(key),
                }
            }
            let applied = catch_unwind(AssertUnwindSafe(|| engine.db.apply_batch(batch)));
            if !matches!(applied, Ok(Ok(()))) {
                engine.is_stuck();
            }
            applied.map_err(|_| PANICKED)?.map_err(|e| e.to_string())?;
            crash::point(crash::Step::Applied, "batch");
            self.faults.check(Step::Flush)?;
            engine.db.flush().map_err(|e| e.to_string())?;
            crash::point(crash::Step::Written, "batch");
            self.faults.check(Step::Sync)?;
            let mut blobs = self.blobs.lock().unwrap_or_else(PoisonError::into_inner);
            blobs.sync(self.dir()).map_err(|e| format!("syncing a large value: {e}"))?;
            engine.data.sync_data().map_err(|e| format!("syncing: {e}"))?;
            crash::point(crash::Step::Synced, "batch");
            Ok(())
        };
        // The storage engine answers some errors with a panic.
        catch_unwind(AssertUnwindSafe(write)).unwrap_or_else(|_| Err(PANICKED.into()))
    }

    /// Starts the engine again, from what is on the medium, and writes something to see whether
    /// that is possible.
    fn start_afresh(&self) -> Result<(), DiskError> {
        self.admit_bytes(0)?;
        let mut engine = self.engine.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(failed) = engine.take() {
            self.folder.abandon(failed)?;
        }
        *self.blobs.lock().unwrap_or_else(PoisonError::into_inner) = Blobs::default();
        let fresh = self.folder.open()?;
        for value in [Some(vec![0; 4096]), None] {
            let probe = Writes::from([(PROBE.to_vec(), value)]);
            if let Err(why) = self.write_through(&fresh, probe) {
                self.folder.abandon(fresh)?;
                return Err(DiskError(why));
            }
        }
        *engine = Some(fresh);
        Ok(())
    }

    fn check_failed(&self) -> Result<(), DiskError> {
        self.lock_failed().as_ref().map_or(Ok(()), |failed| Err(failed.error.clone()))
    }

    fn lock_failed(&self) -> MutexGuard<'_, Option<Failed>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Medium for Store {
    type View<'a> = View<'a>;

    fn admit(&self) -> Result<(), DiskError> {
        Self::admit(self, 0)
    }

    fn view<'a>(&'a self, written: &'a Writes) -> View<'a> {
        let engine = self.engine.read().unwrap_or_else(PoisonError::into_inner);
        View { engine, written }
    }

    fn write(&self, writes: Writes) -> Result<(), DiskError> {
        if writes.is_empty() {
            // Refusals: what they saw was written, and synced, by the batch before.
            return Ok(());
        }
        let size = |(key, value): (&Vec<u8>, &Option<Vec<u8>>)| {
            key.len() + value.as_ref().map_or(0, Vec::len)
        };
        Self::admit(self, writes.iter().map(size).sum())?;
        self.faults.check(Step::Apply).map_err(DiskError)?;
        let engine = self.engine.read().unwrap_or_else(PoisonError::into_inner);
        let engine = engine.as_ref().ok_or_else(being_opened)?;
        self.write_through(engine, writes).map_err(|why| {
            let error = DiskError(format!(
                "a write to {} failed ({why}), so nothing more is read or written until one succeeds again, which is tried every few seconds: mend the disk",
                self.dir().display()
            ));
            tracing::error!(%error, "no more writes");
            let mut backoff = Backoff::new(limits::DISK_MEND_FIRST, limits::DISK_MEND_MOST);
            let again = Instant::now() + backoff.next_wait();
            *self.lock_failed() = Some(Failed { error: error.clone(), backoff, again });
            error
        })
    }

    fn took(&self, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.last_commit_us.store(took.max(1), Ordering::Relaxed);
    }

    fn mend(&self) -> Option<Duration> {
        let again = self.lock_failed().as_ref()?.again;
        let left = again.saturating_duration_since(Instant::now());
        if !left.is_zero() {
            return Some(left);
        }
        let mended = self.start_afresh();
        let mut failed = self.lock_failed();
        match (mended, &mut *failed) {
            (Ok(()), _) => {
                *failed = None;
                tracing::info!(folder = %self.dir().display(), "the disk is mended: writes go on");
                None
            }
            (Err(why), Some(failed)) => {
                tracing::debug!(%why, "the disk is not mended yet");
                let wait = failed.backoff.next_wait();
                failed.again = Instant::now() + wait;
                Some(wait)
            }
            (Err(_), None) => None,
        }
    }
}

pub(super) fn being_opened() -> DiskError {
    DiskError("the store is being opened again: try again".into())
}

pub(super) fn unreadable(error: &sled::Error) -> DiskError {
    DiskError(format!(
        "the store cannot be read ({error}): restart this node; if that does not help, restore its folder from a backup"
    ))
}
