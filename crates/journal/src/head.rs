//! A task's head: what a list of tasks shows, kept beside the events so that no list reads them.

use remit_core::status::Status;
use remit_core::task::Ending;
use remit_core::{Attempt, EventNumber, Task, TaskId};
use remit_store::DiskError;
use serde::{Deserialize, Serialize};

use super::packed::{pack, unpack};

/// A task in brief, as of its last event.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
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
    /// Who created it, as a SPIFFE name.
    pub creator: String,
    /// The task that spawned it.
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
    /// About how many bytes it takes on disk.
    pub bytes: u64,
    /// The last event that was pruned; 0: none. The journal sets it.
    pub pruned: EventNumber,
    /// The hash of the last event that was pruned. The journal sets it.
    pub pruned_hash: [u8; 32],
}

/// The tasks that came of one which no task spawned, and where one of them is among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Family {
    /// The task that all others came of.
    pub root: TaskId,
    /// How many levels below it this one is, from 1 on.
    pub depth: u8,
}

/// The first byte of a stored head. Below 9 the fields were laid out by hand.
const FORMAT: u8 = 9;

impl TaskHead {
    /// What the events of a task say of it, `task` being the state that they fold to. What they do
    /// not say is left empty: the hash, the creation key, the family, what was pruned.
    pub fn of(task: &Task, id: TaskId) -> Self {
        Self {
            name: task.created().name.clone(),
            status: task.status(),
            created_ms: task.created_ms(),
            number: task.head().number,
            attempt: task.attempts(),
            calls: task.calls(),
            questions: u32::try_from(task.count_questions()).unwrap_or(u32::MAX),
            detail: match task.ending() {
                Some(Ending::Failed(failure)) => failure.message.clone(),
                Some(Ending::Cancelled(reason)) => reason.clone(),
                Some(Ending::Completed(_)) => String::new(),
                None if !task.is_free() => stopped(task, id),
                None if task.waits() => waits_for(task),
                None => String::new(),
            },
            node: task.node().to_owned(),
            creator: task.created().creator.clone(),
            parent: task.created().parent,
            wake_ms: task.timers().map(|(_, due_ms)| due_ms).min().unwrap_or_default(),
            retention_ms: task.created().limits.retention_ms,
            last_ms: task.head().time_ms,
            bytes: task.stored_bytes(),
            ..Self::default()
        }
    }

    /// The fields that are not as `derived` has them, which was made from the events of the same
    /// task. While a task has not ended, its detail also says what no event does.
    pub(super) fn stale_fields(&self, derived: &Self) -> Vec<&'static str> {
        // Every field is named: one that is added is compared, or says why it is not.
        let Self {
            name,
            status,
            created_ms,
            number,
            attempt,
            calls,
            questions,
            detail,
            node,
            creator,
            parent,
            wake_ms,
            retention_ms,
            last_ms,
            bytes,
            hash: _,
            key: _,
            family: _,
            pruned: _,
            pruned_hash: _,
        } = self;
        let fields = [
            ("name", *name == derived.name),
            ("status", *status == derived.status),
            ("created_ms", *created_ms == derived.created_ms),
            ("number", *number == derived.number),
            ("attempt", *attempt == derived.attempt),
            ("calls", *calls == derived.calls),
            ("questions", *questions == derived.questions),
            ("detail", *detail == derived.detail || !derived.status.has_ended()),
            ("node", *node == derived.node),
            ("creator", *creator == derived.creator),
            ("parent", *parent == derived.parent),
            ("wake_ms", *wake_ms == derived.wake_ms),
            ("retention_ms", *retention_ms == derived.retention_ms),
            ("last_ms", *last_ms == derived.last_ms),
            ("bytes", *bytes == derived.bytes),
        ];
        fields.into_iter().filter(|(_, same)| !same).map(|(name, _)| name).collect()
    }

    /// The head with what `derived` says, and of itself what no event says.
    pub(super) fn corrected(self, derived: Self) -> Self {
        let ended = derived.status.has_ended();
        Self {
            hash: self.hash,
            key: self.key,
            family: self.family,
            pruned: self.pruned,
            pruned_hash: self.pruned_hash,
            detail: if ended { derived.detail.clone() } else { self.detail },
            ..derived
        }
    }

    /// The family of a task that the task with this head, `id`, spawned.
    pub fn family_below(&self, id: TaskId) -> Family {
        match self.family {
            Some(above) => Family { root: above.root, depth: above.depth.saturating_add(1) },
            None => Family { root: id, depth: 1 },
        }
    }

    /// From when on it is kept no longer, because it says so itself, in milliseconds since 1970.
    pub(super) fn due_ms(&self) -> Option<u64> {
        let says =
            self.status.has_ended() && self.retention_ms != 0 && self.retention_ms != u64::MAX;
        says.then(|| self.last_ms.saturating_add(self.retention_ms))
    }

    /// The stored form.
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, DiskError> {
        pack(FORMAT, self)
    }

    /// Reads the stored form; an error says what is wrong with it.
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        unpack(FORMAT, bytes, "head")
    }
}

/// What a task that waits waits for, in words for a person.
fn waits_for(task: &Task) -> String {
    match task.count_questions() {
        0 => {}
        1 => return "waits for a person: `remit inbox` shows the question".into(),
        many => return format!("waits for a person: `remit inbox` shows {many} questions"),
    }
    match task.timers().map(|(_, due_ms)| due_ms).min() {
        Some(due_ms) => format!("sleeps until {}", remit_core::grant::text::moment(due_ms)),
        None => "waits for input".into(),
    }
}

/// Why a task does nothing new, and what to do about it.
fn stopped(task: &Task, id: TaskId) -> String {
    match (task.cancelling(), task.paused()) {
        (Some(cancel), _) => format!("waits for what is under way to stop: {}", cancel.why.message),
        (None, Some(paused)) => {
            let by =
                if paused.who.is_empty() { String::new() } else { format!(" by {}", paused.who) };
            format!("paused{by}: {}. Let it go on with: remit resume {id}", paused.reason)
        }
        (None, None) => String::new(),
    }
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
        let bytes = head.to_bytes().unwrap();
        assert_eq!(TaskHead::from_bytes(&bytes), Ok(head));
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            assert!(TaskHead::from_bytes(&damaged).is_err(), "byte {at}");
            assert!(TaskHead::from_bytes(&bytes[..at]).is_err(), "cut at {at}");
        }
    }
}
