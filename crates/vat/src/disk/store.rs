//! The medium behind the commit thread: sled, synced by file.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use super::commit::{Medium, Writes};
use super::folder::Folder;
use super::{DiskError, Faults, Pair, Settings, Step};

/// Keys from here to there.
type Range = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// An open folder with what was learnt of it.
pub(super) struct Store {
    folder: Folder,
    reserve_bytes: u64,
    faults: Faults,
    /// Set once, by the first write that failed half-way. After that, what sled has in memory is
    /// not what is on disk, so nothing is read or written any more.
    failed: OnceLock<DiskError>,
    /// Large values, which sled keeps in files of their own and does not sync.
    blobs: Mutex<Blobs>,
    pub(super) last_commit_us: AtomicU64,
    /// How many records readers were given.
    pub(super) read: AtomicU64,
}

/// The files of large values that were synced.
#[derive(Default)]
struct Blobs {
    synced: HashSet<OsString>,
    /// When their folder last changed, if it could not have changed since without its time saying
    /// so: file systems count time in ticks.
    as_of: Option<SystemTime>,
}

/// Longer than a tick of any file system's clock that matters.
const TICK: Duration = Duration::from_millis(20);

/// What a decision on the commit thread sees: all that was queued before it.
pub struct View<'a> {
    db: &'a sled::Db,
    written: &'a Writes,
}

impl View<'_> {
    /// The value of a key.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, DiskError> {
        match self.written.get(key) {
            Some(value) => Ok(value.clone()),
            None => Ok(self.db.get(key).map_err(|e| unreadable(&e))?.map(|value| value.to_vec())),
        }
    }

    /// Up to `limit` pairs whose keys begin with `prefix` and are at or after `from`, in order.
    pub fn scan(&self, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<Pair>, DiskError> {
        let Some(range) = range_of(prefix, from) else { return Ok(Vec::new()) };
        // Each key that was written hides one in the store.
        let hidden = self.written.range(range.clone()).count();
        let stored = self.db.range::<Vec<u8>, _>(range.clone()).take(limit.saturating_add(hidden));
        let mut found: BTreeMap<_, _> = collect(stored)?.into_iter().collect();
        let whole = found.len() < limit.saturating_add(hidden);
        let last = found.last_key_value().map(|(key, _)| key.clone());
        for (key, value) in self.written.range(range) {
            match value {
                // Beyond what was read of the store there may be keys in between.
                Some(value) if whole || Some(key) <= last.as_ref() => {
                    found.insert(key.clone(), value.clone());
                }
                _ => drop(found.remove(key)),
            }
        }
        Ok(found.into_iter().take(limit).collect())
    }
}

impl Store {
    pub(super) fn new(folder: Folder, settings: Settings) -> Self {
        let Settings { reserve_bytes, faults, .. } = settings;
        Self {
            folder,
            reserve_bytes,
            faults,
            failed: OnceLock::new(),
            blobs: Mutex::default(),
            last_commit_us: AtomicU64::new(0),
            read: AtomicU64::new(0),
        }
    }

