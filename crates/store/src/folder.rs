//! Opening a store's folder: one process at a time, and past a snapshot that a hard stop spoilt.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::DirBuilderExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::DiskError;
use crate::limits;

/// A folder that this process alone may use. The engine's own folder in it has a number: another
/// one takes its place as a whole.
pub(super) struct Folder {
    pub(super) dir: PathBuf,
    cache_bytes: u64,
    /// The number of the engine's folder that is in use; 0: there is none yet.
    generation: AtomicU64,
    /// Whether an engine was stopped after a failure.
    failed: AtomicBool,
    /// Whether one never ends, and keeps the data file.
    stuck: AtomicBool,
    _lock: File,
}

/// What becomes of the folder of an engine whose place another one took.
#[derive(Clone, Copy)]
pub(super) enum Replaced {
    Remove,
    /// It is damaged, and kept under another name for a person to look at.
    SetAside,
}

/// The storage engine at work in a folder.
pub(super) struct Engine {
    pub(super) db: sled::Db,
    /// The store's own records, apart from those of its users.
    pub(super) own: sled::Tree,
    /// The folder that it works in.
    pub(super) dir: PathBuf,
    /// sled's one data file, opened a second time to sync it.
    pub(super) data: File,
    /// Whether it stopped in the middle of a write.
    stuck: AtomicBool,
}

impl Engine {
    /// Whether a file can be made here. The engine, which makes one for a large value, would be
    /// left in the middle of its work.
    pub(super) fn takes_files(&self) -> io::Result<()> {
        let probe = self.dir.join("probe");
        File::create(&probe)?;
        fs::remove_file(&probe)
    }

    /// Says that it stopped in the middle of a write. To end, it would wait for that write for
    /// ever, and keep all other stores of this process waiting: so it never ends.
    pub(super) fn is_stuck(&self) {
        if !self.stuck.swap(true, Ordering::Relaxed) {
            std::mem::forget(self.db.clone());
        }
    }
}

/// Makes `dir` and what is above it, with mode 0700: what tasks do and are told is nobody else's
/// business.
fn make_private_dir(dir: &Path) -> std::io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

impl Folder {
    /// Takes the folder `dir`, making it at first.
    pub(super) fn claim(dir: &Path, cache_bytes: u64) -> Result<Self, DiskError> {
        make_private_dir(dir).map_err(|error| failed("making the folder", dir, &error))?;
        let lock = lock(dir)?;
        let whole = whole(dir).map_err(|error| failed("reading the folder", dir, &error))?;
        Ok(Self {
            dir: dir.to_owned(),
            cache_bytes,
            generation: AtomicU64::new(whole.into_iter().max().unwrap_or_default()),
            failed: AtomicBool::new(false),
            stuck: AtomicBool::new(false),
            _lock: lock,
        })
    }

    /// Whether there is an engine's folder.
    pub(super) fn has_state(&self) -> bool {
        self.generation.load(Ordering::Relaxed) > 0
    }

    fn state_dir(&self, generation: u64) -> PathBuf {
        self.dir.join(format!("{STATE}{generation}"))
    }

    /// Starts the engine. It must not be at work already, unless it failed.
    pub(super) fn open(&self) -> Result<Engine, DiskError> {
        let dir = self.state_dir(self.generation.load(Ordering::Relaxed));
        let waiting = |e: io::Error| failed("waiting for the engine of", &dir, &e);
        let stuck = self.stuck.load(Ordering::Relaxed) || !outlast_engine(&dir).map_err(waiting)?;
        if self.failed.load(Ordering::Relaxed) {
            forget_unsynced(&dir)
                .map_err(|e| failed("reading afresh the data file in", &dir, &e))?;
        }
        if stuck {
            leave_behind(&dir).map_err(|error| {
                let dir = dir.display();
                DiskError(format!(
                    "copying the data file in {dir}, which an engine that stopped in the middle of a write keeps, failed: {error}; make room for the copy, or restart this node"
                ))
            })?;
            self.stuck.store(false, Ordering::Relaxed);
        }
        self.start_in(dir)
    }

