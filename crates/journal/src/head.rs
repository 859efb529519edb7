//! A task's head: what a list of tasks shows, kept beside the events so that no list reads them.

use remit_core::status::Status;
use remit_core::{Attempt, EventNumber, TaskId};

/// A task in brief, as of its last event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TaskHead {
    /// Its name, for people.
    pub name: String,
    /// Where it stands.
    pub status: Status,
    /// When it was created, in milliseconds since 1970.
    pub created_ms: u64,
    /// Its last event.
    pub number: EventNumber,
    /// The hash of its last event. The journal sets it.
    pub hash: [u8; 32],
    /// How many attempts there were.
    pub attempt: Attempt,
    /// How many calls it made.
    pub calls: u64,
    /// How many questions of it wait for a person.
    pub questions: u32,
    /// Why it ended, or waits; empty: nothing to say.
    pub detail: String,
    /// The agent node that works on it; empty: none.
    pub node: String,
    /// Who created it, as a SPIFFE name; empty in a head from before it was kept.
    pub creator: String,
    /// The task that spawned it. `None` also in a head from before it was kept.
    pub parent: Option<TaskId>,
    /// The idempotency key of its creation; empty: none was given. Set with the first event.
    pub key: String,
    /// The family that it was spawned into; `None`: no task spawned it. Set with the first event.
    pub family: Option<Family>,
    /// When its next timer fires, in milliseconds since 1970; 0: none runs.
    pub wake_ms: u64,
    /// How long it is kept after its end, in milliseconds; 0: as is configured, `u64::MAX`: for ever.
    pub retention_ms: u64,
    /// When its last event was recorded, in milliseconds since 1970. The journal sets it.
    pub last_ms: u64,
    /// About how many bytes it takes on disk; 0 in a head from before it was kept.
    pub bytes: u64,
    /// The last event that was pruned; 0: none. The journal sets it.
    pub pruned: EventNumber,
    /// The hash of the last event that was pruned. The journal sets it.
    pub pruned_hash: [u8; 32],
}

/// The tasks that came of one which no task spawned, and where one of them is among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Family {
    /// The task that all others came of.
    pub root: TaskId,
    /// How many levels below it this one is, from 1 on.
    pub depth: u8,
}

/// The first byte of a stored head.
const FORMAT: u8 = 8;
/// The one before, without its family.
const NO_FAMILY: u8 = 7;
/// The one before that, without how much it takes.
const NO_BYTES: u8 = 6;
/// The one before that, without its parent.
const NO_PARENT: u8 = 5;
/// The one before that, without who created it.
const NO_CREATOR: u8 = 4;
/// The first one that can be read: it has no questions, and the one after it not how long it is kept.
const NO_QUESTIONS: u8 = 2;

/// In place of a parent, where there is none.
const NO_TASK: TaskId = TaskId::from_bytes([0; 16]);

impl TaskHead {
    /// From when on it is kept no longer, because it says so itself, in milliseconds since 1970.
    pub(super) fn due_ms(&self) -> Option<u64> {
        let says =
            self.status.has_ended() && self.retention_ms != 0 && self.retention_ms != u64::MAX;
        says.then(|| self.last_ms.saturating_add(self.retention_ms))
    }

