//! Where a task stands.

use serde::{Deserialize, Serialize};

use crate::task::{Ending, Task};

/// Where a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Status {
    /// No agent works on it yet, or not at this moment.
    #[default]
    Pending,
    /// An agent works on it.
    Running,
    /// Its agent waits for nothing but time or input.
    Waiting,
    /// Its journal cannot be written or read. It goes on when it can.
    Halted,
    /// Someone stopped it, or what it tried again and again did not go. It goes on when resumed.
    Paused,
    /// It is being ended: what is under way is told to stop.
    Cancelling,
    /// It ended with a result.
    Completed,
    /// It ended with a failure.
    Failed,
    /// Someone ended it.
    Cancelled,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 9] = [
        Self::Pending,
        Self::Running,
        Self::Waiting,
        Self::Halted,
        Self::Paused,
        Self::Cancelling,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
    ];

    /// The name that people and the wire use, for example `completed`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Halted => "halted",
            Self::Paused => "paused",
            Self::Cancelling => "cancelling",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The status of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }

    /// Whether the task has ended.
    pub const fn has_ended(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}

impl Task {
    /// Where it stands, so far as its events tell: never [`Status::Halted`].
    pub fn status(&self) -> Status {
        match self.ending() {
            Some(Ending::Completed(_)) => Status::Completed,
            Some(Ending::Failed(_)) => Status::Failed,
            Some(Ending::Cancelled(_)) => Status::Cancelled,
            None if self.cancelling().is_some() => Status::Cancelling,
            None if self.paused().is_some() => Status::Paused,
            None if self.waits() => Status::Waiting,
            None if self.running().is_some() => Status::Running,
            None => Status::Pending,
        }
    }
}
