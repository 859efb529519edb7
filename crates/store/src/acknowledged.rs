//! What was acknowledged, noted outside the log: the number of each of the last commits, and what it
//! was about. Without it a log that lost its end looks like one that is shorter, and whom a lost
//! commit concerns is unknown.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::commit::Writes;
use crate::limits;

/// What a record is about, for the case that it is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// It follows from other records, or another one tells that it is missing.
    Nothing,
    /// One of the things that are kept apart, by its id: all others can do without the record.
    One([u8; 16]),
    /// All that is stored.
    Everything,
}

/// What a commit was about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum About {
    These(BTreeSet<[u8; 16]>),
    /// All that is stored, or more things than a note has room for.
    Everything,
}

impl About {
    /// What these writes are about. Without `subject` each is about everything.
    pub(super) fn of(writes: &Writes, subject: Option<fn(&[u8]) -> Subject>) -> Self {
        let Some(subject) = subject else { return Self::Everything };
        let mut these = BTreeSet::new();
        for key in writes.keys() {
            match subject(key) {
                Subject::Nothing => {}
                Subject::One(id) => {
                    these.insert(id);
                }
                Subject::Everything => return Self::Everything,
            }
        }
        if these.len() > SUBJECTS { Self::Everything } else { Self::These(these) }
    }
}

/// The notes, a slot for each commit. They are written after it and left to the operating system: a
/// crash of the machine leaves older ones, which does no harm.
pub(super) struct Acknowledged {
    file: File,
}

/// What the notes say.
#[derive(Debug, Default)]
pub(super) struct Noted(BTreeMap<u64, About>);

impl Noted {
    /// The last commit that was acknowledged; `None`: no note can be read.
    pub(super) fn last(&self) -> Option<u64> {
        self.0.keys().next_back().copied()
    }

    /// What a commit was about; `None`: that is not known any more.
    pub(super) fn about(&self, number: u64) -> Option<&About> {
        self.0.get(&number)
    }
}

/// Bytes of a slot: number, how many ids, the ids, CRC-32.
const SLOT: usize = 512;

/// Ids in a slot.
const SUBJECTS: usize = (SLOT - 14) / 16;

/// In place of how many ids there are: the commit was about everything.
const EVERYTHING: u16 = u16::MAX;

impl Acknowledged {
    /// The notes in the folder `dir`, making them at first, and what they say.
    pub(super) fn open(dir: &Path) -> io::Result<(Self, Noted)> {
        let mut options = File::options();
        let path = dir.join("acknowledged");
        let mut file = options.read(true).write(true).create(true).truncate(false).open(path)?;
        let mut bytes = Vec::new();
        let most = limits::DISK_NOTES * SLOT as u64;
        (&mut file).take(most).read_to_end(&mut bytes)?;
        Ok((Self { file }, Noted(bytes.chunks(SLOT).filter_map(read).collect())))
    }

    /// Notes a commit.
    pub(super) fn note(&self, number: u64, about: &About) -> io::Result<()> {
        self.file.write_all_at(&written(number, about), place(number) * SLOT as u64)
    }

    /// Notes that all commits up to `number` count, on the medium when this returns. It stands in two
    /// blocks, so that damage to one is no loss.
    pub(super) fn reset(&self, number: u64, about: &About) -> io::Result<()> {
        let bytes = written(number, about);
        for place in [place(number), place(number + 1)] {
            self.file.write_all_at(&bytes, place * SLOT as u64)?;
        }
        self.file.sync_all()
    }
}

/// The slot of a commit. Two that follow each other are far apart, so that no damaged block holds
/// both.
const fn place(number: u64) -> u64 {
    let half = limits::DISK_NOTES / 2;
    (number % 2) * half + (number / 2) % half
}

fn written(number: u64, about: &About) -> Vec<u8> {
    let mut bytes = number.to_be_bytes().to_vec();
    match about {
        About::These(ids) => {
            bytes.extend(u16::try_from(ids.len()).unwrap_or(EVERYTHING).to_be_bytes());
            bytes.extend(ids.iter().flatten());
        }
        About::Everything => bytes.extend(EVERYTHING.to_be_bytes()),
    }
    bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
    bytes
}

fn read(slot: &[u8]) -> Option<(u64, About)> {
    let (number, rest) = slot.split_first_chunk::<8>()?;
    let (count, rest) = rest.split_first_chunk::<2>()?;
    let count = u16::from_be_bytes(*count);
    let ids = if count == EVERYTHING { 0 } else { usize::from(count) };
    let (ids, rest) = rest.split_at_checked(ids * 16)?;
    let sum = u32::from_be_bytes(*rest.first_chunk()?);
    if crc32fast::hash(slot.get(..10 + ids.len())?) != sum {
        return None;
    }
    let about = if count == EVERYTHING {
        About::Everything
    } else {
        About::These(ids.as_chunks::<16>().0.iter().copied().collect())
    };
    Some((u64::from_be_bytes(*number), about))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_say_what_the_last_commits_were_about_and_no_byte_of_one_may_change() {
        let dir = tempfile::TempDir::new().unwrap();
        let (notes, noted) = Acknowledged::open(dir.path()).unwrap();
        assert_eq!(noted.last(), None);
        let about =
            |n: u64| About::These((0..n % 5).map(|id| [u8::try_from(id).unwrap(); 16]).collect());
        let last = limits::DISK_NOTES + 100;
        for number in 1..=last {
            notes.note(number, &about(number)).unwrap();
        }
        let (_, noted) = Acknowledged::open(dir.path()).unwrap();
        assert_eq!(noted.last(), Some(last));
        for number in (last - limits::DISK_NOTES + 1)..=last {
            assert_eq!(noted.about(number), Some(&about(number)), "{number}");
        }
        assert_eq!(noted.about(last - limits::DISK_NOTES), None, "another took its slot");
        let bytes = written(7, &about(4));
        assert_eq!(read(&bytes), Some((7, about(4))));
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            assert_eq!(read(&damaged), None, "byte {at}");
        }
    }

    #[test]
    fn a_commit_about_more_than_a_note_holds_is_about_everything() {
        let id = |key: &[u8]| {
            let mut id = [0; 16];
            id[..2].copy_from_slice(&key[..2]);
            Subject::One(id)
        };
        let writes = |count: u16| (0..count).map(|n| (n.to_be_bytes().to_vec(), None)).collect();
        let most = u16::try_from(SUBJECTS).unwrap();
        let About::These(these) = About::of(&writes(most), Some(id)) else { panic!() };
        assert_eq!(these.len(), SUBJECTS);
        assert_eq!(written(1, &About::These(these)).len(), SLOT - 2);
        assert_eq!(About::of(&writes(most + 1), Some(id)), About::Everything);
        assert_eq!(About::of(&writes(1), None), About::Everything);
    }
}