    pub(super) fn dir(&self) -> &Path {
        &self.folder.dir
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, DiskError> {
        self.check_failed()?;
        let value = self.folder.db.get(key).map_err(|e| unreadable(&e))?;
        self.read.fetch_add(1, Ordering::Relaxed);
        Ok(value.map(|value| value.to_vec()))
    }

    pub(super) fn scan(
        &self,
        prefix: &[u8],
        from: &[u8],
        limit: usize,
    ) -> Result<Vec<Pair>, DiskError> {
        self.check_failed()?;
        let Some(range) = range_of(prefix, from) else { return Ok(Vec::new()) };
        self.given(collect(self.folder.db.range::<Vec<u8>, _>(range).take(limit)))
    }

    pub(super) fn scan_back(
        &self,
        prefix: &[u8],
        before: &[u8],
        limit: usize,
    ) -> Result<Vec<Pair>, DiskError> {
        self.check_failed()?;
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
        self.given(collect(self.folder.db.range::<Vec<u8>, _>(range).rev().take(limit)))
    }

    fn given(&self, pairs: Result<Vec<Pair>, DiskError>) -> Result<Vec<Pair>, DiskError> {
        let count = pairs.as_ref().map_or(0, Vec::len);
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        pairs
    }

    /// Whether a batch of about `bytes` may be tried.
    pub(super) fn admit(&self, bytes: usize) -> Result<(), DiskError> {
        self.check_failed()?;
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

    fn write_through(&self, writes: Writes) -> Result<(), String> {
        let mut batch = sled::Batch::default();
        for (key, value) in writes {
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        self.folder.db.apply_batch(batch).map_err(|e| e.to_string())?;
        self.faults.check(Step::Flush)?;
        self.folder.db.flush().map_err(|e| e.to_string())?;
        self.faults.check(Step::Sync)?;
        self.sync_blobs().map_err(|e| format!("syncing a large value: {e}"))?;
        self.folder.data.sync_data().map_err(|e| format!("syncing: {e}"))
    }

    fn sync_blobs(&self) -> io::Result<()> {
        let dir = self.dir().join("blobs");
        let changed = std::fs::metadata(&dir)?.modified()?;
        let mut blobs = self.blobs.lock().unwrap_or_else(PoisonError::into_inner);
        if blobs.as_of == Some(changed) {
            return Ok(());
        }
        let is_past = changed.elapsed().is_ok_and(|age| age > TICK);
        let mut present = HashSet::new();
        let mut fresh = false;
        for entry in std::fs::read_dir(&dir)? {
            let entry = entry?;
            if !blobs.synced.contains(&entry.file_name()) {
                match File::open(entry.path()) {
                    Ok(file) => file.sync_data()?,
                    // sled removes those that nothing refers to any more.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => return Err(error),
                }
                fresh = true;
            }
            present.insert(entry.file_name());
        }
        *blobs = Blobs { synced: present, as_of: is_past.then_some(changed) };
        if fresh { File::open(&dir)?.sync_all() } else { Ok(()) }
    }

    fn check_failed(&self) -> Result<(), DiskError> {
        self.failed.get().map_or(Ok(()), |error| Err(error.clone()))
    }
}

impl Medium for Store {
    type View<'a> = View<'a>;

    fn admit(&self) -> Result<(), DiskError> {
        Self::admit(self, 0)
    }

    fn view<'a>(&'a self, written: &'a Writes) -> View<'a> {
        View { db: &self.folder.db, written }
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
        // The storage engine answers some errors with a panic.
        let written = catch_unwind(AssertUnwindSafe(|| self.write_through(writes)));
        written.unwrap_or_else(|_| Err("the storage engine panicked".into())).map_err(|why| {
            let error = DiskError(format!(
                "a write to {} failed ({why}), so what is in memory may differ from what is on disk: mend the disk, then restart this node",
                self.dir().display()
            ));
            tracing::error!(%error, "no more writes");
            self.failed.get_or_init(|| error).clone()
        })
    }

    fn took(&self, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.last_commit_us.store(took.max(1), Ordering::Relaxed);
    }
}

fn collect(
    pairs: impl Iterator<Item = sled::Result<(sled::IVec, sled::IVec)>>,
) -> Result<Vec<Pair>, DiskError> {
    pairs
        .map(|pair| pair.map(|(key, value)| (key.to_vec(), value.to_vec())))
        .collect::<sled::Result<_>>()
        .map_err(|e| unreadable(&e))
}

/// The keys that begin with `prefix` and are at or after `from`, if there can be any.
fn range_of(prefix: &[u8], from: &[u8]) -> Option<Range> {
    let end = end_of(prefix);
    if matches!(&end, Bound::Excluded(end) if end.as_slice() <= from) {
        return None;
    }
    Some((Bound::Included(from.max(prefix).to_vec()), end))
}

/// Where the keys that begin with `prefix` end.
fn end_of(prefix: &[u8]) -> Bound<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return Bound::Excluded(end);
        }
    }
    Bound::Unbounded
}

fn unreadable(error: &sled::Error) -> DiskError {
    DiskError(format!(
        "the store cannot be read ({error}): restart this node; if that does not help, restore its folder from a backup"
    ))
}
