//! The keys of the journal in its store. One tree holds all; the first byte says what it is.

use remit_core::status::Status;
use remit_core::{EventNumber, TaskId};

use super::head::status_byte;

/// Heads: tenant, task.
const HEAD: u8 = b'h';
/// Events: tenant, task, number.
const EVENT: u8 = b'e';
/// Creation keys: tenant, key. The value is the task.
const CREATED: u8 = b'k';
/// Tasks that have not ended: tenant, task. The value is empty.
const LIVE: u8 = b'l';
/// Tasks that have ended: tenant, status, task. The value is empty.
const ENDED: u8 = b's';

/// The task's head.
pub(super) fn head(tenant: &str, task: TaskId) -> Vec<u8> {
    of(HEAD, tenant, task.as_bytes())
}

/// What the keys of a tenant's heads begin with.
pub(super) fn heads(tenant: &str) -> Vec<u8> {
    of(HEAD, tenant, &[])
}

/// One event.
pub(super) fn event(tenant: &str, task: TaskId, number: EventNumber) -> Vec<u8> {
    let mut key = events(tenant, task);
    key.extend(number.0.to_be_bytes());
    key
}

/// What the keys of a task's events begin with.
pub(super) fn events(tenant: &str, task: TaskId) -> Vec<u8> {
    of(EVENT, tenant, task.as_bytes())
}

/// The number in the key of an event.
pub(super) fn number(key: &[u8]) -> Option<EventNumber> {
    key.last_chunk().map(|number| EventNumber(u64::from_be_bytes(*number)))
}

/// The task that a creation key made.
pub(super) fn created(tenant: &str, key: &str) -> Vec<u8> {
    of(CREATED, tenant, key.as_bytes())
}

/// A task's place among those of its kind: the live ones, or those that ended alike.
pub(super) fn place(tenant: &str, status: Status, task: TaskId) -> Vec<u8> {
    let mut key = places(tenant, status);
    key.extend(task.as_bytes());
    key
}

/// What the keys of all places of a kind begin with.
pub(super) fn places(tenant: &str, status: Status) -> Vec<u8> {
    if status.has_ended() {
        of(ENDED, tenant, &[status_byte(status)])
    } else {
        of(LIVE, tenant, &[])
    }
}

/// What the places of all live tasks begin with.
pub(super) const ALL_LIVE: &[u8] = &[LIVE];

/// The task at the end of a key.
pub(super) fn task(key: &[u8]) -> Option<TaskId> {
    key.last_chunk().map(|bytes| TaskId::from_bytes(*bytes))
}

/// The tenant in a key.
pub(super) fn tenant(key: &[u8]) -> Option<String> {
    let (size, rest) = key.get(1..)?.split_first_chunk()?;
    let tenant = rest.get(..usize::try_from(u32::from_be_bytes(*size)).ok()?)?;
    String::from_utf8(tenant.to_vec()).ok()
}

/// The tenant goes with its length, so that none is the beginning of another.
fn of(kind: u8, tenant: &str, rest: &[u8]) -> Vec<u8> {
    let size = u32::try_from(tenant.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&[kind], &size[..], tenant.as_bytes(), rest].concat()
}
