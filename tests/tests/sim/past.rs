//! The events of a world as observed from outside its hosts, which outlive all of them.

use std::sync::Mutex;

use remit_core::{Event, TaskId};

/// An observation.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Happened {
    /// A fault began or ended.
    Fault(String),
    /// A client received the id of its task.
    Created { key: String, task: TaskId },
    /// A client received the acknowledgement of an input.
    Accepted { task: TaskId, key: String },
    /// A client subscribed after the event `after`.
    Subscribed { subscription: u64, task: TaskId, after: u64 },
    /// A subscription delivered an event.
    Seen { subscription: u64, event: Box<Event> },
    /// A subscription reported that it has caught up.
    CaughtUp { subscription: u64, number: u64 },
    /// Events reached the journal's disk.
    Durable { task: TaskId, events: Vec<Event> },
    /// A call arrived at the tool's node.
    Arrived { key: Vec<u8>, method: String },
    /// The tool had an effect. `intended`: the intent was on the journal's disk at that moment.
    Effect { key: Vec<u8>, line: String, intended: bool },
    /// A worker received its program.
    Begun { task: TaskId, attempt: u32 },
    /// A worker received the answer to an operation that it had requested at `asked_ms`.
    Told { task: TaskId, attempt: u32, operation: u64, asked_ms: u64 },
    /// A client saw the end of its task.
    Ended { task: TaskId },
}

/// All observations, with their time in milliseconds since the world began.
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

    /// Notes an observation from outside the hosts, where turmoil's clock is not available.
    pub(crate) fn note_at(&self, ms: u64, happened: Happened) {
        self.entries.lock().unwrap().push((ms, happened));
    }

    pub(crate) fn entries(&self) -> Vec<(u64, Happened)> {
        self.entries.lock().unwrap().clone()
    }

    /// The observations as text, for comparison.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.entries.lock().unwrap().iter().map(|(ms, what)| format!("{ms} {what:?}")).collect()
    }

    pub(crate) fn ended(&self) -> usize {
        let entries = self.entries.lock().unwrap();
        entries.iter().filter(|(_, what)| matches!(what, Happened::Ended { .. })).count()
    }
}
