//! The number of the last acknowledged commit, noted outside the log: without it, a log that lost
//! its end looks like one that is shorter.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// The note. It is written after each commit and left to the operating system: a crash of the
/// machine leaves an older number, which does no harm.
pub(super) struct Acknowledged {
    file: File,
}

/// Bytes between the two places of the number, so that no damaged block holds both.
const APART: u64 = 4096;

impl Acknowledged {
    /// The note in the folder `dir`, making it at first, and the highest number that it has.
    /// `None`: neither place can be read.
    pub(super) fn open(dir: &Path) -> io::Result<(Self, Option<u64>)> {
        let mut options = File::options();
        let path = dir.join("acknowledged");
        let file = options.read(true).write(true).create(true).truncate(false).open(path)?;
        let found = [0, APART].into_iter().filter_map(|at| read(&file, at)).max();
        Ok((Self { file }, found))
    }

    /// Notes `number`, in the place of the one before the last.
    pub(super) fn note(&self, number: u64) -> io::Result<()> {
        let bytes = number.to_be_bytes();
        let sum = crc32fast::hash(&bytes).to_be_bytes();
        self.file.write_all_at(&[&bytes[..], &sum].concat(), (number % 2) * APART)
    }

    /// Notes `number` in both places, on the medium when this returns.
    pub(super) fn reset(&self, number: u64) -> io::Result<()> {
        let bytes = number.to_be_bytes();
        let sum = crc32fast::hash(&bytes).to_be_bytes();
        for at in [0, APART] {
            self.file.write_all_at(&[&bytes[..], &sum].concat(), at)?;
        }
        self.file.sync_all()
    }
}

fn read(file: &File, at: u64) -> Option<u64> {
    let mut bytes = [0; 12];
    file.read_exact_at(&mut bytes, at).ok()?;
    let (number, sum) = bytes.split_first_chunk::<8>()?;
    (crc32fast::hash(number).to_be_bytes() == sum).then(|| u64::from_be_bytes(*number))
}
