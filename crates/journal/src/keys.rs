//! The keys of the journal in its store. One tree holds all; the first byte says what it is.

use remit_core::status::Status;
use remit_core::{EventNumber, TaskId};
use remit_store::Subject;

/// Heads: tenant, task.
const HEAD: u8 = b'h';
/// Events: tenant, task, number.
const EVENT: u8 = b'e';
/// Creation keys: tenant, key. The value is the task.
const CREATED: u8 = b'k';
/// Tasks that have not ended: tenant, task. The value is empty.
const LIVE: u8 = b'l';
/// Tasks that wait for a person: tenant, task. The value is empty.
const ASKING: u8 = b'q';
/// Tasks by where they stand: tenant, status, task. The value is empty.
const PLACED: u8 = b's';
/// Tasks that have ended and say how long they are kept: tenant, from when on they are not, task. The
/// value is empty.
const DUE: u8 = b'd';
/// Tasks that came of another: tenant, that one, task. The value is empty.
const FAMILY: u8 = b'f';
/// Pieces of large bodies: tenant, hash of the whole, number of the piece.
const BODY: u8 = b'b';
/// How often a large body is referred to: tenant, hash.
const COUNT: u8 = b'r';
/// What is known of a task's snapshot: tenant, task.
const SNAPSHOT: u8 = b'n';
/// Pieces of snapshots: tenant, task, number of the last event, number of the piece.
const SNAPSHOT_PIECE: u8 = b'p';
/// What sinks are to be told: sink in place of a tenant, topic, creator with its length, number.
const NOTICE: u8 = b'o';
/// How many of these there are: sink in place of a tenant, topic, creator with its length.
const NOTICE_COUNT: u8 = b'c';
/// Tasks that are being removed, whose head is gone already: tenant, task.
const LEAVING: u8 = b'x';

/// What the keys of all pieces of bodies begin with.
#[cfg(test)]
pub(super) const ALL_BODIES: &[u8] = &[BODY];
/// What the keys of all heads begin with.
pub(super) const ALL_HEADS: &[u8] = &[HEAD, 0];
/// What the keys of all counts of bodies begin with.
pub(super) const ALL_COUNTS: &[u8] = &[COUNT];
/// What the keys of all places begin with.
pub(super) const ALL_PLACES: &[u8] = &[PLACED];
/// What the keys of all tasks that say how long they are kept begin with.
pub(super) const ALL_DUE: &[u8] = &[DUE];
/// What the keys of all tasks that are being removed begin with.
pub(super) const ALL_LEAVING: &[u8] = &[LEAVING];

/// What the keys of all notices begin with.
pub(super) const ALL_NOTICES: &[u8] = &[NOTICE, 0];
/// What the keys of all counts of notices begin with.
pub(super) const ALL_NOTICE_COUNTS: &[u8] = &[NOTICE_COUNT, 0];
/// The number of the last notice.
pub(super) const NOTICE_END: &[u8] = &[b'm', 0, 0, 0, 0];

/// Bytes of a piece of something large. Small enough that the storage engine keeps some of them in
/// one page and none in a file of its own.
pub(super) const PIECE_BYTES: usize = 32 << 10;

/// What kind of record a key is of, for whoever reads all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// One of the many that do not change once they are written, and that a head leads to.
    Bulk,
    /// One that follows from others, or that means nothing elsewhere.
    Derived,
    /// Any other, those of others than the journal included.
    Other,
}

/// The kind of a key. Those of others are never mistaken for the journal's: a tenant's name is not
/// so long that the first byte of its length is anything but zero.
pub(super) fn kind(key: &[u8]) -> Kind {
    match key {
        [EVENT | BODY | SNAPSHOT_PIECE, 0, ..] => Kind::Bulk,
        [PLACED | LIVE | ASKING | CREATED | DUE | FAMILY | COUNT | LEAVING, 0, ..] => Kind::Derived,
        // In a journal that is restored, what was to be told is old, and the numbers begin anew.
        [NOTICE | NOTICE_COUNT | b'm', 0, ..] => Kind::Derived,
        _ => Kind::Other,
    }
}

/// Whether a key is of a head.
pub(super) fn is_head(key: &[u8]) -> bool {
    matches!(key, [HEAD, 0, ..])
}

/// Whether a key is of an event.
pub(super) fn is_event(key: &[u8]) -> bool {
    matches!(key, [EVENT, 0, ..])
}

/// Whether a key is of how often a body is referred to.
pub(super) fn is_count(key: &[u8]) -> bool {
    matches!(key, [COUNT, 0, ..])
}

