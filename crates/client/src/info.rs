//! What the mesh says of its tasks, grants, tools, nodes and itself.

use remit_core::grant::{Budgets, RemainingBudget};
use remit_core::{CallNumber, Caveat, EventNumber, GrantId, Manifest, TaskId};

/// Where a task stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskInfo {
    /// Its id.
    pub id: TaskId,
    /// Its name for people.
    pub name: String,
    /// `pending`, `running`, `waiting`, `halted`, `paused`, `cancelling`,
    /// `completed`, `failed` or `cancelled`.
    pub status: String,
    /// When it was created, in milliseconds since 1970.
    pub created_ms: u64,
    /// The number of its newest event.
    pub events: EventNumber,
    /// Its newest attempt, from 1; 0: none yet.
    pub attempt: u32,
    /// The agent node that runs it; empty: none does.
    pub node: String,
    /// Why it is pending or halted, or how it failed; else empty.
    pub detail: String,
    /// How many calls it made.
    pub calls: u64,
    /// The task that spawned it.
    pub parent: Option<TaskId>,
    /// The trigger that created it; empty: none.
    pub trigger: String,
}

impl TaskInfo {
    /// Whether a client started it, and not another task or a trigger.
    pub const fn is_by_a_client(&self) -> bool {
        self.parent.is_none() && self.trigger.is_empty()
    }

    /// Whether nothing more will happen to it.
    pub fn has_ended(&self) -> bool {
        matches!(self.status.as_str(), "completed" | "failed" | "cancelled")
    }
}

/// Which tasks to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskFilter {
    /// Only those of this status; empty: all.
    pub status: String,
    /// Only those older than this one.
    pub after: Option<TaskId>,
    /// At most so many; 0: as many as the mesh gives at once, 1,000.
    pub limit: u32,
}

/// A grant, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantInfo {
    /// Its number within the task.
    pub grant: GrantId,
    /// The grant it was narrowed from.
    pub parent: Option<GrantId>,
    /// By which the agent sees it.
    pub name: String,
    /// The tool at its root.
    pub tool: String,
    /// The tool's version.
    pub version: String,
    /// Who serves the tool, as a SPIFFE name.
    pub node: String,
    /// The path below the tool's root; empty: the root.
    pub path: String,
    /// Its conditions.
    pub caveats: Vec<Caveat>,
    /// How many calls were charged to it.
    pub used: u64,
    /// What was charged to it: its own calls, those of grants narrowed from it, and what purses that
    /// were split from it still hold.
    pub spent: Budgets,
    /// What was put into its own purse.
    pub purse: Budgets,
    /// What can still be used of it, by all its limits and those of the grants above.
    pub left: RemainingBudget,
    /// Whether it was taken back.
    pub revoked: bool,
    /// Who holds it: a SPIFFE name, `task` for the task's own agent, or `task:` and an id.
    pub holder: String,
    /// When it was last used, or else made, in milliseconds since 1970.
    pub last_used_ms: u64,
    /// SHA-256 of the manifest that it was made for.
    pub manifest: Vec<u8>,
    /// What a person approved of for later calls too, in words.
    pub standing: Vec<String>,
}

/// A tool in one version, as one node serves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolInfo {
    /// What the tool says of itself.
    pub manifest: Manifest,
    /// Who serves it, as a SPIFFE name.
    pub node: String,
    /// Whether that node is connected.
    pub available: bool,
    /// What was accepted, if it is not `manifest`: calls are refused until somebody accepts that.
    pub accepted: Option<Manifest>,
}

/// A node, and when it was last heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeInfo {
    /// Who it is, as a SPIFFE name.
    pub identity: String,
    /// `agent-node` or `tool-node`.
    pub role: String,
    /// The version of its program.
    pub version: String,
    /// `connected`, `draining` or `away`.
    pub state: String,
    /// What it offers to be chosen by.
    pub labels: Vec<String>,
    /// How many attempts, or calls, it runs now.
    pub load: u32,
    /// When it was last heard, in milliseconds since 1970.
    pub last_contact_ms: u64,
}

/// How an orchestrator is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// The version of its program.
    pub version: String,
    /// Its clock, in milliseconds since 1970.
    pub time_ms: u64,
    /// `ok`, or why nothing can be written.
    pub journal: String,
    /// How long its last commit took, in microseconds; 0: none yet.
    pub flush_us: u64,
    /// How many tasks it keeps.
    pub tasks: u64,
    /// When its certificate ends, in milliseconds since 1970.
    pub certificate_ends_ms: u64,
    /// Where it takes posts to webhooks, host:port; empty: nowhere.
    pub webhooks: String,
    /// Turns of its vat since its start that took more than 10 ms. A turn holds up all other work.
    pub long_turns: u64,
    /// The longest of all its turns that took more than that, in microseconds.
    pub longest_turn_us: u64,
    /// Connections that ended because a method panicked.
    pub panics: u64,
    /// What of its journal is lost or damaged, as far as it knows; the first few lines.
    pub damage: Vec<String>,
}

/// Which audit records are wanted. What is empty, `None` or 0 wants all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Of this task only.
    pub task: Option<TaskId>,
    /// Whose: a whole identity, or its last part.
    pub who: String,
    /// Of this tool.
    pub tool: String,
    /// With this decision: `allowed`, `denied`, `granted`, `revoked`, `ended`, `asked`, `approved`,
    /// `saved`, `restored`, `introduced`, `accepted`, `changed`, `repinned`, `invited` or `joined`.
    pub decision: String,
    /// Not before this moment, in milliseconds since 1970.
    pub since_ms: u64,
}

/// Some audit records. An empty cursor says that there are no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditPage {
    /// The records, in the order of their streams. There may be none on a page that is not the last.
    pub records: Vec<remit_core::audit::Record>,
    /// Where to go on.
    pub cursor: String,
}

/// How far a check of the audit's hash chains has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditCheck {
    /// Records and events that are what was written, in this step.
    pub checked: u64,
    /// Where a chain is broken.
    pub broken: Vec<String>,
    /// Where to go on; empty: it is done.
    pub cursor: String,
}

/// Which grants are meant: those that fit all that is not empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Of this task.
    pub task: Option<TaskId>,
    /// Held by this identity, or `task:` and an id; or its last part.
    pub holder: String,
    /// Of this tool.
    pub tool: String,
    /// Of a tool with a manifest of this SHA-256.
    pub manifest: Option<[u8; 32]>,
}

/// A grant, and the task in whose journal it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// The task.
    pub task: TaskId,
    /// Its name.
    pub name: String,
    /// The grant.
    pub grant: GrantInfo,
}

/// A task that began from another one's past.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forked {
    /// Its id.
    pub id: TaskId,
    /// How many events it has in common with the other one.
    pub at: EventNumber,
    /// Calls that were in flight at that point, and were never sent by this one. Empty also when an
    /// earlier request under the same key made the task.
    pub dropped: Vec<CallNumber>,
}

/// What another program did in a replay of a task, in which nothing was sent or written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// How many recorded operations it asked for again, the same as they were.
    pub repeated: u64,
    /// Where it would not go on from where the other one stands.
    pub difference: Option<Difference>,
    /// Whether it works on the task from now on.
    pub switched: bool,
}

/// The first operation that another program does otherwise than it is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Its number.
    pub operation: CallNumber,
    /// What is recorded.
    pub was: String,
    /// What the other program asks for; empty: nothing.
    pub is: String,
}

/// How far a node was drained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Attempts that were ended there and go on elsewhere.
    pub moved: u32,
    /// Calls that were still under way when the time was over. They go on.
    pub left: u32,
}
