//! Events by which people steer a task: stop it, begin another one from its past, change its program.

use serde::{Deserialize, Serialize};

use super::SourceFile;
use crate::failure::Failure;
use crate::id::{CallNumber, EventNumber, TaskId};

/// How long a task and its parts may take and are kept, in milliseconds; 0: as long as they take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TimeLimits {
    /// The whole task, from its creation; pauses are not counted.
    pub task_ms: u64,
    /// One attempt, its waits included.
    pub attempt_ms: u64,
    /// One call, where its method does not ask for less; 0: the owner's default.
    pub call_ms: u32,
    /// How long the task is kept after its end; 0: as the orchestrator is configured, `u64::MAX`:
    /// for ever.
    #[serde(default)]
    pub retention_ms: u64,
}

/// The task is to end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelRequested {
    /// With the code `cancelled` the task ends as cancelled, with any other as failed.
    pub why: Failure,
    /// Who wants it, as a SPIFFE name; empty: the owner itself.
    pub who: String,
}

/// The events before this one are a copy of another task's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskForked {
    /// That task.
    pub task: TaskId,
    /// How many of its events were copied.
    pub at: EventNumber,
    /// Who wanted it, as a SPIFFE name.
    pub who: String,
    /// Calls that were in flight there at that point. This task never sent them.
    pub dropped: Vec<CallNumber>,
}

/// Another program works on the task from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskUpgraded {
    /// The program.
    pub source: Vec<SourceFile>,
    /// The path, among `source`, of the file that is run.
    pub entry: String,
    /// Who wanted it, as a SPIFFE name.
    pub who: String,
    /// The event after which nothing need be repeated; 0: everything is.
    pub at: EventNumber,
    /// Operations that were asked for after that event. A replay serves them no more.
    pub dropped: Vec<CallNumber>,
    /// Lines of output up to that event.
    pub lines: u64,
}
