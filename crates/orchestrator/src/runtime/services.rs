//! What every owner shares, handed in by whoever builds the orchestrator.

use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use remit_core::Failure;
use remit_journal::Journal;
use remit_journal::audit::Audit;
use tokio::sync::Semaphore;

use super::TaskKey;
use crate::admission::tickets::Tickets;
use crate::quota::account::Accounts;
use crate::quota::feeds::Feeds;
use crate::quota::jobs::Jobs;
use crate::quota::shares::{Nodes, Shares};
use crate::scheduler::placement::Scheduler;
use crate::scheduler::registry::Registry;
use crate::tasks::Tasks;

/// Hears which owner halted, and why.
pub type Halted = Box<dyn Fn(&TaskKey, &Failure)>;

/// What every owner shares.
pub struct Services {
    /// Where events are written.
    pub journal: Arc<dyn Journal>,
    /// What happens outside of any task.
    pub audit: Rc<Audit>,
    /// Which nodes there are.
    pub registry: Rc<Registry>,
    /// Who gets which agent node.
    pub scheduler: Rc<Scheduler>,
    /// Tickets for the connections of attempts.
    pub tickets: Rc<Tickets>,
    /// The wall clock, in milliseconds since 1970.
    pub now_ms: Box<dyn Fn() -> u64>,
    /// All tasks, for those that make and use others.
    pub tasks: Weak<Tasks>,
    /// Called when an owner's journal failed and the owner is of no more use.
    pub halted: Halted,
    /// Who may write a snapshot: one at a time, so that their states do not fill the memory.
    pub snapshots: Semaphore,
    /// What each identity has this process hold.
    pub accounts: Rc<Accounts>,
    /// Checks, backups and searches.
    pub jobs: Rc<Jobs>,
    /// Whose call begins next on this vat.
    pub begins: Rc<Shares>,
    /// Whose call goes to a node next.
    pub calls: Nodes,
    /// What is under way to followers.
    pub feeds: Rc<Feeds>,
    /// Times that an operator may set.
    pub timing: Timing,
}

/// Times that an operator may set.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// How long a call waits for its tool's node to come back before it fails.
    pub tool_grace: Duration,
    /// How long an agent that waits only for time or input keeps its process.
    pub idle_grace: Duration,
    /// How long a replay may wait for an operation that the script does not repeat.
    pub replay_grace: Duration,
    /// How long a task that is cancelled waits for the answers of tools that were told to stop.
    pub cancel_grace: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            tool_grace: Duration::from_secs(10),
            idle_grace: Duration::from_secs(30),
            replay_grace: Duration::from_secs(60),
            cancel_grace: Duration::from_secs(10),
        }
    }
}
