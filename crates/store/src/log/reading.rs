//! Reading the log: past what a crash tore, and past what damage made unreadable.

use std::fs::File;
use std::io::{self, Read as _};
use std::ops::RangeInclusive;
use std::path::Path;

use super::super::commit::Writes;
use super::super::point::{Mark, Point};
use super::HEAD;

/// More than the head of any segment.
const SEGMENT_HEAD_MOST: u64 = 4096;

/// The head of a segment, if it can be read.
pub(super) fn head(path: &Path) -> io::Result<Option<Mark>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(SEGMENT_HEAD_MOST).read_to_end(&mut bytes)?;
    Ok(Mark::read(&bytes).map(|(mark, _)| mark))
}

/// What the log says that came after some commit.
#[derive(Debug, Default)]
pub(crate) struct Replayed {
    /// The writes, the later ones in the place of the earlier.
    pub(crate) writes: Writes,
    /// The last commit that was read; `None`: there is none.
    pub(crate) point: Option<Point>,
    /// Commits that are missing in between.
    pub(crate) missing: Vec<RangeInclusive<u64>>,
    /// The highest number that was seen, of a commit or of the head of a segment.
    pub(crate) seen: u64,
    /// Whether the last segment ends with its last commit, so that it can be appended to.
    pub(crate) ends_clean: bool,
}

/// A reading of segments, oldest first.
pub(crate) struct Replay {
    from: u64,
    last: u64,
    replayed: Replayed,
}

impl Replay {
    pub(crate) fn new(from: u64) -> Self {
        Self { from, last: from, replayed: Replayed::default() }
    }

    /// Reads a segment. What it holds after commit `until`, which the next one follows, was never
    /// acknowledged.
    pub(super) fn segment(&mut self, bytes: &[u8], until: Option<u64>) {
        let head = Mark::read(bytes);
        let mut at = head.as_ref().map_or(0, |(_, end)| *end);
        let mut is_clean = head.is_some();
        if let Some((mark, _)) = head {
            self.reach(mark.point.number);
            self.replayed.seen = self.replayed.seen.max(mark.point.number);
        }
        while at < bytes.len() {
            let rest = bytes.get(at..).unwrap_or_default();
            let Some((point, writes, size)) = commit(rest) else {
                // Damaged, or torn by a crash: what comes after it tells.
                is_clean = false;
                at += 1;
                continue;
            };
            at += size;
            self.replayed.seen = self.replayed.seen.max(point.number);
            if until.is_some_and(|until| point.number > until) || point.number <= self.last {
                continue;
            }
            self.reach(point.number - 1);
            self.last = point.number;
            self.replayed.point = Some(point);
            self.replayed.writes.extend(writes);
        }
        if let Some(until) = until {
            self.reach(until);
        }
        self.replayed.ends_clean = is_clean;
    }

    /// All commits up to `number` should have been read.
    fn reach(&mut self, number: u64) {
        if number > self.last && number > self.from {
            self.replayed.missing.push(self.last + 1..=number);
            self.last = number;
        }
    }

    pub(super) fn end(self) -> Replayed {
        self.replayed
    }
}

/// The commit at the beginning of `bytes`, and how many of them it takes.
fn commit(bytes: &[u8]) -> Option<(Point, Writes, usize)> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (sum, rest) = rest.split_first_chunk()?;
    let size = HEAD.checked_add(u32::from_be_bytes(*length) as usize)?;
    let body = rest.get(..size.checked_sub(8)?)?;
    if crc32fast::hash(body) != u32::from_be_bytes(*sum) {
        return None;
    }
    let (point, mut rest) = Point::read(body)?;
    let mut writes = Writes::new();
    while !rest.is_empty() {
        let (key, after) = rest.split_first_chunk()?;
        let (value, after) = after.split_first_chunk()?;
        let (key, after) = after.split_at_checked(u32::from_be_bytes(*key) as usize)?;
        rest = after;
        let value = match u32::from_be_bytes(*value) {
            u32::MAX => None,
            size => {
                let (value, after) = rest.split_at_checked(size as usize)?;
                rest = after;
                Some(value.to_vec())
            }
        };
        writes.insert(key.to_vec(), value);
    }
    Some((point, writes, size))
}
