//! What a mesh reports about its tasks, grants, tools, nodes and itself.

use remit_core::grant::{Budgets, RemainingBudget};
use remit_core::{CallNumber, Caveat, EventNumber, GrantId, Manifest, TaskId};

/// The state of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskInfo {
    /// The task's id.
    pub id: TaskId,
    /// The task's name, for people.
    pub name: String,
    /// `pending`, `running`, `waiting`, `halted`, `paused`, `cancelling`,
    /// `completed`, `failed` or `cancelled`.
    pub status: String,
    /// When it was created, in milliseconds since 1970.
    pub created_ms: u64,
    /// The number of the task's newest event.
    pub events: EventNumber,
    /// The number of its newest attempt, from 1; 0: none yet.
    pub attempt: u32,
    /// The agent node that runs the attempt; empty: no attempt runs.
    pub node: String,
    /// Why the task is pending or halted, or how it failed; otherwise empty.
    pub detail: String,
    /// How many calls the task has made.
    pub calls: u64,
    /// The task that spawned it.
    pub parent: Option<TaskId>,
    /// The trigger that created it; empty: no trigger did.
    pub trigger: String,
}

impl TaskInfo {
    /// Whether a client created the task, and not another task or a trigger.
    pub const fn is_by_a_client(&self) -> bool {
        self.parent.is_none() && self.trigger.is_empty()
    }

    /// Whether the task has ended, so that no further event follows.
    pub fn has_ended(&self) -> bool {
        matches!(self.status.as_str(), "completed" | "failed" | "cancelled")
    }
}

/// Which tasks to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskFilter {
    /// Only tasks with this status; empty: all.
    pub status: String,
    /// Only tasks older than this one.
    pub after: Option<TaskId>,
    /// The most tasks to return; 0: one page of the mesh, 1,000.
    pub limit: u32,
}

/// A grant, its use and its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantInfo {
    /// The grant's number within the task.
    pub grant: GrantId,
    /// The grant it was narrowed from.
    pub parent: Option<GrantId>,
    /// The name by which the agent sees it.
    pub name: String,
    /// The tool at its root.
    pub tool: String,
    /// The tool's version.
    pub version: String,
    /// The identity that serves the tool, as a SPIFFE ID.
    pub node: String,
    /// The path below the tool's root; empty: the root.
    pub path: String,
    /// The grant's own conditions.
    pub caveats: Vec<Caveat>,
    /// How many calls were charged to it.
    pub used: u64,
    /// What was charged to it: its own calls, those of grants narrowed from it, and the unspent
    /// rest of purses that were split from it.
    pub spent: Budgets,
    /// The budget that was put into its own purse.
    pub purse: Budgets,
    /// What can still be used of it, under all its limits and those of the grants above it.
    pub left: RemainingBudget,
    /// Whether it is revoked.
    pub revoked: bool,
    /// Who holds it: a SPIFFE name, `task` for the task's own agent, or `task:` and an id.
    pub holder: String,
    /// When it was last used, in milliseconds since 1970; if it never was, when it was made.
    pub last_used_ms: u64,
    /// SHA-256 of the manifest for which it was made.
    pub manifest: Vec<u8>,
    /// Approvals that a person gave for later calls too, in words.
    pub standing: Vec<String>,
}

/// One version of a tool, as one node serves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolInfo {
    /// The tool's manifest.
    pub manifest: Manifest,
    /// The identity that serves the tool, as a SPIFFE ID.
    pub node: String,
    /// Whether that node is connected.
    pub available: bool,
    /// The accepted manifest, if it differs from `manifest`. Calls are refused until a person
    /// accepts `manifest`.
    pub accepted: Option<Manifest>,
}

/// A node of the mesh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeInfo {
    /// The node's identity, as a SPIFFE ID.
    pub identity: String,
    /// `agent-node` or `tool-node`.
    pub role: String,
    /// The version of the node's program.
    pub version: String,
    /// `connected`, `draining` or `away`.
    pub state: String,
    /// The labels that it offers, by which tasks select nodes.
    pub labels: Vec<String>,
    /// How many attempts, or calls, it runs now.
    pub load: u32,
    /// When the orchestrator last heard from it, in milliseconds since 1970.
    pub last_contact_ms: u64,
}

