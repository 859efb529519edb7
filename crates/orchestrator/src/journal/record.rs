//! A stored event: format, hash of the one before, the event, checksum.

use remit_core::{Event, EventNumber, TaskId};
use remit_vat::wire;
use sha2::{Digest as _, Sha256};

/// The hash of an event and, through it, of all before it.
pub(super) type Hash = [u8; 32];

/// The first byte of a stored event.
const FORMAT: u8 = 1;

/// What the first event of a task follows: no other task's events fit there.
pub(super) fn beginning(tenant: &str, task: TaskId) -> Hash {
    let mut hash = Sha256::new();
    hash.update(task.as_bytes());
    hash.update(tenant.as_bytes());
    hash.finalize().into()
}

/// The stored form of an encoded event, and its hash.
pub(super) fn seal(before: &Hash, event: &[u8]) -> (Vec<u8>, Hash) {
    let mut bytes = Vec::with_capacity(1 + before.len() + event.len() + 4);
    bytes.push(FORMAT);
    bytes.extend(before);
    bytes.extend(event);
    let hash = Sha256::digest(&bytes).into();
    bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
    (bytes, hash)
}

/// Checks the stored form of event `number`, which follows the event of hash `before`, if that is
/// known. Gives the event and its hash, or what is wrong.
pub(super) fn open(
    bytes: &[u8],
    number: EventNumber,
    before: Option<&Hash>,
) -> Result<(Event, Hash), String> {
    let hash = check(bytes, before)?;
    let payload = bytes.get(1 + hash.len()..bytes.len() - 4).unwrap_or_default();
    let event = wire::event::decode(payload).map_err(|malformed| malformed.to_string())?;
    if event.number != number {
        return Err(format!("it says it is event {}", event.number));
    }
    Ok((event, hash))
}

/// As [`open`], for the hash alone.
pub(super) fn check(bytes: &[u8], before: Option<&Hash>) -> Result<Hash, String> {
    let (body, sum) = bytes.split_last_chunk::<4>().ok_or("it is cut short")?;
    if crc32fast::hash(body) != u32::from_be_bytes(*sum) {
        return Err("its checksum is wrong".into());
    }
    let (format, rest) = body.split_first().ok_or("it is cut short")?;
    if *format != FORMAT {
        return Err(format!("it has form {format}, and this version knows form {FORMAT}"));
    }
    let (follows, _) = rest.split_first_chunk::<32>().ok_or("it is cut short")?;
    if before.is_some_and(|before| before != follows) {
        return Err("it does not follow the event before it".into());
    }
    Ok(Sha256::digest(body).into())
}
