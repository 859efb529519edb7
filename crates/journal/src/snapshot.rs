//! Snapshots: a task's state after some event, written down so that recovery need not fold all.

use remit_core::task::FOLD_VERSION;
use remit_core::{EventNumber, Task};
use remit_store::DiskError;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::packed::{pack, unpack};
use super::record::Hash;

/// A task's state after some event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The last event that is in it.
    pub number: EventNumber,
    /// The rules by which it was folded.
    pub rules: String,
    /// The state: MessagePack with the names of the fields, so that a later version of this program
    /// can still read it when the events before it are gone.
    pub state: Vec<u8>,
}

impl Snapshot {
    /// Of this state. An error says why it cannot be written down.
    pub fn of(task: &Task) -> Result<Self, String> {
        let state = rmp_serde::to_vec_named(task).map_err(|error| error.to_string())?;
        Ok(Self { number: task.head().number, rules: FOLD_VERSION.to_owned(), state })
    }

    /// Whether this program folded it, or one with the same rules.
    pub fn is_of_these_rules(&self) -> bool {
        self.rules == FOLD_VERSION
    }

    /// The state. An error says what is wrong with it.
    pub fn task(&self) -> Result<Task, String> {
        let task: Task = rmp_serde::from_slice(&self.state).map_err(|error| error.to_string())?;
        if task.head().number == self.number {
            Ok(task)
        } else {
            Err(format!("it says it is of event {}", task.head().number))
        }
    }
}

/// The first byte of what is stored of a snapshot beside its pieces.
const FORMAT: u8 = 2;

/// What is stored of a snapshot beside its pieces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Label {
    /// The last event that is in it.
    pub(super) number: EventNumber,
    /// That event's hash: of another journal it is no snapshot.
    pub(super) event: Hash,
    /// Bytes of the state.
    pub(super) size: usize,
    /// SHA-256 of the state.
    pub(super) hash: Hash,
    /// The rules by which it was folded.
    pub(super) rules: String,
}

impl Label {
    pub(super) fn of(snapshot: &Snapshot, event: Hash) -> Self {
        Self {
            number: snapshot.number,
            event,
            size: snapshot.state.len(),
            hash: Sha256::digest(&snapshot.state).into(),
            rules: snapshot.rules.clone(),
        }
    }

    /// The stored form.
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, DiskError> {
        pack(FORMAT, self)
    }

    /// Reads the stored form; an error says what is wrong with it.
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        unpack(FORMAT, bytes, "label")
    }

    /// The snapshot, from its pieces in order; an error says what is wrong with it.
    pub(super) fn join(self, state: Vec<u8>) -> Result<Snapshot, &'static str> {
        if state.len() != self.size || Sha256::digest(&state)[..] != self.hash {
            return Err("its checksum is wrong");
        }
        Ok(Snapshot { number: self.number, rules: self.rules, state })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_reads_back_as_it_was_written_and_no_byte_may_change() {
        let snapshot =
            Snapshot { number: EventNumber(7), rules: "rules".into(), state: vec![1; 9] };
        let label = Label::of(&snapshot, [5; 32]);
        let bytes = label.to_bytes().unwrap();
        assert_eq!(Label::from_bytes(&bytes), Ok(label.clone()));
        assert_eq!(label.clone().join(vec![1; 9]), Ok(snapshot));
        assert!(label.join(vec![2; 9]).is_err());
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            assert!(Label::from_bytes(&damaged).is_err(), "byte {at}");
            assert!(Label::from_bytes(&bytes[..at]).is_err(), "cut at {at}");
        }
    }
}
