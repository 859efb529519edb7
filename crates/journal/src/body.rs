//! Large bodies: cut out of events, kept once under their content's hash, counted, and put back.

use std::collections::BTreeMap;
use std::ops::Range;

use remit_store::{DiskError, View, Write};
use sha2::{Digest as _, Sha256};

use super::keys;
use super::record::Hash;

/// A body by its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Body {
    /// SHA-256 of the content.
    pub(super) hash: Hash,
    /// Bytes of the content.
    pub(super) size: u32,
}

/// An event whose bodies were cut out.
pub(super) struct Cut {
    /// Bytes of the event with its bodies.
    size: usize,
    /// Where each body begins, and what is in it.
    bodies: Vec<(usize, Body)>,
    /// The event without them.
    rest: Vec<u8>,
}

impl Cut {
    /// Cuts `bodies`, which are in order and apart from each other, out of `event`.
    pub(super) fn new(event: &[u8], bodies: &[Range<usize>]) -> Self {
        let mut rest = Vec::new();
        let mut end = 0;
        let mut cut = Vec::with_capacity(bodies.len());
        for body in bodies {
            rest.extend(event.get(end..body.start).unwrap_or_default());
            end = body.end;
            let content = event.get(body.clone()).unwrap_or_default();
            let size = u32::try_from(content.len()).unwrap_or(u32::MAX);
            cut.push((body.start, Body { hash: Sha256::digest(content).into(), size }));
        }
        rest.extend(event.get(end..).unwrap_or_default());
        Self { size: event.len(), bodies: cut, rest }
    }

    /// What was cut out.
    pub(super) fn bodies(&self) -> impl Iterator<Item = Body> {
        self.bodies.iter().map(|(_, body)| *body)
    }

    /// The stored form: size, number of bodies, each with its place, size and hash, and the rest.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).to_be_bytes();
        let mut bytes = Vec::with_capacity(8 + self.bodies.len() * 40 + self.rest.len());
        bytes.extend(number(self.size));
        bytes.extend(number(self.bodies.len()));
        for (at, body) in &self.bodies {
            bytes.extend(number(*at));
            bytes.extend(body.size.to_be_bytes());
            bytes.extend(body.hash);
        }
        bytes.extend(&self.rest);
        bytes
    }
}

/// The bodies that the stored form of a cut event names.
pub(super) fn named(bytes: &[u8]) -> Result<Vec<Body>, String> {
    Ok(read(bytes)?.bodies.into_iter().map(|(_, body)| body).collect())
}

/// The whole event whose stored form without its bodies this is.
pub(super) fn join(
    bytes: &[u8],
    mut fetch: impl FnMut(&Body) -> Result<Vec<u8>, String>,
) -> Result<Vec<u8>, String> {
    let cut = read(bytes)?;
    let mut whole = Vec::with_capacity(cut.size);
    let mut rest = &cut.rest[..];
    for (at, body) in &cut.bodies {
        let before = at.checked_sub(whole.len()).ok_or("its bodies overlap")?;
        let (taken, left) = rest.split_at_checked(before).ok_or("it is cut short")?;
        whole.extend(taken);
        rest = left;
        let content = fetch(body)?;
        if content.len() != body.size as usize || Sha256::digest(&content)[..] != body.hash {
            return Err(format!("its body {} is not what was written", shown(&body.hash)));
        }
        whole.extend(content);
    }
    whole.extend(rest);
    if whole.len() == cut.size { Ok(whole) } else { Err("it is cut short".into()) }
}

fn read(mut bytes: &[u8]) -> Result<Cut, String> {
    let mut number = || -> Result<u32, String> {
        let (number, rest) = bytes.split_first_chunk().ok_or("it is cut short")?;
        bytes = rest;
        Ok(u32::from_be_bytes(*number))
    };
    let (size, count) = (number()? as usize, number()?);
    let mut bodies = Vec::new();
    for _ in 0..count {
        let (at, rest) = bytes.split_first_chunk().ok_or("it is cut short")?;
        let (size, rest) = rest.split_first_chunk().ok_or("it is cut short")?;
        let (hash, rest) = rest.split_first_chunk().ok_or("it is cut short")?;
        bytes = rest;
        let body = Body { hash: *hash, size: u32::from_be_bytes(*size) };
        bodies.push((u32::from_be_bytes(*at) as usize, body));
    }
    Ok(Cut { size, bodies, rest: bytes.to_vec() })
}

