//! A point in a store's history: the number of a commit, and a digest of what it left stored.

use sha2::{Digest as _, Sha256};

/// What a store holds after a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Point {
    /// The number of the commit, from 1 on; 0: before the first one.
    pub(super) number: u64,
    /// All records but the bulk ones.
    pub(super) digest: Digest,
    /// Bytes of all keys and values, about: how much a copy without holes would take.
    pub(super) bytes: u64,
}

/// A digest of a set of records, which does not depend on the order in which they were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Digest {
    /// How many there are.
    pub(super) records: u64,
    /// The sum of their hashes. Damage does not choose its victims, so a sum is enough.
    sum: u128,
}

/// Bytes of a point on disk.
pub(super) const POINT_BYTES: usize = 40;

impl Digest {
    pub(super) fn add(&mut self, key: &[u8], value: &[u8]) {
        self.records = self.records.wrapping_add(1);
        self.sum = self.sum.wrapping_add(hash(key, value));
    }

    pub(super) fn remove(&mut self, key: &[u8], value: &[u8]) {
        self.records = self.records.wrapping_sub(1);
        self.sum = self.sum.wrapping_sub(hash(key, value));
    }
}

impl Point {
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(POINT_BYTES);
        bytes.extend(self.number.to_be_bytes());
        bytes.extend(self.digest.records.to_be_bytes());
        bytes.extend(self.digest.sum.to_be_bytes());
        bytes.extend(self.bytes.to_be_bytes());
        bytes
    }

    /// The point at the beginning of `bytes`, and what follows it.
    pub(super) fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (number, rest) = bytes.split_first_chunk()?;
        let (records, rest) = rest.split_first_chunk()?;
        let (sum, rest) = rest.split_first_chunk()?;
        let (size, rest) = rest.split_first_chunk()?;
        let digest =
            Digest { records: u64::from_be_bytes(*records), sum: u128::from_be_bytes(*sum) };
        let (number, bytes) = (u64::from_be_bytes(*number), u64::from_be_bytes(*size));
        Some((Self { number, digest, bytes }, rest))
    }
}

/// The beginning of the hash of a record.
fn hash(key: &[u8], value: &[u8]) -> u128 {
    let mut hash = Sha256::new();
    hash.update((key.len() as u64).to_be_bytes());
    hash.update(key);
    hash.update(value);
    hash.finalize().first_chunk().map_or(0, |first| u128::from_be_bytes(*first))
}

/// The keys that the digest leaves out: those that begin so. A record under one of them is written
/// once, and another record, which the digest holds, vouches for it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Bulk(pub(super) Vec<Vec<u8>>);

impl Bulk {
    pub(super) fn of(prefixes: &[&[u8]]) -> Self {
        let mut prefixes: Vec<Vec<u8>> = prefixes.iter().map(|prefix| prefix.to_vec()).collect();
        prefixes.sort();
        Self(prefixes)
    }

    /// The prefix by which this key is left out.
    pub(super) fn prefix_of(&self, key: &[u8]) -> Option<&[u8]> {
        self.0.iter().find(|prefix| key.starts_with(prefix)).map(Vec::as_slice)
    }
}

/// A point with the form of the store, sealed: the head of a segment of the log, and the note of
/// the last checkpoint in the state.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Mark {
    pub(super) point: Point,
    pub(super) bulk: Bulk,
}

/// The first bytes of a mark.
const MAGIC: &[u8] = b"remit store 2\n";

impl Mark {
    /// The stored form: magic, size, point, prefixes with their sizes, CRC-32.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut body = self.point.to_bytes();
        for prefix in &self.bulk.0 {
            body.push(u8::try_from(prefix.len()).unwrap_or(u8::MAX));
            body.extend(prefix);
        }
        let mut bytes = MAGIC.to_vec();
        bytes.extend(u16::try_from(body.len()).unwrap_or(u16::MAX).to_be_bytes());
        bytes.extend(body);
        bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
        bytes
    }

    /// The mark at the beginning of `bytes`, and how many of them it takes.
    pub(super) fn read(bytes: &[u8]) -> Option<(Self, usize)> {
        let (size, rest) = bytes.strip_prefix(MAGIC)?.split_first_chunk()?;
        let (body, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*size)))?;
        let end = bytes.len() - rest.len();
        let sum = u32::from_be_bytes(*rest.first_chunk()?);
        if crc32fast::hash(bytes.get(..end)?) != sum {
            return None;
        }
        let (point, mut prefixes) = Point::read(body)?;
        let mut bulk = Bulk::default();
        while let Some((size, rest)) = prefixes.split_first() {
            let (prefix, rest) = rest.split_at_checked(usize::from(*size))?;
            bulk.0.push(prefix.to_vec());
            prefixes = rest;
        }
        Some((Self { point, bulk }, end + 4))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_reads_back_as_it_was_written_and_no_byte_may_change() {
        let mut digest = Digest::default();
        digest.add(b"key", b"value");
        let point = Point { number: 7, digest, bytes: 8 };
        let mark = Mark { point, bulk: Bulk::of(&[b"e\0", b"audit/r"]) };
        let bytes = mark.to_bytes();
        assert_eq!(Mark::read(&bytes), Some((mark, bytes.len())));
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            assert_eq!(Mark::read(&damaged), None, "byte {at}");
            assert_eq!(Mark::read(&bytes[..at]), None, "cut at {at}");
        }
    }

    #[test]
    fn a_digest_depends_on_the_records_and_not_on_their_history() {
        let (mut one, mut other) = (Digest::default(), Digest::default());
        for n in 0..9_u8 {
            one.add(&[n], b"v");
            other.add(&[8 - n], b"v");
        }
        assert_eq!(one, other);
        one.remove(&[3], b"v");
        assert_ne!(one, other);
        one.add(&[3], b"w");
        assert_ne!(one, other, "another value");
        one.remove(&[3], b"w");
        one.add(&[3], b"v");
        assert_eq!(one, other);
        other.add(b"", b"ab");
        one.add(b"a", b"b");
        assert_ne!(one, other, "another split of the same bytes");
    }
}
