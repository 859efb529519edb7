//! A stored event: form, hash of the one before, the event, checksum.
//!
//! In form 1 the event stands there packed. In form 2 its large bodies are cut out and stand there
//! by their hashes, so that the hash of the event still answers for them.

use remit_core::{Event, EventNumber, TaskId};
use remit_vat::wire;
use sha2::{Digest as _, Sha256};

use super::body::{self, Body, Cut};

/// The hash of an event and, through it, of all before it.
pub type Hash = [u8; 32];

/// The first byte of a stored event that stands there as a whole.
const WHOLE: u8 = 1;

/// The first byte of a stored event whose large bodies are elsewhere.
const CUT: u8 = 2;

/// What the first event of a task follows: no other task's events fit there.
pub(super) fn beginning(tenant: &str, task: TaskId) -> Hash {
    let mut hash = Sha256::new();
    hash.update(task.as_bytes());
    hash.update(tenant.as_bytes());
    hash.finalize().into()
}

/// The stored form of a packed event, and its hash.
pub fn seal(before: &Hash, event: &[u8]) -> (Vec<u8>, Hash) {
    seal_as(WHOLE, before, event)
}

/// The stored form of an event whose bodies were cut out, and its hash.
pub(super) fn seal_cut(before: &Hash, cut: &Cut) -> (Vec<u8>, Hash) {
    seal_as(CUT, before, &cut.to_bytes())
}

fn seal_as(form: u8, before: &Hash, event: &[u8]) -> (Vec<u8>, Hash) {
    let mut bytes = Vec::with_capacity(1 + before.len() + event.len() + 4);
    bytes.push(form);
    bytes.extend(before);
    bytes.extend(event);
    let hash = Sha256::digest(&bytes).into();
    bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
    (bytes, hash)
}

/// Checks the stored form of event `number`, which follows the event of hash `before`, if that is
/// known. Gives the event and its hash, or what is wrong. `fetch` gives a body that was cut out.
pub(super) fn open(
    bytes: &[u8],
    number: EventNumber,
    before: Option<&Hash>,
    fetch: impl FnMut(&Body) -> Result<Vec<u8>, String>,
) -> Result<(Event, Hash), String> {
    let hash = check(bytes, before)?;
    let event = if bytes.first() == Some(&CUT) {
        let whole = body::join(payload(bytes), fetch)?;
        wire::event::decode_flat(&whole)
    } else {
        wire::event::decode(payload(bytes))
    };
    let event = event.map_err(|malformed| malformed.to_string())?;
    if event.number != number {
        return Err(format!("it says it is event {}", event.number));
    }
    Ok((event, hash))
}

/// What was sealed, of bytes that were checked.
pub fn payload(bytes: &[u8]) -> &[u8] {
    bytes.get(1 + size_of::<Hash>()..bytes.len().saturating_sub(4)).unwrap_or_default()
}

/// As [`open`], for the hash alone.
pub fn check(bytes: &[u8], before: Option<&Hash>) -> Result<Hash, String> {
    let (body, sum) = bytes.split_last_chunk::<4>().ok_or("it is cut short")?;
    if crc32fast::hash(body) != u32::from_be_bytes(*sum) {
        return Err("its checksum is wrong".into());
    }
    let (form, rest) = body.split_first().ok_or("it is cut short")?;
    if ![WHOLE, CUT].contains(form) {
        return Err(format!("it has form {form}, and this version knows {WHOLE} and {CUT}"));
    }
    let (follows, _) = rest.split_first_chunk::<32>().ok_or("it is cut short")?;
    if before.is_some_and(|before| before != follows) {
        return Err("it does not follow the event before it".into());
    }
    Ok(Sha256::digest(body).into())
}

/// The bodies that a stored event refers to, as often as it does.
pub(super) fn bodies(bytes: &[u8]) -> Result<Vec<Body>, String> {
    if bytes.first() == Some(&CUT) { body::named(payload(bytes)) } else { Ok(Vec::new()) }
}
