//! Compaction: a copy of the state without the holes that removed records left, in its place.

use std::path::Path;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;

use super::DiskError;
use super::checkpoint::Writer;
use super::folder::{Engine, Folder, Replaced};
use super::point::Mark;
use super::state::State;
use super::store::{Failure, Part, Store};
use crate::limits;

/// What a compaction did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compacted {
    /// Bytes of the store's files before.
    pub before: u64,
    /// And after.
    pub after: u64,
}

type Reply = oneshot::Sender<Result<Compacted, DiskError>>;

/// The compactions of a store: one at a time.
#[derive(Default)]
pub(super) struct Compaction {
    wanted: Vec<Reply>,
    running: Option<Running>,
    /// The checkpoint after which it was last looked whether much is free.
    looked: u64,
}

struct Running {
    copying: JoinHandle<Result<Engine, DiskError>>,
    before: u64,
    replies: Vec<Reply>,
}

impl Compaction {
    pub(super) fn want(&mut self, reply: Reply) {
        self.wanted.push(reply);
    }
}

impl Store {
    /// Begins, goes on with or ends a compaction. `None`: there is none. Until it has ended, the
    /// engine is not written: commits stay in the log and in memory.
    pub(super) fn compact_step(&self) -> Option<Result<Option<Duration>, Failure>> {
        let running = self.lock_compaction().running.take();
        if let Some(running) = running {
            let is_late = self.memory_is_late();
            if !running.copying.is_finished() && !is_late {
                self.lock_compaction().running = Some(running);
                return Some(Ok(Some(limits::DISK_COPY_LOOK)));
            }
            return Some(self.end_compaction(running));
        }
        if self.lock_compaction().wanted.is_empty() && !self.much_is_free() {
            return None;
        }
        Some(self.begin_compaction())
    }

    /// Ends a compaction that is under way, when the store is closed.
    pub(super) fn wait_for_compaction(&self) -> Result<(), Failure> {
        let running = self.lock_compaction().running.take();
        running.map_or(Ok(()), |running| self.end_compaction(running).map(drop))
    }

    /// Whether a copy would be so much smaller that it is worth its while. Asked after a checkpoint.
    fn much_is_free(&self) -> bool {
        let state = self.read_state();
        let checkpoint = state.checkpoint;
        let looked = std::mem::replace(&mut self.lock_compaction().looked, checkpoint.number);
        if looked == checkpoint.number || !state.frozen.writes.is_empty() {
            return false;
        }
        let size = state.engine.as_ref().and_then(|engine| engine.db.size_on_disk().ok());
        size.is_some_and(|size| {
            size >= self.compact_bytes && size / limits::DISK_COMPACT_RATIO >= checkpoint.bytes
        })
    }

    fn begin_compaction(&self) -> Result<Option<Duration>, Failure> {
        // As much again as what is to be copied, in the form of the engine.
        let room = self.read_state().active.point.bytes.saturating_mul(2);
        if let Err(error) = self.admit_bytes(usize::try_from(room).unwrap_or(usize::MAX)) {
            self.answer(std::mem::take(&mut self.lock_compaction().wanted), &Err(error));
            return Ok(None);
        }
        self.checkpoint_now()?;
        let before = size_of(self.dir());
        let (db, checkpoint) = {
            let state = self.read_state();
            (state.engine.as_ref().map(|engine| engine.db.clone()), state.checkpoint)
        };
        let Some(db) = db else { return Ok(None) };
        let (folder, mark) =
            (Arc::clone(&self.folder), Mark { point: checkpoint, bulk: self.bulk.clone() });
        let copying = std::thread::Builder::new()
            .name("compaction".into())
            .spawn(move || copy(&folder, &db, &mark))
            .map_err(|error| (Part::Engine, format!("starting a compaction: {error}")))?;
        let mut compaction = self.lock_compaction();
        let replies = std::mem::take(&mut compaction.wanted);
        compaction.running = Some(Running { copying, before, replies });
        Ok(Some(limits::DISK_COPY_LOOK))
    }

    fn end_compaction(&self, running: Running) -> Result<Option<Duration>, Failure> {
        let Running { copying, before, replies } = running;
        let copied =
            copying.join().unwrap_or_else(|_| Err(DiskError("the copying thread panicked".into())));
        let ended = match copied {
            Ok(fresh) => {
                let old = self.write_state().engine.replace(fresh);
                drop(old);
                self.writer.forget();
                let switched = {
                    let state = self.read_state();
                    let fresh = state.engine.as_ref();
                    fresh.map_or(Ok(()), |fresh| self.folder.switch(fresh, Replaced::Remove))
                };
                switched.map_err(|error| (Part::Engine, error.to_string()))?;
                let compacted = Compacted { before, after: size_of(self.dir()) };
                let (folder, after) = (self.dir().display(), compacted.after);
                tracing::info!(%folder, before, after, "the store is compacted");
                Ok(compacted)
            }
            Err(error) => {
                // What cannot be removed now is removed when the store is opened.
                let _left = self.folder.tidy();
                Err(error)
            }
        };
        self.answer(replies, &ended);
        Ok(Some(Duration::ZERO))
    }

    fn answer(&self, replies: Vec<Reply>, ended: &Result<Compacted, DiskError>) {
        if let Err(error) = ended {
            tracing::warn!(folder = %self.dir().display(), %error, "the compaction failed");
        }
        for reply in replies {
            // The one that asked may have gone.
            let _unheard = reply.send(ended.clone());
        }
    }

    pub(super) fn lock_compaction(&self) -> MutexGuard<'_, Compaction> {
        self.compaction.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many bytes the store's files have.
    pub(super) fn size(&self) -> u64 {
        size_of(self.dir())
    }
}

/// Copies what `db` holds, which must not change meanwhile, into a fresh engine.
fn copy(folder: &Folder, db: &sled::Db, mark: &Mark) -> Result<Engine, DiskError> {
    let fresh = folder.fresh()?;
    let copied = || {
        let writer = Writer::default();
        let mut piece = super::commit::Writes::new();
        let mut bytes = 0;
        for pair in db.iter() {
            let (key, value) = pair.map_err(|error| error.to_string())?;
            bytes += key.len() + value.len();
            piece.insert(key.to_vec(), Some(value.to_vec()));
            if bytes >= limits::DISK_COPY_BYTES {
                writer.insert(&fresh, std::mem::take(&mut piece))?;
                bytes = 0;
            }
        }
        writer.write_all(&fresh, &piece, mark)
    };
    let copied = std::panic::catch_unwind(std::panic::AssertUnwindSafe(copied));
    let copied = copied.unwrap_or_else(|_| Err(super::store::PANICKED.into()));
    copied.map_err(|why| DiskError(format!("copying the store: {why}")))?;
    let state = State { engine: Some(fresh), ..State::default() };
    if state.digest(&mark.bulk)? != mark.point.digest {
        return Err(DiskError("the copy is not what was copied: run `remit verify`".into()));
    }
    state.engine.ok_or_else(super::store::being_opened)
}

/// Bytes of the files in a folder. What cannot be looked at has none.
fn size_of(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(found) if found.is_dir() => size_of(&entry.path()),
        Ok(found) => found.len(),
        Err(_) => 0,
    });
    sizes.sum()
}
