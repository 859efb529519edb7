//! Opening a store's folder: one process at a time, and past a snapshot that a hard stop spoilt.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::DiskError;
use crate::limits;

/// A folder that this process alone may use.
pub(super) struct Folder {
    pub(super) dir: PathBuf,
    cache_bytes: u64,
    /// Whether an engine was stopped after a failure.
    failed: AtomicBool,
    /// Whether one never ends, and keeps the data file.
    stuck: AtomicBool,
    _lock: File,
}

/// The storage engine at work in a folder.
pub(super) struct Engine {
    pub(super) db: sled::Db,
    /// sled's one data file, opened a second time to sync it.
    pub(super) data: File,
    /// Whether it stopped in the middle of a write.
    stuck: AtomicBool,
}

impl Engine {
    /// Says that it stopped in the middle of a write. To end, it would wait for that write for
    /// ever, and keep all other stores of this process waiting: so it never ends.
    pub(super) fn is_stuck(&self) {
        if !self.stuck.swap(true, Ordering::Relaxed) {
            std::mem::forget(self.db.clone());
        }
    }
}

impl Folder {
    /// Takes the folder `dir`, making it at first.
    pub(super) fn claim(dir: &Path, cache_bytes: u64) -> Result<Self, DiskError> {
        // What tasks do and are told is nobody else's business.
        crate::credential::make_private_dir(dir)
            .map_err(|error| failed("making the folder", dir, &error))?;
        let (failed, stuck) = (AtomicBool::new(false), AtomicBool::new(false));
        Ok(Self { dir: dir.to_owned(), cache_bytes, failed, stuck, _lock: lock(dir)? })
    }

    /// Starts the engine. It must not be at work already, unless it failed.
    pub(super) fn open(&self) -> Result<Engine, DiskError> {
        let (dir, cache_bytes) = (&self.dir, self.cache_bytes);
        let waiting = |e: io::Error| failed("waiting for the engine of", dir, &e);
        let stuck = self.stuck.load(Ordering::Relaxed) || !outlast_engine(dir).map_err(waiting)?;
        if self.failed.load(Ordering::Relaxed) {
            forget_unsynced(dir).map_err(|e| failed("reading afresh the data file in", dir, &e))?;
        }
        if stuck {
            leave_behind(dir).map_err(|error| {
                let dir = dir.display();
                DiskError(format!(
                    "copying the data file in {dir}, which an engine that stopped in the middle of a write keeps, failed: {error}; make room for the copy, or restart this node"
                ))
            })?;
            self.stuck.store(false, Ordering::Relaxed);
        }
        let db = match open_sled(dir, cache_bytes) {
            Ok(db) => db,
            Err(first) => open_again(dir, cache_bytes, &first)?,
        };
        let data = File::open(dir.join("db"));
        let data = data.map_err(|e| failed("opening the data file in", dir, &e))?;
        // sled syncs the file's contents, not the names that lead to it.
        for folder in [Some(&**dir), dir.parent().filter(|parent| !parent.as_os_str().is_empty())] {
            let Some(folder) = folder else { continue };
            let synced = File::open(folder).and_then(|folder| folder.sync_all());
            synced.map_err(|e| failed("syncing the folder", dir, &e))?;
        }
        Ok(Engine { db, data, stuck: AtomicBool::new(false) })
    }

    /// Stops an engine that failed. What it had in memory and not on the medium is forgotten.
    pub(super) fn abandon(&self, engine: Engine) -> Result<(), DiskError> {
        self.failed.store(true, Ordering::Relaxed);
        let Engine { db, data, stuck } = engine;
        drop(data);
        self.stuck.fetch_or(stuck.into_inner(), Ordering::Relaxed);
        // It may have been left in the middle of anything, so that it might never end.
        let ending = std::thread::Builder::new().name("abandon".into()).spawn(move || drop(db));
        ending.map_err(|e| failed("ending the engine of", &self.dir, &e))?;
        Ok(())
    }

    /// Whether a file can be made here. The engine, which makes one for a large value, would be
    /// left in the middle of its work.
    pub(super) fn takes_files(&self) -> io::Result<()> {
        let probe = self.dir.join("probe");
        File::create(&probe)?;
        fs::remove_file(&probe)
    }
}

fn failed(what: &str, dir: &Path, error: &dyn std::fmt::Display) -> DiskError {
    DiskError(format!(
        "{what} {} failed: {error}; check the folder's owner and mode",
        dir.display()
    ))
}