/// Whether a key is of what is known of a snapshot.
pub(super) fn is_snapshot(key: &[u8]) -> bool {
    matches!(key, [SNAPSHOT, 0, ..])
}

/// The list that a key is an entry of, for people, if it follows from a head alone.
pub(super) fn list(key: &[u8]) -> Option<&'static str> {
    match key {
        [PLACED, 0, ..] => Some("the list of tasks by status"),
        [LIVE, 0, ..] => Some("the list of tasks that have not ended"),
        [ASKING, 0, ..] => Some("the inbox"),
        [CREATED, 0, ..] => Some("the list of creation keys"),
        [DUE, 0, ..] => Some("the list of tasks that say how long they are kept"),
        [FAMILY, 0, ..] => Some("the list of tasks that came of another"),
        _ => None,
    }
}

/// The task that an entry of a list is about.
pub(super) fn listed(key: &[u8], value: &[u8]) -> Option<TaskId> {
    if matches!(key, [CREATED, ..]) { task(value) } else { task(key) }
}

/// What the keys of records begin with that are written once, and that a head leads to; and those of
/// the audit log, whose end is noted.
pub(super) const BULK: &[&[u8]] =
    &[&[EVENT, 0], &[BODY, 0], &[SNAPSHOT_PIECE, 0], crate::audit::RECORDS];

/// What the keys of all events begin with.
pub(super) const ALL_EVENTS: &[u8] = &[EVENT, 0];

/// The task, and its tenant, of the key of an event.
pub(super) fn task_of_event(key: &[u8]) -> Option<(String, TaskId)> {
    let (before, _number) = key.split_last_chunk::<8>()?;
    tenant(key).zip(task(before))
}

/// What a record is about, for the case that it is lost.
pub(super) fn subject(key: &[u8]) -> Subject {
    let of_task = match key {
        [HEAD | SNAPSHOT | LEAVING, 0, ..] => task(key),
        [EVENT, 0, ..] => task_of_event(key).map(|(_, task)| task),
        [SNAPSHOT_PIECE, 0, ..] => {
            key.split_last_chunk::<12>().and_then(|(before, _)| task(before))
        }
        // These follow from heads and events, and an event tells that its body is missing.
        [PLACED | LIVE | ASKING | CREATED | DUE | FAMILY | COUNT | BODY, 0, ..] => {
            return Subject::Nothing;
        }
        // The chain of the audit log tells.
        key if key.starts_with(b"audit/") => return Subject::Nothing,
        // Who is a member, what was taken back, what is about to happen by itself.
        _ => None,
    };
    of_task.map_or(Subject::Everything, |task| Subject::One(*task.as_bytes()))
}

/// The least key after all of the journal's that begin as this one does.
pub(super) fn after_kind(key: &[u8]) -> Vec<u8> {
    key.iter().take(1).copied().chain([1]).collect()
}

/// The numbers of the pieces of something of `size` bytes.
pub(super) fn pieces_of(size: usize) -> std::ops::Range<u32> {
    0..u32::try_from(size.div_ceil(PIECE_BYTES)).unwrap_or(u32::MAX)
}

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

