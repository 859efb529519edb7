//! What a store holds: what the engine has on disk, and above it the commits since the last
//! checkpoint, which are in the log and in memory.

use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::DiskError;
use super::commit::Writes;
use super::folder::Engine;
use super::point::{Bulk, Digest, Mark, Point};
use super::range::{Layers, Order, end_of};
use super::store::{PANICKED, being_opened};

/// The state of a store. Only the commit thread changes it.
#[derive(Default)]
pub(super) struct State {
    /// `None`: it was stopped after a failure and could not be started again yet.
    pub(super) engine: Option<Engine>,
    /// Commits after those of `frozen`.
    pub(super) active: Memory,
    /// Commits on their way to the engine. Empty: no checkpoint is under way.
    pub(super) frozen: Memory,
    /// The last commit of the last checkpoint.
    pub(super) checkpoint: Point,
}

/// Commits in memory.
#[derive(Default)]
pub(super) struct Memory {
    pub(super) writes: Writes,
    /// Bytes of them, about.
    pub(super) bytes: usize,
    /// The last one of them.
    pub(super) point: Point,
}

impl Memory {
    /// Takes a commit.
    pub(super) fn absorb(&mut self, writes: Writes, point: Point) {
        self.bytes += writes.iter().map(size).sum::<usize>();
        self.writes.extend(writes);
        self.point = point;
    }
}

/// Bytes of a write, about.
pub(super) fn size((key, value): (&Vec<u8>, &Option<Vec<u8>>)) -> usize {
    key.len() + value.as_ref().map_or(0, Vec::len)
}

/// Records that are read at once.
const PAGE: usize = 1024;

impl State {
    /// Lets `look` at all layers. The engine answers damage in some places with a panic.
    pub(super) fn look<'a, R>(
        &'a self,
        look: impl FnOnce(&mut Layers<'a>) -> Result<R, DiskError>,
    ) -> Result<R, DiskError> {
        let engine = self.engine.as_ref().ok_or_else(being_opened)?;
        let writes = vec![&self.active.writes, &self.frozen.writes];
        let mut layers = Layers { writes, db: &engine.db };
        catch_unwind(AssertUnwindSafe(|| look(&mut layers))).unwrap_or_else(|_| {
            Err(DiskError(format!(
                "the store cannot be read ({PANICKED}): restore it from a backup"
            )))
        })
    }

    /// The point that these writes lead to.
    pub(super) fn after(&self, bulk: &Bulk, writes: &Writes) -> Result<Point, DiskError> {
        let mut point = self.active.point;
        point.number += 1;
        self.look(|layers| {
            for (key, value) in writes {
                let is_bulk = bulk.prefix_of(key).is_some();
                // A bulk record is written once.
                let is_replaced = !is_bulk || value.is_none();
                if let Some(old) = if is_replaced { layers.get(key)? } else { None } {
                    point.bytes = point.bytes.saturating_sub((key.len() + old.len()) as u64);
                    if !is_bulk {
                        point.digest.remove(key, &old);
                    }
                }
                if let Some(value) = value {
                    point.bytes += (key.len() + value.len()) as u64;
                    if !is_bulk {
                        point.digest.add(key, value);
                    }
                }
            }
            Ok(point)
        })
    }

    /// The digest of what is there, read record by record.
    pub(super) fn digest(&self, bulk: &Bulk) -> Result<Digest, DiskError> {
        let mut digest = Digest::default();
        let mut from = Bound::Unbounded;
        loop {
            let range = (from, Bound::Unbounded);
            let page = self.look(|layers| layers.scan(range, Order::Forward, PAGE))?;
            let Some((last, _)) = page.last() else { return Ok(digest) };
            from = Bound::Excluded(last.clone());
            for (key, value) in &page {
                if let Some(prefix) = bulk.prefix_of(key) {
                    match end_of(prefix) {
                        Bound::Excluded(end) => {
                            from = Bound::Included(end);
                            break;
                        }
                        _ => return Ok(digest),
                    }
                }
                digest.add(key, value);
            }
        }
    }

    /// What the engine noted with its last checkpoint.
    pub(super) fn noted(engine: &Engine) -> Result<Option<Mark>, DiskError> {
        let read = catch_unwind(AssertUnwindSafe(|| engine.own.get(MARK)));
        let read = read.map_err(|_| DiskError(PANICKED.into()))?;
        let bytes = read.map_err(|error| DiskError(error.to_string()))?;
        let mark = |bytes: sled::IVec| {
            let mark = Mark::read(&bytes).map(|(mark, _)| mark);
            mark.ok_or_else(|| DiskError("the note of its last checkpoint is damaged".into()))
        };
        bytes.map(mark).transpose()
    }
}

/// The key of the note of the last checkpoint, among the store's own.
pub(super) const MARK: &[u8] = b"mark";
