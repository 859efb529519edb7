//! The checkpoint: commits on their way from memory to the engine, a piece between two batches.

use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

use super::blobs::Blobs;
use super::commit::Writes;
use super::folder::Engine;
use super::point::Mark;
use super::state::{MARK, size};
use super::store::PANICKED;
use super::{Faults, Step};
use crate::limits;

/// How an engine is written.
#[derive(Default)]
pub(super) struct Writer {
    faults: Faults,
    /// Large values, which sled keeps in files of their own and does not sync.
    blobs: Mutex<Blobs>,
}

/// A piece of a checkpoint.
pub(super) struct Piece {
    writes: Writes,
    /// Its last key; `None`: nothing comes after it.
    pub(super) last: Option<Vec<u8>>,
}

impl Piece {
    /// The piece of `writes` that follows on `after`.
    pub(super) fn of(writes: &Writes, after: Option<Vec<u8>>) -> Self {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut piece = Writes::new();
        let mut bytes = 0;
        let mut rest = writes.range::<Vec<u8>, _>((start, Bound::Unbounded));
        while bytes < limits::DISK_PIECE_BYTES {
            let Some((key, value)) = rest.next() else { break };
            bytes += size((key, value));
            piece.insert(key.clone(), value.clone());
        }
        let last = rest.next().and_then(|_| piece.last_key_value());
        let last = last.map(|(key, _)| key.clone());
        Self { writes: piece, last }
    }
}

impl Writer {
    pub(super) fn new(faults: Faults) -> Self {
        Self { faults, ..Self::default() }
    }

    /// Writes a piece, and syncs it; after the last one, notes `mark`.
    pub(super) fn write(&self, engine: &Engine, piece: Piece, mark: &Mark) -> Result<(), String> {
        let Piece { writes, last } = piece;
        self.insert(engine, writes)?;
        if last.is_none() { self.note(engine, MARK, &mark.to_bytes()) } else { Ok(()) }
    }

    /// Writes one of the store's own records, and syncs it.
    pub(super) fn note(&self, engine: &Engine, key: &[u8], value: &[u8]) -> Result<(), String> {
        self.run(engine, || engine.own.insert(key, value).map(drop))
    }

    /// Writes records, and syncs them.
    pub(super) fn insert(&self, engine: &Engine, writes: Writes) -> Result<(), String> {
        let is_large = |value: &Option<Vec<u8>>| {
            value.as_ref().is_some_and(|value| value.len() >= limits::DISK_LARGE_VALUE)
        };
        if writes.values().any(is_large) {
            engine.takes_files().map_err(|e| format!("a file cannot be made: {e}"))?;
        }
        let mut batch = sled::Batch::default();
        for (key, value) in writes {
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        self.run(engine, || engine.db.apply_batch(batch))
    }

    /// Does something with the engine, and syncs it. The engine answers some errors with a panic.
    fn run(&self, engine: &Engine, apply: impl FnOnce() -> sled::Result<()>) -> Result<(), String> {
        let applied = catch_unwind(AssertUnwindSafe(apply));
        if !matches!(applied, Ok(Ok(()))) {
            engine.is_stuck();
        }
        applied.map_err(|_| PANICKED)?.map_err(|e| e.to_string())?;
        self.faults.check(Step::Checkpoint)?;
        let sync = || {
            engine.db.flush().map_err(|e| e.to_string())?;
            let mut blobs = self.blobs.lock().unwrap_or_else(PoisonError::into_inner);
            blobs.sync(&engine.dir).map_err(|e| format!("syncing a large value: {e}"))?;
            engine.data.sync_data().map_err(|e| format!("syncing: {e}"))
        };
        catch_unwind(AssertUnwindSafe(sync)).unwrap_or_else(|_| Err(PANICKED.into()))
    }

    /// Another engine is written from now on.
    pub(super) fn forget(&self) {
        *self.blobs.lock().unwrap_or_else(PoisonError::into_inner) = Blobs::default();
    }

    /// Writes all of `writes`, and `mark`.
    pub(super) fn write_all(
        &self,
        engine: &Engine,
        writes: &Writes,
        mark: &Mark,
    ) -> Result<(), String> {
        let mut after = None;
        loop {
            let piece = Piece::of(writes, after);
            after = piece.last.clone();
            self.write(engine, piece, mark)?;
            if after.is_none() {
                return Ok(());
            }
        }
    }
}