/// The stored form of a status. It never changes.
pub(super) const fn status_byte(status: Status) -> u8 {
    match status {
        Status::Pending => 0,
        Status::Running => 1,
        Status::Waiting => 2,
        Status::Halted => 3,
        Status::Completed => 4,
        Status::Failed => 5,
        Status::Cancelled => 6,
        Status::Paused => 7,
        Status::Cancelling => 8,
    }
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

/// A task's place among those that stand alike.
pub(super) fn place(tenant: &str, status: Status, task: TaskId) -> Vec<u8> {
    let mut key = places(tenant, status);
    key.extend(task.as_bytes());
    key
}

/// What the keys of all places of a status begin with.
pub(super) fn places(tenant: &str, status: Status) -> Vec<u8> {
    of(PLACED, tenant, &[status_byte(status)])
}

/// The status in the key of a place.
pub(super) fn status_of_place(key: &[u8]) -> Option<Status> {
    let status = *key.get(key.len().checked_sub(17)?)?;
    Status::ALL.into_iter().find(|known| status_byte(*known) == status)
}

/// A task's place among those that wait for a person.
pub(super) fn asks(tenant: &str, task: TaskId) -> Vec<u8> {
    of(ASKING, tenant, task.as_bytes())
}

/// What the keys of a tenant's tasks that wait for a person begin with.
pub(super) fn asking(tenant: &str) -> Vec<u8> {
    of(ASKING, tenant, &[])
}

/// A task's place among those that have not ended.
pub(super) fn live(tenant: &str, task: TaskId) -> Vec<u8> {
    of(LIVE, tenant, task.as_bytes())
}

/// A task's place among those that came of `root`.
pub(super) fn member(tenant: &str, root: TaskId, task: TaskId) -> Vec<u8> {
    let mut key = family(tenant, root);
    key.extend(task.as_bytes());
    key
}

/// What the keys of all tasks that came of `root` begin with.
pub(super) fn family(tenant: &str, root: TaskId) -> Vec<u8> {
    of(FAMILY, tenant, root.as_bytes())
}

/// A task's place among those that say how long they are kept.
pub(super) fn due(tenant: &str, due_ms: u64, task: TaskId) -> Vec<u8> {
    let mut key = of(DUE, tenant, &due_ms.to_be_bytes());
    key.extend(task.as_bytes());
    key
}

/// From when on the task of this key is kept no longer, in milliseconds since 1970.
pub(super) fn due_ms(key: &[u8]) -> Option<u64> {
    let (before, _task) = key.split_last_chunk::<16>()?;
    before.last_chunk().map(|due_ms| u64::from_be_bytes(*due_ms))
}

/// One piece of a body.
pub(super) fn body_piece(tenant: &str, hash: &[u8; 32], piece: u32) -> Vec<u8> {
    let mut key = body(tenant, hash);
    key.extend(piece.to_be_bytes());
    key
}

/// What the keys of a body's pieces begin with.
pub(super) fn body(tenant: &str, hash: &[u8; 32]) -> Vec<u8> {
    of(BODY, tenant, hash)
}

/// How often a body is referred to.
pub(super) fn count(tenant: &str, hash: &[u8; 32]) -> Vec<u8> {
    of(COUNT, tenant, hash)
}

/// The hash at the end of the key of a count.
pub(super) fn hash(key: &[u8]) -> Option<[u8; 32]> {
    key.last_chunk().copied()
}

/// What is known of a task's snapshot.
pub(super) fn snapshot(tenant: &str, task: TaskId) -> Vec<u8> {
    of(SNAPSHOT, tenant, task.as_bytes())
}

/// One piece of a snapshot.
pub(super) fn snapshot_piece(
    tenant: &str,
    task: TaskId,
    number: EventNumber,
    piece: u32,
) -> Vec<u8> {
    let mut key = snapshot_pieces(tenant, task, number);
    key.extend(piece.to_be_bytes());
    key
}

/// What the keys of a snapshot's pieces begin with.
pub(super) fn snapshot_pieces(tenant: &str, task: TaskId, number: EventNumber) -> Vec<u8> {
    let mut key = of(SNAPSHOT_PIECE, tenant, task.as_bytes());
    key.extend(number.0.to_be_bytes());
    key
}

/// What the keys of all that a sink is to be told of a topic begin with.
pub(super) fn notices(sink: &str, topic: u8) -> Vec<u8> {
    of(NOTICE, sink, &[topic])
}

/// What those about tasks of this creator begin with.
pub(super) fn notices_of(sink: &str, topic: u8, creator: &str) -> Vec<u8> {
    [notices(sink, topic), sized(creator)].concat()
}

/// What the keys of the counts of a sink's notices of a topic begin with.
pub(super) fn notice_counts(sink: &str, topic: u8) -> Vec<u8> {
    of(NOTICE_COUNT, sink, &[topic])
}

/// How many notices about tasks of this creator wait for a sink.
pub(super) fn notice_count(sink: &str, topic: u8, creator: &str) -> Vec<u8> {
    [notice_counts(sink, topic), sized(creator)].concat()
}

/// The key of the count that a notice is counted in; `None`: the key is no notice's.
pub(super) fn count_of_notice(key: &[u8]) -> Option<Vec<u8>> {
    let (queue, _number) = key.strip_prefix(&[NOTICE])?.split_last_chunk::<8>()?;
    key.starts_with(ALL_NOTICES).then(|| [&[NOTICE_COUNT], queue].concat())
}

/// A name after its length, so that none is the beginning of another. Names of members are shorter
/// than 256 bytes; what is longer shares a place.
fn sized(name: &str) -> Vec<u8> {
    let name = name.as_bytes().get(..255).unwrap_or(name.as_bytes());
    let size = u8::try_from(name.len()).unwrap_or(u8::MAX);
    [&[size], name].concat()
}

/// A task that is being removed.
pub(super) fn leaving(tenant: &str, task: TaskId) -> Vec<u8> {
    of(LEAVING, tenant, task.as_bytes())
}

/// What the keys of all live tasks begin with.
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
