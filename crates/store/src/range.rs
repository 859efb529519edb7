//! Keys in order: where a prefix begins and ends, and the pairs in between, of all layers.

use std::iter::Peekable;
use std::ops::Bound;

use super::commit::Writes;
use super::store::unreadable;
use super::{DiskError, Pair, Write};

/// Keys from here to there.
pub(super) type Range = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// What stands in a layer under a key: a value, or that there is none.
type Layered = Result<Write, DiskError>;

/// Records as they are seen: writes, newest layer first, over what the engine holds.
pub(super) struct Layers<'a> {
    pub(super) writes: Vec<&'a Writes>,
    pub(super) db: &'a sled::Db,
}

/// In which order pairs are given.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Forward,
    Back,
}

impl Layers<'_> {
    /// The value of a key.
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, DiskError> {
        match self.writes.iter().find_map(|writes| writes.get(key)) {
            Some(value) => Ok(value.clone()),
            None => {
                let value = self.db.get(key).map_err(|e| unreadable(&e))?;
                Ok(value.map(|value| value.to_vec()))
            }
        }
    }

    /// Up to `limit` pairs of `range`.
    pub(super) fn scan(
        &self,
        range: Range,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Pair>, DiskError> {
        let mut found = Vec::new();
        if is_empty(&range) {
            return Ok(found);
        }
        let mut sources: Vec<Peekable<Box<dyn Iterator<Item = Layered> + '_>>> = Vec::new();
        for writes in &self.writes {
            let pairs = writes.range(range.clone());
            let pairs = pairs.map(|(key, value)| Ok((key.clone(), value.clone())));
            sources.push(directed(pairs, order).peekable());
        }
        let stored = self.db.range::<Vec<u8>, _>(range).map(|pair| match pair {
            Ok((key, value)) => Ok((key.to_vec(), Some(value.to_vec()))),
            Err(error) => Err(unreadable(&error)),
        });
        sources.push(directed(stored, order).peekable());
        while found.len() < limit {
            let Some(next) = next_of(&mut sources, order)? else { break };
            found.extend(next.1.map(|value| (next.0, value)));
        }
        Ok(found)
    }
}

fn directed<'a>(
    pairs: impl DoubleEndedIterator<Item = Layered> + 'a,
    order: Order,
) -> Box<dyn Iterator<Item = Layered> + 'a> {
    match order {
        Order::Forward => Box::new(pairs),
        Order::Back => Box::new(pairs.rev()),
    }
}

/// What comes next: of several sources that have the same key, the first counts.
fn next_of(
    sources: &mut [Peekable<Box<dyn Iterator<Item = Layered> + '_>>],
    order: Order,
) -> Result<Option<Write>, DiskError> {
    let mut best: Option<Vec<u8>> = None;
    for source in &mut *sources {
        match source.peek() {
            None => {}
            Some(Err(error)) => return Err(error.clone()),
            Some(Ok((key, _))) => {
                let is_nearer = best.as_ref().is_none_or(|best| match order {
                    Order::Forward => key < best,
                    Order::Back => key > best,
                });
                if is_nearer {
                    best = Some(key.clone());
                }
            }
        }
    }
    let Some(best) = best else { return Ok(None) };
    let mut value = None;
    for source in &mut *sources {
        let is_same = |next: &Layered| next.as_ref().is_ok_and(|(key, _)| *key == best);
        if let Some(Ok((_, next))) = source.next_if(is_same) {
            value = value.or(Some(next));
        }
    }
    Ok(Some((best, value.flatten())))
}

/// Whether no key can be in `range`: such a one is refused by a map with a panic.
fn is_empty(range: &Range) -> bool {
    match range {
        (Bound::Included(start), Bound::Excluded(end))
        | (Bound::Excluded(start), Bound::Excluded(end) | Bound::Included(end)) => start >= end,
        (Bound::Included(start), Bound::Included(end)) => start > end,
        _ => false,
    }
}

/// The keys that begin with `prefix` and are at or after `from`, if there can be any.
pub(super) fn range_of(prefix: &[u8], from: &[u8]) -> Option<Range> {
    let end = end_of(prefix);
    if matches!(&end, Bound::Excluded(end) if end.as_slice() <= from) {
        return None;
    }
    Some((Bound::Included(from.max(prefix).to_vec()), end))
}

/// The keys that begin with `prefix` and are before `before`, if there can be any. An empty
/// `before` is after all.
pub(super) fn range_before(prefix: &[u8], before: &[u8]) -> Option<Range> {
    let mut end = end_of(prefix);
    if !before.is_empty() {
        if before <= prefix {
            return None;
        }
        if !matches!(&end, Bound::Excluded(end) if end.as_slice() <= before) {
            end = Bound::Excluded(before.to_vec());
        }
    }
    Some((Bound::Included(prefix.to_vec()), end))
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