/// Changes to how often bodies are referred to, gathered for one commit.
pub(super) struct Counts<'a> {
    tenant: &'a str,
    changed: BTreeMap<Body, u64>,
    writes: Vec<Write>,
}

impl<'a> Counts<'a> {
    pub(super) const fn new(tenant: &'a str) -> Self {
        Self { tenant, changed: BTreeMap::new(), writes: Vec::new() }
    }

    /// One more refers to `body`, whose content this is.
    pub(super) fn add(
        &mut self,
        view: &View<'_>,
        body: Body,
        content: &[u8],
    ) -> Result<(), DiskError> {
        let count = self.count(view, body)?;
        if count == 0 {
            self.writes.extend(pieces(self.tenant, &body.hash, content));
        }
        self.changed.insert(body, count + 1);
        Ok(())
    }

    /// One less refers to `body`.
    pub(super) fn drop(&mut self, view: &View<'_>, body: Body) -> Result<(), DiskError> {
        let count = self.count(view, body)?;
        self.changed.insert(body, count.saturating_sub(1));
        Ok(())
    }

    fn count(&self, view: &View<'_>, body: Body) -> Result<u64, DiskError> {
        if let Some(count) = self.changed.get(&body) {
            return Ok(*count);
        }
        Ok(view.get(&keys::count(self.tenant, &body.hash))?.and_then(|b| count_of(&b)).unwrap_or(0))
    }

    /// The writes. A body that nothing refers to any more goes.
    pub(super) fn into_writes(self) -> Vec<Write> {
        let mut writes = self.writes;
        for (body, count) in self.changed {
            let key = keys::count(self.tenant, &body.hash);
            if count > 0 {
                writes.push((key, Some(count.to_be_bytes().to_vec())));
                continue;
            }
            writes.push((key, None));
            let gone = keys::pieces_of(body.size as usize);
            writes.extend(gone.map(|n| (keys::body_piece(self.tenant, &body.hash, n), None)));
        }
        writes
    }
}

/// How often a body is referred to, from its stored form.
pub(super) fn count_of(bytes: &[u8]) -> Option<u64> {
    bytes.try_into().ok().map(u64::from_be_bytes)
}

/// The writes of a body's content, in pieces.
fn pieces<'a>(
    tenant: &'a str,
    hash: &'a Hash,
    content: &'a [u8],
) -> impl Iterator<Item = Write> + 'a {
    (0_u32..)
        .zip(content.chunks(keys::PIECE_BYTES))
        .map(|(n, piece)| (keys::body_piece(tenant, hash, n), Some(piece.to_vec())))
}

/// The beginning of a hash, for people.
pub(super) fn shown(hash: &Hash) -> String {
    hash.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_cut_out_is_put_back(
            parts in prop::collection::vec((0..9_usize, 1..90_usize), 0..9),
            tail in 0..9_usize,
        ) {
            let mut event = Vec::new();
            let mut bodies = Vec::new();
            for (n, (before, size)) in (0_u8..).zip(parts) {
                event.extend(vec![200; before]);
                bodies.push(event.len()..event.len() + size);
                event.extend(vec![n; size]);
            }
            event.extend(vec![201; tail]);
            let cut = Cut::new(&event, &bodies);
            let stored = cut.to_bytes();
            let contents: BTreeMap<Body, Vec<u8>> =
                cut.bodies().zip(bodies.iter().map(|body| event[body.clone()].to_vec())).collect();
            prop_assert_eq!(named(&stored).unwrap().len(), bodies.len());
            let fetch = |body: &Body| Ok(contents[body].clone());
            prop_assert_eq!(join(&stored, fetch).unwrap(), event);
            for short in 0..stored.len() {
                prop_assert!(join(&stored[..short], fetch).is_err() || !cut.rest.is_empty());
            }
        }

        #[test]
        fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = join(&bytes, |body| Ok(vec![0; body.size as usize % 99]));
        }
    }
}
