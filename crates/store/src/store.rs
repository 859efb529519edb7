//! The medium behind the commit thread: the log, which is the truth, and the state that is made
//! from it.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use super::acknowledged::{About, Acknowledged, Subject};
use super::checkpoint::{Piece, Writer};
use super::commit::{Medium, Writes};
use super::compaction::Compaction;
use super::folder::{Engine, Folder};
use super::log::{LOG, Log};
use super::opening::{self, Opened};
use super::point::{Bulk, Mark, Point};
use super::range::{Layers, Order, range_before, range_of};
use super::state::{Memory, State, size};
use super::view::View;
use super::{DiskError, Faults, Pair, Settings, Step};
use crate::limits;

/// An open folder with what was learnt of it.
pub(super) struct Store {
    pub(super) folder: Arc<Folder>,
    pub(super) state: RwLock<State>,
    log: Mutex<Log>,
    acknowledged: Acknowledged,
    subject: Option<fn(&[u8]) -> Subject>,
    pub(super) bulk: Bulk,
    pub(super) writer: Writer,
    reserve_bytes: u64,
    memory_bytes: usize,
    log_bytes: u64,
    pub(super) compact_bytes: u64,
    faults: Faults,
    /// Set by a write that failed half-way. Nothing is read or written until one succeeds again.
    failed: Mutex<Option<Failed>>,
    /// Why nothing is ever written.
    damage: Option<DiskError>,
    /// The last key of the checkpoint that is under way.
    progress: Mutex<Option<Vec<u8>>>,
    pub(super) compaction: Mutex<Compaction>,
    pub(super) last_commit_us: AtomicU64,
    /// How many records readers were given.
    pub(super) read: AtomicU64,
}

/// A failure, and when to look whether its cause has gone.
struct Failed {
    error: DiskError,
    part: Part,
    /// The wait before the next try.
    wait: Duration,
    again: Instant,
}

/// What failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Log,
    Engine,
}

/// What failed, and why.
pub(super) type Failure = (Part, String);

/// The key of the record by which a mended disk is told, among the store's own.
const PROBE: &[u8] = b"probe";

/// What to say of an engine that panicked.
pub(super) const PANICKED: &str = "the storage engine panicked";

impl Store {
    pub(super) fn open(folder: Folder, settings: Settings) -> Result<Self, DiskError> {
        let writer = Writer::new(settings.faults.clone());
        let Opened { state, log, acknowledged, bulk, damage } =
            opening::open(&folder, &writer, &settings)?;
        Ok(Self {
            folder: Arc::new(folder),
            state: RwLock::new(state),
            log: Mutex::new(log),
            acknowledged,
            subject: settings.confine.map(|confine| confine.subject),
            bulk,
            writer,
            reserve_bytes: settings.reserve_bytes,
            memory_bytes: settings.memory_bytes,
            log_bytes: settings.log_bytes,
            compact_bytes: settings.compact_bytes,
            faults: settings.faults,
            failed: Mutex::default(),
            damage,
            progress: Mutex::default(),
            compaction: Mutex::default(),
            last_commit_us: AtomicU64::new(0),
            read: AtomicU64::new(0),
        })
    }

    pub(super) fn dir(&self) -> &Path {
        &self.folder.dir
    }

