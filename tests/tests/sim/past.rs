//! What happened in a world, as seen from outside of the hosts: it outlives them all.

use std::sync::Mutex;

use remit_core::{Event, TaskId};

/// One thing that happened.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Happened {
    /// The network or a host was tampered with.
    Fault(String),
    /// A client was told that its task exists.
    Created { key: String, task: TaskId },
    /// A client was told that its input is accepted.
    Accepted { task: TaskId, key: String },
    /// A client subscribed from this cursor.
    Subscribed { subscription: u64, task: TaskId, after: u64 },
    /// A subscription brought an event.
    Seen { subscription: u64, event: Box<Event> },
    /// A subscription said that it has caught up.
    CaughtUp { subscription: u64, number: u64 },
    /// Events are on the journal's disk.
    Durable { task: TaskId, events: Vec<Event> },
    /// A call came in at the tool's node.
    Arrived { key: Vec<u8>, method: String },
    /// The tool did something that stays. `intended`: the journal's disk held the intent then.
    Effect { key: Vec<u8>, line: String, intended: bool },
    /// A worker was told what to run.
    Begun { task: TaskId, attempt: u32 },
    /// A worker was answered an operation that it had asked for at `asked_ms`.
    Told { task: TaskId, attempt: u32, operation: u64, asked_ms: u64 },
    /// A client saw the end of its task.
    Ended { task: TaskId },
}

/// All that happened, with the milliseconds since the world began.
#[derive(Default)]
pub(crate) struct Past {
    entries: Mutex<Vec<(u64, Happened)>>,
}

/// Milliseconds since the world began.
pub(crate) fn now_ms() -> u64 {
    turmoil::sim_elapsed().map_or(0, |elapsed| u64::try_from(elapsed.as_millis()).unwrap())
}

impl Past {
    pub(crate) fn note(&self, happened: Happened) {
        self.entries.lock().unwrap().push((now_ms(), happened));
    }

    /// The same, from outside of any host, where there is no clock.
    pub(crate) fn note_at(&self, ms: u64, happened: Happened) {
        self.entries.lock().unwrap().push((ms, happened));
    }

    pub(crate) fn entries(&self) -> Vec<(u64, Happened)> {
        self.entries.lock().unwrap().clone()
    }

    /// The same as text, to be compared.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.entries.lock().unwrap().iter().map(|(ms, what)| format!("{ms} {what:?}")).collect()
    }

    pub(crate) fn ended(&self) -> usize {
        let entries = self.entries.lock().unwrap();
        entries.iter().filter(|(_, what)| matches!(what, Happened::Ended { .. })).count()
    }
}
