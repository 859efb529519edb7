//! The log: every commit, one after the other, in segments. A commit is durable when it is here.

mod reading;

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::PathBuf;

use super::commit::Writes;
use super::point::{Mark, Point};
use super::{Faults, Step};
use crate::limits;
use remit_faults::crash;

pub(super) use reading::{Replay, Replayed};

/// The name of the log's folder in that of the store.
pub(super) const LOG: &str = "log";

/// A log that is written by one thread.
pub(super) struct Log {
    dir: PathBuf,
    /// Oldest first. The last one is written.
    segments: Vec<Segment>,
    /// `None`: what is next begins a new segment.
    file: Option<File>,
}

/// A file of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Segment {
    /// Its place in the order, which is its name.
    index: u64,
    /// The last commit before it; `None`: its head cannot be read.
    pub(super) after: Option<u64>,
    bytes: u64,
}

/// Bytes before a commit's writes: size, CRC-32 of all that follows, point.
const HEAD: usize = 8 + super::point::POINT_BYTES;

impl Log {
    /// The log in the folder `dir`, making it at first. Nothing is written before [`Log::begin`].
    pub(super) fn open(dir: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&dir)?;
        let mut segments = Vec::new();
        for entry in fs::read_dir(&dir)? {
            let entry = entry?;
            let name = entry.file_name().into_string().unwrap_or_default();
            let Ok(index) = u64::from_str_radix(&name, 16) else { continue };
            let after = reading::head(&entry.path())?.map(|mark| mark.point.number);
            segments.push(Segment { index, after, bytes: entry.metadata()?.len() });
        }
        segments.sort_by_key(|segment| segment.index);
        Ok(Self { dir, segments, file: None })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// Whether it goes back to the first commit.
    pub(super) fn is_whole(&self) -> bool {
        self.segments.first().is_some_and(|first| first.after == Some(0))
    }

    /// The first head that can be read.
    pub(super) fn mark(&self) -> io::Result<Option<Mark>> {
        for segment in &self.segments {
            if let Some(mark) = reading::head(&self.path(segment.index))? {
                return Ok(Some(mark));
            }
        }
        Ok(None)
    }

    /// Begins a segment, after the commit of `mark`. What earlier segments hold after it does not
    /// count.
    pub(super) fn begin(&mut self, mark: &Mark) -> io::Result<()> {
        self.file = None;
        let index = self.segments.last().map_or(1, |last| last.index + 1);
        let (path, head) = (self.path(index), mark.to_bytes());
        // One that failed half-way is begun again.
        let mut file = File::create(&path)?;
        file.write_all(&head)?;
        file.sync_all()?;
        File::open(&self.dir)?.sync_all()?;
        let (after, bytes) = (Some(mark.point.number), head.len() as u64);
        self.segments.push(Segment { index, after, bytes });
        self.file = Some(file);
        Ok(())
    }

    /// Goes on in the last segment, which was read to its end.
    pub(super) fn go_on(&mut self) -> io::Result<()> {
        if let Some(last) = self.segments.last() {
            self.file = Some(File::options().append(true).open(self.path(last.index))?);
        }
        Ok(())
    }

    /// Syncs the last segment: what was read of it may be of a process that was killed before it
    /// synced it.
    pub(super) fn sync(&self) -> io::Result<()> {
        let Some(last) = self.segments.last() else { return Ok(()) };
        File::open(self.path(last.index))?.sync_all()
    }

    /// Appends the commit of `point`. It is on the medium when this returns. After an error it is
    /// there or not, and a new segment must be begun.
    pub(super) fn append(
        &mut self,
        point: Point,
        writes: &Writes,
        faults: &Faults,
    ) -> Result<(), String> {
        let bytes = encode(point, writes);
        let mut file = self.file.take().ok_or("the log has no open segment")?;
        crash::point(crash::Step::Applied, "batch");
        let written = match faults.check(Step::Flush) {
            Ok(()) => file.write_all(&bytes).map_err(|error| error.to_string()),
            Err(fault) => {
                // As a write that is torn.
                let torn = bytes.get(..bytes.len() / 2).unwrap_or_default();
                file.write_all(torn).map_err(|error| error.to_string())?;
                Err(fault)
            }
        };
        written.map_err(|why| format!("writing the log: {why}"))?;
        crash::point(crash::Step::Written, "batch");
        faults.check(Step::Sync)?;
        file.sync_data().map_err(|error| format!("syncing the log: {error}"))?;
        crash::point(crash::Step::Synced, "batch");
        self.file = Some(file);
        if let Some(last) = self.segments.last_mut() {
            last.bytes += bytes.len() as u64;
        }
        Ok(())
    }

    /// Removes old segments that hold nothing after commit `through`, as far as the log has more
    /// than the `most` bytes that are kept for a damaged state.
    pub(super) fn trim(&mut self, through: u64, most: u64) -> io::Result<()> {
        let mut bytes: u64 = self.segments.iter().map(|segment| segment.bytes).sum();
        loop {
            let keeps = bytes <= most && self.segments.len() <= limits::DISK_LOG_SEGMENTS;
            let [first, second, ..] = &self.segments[..] else { return Ok(()) };
            if keeps || second.after.is_none_or(|after| after > through) {
                return Ok(());
            }
            fs::remove_file(self.path(first.index))?;
            bytes -= first.bytes;
            self.segments.remove(0);
        }
    }

    /// Removes all segments but the last one.
    pub(super) fn forget(&mut self) -> io::Result<()> {
        while self.segments.len() > 1 {
            let first = self.segments.remove(0);
            fs::remove_file(self.path(first.index))?;
        }
        Ok(())
    }

    /// Reads all commits after number `from`.
    pub(super) fn replay(&self, from: u64) -> io::Result<Replayed> {
        let mut replay = Replay::new(from);
        for (n, segment) in self.segments.iter().enumerate() {
            let until = self.segments.iter().skip(n + 1).find_map(|next| next.after);
            if until.is_some_and(|until| until <= from) {
                continue;
            }
            replay.segment(&fs::read(self.path(segment.index))?, until);
        }
        Ok(replay.end())
    }

    fn path(&self, index: u64) -> PathBuf {
        self.dir.join(format!("{index:016x}"))
    }
}

/// The stored form of a commit.
fn encode(point: Point, writes: &Writes) -> Vec<u8> {
    let size = |value: Option<&Vec<u8>>| {
        // Removed: no value is so large.
        value.map_or(u32::MAX, |value| u32::try_from(value.len()).unwrap_or(u32::MAX))
    };
    let mut bytes = vec![0; 8];
    bytes.extend(point.to_bytes());
    for (key, value) in writes {
        bytes.extend(size(Some(key)).to_be_bytes());
        bytes.extend(size(value.as_ref()).to_be_bytes());
        bytes.extend(key);
        bytes.extend(value.iter().flatten());
    }
    let length = u32::try_from(bytes.len() - HEAD).unwrap_or(u32::MAX).to_be_bytes();
    let sum = crc32fast::hash(bytes.get(8..).unwrap_or_default()).to_be_bytes();
    bytes.splice(..8, length.into_iter().chain(sum));
    bytes
}