    /// The stored form: format, fixed fields, texts with their lengths, CRC-32.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![FORMAT, status_byte(self.status)];
        let numbers = [self.created_ms, self.number.0, self.calls, self.wake_ms];
        for number in numbers.into_iter().chain([self.last_ms, self.pruned.0]) {
            bytes.extend(number.to_be_bytes());
        }
        bytes.extend(self.pruned_hash);
        bytes.extend(self.attempt.0.to_be_bytes());
        bytes.extend(self.questions.to_be_bytes());
        bytes.extend(self.retention_ms.to_be_bytes());
        bytes.extend(self.hash);
        for text in [&self.name, &self.detail, &self.node, &self.key, &self.creator] {
            bytes.extend((text.len() as u64).to_be_bytes());
            bytes.extend(text.as_bytes());
        }
        bytes.extend(self.parent.unwrap_or(NO_TASK).as_bytes());
        bytes.extend(self.bytes.to_be_bytes());
        bytes.push(self.family.map_or(0, |family| family.depth));
        bytes.extend(self.family.map_or(NO_TASK, |family| family.root).as_bytes());
        bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
        bytes
    }

    /// Reads the stored form; an error says what is wrong with it.
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, &'static str> {
        let (body, sum) = bytes.split_last_chunk::<4>().ok_or("its head is cut short")?;
        if crc32fast::hash(body) != u32::from_be_bytes(*sum) {
            return Err("the checksum of its head is wrong");
        }
        let (&[format, status], body) = body.split_first_chunk().ok_or("its head is cut short")?;
        if !(NO_QUESTIONS..=FORMAT).contains(&format) {
            return Err("its head has the form of another version");
        }
        Self::fields(format, status, body).ok_or("its head makes no sense")
    }

    fn fields(format: u8, status: u8, mut bytes: &[u8]) -> Option<Self> {
        let status = *Status::ALL.iter().find(|known| status_byte(**known) == status)?;
        let created_ms = u64::from_be_bytes(*take(&mut bytes)?);
        let number = EventNumber(u64::from_be_bytes(*take(&mut bytes)?));
        let calls = u64::from_be_bytes(*take(&mut bytes)?);
        let wake_ms = u64::from_be_bytes(*take(&mut bytes)?);
        let last_ms = u64::from_be_bytes(*take(&mut bytes)?);
        let pruned = EventNumber(u64::from_be_bytes(*take(&mut bytes)?));
        let pruned_hash = *take(&mut bytes)?;
        let attempt = Attempt(u32::from_be_bytes(*take(&mut bytes)?));
        let questions =
            if format == NO_QUESTIONS { 0 } else { u32::from_be_bytes(*take(&mut bytes)?) };
        let retention_ms =
            if format >= NO_CREATOR { u64::from_be_bytes(*take(&mut bytes)?) } else { 0 };
        let hash = *take(&mut bytes)?;
        let mut text = || {
            let size = usize::try_from(u64::from_be_bytes(*take(&mut bytes)?)).ok()?;
            let (text, rest) = bytes.split_at_checked(size)?;
            bytes = rest;
            String::from_utf8(text.to_vec()).ok()
        };
        let (name, detail, node, key) = (text()?, text()?, text()?, text()?);
        let creator = if format >= NO_PARENT { text()? } else { String::new() };
        let parent = match format {
            NO_BYTES.. => Some(TaskId::from_bytes(*take(&mut bytes)?)).filter(|id| *id != NO_TASK),
            _ => None,
        };
        let stored = if format >= NO_FAMILY { u64::from_be_bytes(*take(&mut bytes)?) } else { 0 };
        let family = match format {
            FORMAT.. => {
                let [depth] = *take(&mut bytes)?;
                let root = TaskId::from_bytes(*take(&mut bytes)?);
                (depth > 0).then_some(Family { root, depth })
            }
            _ => None,
        };
        Some(Self {
            name,
            status,
            created_ms,
            number,
            hash,
            attempt,
            calls,
            questions,
            detail,
            node,
            creator,
            parent,
            family,
            key,
            wake_ms,
            retention_ms,
            last_ms,
            bytes: stored,
            pruned,
            pruned_hash,
        })
    }
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

fn take<'a, const N: usize>(bytes: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_reads_back_as_it_was_written_and_no_byte_may_change() {
        let head = TaskHead {
            name: "notes".into(),
            status: Status::Failed,
            created_ms: 7,
            number: EventNumber(9),
            hash: [3; 32],
            attempt: Attempt(2),
            calls: 5,
            questions: 3,
            detail: "why".into(),
            node: "n".into(),
            creator: "me".into(),
            parent: Some(TaskId::from_bytes([8; 16])),
            family: Some(Family { root: TaskId::from_bytes([9; 16]), depth: 2 }),
            key: "k".into(),
            wake_ms: 11,
            retention_ms: 13,
            last_ms: 12,
            bytes: 14,
            pruned: EventNumber(6),
            pruned_hash: [4; 32],
        };
        let bytes = head.to_bytes();
        assert_eq!(TaskHead::from_bytes(&bytes), Ok(head));
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            assert!(TaskHead::from_bytes(&damaged).is_err(), "byte {at}");
            assert!(TaskHead::from_bytes(&bytes[..at]).is_err(), "cut at {at}");
        }
    }
}