/// The health of an orchestrator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// The version of the orchestrator's program.
    pub version: String,
    /// The orchestrator's clock, in milliseconds since 1970.
    pub time_ms: u64,
    /// `ok`, or why the journal cannot be written.
    pub journal: String,
    /// How long the last commit took, in microseconds; 0: no commit yet.
    pub flush_us: u64,
    /// How many tasks the orchestrator stores.
    pub tasks: u64,
    /// When the orchestrator's certificate expires, in milliseconds since 1970.
    pub certificate_ends_ms: u64,
    /// The address that accepts posts to webhooks, host:port; empty: none.
    pub webhooks: String,
    /// How many turns of the orchestrator's event loop took more than 10 ms since its start. A turn
    /// blocks all other work.
    pub long_turns: u64,
    /// The longest of these turns, in microseconds.
    pub longest_turn_us: u64,
    /// Connections that ended because a method panicked.
    pub panics: u64,
    /// Connections that ended since its start because the peer exceeded a bound.
    pub cut_off: u64,
    /// Known loss of or damage to the journal; the first few lines.
    pub damage: Vec<String>,
}

/// Which audit records to read. A field that is empty, `None` or 0 matches all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Only records of this task.
    pub task: Option<TaskId>,
    /// Only records of this identity: a whole SPIFFE ID, or its last part.
    pub who: String,
    /// Only records of this tool.
    pub tool: String,
    /// With this decision: `allowed`, `denied`, `granted`, `revoked`, `ended`, `asked`, `approved`,
    /// `saved`, `restored`, `introduced`, `accepted`, `changed`, `repinned`, `invited` or `joined`.
    pub decision: String,
    /// Only records from this moment on, in milliseconds since 1970.
    pub since_ms: u64,
}

/// A page of audit records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditPage {
    /// The records, in the order of their streams. A page may be empty although more follow.
    pub records: Vec<remit_core::audit::Record>,
    /// The cursor of the next page; empty: this is the last.
    pub cursor: String,
}

/// One step of a verification of the audit's hash chains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditCheck {
    /// How many records and events this step found intact.
    pub checked: u64,
    /// Where a chain is broken, one line for each break.
    pub broken: Vec<String>,
    /// The cursor of the next step; empty: the verification is complete.
    pub cursor: String,
}

/// Selects grants: those that match every field that is not empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Only grants of this task.
    pub task: Option<TaskId>,
    /// Only grants held by this identity, by its last part, or by `task:` and an id.
    pub holder: String,
    /// Only grants of this tool.
    pub tool: String,
    /// Only grants of a tool whose manifest has this SHA-256.
    pub manifest: Option<[u8; 32]>,
}

/// A grant, and the task that has it in its journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// The task.
    pub task: TaskId,
    /// The task's name.
    pub name: String,
    /// The grant.
    pub grant: GrantInfo,
}

/// A task that was forked from another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forked {
    /// The id of the new task.
    pub id: TaskId,
    /// How many events it copied from the original.
    pub at: EventNumber,
    /// Calls that were in flight at that point; the new task has not sent them. Also empty if an
    /// earlier request with the same key created the task.
    pub dropped: Vec<CallNumber>,
}

/// The result of trying another program in a replay of a task. The trial sends and writes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// How many recorded operations the program repeated unchanged.
    pub repeated: u64,
    /// The first difference; `None`: the program can continue where the old one stands.
    pub difference: Option<Difference>,
    /// Whether the task runs the new program from now on.
    pub switched: bool,
}

/// The first operation in which another program differs from the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The number of the operation.
    pub operation: CallNumber,
    /// The recorded operation.
    pub was: String,
    /// What the other program asks for instead; empty: nothing.
    pub is: String,
}

/// The result of draining a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// How many attempts were ended there; they continue on other nodes.
    pub moved: u32,
    /// How many calls were still in flight at the timeout. They continue.
    pub left: u32,
}