/// The lock goes with the process, however it ends. The process's id in the file is for people.
fn lock(dir: &Path) -> Result<File, DiskError> {
    let path = dir.join("lock");
    let mut options = OpenOptions::new();
    let opened = options.create(true).truncate(false).read(true).write(true).open(&path);
    let mut file = opened.map_err(|e| {
        DiskError(format!(
            "{} cannot be opened for writing: {e}; check the folder's owner and mode",
            path.display()
        ))
    })?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // Whoever holds it may not have written its id yet.
            let _unread = file.read_to_string(&mut holder);
            let by = match holder.trim() {
                "" => String::new(),
                pid => format!(" (process {pid})"),
            };
            return Err(DiskError(format!(
                "another process{by} has {} open: stop it, or use another --data folder",
                dir.display()
            )));
        }
        Err(TryLockError::Error(e)) => {
            return Err(DiskError(format!("{} cannot be locked: {e}", path.display())));
        }
    }
    let note = file.set_len(0).and_then(|()| file.rewind());
    note.and_then(|()| write!(file, "{}", std::process::id()))
        .map_err(|e| DiskError(format!("{} cannot be written: {e}", path.display())))?;
    Ok(file)
}

/// The engine's threads may hold its file for a moment after a store of this very process was
/// closed. Nobody else can: this process has the folder's lock. Says whether they let go of it; one
/// that stopped in the middle of a write never does.
#[expect(
    clippy::disallowed_methods,
    reason = "a blocking thread, and nothing tells of a lock's end"
)]
fn outlast_engine(dir: &Path) -> io::Result<bool> {
    let Some(data) = data_file(dir)? else { return Ok(true) };
    let begun = Instant::now();
    loop {
        match data.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if begun.elapsed() < limits::DISK_ENGINE_END => {
                std::thread::sleep(limits::DISK_ENGINE_LOOK);
            }
            Err(TryLockError::WouldBlock) => return Ok(false),
        }
    }
}

/// A file that could not be synced may look as if it had been: the operating system is to read it
/// from the medium.
fn forget_unsynced(dir: &Path) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    if let Some(data) = data_file(dir)? {
        rustix::fs::fadvise(&data, 0, None, rustix::fs::Advice::DontNeed)?;
    }
    Ok(())
}

/// Puts a copy in the place of the data file. An engine that never ends keeps the old one, where
/// whatever it may still write does no harm.
fn leave_behind(dir: &Path) -> io::Result<()> {
    tracing::warn!(folder = %dir.display(),
        "the storage engine stopped in the middle of a write: going on with a copy of its file");
    let (data, copy) = (dir.join("db"), dir.join("db.copy"));
    fs::copy(&data, &copy)?;
    File::open(&copy)?.sync_all()?;
    fs::rename(&copy, &data)?;
    File::open(dir)?.sync_all()
}

fn data_file(dir: &Path) -> io::Result<Option<File>> {
    match File::open(dir.join("db")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        opened => opened.map(Some),
    }
}

/// sled answers some spoilt files with a panic.
fn open_sled(dir: &Path, cache_bytes: u64) -> Result<sled::Db, String> {
    let config = sled::Config::new().path(dir).cache_capacity(cache_bytes).flush_every_ms(None);
    match catch_unwind(AssertUnwindSafe(|| config.open())) {
        Ok(opened) => opened.map_err(|e| e.to_string()),
        Err(panic) => Err(panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()))
            .unwrap_or_else(|| "the storage engine panicked".into())),
    }
}

/// A snapshot only saves time: the log says the same. So one more try is made without it.
fn open_again(dir: &Path, cache_bytes: u64, first: &str) -> Result<sled::Db, DiskError> {
    let why = |why: String| {
        DiskError(format!(
            "the store in {} cannot be opened ({first}){why}: restore the folder from a backup, or move it away to begin anew",
            dir.display()
        ))
    };
    let damaged = set_snapshots_aside(dir)
        .map_err(|e| why(format!("; its snapshots cannot be moved aside ({e})")))?;
    let Some(damaged) = damaged else { return Err(why(String::new())) };
    tracing::warn!(folder = %dir.display(), aside = %damaged.display(), reason = first,
        "opening the store again without its snapshot");
    open_sled(dir, cache_bytes).map_err(|second| {
        let aside = damaged.display();
        why(format!("; without its snapshots, now in {aside}, neither ({second})"))
    })
}

/// Moves `snap.*` into a new folder beside them. `None`: there are none.
fn set_snapshots_aside(dir: &Path) -> io::Result<Option<PathBuf>> {
    let mut snapshots = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("snap.") {
            snapshots.push(entry);
        }
    }
    if snapshots.is_empty() {
        return Ok(None);
    }
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let aside = dir.join(format!("damaged-{time}"));
    fs::create_dir_all(&aside)?;
    for snapshot in snapshots {
        fs::rename(snapshot.path(), aside.join(snapshot.file_name()))?;
    }
    Ok(Some(aside))
}
