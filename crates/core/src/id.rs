//! Ids: small types so that no two kinds of number can be confused.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A task, for ever. Sorts by the time of creation. Knowing it is no authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TaskId(Uuid);

impl TaskId {
    /// An id from a creation time in milliseconds since 1970 and ten bytes of chance.
    pub fn new(time_ms: u64, chance: [u8; 10]) -> Self {
        Self(uuid::Builder::from_unix_timestamp_millis(time_ms, &chance).into_uuid())
    }

    /// The 16 bytes of the id, in sorting order.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// When the task was created, in milliseconds since 1970.
    pub fn created_ms(&self) -> u64 {
        self.as_bytes().iter().take(6).fold(0, |ms, byte| (ms << 8) | u64::from(*byte))
    }

    /// The id with these 16 bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The text is no task id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a task id: one looks like 0190a6e2-7c1d-7000-8000-3c5f1b2a9d10; `remit ps` lists them"
)]
pub struct NotATaskId(String);

impl FromStr for TaskId {
    type Err = NotATaskId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::try_parse(text).map(Self).map_err(|_| NotATaskId(text.chars().take(80).collect()))
    }
}

macro_rules! numbers {
    ($($(#[$doc:meta])* $name:ident($inner:ty);)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl $name {
            /// The number after this one.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }
    )*};
}

numbers! {
    /// The place of an event in its task's journal, from 1. As a cursor, the last one seen; 0: none.
    EventNumber(u64);
    /// An operation of a task: a call, a sleep, a wait for input. The agent counts them from 1 and
    /// counts the same way on every replay.
    CallNumber(u64);
    /// A grant within its task, from 1.
    GrantId(u32);
    /// One run of a task's agent, from 1.
    Attempt(u32);
    /// An accepted input within its task, from 1.
    InputId(u64);
}

impl CallNumber {
    /// Numbers from here on belong to calls that a tool makes on an object lent to it.
    pub const FIRST_LENT: Self = Self(1 << 48);
}

/// An object by the way its task came to hold it, which a replay repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ObjectId {
    /// The root object of a grant.
    Grant(GrantId),
    /// The object that a call returned.
    Result(CallNumber),
    /// A capability inside the value that a call returned, counted from 0.
    Part(CallNumber, u32),
    /// A capability in the arguments of a call that the holder of a grant passed on makes: the
    /// holder's own, not the task's, which hands it to the tool and can do nothing with it itself.
    /// Counted from 0, among all objects in the arguments.
    CallerCapability(CallNumber, u32),
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Grant(grant) => write!(f, "grant {grant}"),
            Self::Result(call) => write!(f, "result of call {call}"),
            Self::Part(call, index) => write!(f, "object {index} of call {call}"),
            Self::CallerCapability(call, index) => {
                write!(f, "object {index} of the caller of call {call}")
            }
        }
    }
}