    /// Less is there than was acknowledged.
    pub(super) const fn damage(&self) -> Option<&DiskError> {
        self.damage.as_ref()
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, DiskError> {
        let value = self.look(|layers| layers.get(key))?;
        self.read.fetch_add(1, Ordering::Relaxed);
        Ok(value)
    }

    pub(super) fn scan(
        &self,
        prefix: &[u8],
        from: &[u8],
        limit: usize,
    ) -> Result<Vec<Pair>, DiskError> {
        let Some(range) = range_of(prefix, from) else { return Ok(Vec::new()) };
        self.given(self.look(|layers| layers.scan(range, Order::Forward, limit)))
    }

    pub(super) fn scan_back(
        &self,
        prefix: &[u8],
        before: &[u8],
        limit: usize,
    ) -> Result<Vec<Pair>, DiskError> {
        let Some(range) = range_before(prefix, before) else { return Ok(Vec::new()) };
        self.given(self.look(|layers| layers.scan(range, Order::Back, limit)))
    }

    /// Lets `look` at all layers, unless something failed.
    fn look<R>(
        &self,
        look: impl FnOnce(&mut Layers<'_>) -> Result<R, DiskError>,
    ) -> Result<R, DiskError> {
        // First, so that nobody waits while a failed engine is started afresh.
        self.check_failed()?;
        let state = self.read_state();
        self.check_failed()?;
        state.look(look)
    }

    fn given(&self, pairs: Result<Vec<Pair>, DiskError>) -> Result<Vec<Pair>, DiskError> {
        let count = pairs.as_ref().map_or(0, Vec::len);
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        pairs
    }

    /// Whether a batch of about `bytes` may be tried.
    pub(super) fn admit(&self, bytes: usize) -> Result<(), DiskError> {
        self.damage.clone().map_or(Ok(()), Err)?;
        self.check_failed()?;
        self.admit_bytes(bytes)
    }

    pub(super) fn admit_bytes(&self, bytes: usize) -> Result<(), DiskError> {
        let free = self.free_bytes()?;
        if free >= self.reserve_bytes.saturating_add(bytes as u64) {
            return Ok(());
        }
        let dir = self.dir().display();
        let (free, kept) = (free >> 20, self.reserve_bytes >> 20);
        Err(DiskError(format!(
            "disk nearly full: {free} MiB free under {dir}, {kept} MiB are kept in reserve; make room, and writes go on"
        )))
    }

    /// Bytes that are free, of a file system that can be written.
    fn free_bytes(&self) -> Result<u64, DiskError> {
        let dir = self.dir().display();
        // What is open can be written though its folder is out of reach, up to the segment's end.
        let found = rustix::fs::statvfs(self.dir().join(LOG)).map_err(|e| {
            DiskError(format!("{dir} is out of reach ({e}), so nothing is written: mend the disk"))
        })?;
        if found.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY) {
            let e = std::io::Error::from(rustix::io::Errno::ROFS);
            return Err(DiskError(format!("{dir} cannot be written ({e}): mend the disk")));
        }
        Ok(found.f_bavail.saturating_mul(found.f_frsize))
    }

    /// Appends a batch to the log, and then takes it into memory.
    fn append(&self, point: Point, writes: Writes) -> Result<(), String> {
        self.lock_log().append(point, &writes, &self.faults)?;
        let about = About::of(&writes, self.subject);
        self.write_state().active.absorb(writes, point);
        let noted = self.acknowledged.note(point.number, &about);
        noted.map_err(|error| format!("noting the last number: {error}"))
    }

    /// Does a piece of a checkpoint, if one is due or under way. Says when to call again.
    fn checkpoint(&self) -> Result<Option<Duration>, Failure> {
        let (is_due, is_under_way) = {
            let state = self.read_state();
            (state.active.bytes >= self.memory_bytes, !state.frozen.writes.is_empty())
        };
        if !is_under_way {
            if !is_due {
                return Ok(None);
            }
            self.freeze()?;
        }
        loop {
            if !self.has_room() {
                // Commits are refused: what is in memory waits, and the log has it.
                let (through, most) = (self.read_state().checkpoint.number, 0);
                let trimmed = self.lock_log().trim(through, most);
                trimmed.map_err(|error| (Part::Log, format!("removing old segments: {error}")))?;
                return Ok(Some(limits::DISK_MEND_MOST));
            }
            let done = self.checkpoint_piece()?;
            if done {
                return Ok(None);
            }
            if !self.memory_is_late() {
                return Ok(Some(Duration::ZERO));
            }
        }
    }

    /// Whether a piece of a checkpoint finds room. The reserve is there for it, and not to its end:
    /// the engine takes a full disk badly.
    fn has_room(&self) -> bool {
        self.free_bytes().is_ok_and(|free| free >= self.reserve_bytes / 2)
    }

    /// Begins a checkpoint, at a segment's end.
    fn freeze(&self) -> Result<(), Failure> {
        let point = self.read_state().active.point;
        self.begin_segment()?;
        let mut state = self.write_state();
        let active = std::mem::take(&mut state.active);
        state.active.point = point;
        state.frozen = active;
        *self.lock_progress() = None;
        Ok(())
    }

    fn begin_segment(&self) -> Result<(), Failure> {
        let mark = Mark { point: self.read_state().active.point, bulk: self.bulk.clone() };
        let begun = self.lock_log().begin(&mark);
        begun.map_err(|error| (Part::Log, format!("beginning a segment of the log: {error}")))
    }

    /// Writes the next piece. Says whether it was the last one.
    fn checkpoint_piece(&self) -> Result<bool, Failure> {
        let point = {
            let state = self.read_state();
            let Some(engine) = &state.engine else {
                return Err((Part::Engine, being_opened().to_string()));
            };
            let mut progress = self.lock_progress();
            let piece = Piece::of(&state.frozen.writes, progress.take());
            let last = piece.last.clone();
            let mark = Mark { point: state.frozen.point, bulk: self.bulk.clone() };
            let written = self.writer.write(engine, piece, &mark);
            written.map_err(|why| (Part::Engine, format!("writing the state: {why}")))?;
            *progress = last;
            if progress.is_some() {
                return Ok(false);
            }
            state.frozen.point
        };
        {
            let mut state = self.write_state();
            state.frozen = Memory::default();
            state.checkpoint = point;
        }
        // What is kept twice is the first to go where there is little room.
        let room = usize::try_from(self.log_bytes).unwrap_or(usize::MAX);
        let most = self.admit_bytes(room).map_or(0, |()| self.log_bytes);
        let trimmed = self.lock_log().trim(point.number, most);
        trimmed.map_err(|error| (Part::Log, format!("removing old segments: {error}")))?;
        Ok(true)
    }

    /// Does all of a checkpoint that is under way, and another one of what is in memory.
    pub(super) fn checkpoint_now(&self) -> Result<(), Failure> {
        if !self.read_state().frozen.writes.is_empty() {
            while !self.checkpoint_piece()? {}
        }
        if self.read_state().active.writes.is_empty() {
            return Ok(());
        }
        self.freeze()?;
        while !self.checkpoint_piece()? {}
        Ok(())
    }

    /// Whether so much is in memory that commits must wait for the engine.
    pub(super) fn memory_is_late(&self) -> bool {
        self.read_state().active.bytes >= self.memory_bytes.saturating_mul(2)
    }

    /// Notes a failure.
    fn fail(&self, part: Part, why: &str) -> DiskError {
        let error = DiskError(format!(
            "a write to {} failed ({why}), so nothing more is read or written until one succeeds again, which is tried every few seconds: mend the disk",
            self.dir().display()
        ));
        tracing::error!(%error, "no more writes");
        let wait = limits::DISK_MEND_FIRST;
        let again = Instant::now() + wait;
        *self.lock_failed() = Some(Failed { error: error.clone(), part, wait, again });
        error
    }

    /// Tries whether what failed works again.
    fn recover(&self, part: Part) -> Result<(), String> {
        self.admit_bytes(0).map_err(|e| e.to_string())?;
        if part == Part::Engine {
            self.start_afresh()?;
        }
        // What the last segment holds of a commit that failed does not count any more.
        self.begin_segment().map_err(|(_, why)| why)?;
        self.faults.check(Step::Flush)?;
        self.faults.check(Step::Sync)
    }

    /// Starts the engine again, from what is on the medium, and writes something to see whether
    /// that is possible.
    fn start_afresh(&self) -> Result<(), String> {
        let mut state = self.write_state();
        if let Some(failed) = state.engine.take() {
            self.folder.abandon(failed).map_err(|e| e.to_string())?;
        }
        self.writer.forget();
        let fresh = self.folder.open().map_err(|e| e.to_string())?;
        if let Err(why) = self.probe(&fresh, &state) {
            self.folder.abandon(fresh).map_err(|e| e.to_string())?;
            return Err(why);
        }
        state.engine = Some(fresh);
        *self.lock_progress() = None;
        Ok(())
    }

    fn probe(&self, engine: &Engine, state: &State) -> Result<(), String> {
        let noted = State::noted(engine).map_err(|e| e.to_string())?.unwrap_or_default().point;
        if noted.number < state.checkpoint.number {
            let (found, expected) = (noted.number, state.checkpoint.number);
            return Err(format!(
                "the state is that of commit {found}, and was that of commit {expected}: restart this node"
            ));
        }
        self.writer.note(engine, PROBE, &[0; 4096])?;
        self.writer.note(engine, PROBE, &[])
    }

    fn check_failed(&self) -> Result<(), DiskError> {
        self.lock_failed().as_ref().map_or(Ok(()), |failed| Err(failed.error.clone()))
    }

    fn lock_failed(&self) -> MutexGuard<'_, Option<Failed>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_progress(&self) -> MutexGuard<'_, Option<Vec<u8>>> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn read_state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write_state(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Medium for Store {
    type View<'a> = View<'a>;

    fn admit(&self) -> Result<(), DiskError> {
        // What is damaged can be looked at: a batch that writes is refused where it writes.
        self.check_failed()?;
        self.admit_bytes(0)
    }

    fn view<'a>(&'a self, written: &'a Writes) -> View<'a> {
        View { state: self.read_state(), written }
    }

    fn write(&self, writes: Writes) -> Result<(), DiskError> {
        if writes.is_empty() {
            // Refusals: what they saw was written, and synced, by the batch before.
            return Ok(());
        }
        Self::admit(self, writes.iter().map(size).sum())?;
        self.faults.check(Step::Apply).map_err(DiskError)?;
        let point = self.read_state().after(&self.bulk, &writes)?;
        self.append(point, writes).map_err(|why| self.fail(Part::Log, &why))
    }

    fn took(&self, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.last_commit_us.store(took.max(1), Ordering::Relaxed);
    }

    fn mend(&self) -> Option<Duration> {
        if self.damage.is_some() {
            return None;
        }
        let failed = self.lock_failed().as_ref().map(|failed| (failed.again, failed.part));
        let Some((again, part)) = failed else {
            return match self.compact_step().unwrap_or_else(|| self.checkpoint()) {
                Ok(again) => again,
                Err((part, why)) => {
                    self.fail(part, &why);
                    Some(limits::DISK_MEND_FIRST)
                }
            };
        };
        let left = again.saturating_duration_since(Instant::now());
        if !left.is_zero() {
            return Some(left);
        }
        let mended = self.recover(part);
        let mut failed = self.lock_failed();
        match (mended, &mut *failed) {
            (Ok(()), _) => {
                *failed = None;
                tracing::info!(folder = %self.dir().display(), "the disk is mended: writes go on");
                Some(Duration::ZERO)
            }
            (Err(why), Some(failed)) => {
                tracing::debug!(%why, "the disk is not mended yet");
                failed.wait = failed.wait.saturating_mul(2).min(limits::DISK_MEND_MOST);
                failed.again = Instant::now() + failed.wait;
                Some(failed.wait)
            }
            (Err(_), None) => None,
        }
    }

    fn close(&self) {
        if self.damage.is_some() || self.check_failed().is_err() || !self.has_room() {
            return;
        }
        let ended = self.wait_for_compaction().and_then(|()| self.checkpoint_now());
        if let Err((_, why)) = ended {
            tracing::warn!(why, "no checkpoint at the end: the log has it all");
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
