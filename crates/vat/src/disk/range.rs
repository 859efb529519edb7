//! Keys in order: where a prefix begins and ends, and the pairs in between.

use std::ops::Bound;

use super::store::unreadable;
use super::{DiskError, Pair};

/// Keys from here to there.
pub(super) type Range = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// The pairs that the engine gives.
pub(super) fn collect(
    pairs: impl Iterator<Item = sled::Result<(sled::IVec, sled::IVec)>>,
) -> Result<Vec<Pair>, DiskError> {
    pairs
        .map(|pair| pair.map(|(key, value)| (key.to_vec(), value.to_vec())))
        .collect::<sled::Result<_>>()
        .map_err(|e| unreadable(&e))
}

/// The keys that begin with `prefix` and are at or after `from`, if there can be any.
pub(super) fn range_of(prefix: &[u8], from: &[u8]) -> Option<Range> {
    let end = end_of(prefix);
    if matches!(&end, Bound::Excluded(end) if end.as_slice() <= from) {
        return None;
    }
    Some((Bound::Included(from.max(prefix).to_vec()), end))
}

/// Where the keys that begin with `prefix` end.
pub(super) fn end_of(prefix: &[u8]) -> Bound<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return Bound::Excluded(end);
        }
    }
    Bound::Unbounded
}