    /// Starts an empty engine beside the present one. It takes its place with [`Folder::switch`].
    pub(super) fn fresh(&self) -> Result<Engine, DiskError> {
        let dir = self.state_dir(self.generation.load(Ordering::Relaxed) + 1);
        let made = || {
            if dir.exists() {
                // One that was given up half-way.
                fs::remove_dir_all(&dir)?;
            }
            make_private_dir(&dir)
        };
        made().map_err(|error| failed("making the folder", &dir, &error))?;
        self.start_in(dir)
    }

    /// Puts the engine that [`Folder::fresh`] gave in the place of the present one. All that
    /// `fresh` is to hold must be synced.
    pub(super) fn switch(&self, fresh: &Engine, replaced: Replaced) -> Result<(), DiskError> {
        let old = self.generation.load(Ordering::Relaxed);
        let switched = || {
            File::create(fresh.dir.join(WHOLE))?.sync_all()?;
            File::open(&fresh.dir)?.sync_all()?;
            File::open(&self.dir)?.sync_all()?;
            self.generation.store(old + 1, Ordering::Relaxed);
            let old = self.state_dir(old);
            match replaced {
                _ if !old.exists() => Ok(()),
                Replaced::Remove => fs::remove_dir_all(old),
                Replaced::SetAside => {
                    fs::rename(old, self.dir.join(format!("damaged-{}", now_ms())))
                }
            }
        };
        switched().map_err(|error| failed("switching the engine in", &self.dir, &error))
    }

    /// Removes engines' folders that were given up half-way, or whose place another one took.
    pub(super) fn tidy(&self) -> io::Result<()> {
        let current = self.state_dir(self.generation.load(Ordering::Relaxed));
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let is_state = entry.file_name().to_string_lossy().starts_with(STATE);
            if is_state && entry.path() != current {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }

    fn start_in(&self, dir: PathBuf) -> Result<Engine, DiskError> {
        let db = match open_sled(&dir, self.cache_bytes) {
            Ok(db) => db,
            Err(first) => open_again(&dir, self.cache_bytes, &first)?,
        };
        let own = db.open_tree("own");
        let own = own.map_err(|e| failed("reading the store in", &dir, &e))?;
        let data = File::open(dir.join("db"));
        let data = data.map_err(|e| failed("opening the data file in", &dir, &e))?;
        // sled syncs the file's contents, not the names that lead to it.
        let above = self.dir.parent().filter(|parent| !parent.as_os_str().is_empty());
        for folder in [Some(&*dir), Some(&*self.dir), above].into_iter().flatten() {
            let synced = File::open(folder).and_then(|folder| folder.sync_all());
            synced.map_err(|e| failed("syncing the folder", folder, &e))?;
        }
        Ok(Engine { db, own, dir, data, stuck: AtomicBool::new(false) })
    }

    /// Stops an engine that failed. What it had in memory and not on the medium is forgotten.
    pub(super) fn abandon(&self, engine: Engine) -> Result<(), DiskError> {
        self.failed.store(true, Ordering::Relaxed);
        let Engine { db, own, data, stuck, dir: _ } = engine;
        drop(data);
        self.stuck.fetch_or(stuck.into_inner(), Ordering::Relaxed);
        // It may have been left in the middle of anything, so that it might never end.
        let ending =
            std::thread::Builder::new().name("abandon".into()).spawn(move || drop((own, db)));
        ending.map_err(|e| failed("ending the engine of", &self.dir, &e))?;
        Ok(())
    }
}

/// What the name of an engine's folder begins with.
const STATE: &str = "state-";

/// The file that says that an engine's folder holds all that it should.
const WHOLE: &str = "whole";

/// The numbers of the engines' folders in `dir` that hold all that they should.
fn whole(dir: &Path) -> io::Result<Vec<u64>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name().into_string().unwrap_or_default();
        let number = name.strip_prefix(STATE).and_then(|number| number.parse::<u64>().ok());
        if entry.path().join(WHOLE).exists() {
            found.extend(number);
        }
    }
    Ok(found)
}

pub(super) fn now_ms() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()
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
        DiskError(format!("the state in {} cannot be opened ({first}){why}", dir.display()))
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
    let aside = dir.join(format!("damaged-{}", now_ms()));
    fs::create_dir_all(&aside)?;
    for snapshot in snapshots {
        fs::rename(snapshot.path(), aside.join(snapshot.file_name()))?;
    }
    Ok(Some(aside))
}
