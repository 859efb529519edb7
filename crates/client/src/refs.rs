//! Sturdy references: how a capability is saved, and what a list says of those that were.

use remit_core::{GrantId, TaskId};

use crate::error::Error;
use crate::object::ObjectHandle;
use crate::task::TaskHandle;

pub use remit_core::reference::{NotAReference, RefId, Reference};

/// How a task or a grant is to be saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefSpec {
    /// What it is for, 1 to 256 bytes.
    pub label: String,
    /// The one identity that may restore it, as a SPIFFE name; empty: the caller.
    pub owner: String,
    /// Until when it is good, in milliseconds since 1970; `None`: until it is revoked.
    pub until_ms: Option<u64>,
    /// For how many milliseconds it may go without being restored.
    pub unused_ms: Option<u64>,
    /// Whether it is only for looking at a task.
    pub viewer: bool,
}

impl RefSpec {
    /// For the caller itself, until it is revoked.
    pub fn new(label: impl Into<String>) -> Self {
        let (owner, label) = (String::new(), label.into());
        Self { label, owner, until_ms: None, unused_ms: None, viewer: false }
    }
}

/// A saved capability, as a list shows it. Its bits are kept nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefInfo {
    /// Its id, which gives nothing away.
    pub id: String,
    /// What it is for.
    pub label: String,
    /// The one identity that may restore it.
    pub owner: String,
    /// Who saved it.
    pub by: String,
    /// The task.
    pub task: TaskId,
    /// The grant of that task; `None`: the task itself.
    pub grant: Option<GrantId>,
    /// Whether it is only for looking.
    pub viewer: bool,
    /// When it was saved, in milliseconds since 1970.
    pub created_ms: u64,
    /// Until when it is good, in milliseconds since 1970.
    pub until_ms: Option<u64>,
    /// How often it was restored.
    pub uses: u64,
    /// `good`, `expired`, `unused` or `revoked`.
    pub state: String,
}

/// What a sturdy reference gave.
#[derive(Debug, Clone)]
pub enum Restored {
    /// A task.
    Task(TaskHandle),
    /// A task for looking at: its `info`, `events`, `result` and `grants`; everything else fails.
    Viewer(TaskHandle),
    /// What a grant leads to.
    Object(ObjectHandle),
}

impl Restored {
    /// The task, or the viewer of one.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it is an object.
    pub fn into_task(self) -> Result<TaskHandle, Error> {
        match self {
            Self::Task(task) | Self::Viewer(task) => Ok(task),
            Self::Object(_) => {
                let why = "the reference leads to what a grant gives, not to a task: call it";
                Err(Error::Invalid(why.into()))
            }
        }
    }

    /// The object.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it is a task.
    pub fn into_object(self) -> Result<ObjectHandle, Error> {
        match self {
            Self::Object(object) => Ok(object),
            Self::Task(_) | Self::Viewer(_) => {
                Err(Error::Invalid("the reference leads to a task, not to an object".into()))
            }
        }
    }
}
