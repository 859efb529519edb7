//! Every bound of this crate, each with its reason.

use std::time::Duration;

use remit_identity::handshakes::Bounds;

use crate::quota::account::{Bound, Resource};
use crate::quota::shares;

/// When an orchestrator that has started checks its whole journal: once its tasks are taken up.
pub const CHECK_AFTER: Duration = Duration::from_secs(300);

/// How often it does so again: reading a million events takes seconds.
pub const CHECK_EVERY: Duration = Duration::from_secs(86_400);

/// Pieces of output of calls in flight that wait for one follower. A slow one misses some; the
/// outcome carries the whole.
pub const OUTPUT_QUEUE: usize = 64;

/// How often a call whose connection was lost is taken up again before its task is paused.
pub const SETTLE_TRIES: u32 = 8;

/// The first wait before a lost call is taken up once more.
pub const SETTLE_FIRST: Duration = Duration::from_millis(100);

/// The longest such wait.
pub const SETTLE_MOST: Duration = Duration::from_secs(10);

/// The longest a call may take, whatever its method says.
pub const LONGEST_CALL: Duration = Duration::from_secs(3600);

/// How long a call may take whose method does not say: longer than a person waits without looking.
pub const DEFAULT_CALL: Duration = Duration::from_secs(120);

/// The first wait before an attempt that got nowhere is followed by another.
pub const ATTEMPT_RETRY_FIRST: Duration = Duration::from_millis(200);

/// The longest such wait.
pub const ATTEMPT_RETRY_MOST: Duration = Duration::from_secs(10);

/// Attempts in a row that end without progress before the task is paused: what kills a process five
/// times will kill it again.
pub const FRUITLESS_ATTEMPTS: usize = 5;

/// Bytes by which a node tells its process from others of its name.
pub const INSTANCE_BYTES: usize = 64;

/// Failures of an agent node that count against it: one that only failed of late gets an attempt in
/// so many, by which it can show that it works again.
pub const NODE_FAILURES: u32 = 16;

/// How long the trial of another program may take: it waits for no tool, only for a place and for
/// the program itself.
pub const TRIAL: Duration = Duration::from_secs(120);

/// How long a program on trial may be silent before it is taken to be where the other one stands,
/// if it repeated everything.
pub const TRIAL_IDLE: Duration = Duration::from_secs(1);

/// How long it may be silent, twice in a row, before what it has not asked for is taken to be left
/// out: longer than a program computes between two awaits.
pub const TRIAL_STALL: Duration = Duration::from_secs(5);

/// How long attempts may take to leave a node after they were told to.
pub const EVICTION: Duration = Duration::from_secs(5);

/// How far a tool node's word of what it does may lag behind: it reports at most every 100 ms.
pub const LOAD_LAG: Duration = Duration::from_millis(250);

/// The longest that anybody may ask to wait for a node to be drained.
pub const DRAIN_LONGEST: Duration = Duration::from_secs(3600);

/// How long a worker may take to end after its last word.
pub const LAST_WORD_GRACE: Duration = Duration::from_secs(2);

/// Characters of what an agent node says of how an attempt ended: what a worker says before it dies,
/// and a few words around it.
pub const END_CHARS: usize = 5_000;

/// How long an agent node may take to start a process.
pub const START_ATTEMPT: Duration = Duration::from_secs(10);

/// How long a ticket is good: an agent node dials at once.
pub const TICKET_LIFE: Duration = Duration::from_secs(30);

/// Objects in one value: more are better handed out by a method.
pub const OBJECTS_PER_VALUE: usize = 256;

/// The first wait before looking again whether a journal that failed can be written.
pub const JOURNAL_RETRY_FIRST: Duration = Duration::from_millis(500);

/// The longest such wait.
pub const JOURNAL_RETRY_MOST: Duration = Duration::from_secs(2);

/// Events of a task that another one may begin from: they are copied in one write.
pub const FORK_EVENTS: usize = 100_000;

/// Pieces of a backup that wait to be sent.
pub const BACKUP_PIECES: usize = 2;

/// How often what is kept no longer is removed.
pub const SWEEP: Duration = Duration::from_secs(600);

/// Tasks that are looked up at once to be removed.
pub const SWEPT_AT_ONCE: usize = 1_000;

/// Lines about damage in an answer to `health`: enough to see that there is some, and
/// `remit verify` has all of them.
pub const DAMAGE_SHOWN: usize = 20;

/// Events sent to a follower at once.
pub const EVENTS_PER_BATCH: usize = 64;

/// Bytes of events sent to a follower at once, so that a batch stays well below a message: events
/// that hold large values go in smaller batches.
pub const BATCH_BYTES: u64 = 4 << 20;

/// How long a follower may take to answer for a batch. Then its feed ends; it has its cursor.
pub const FOLLOWER: Duration = Duration::from_secs(30);

/// References to a task's objects that are gone and may wait to be swept, beside as many as are in use:
/// a sweep looks at all of them.
pub const MEMBRANES_KEPT: usize = 64;

/// How often a sleep looks at the wall clock, so that one that jumps ahead is noticed.
pub const TIMER_LOOK: Duration = Duration::from_secs(60);

/// Files of one agent's program.
pub const SOURCE_FILES: usize = 256;

/// Bytes of one agent's program.
pub const SOURCE_BYTES: usize = 4 << 20;

/// Labels of a task or a node.
pub const LABELS: usize = 32;

/// Tasks in one answer.
pub const TASKS_PER_PAGE: usize = 1_000;

/// Heads that one call looks at for a list of tasks or of questions, whoever may see them: some
/// milliseconds of the vat's time. A list that has more says where to go on.
pub const TASKS_LOOKED_AT: usize = 1_000;

/// How long a connection may outlive the end of what its member was granted for a time, when the wall
/// clock is set meanwhile.
pub const GRANT_CHECK: Duration = Duration::from_secs(60);

/// Questions in one answer, before those of the last task in it: a person looks through some.
pub const QUESTIONS_PER_PAGE: usize = 256;

/// Grants that are offered to a person who is asked for one.
pub const OFFERS: usize = 32;

/// Tools that one node may offer.
pub const TOOLS_PER_NODE: usize = 64;

/// Bytes of the manifests that one node may offer, all together: they stay in memory, and a list
/// of the tools of some nodes fits a message.
pub const MANIFEST_BYTES: usize = 1 << 20;

/// Bytes of a label, a kind of agent or a version: they stand in tables that people read.
pub const NODE_NAME_BYTES: usize = 64;

/// Nodes that are remembered, those that are away included; the longest away are forgotten first.
pub const NODES: usize = 1_024;

/// Connections of one identity: a node has one and, while it renews, two; a person has some.
pub const CONNECTIONS_PER_IDENTITY: usize = 64;

/// Attempts that run at once on one agent node, whatever it offers: each is a process.
pub const ATTEMPTS_PER_NODE: u32 = 1_024;

/// Connections of attempts of one agent node: one for each attempt, and some that are just ending.
pub const ATTEMPT_CONNECTIONS: usize = 2_048;

/// How long connections may take to end when the orchestrator does.
pub const CLOSING: Duration = Duration::from_secs(2);

/// How long to wait before trying to renew the orchestrator's own certificate again.
pub const RENEW_AGAIN: Duration = Duration::from_secs(5);

/// Characters that are kept of why a person or an agent ends, stops or takes back something: people
/// read it.
pub const REASON_CHARS: usize = 1_000;

/// Connections that are not authenticated yet. Those of one machine are at most half of the
/// strangers', so that another is still let in; each costs a descriptor and some KiB. Known peers have
/// as many again: all attempts of some busy agent nodes may start at the same moment.
pub const HANDSHAKES: Bounds = Bounds { per_address: 64, strangers: 128, known: 128 };

/// How long a joiner may take for its request.
pub const JOIN: Duration = Duration::from_secs(10);

/// Members that are remembered, those that were expelled included: all are in memory, some 500 bytes
/// each, and no name is forgotten.
pub const MEMBERS: usize = 4_096;

/// How often it is written down that a member is here, in milliseconds: people ask for the day.
pub const SEEN_EVERY_MS: u64 = 3_600_000;

/// How long a client that is refused may take to read why.
pub const FAREWELL: Duration = Duration::from_secs(5);

/// Invites that wait to be used, of all tenants.
pub const INVITES: usize = 4_000;

/// The shortest life of an invite.
pub const INVITE_SHORTEST: Duration = Duration::from_secs(1);

/// The longest life of an invite: one that lies about for longer is better made anew.
pub const INVITE_LONGEST: Duration = Duration::from_secs(7 * 86_400);

/// How long the invite for the first administrator can be used: a restart makes another.
pub const FIRST_INVITE: Duration = Duration::from_secs(3_600);

/// Bytes of a piece of output of a call in flight.
pub const OUTPUT_BYTES: usize = 64 << 10;

/// Caveats of one grant, as core bounds them.
pub const CAVEATS: usize = remit_core::limits::MAX_CAVEATS;

/// Events that an agent is shown of another task at once: they become part of its own journal.
pub const EVENTS_FOR_AGENT: usize = 100;

/// The longest an agent waits for another task: a year, so that sums of times cannot overflow.
pub const LONGEST_WAIT: Duration = Duration::from_secs(366 * 86_400);

/// Versions of a tool whose accepted interface is remembered, for each node: some run side by side
/// during an upgrade, and all others are history.
pub const VERSIONS_ACCEPTED: usize = 16;

/// Lines of what changed in a tool that are told: a person reads no more.
pub const CHANGES_SHOWN: usize = 40;

/// The shortest interval of a trigger, in milliseconds: each time costs a commit, and often a task.
pub const SHORTEST_INTERVAL_MS: u64 = 1_000;

/// The longest one: a year.
pub const LONGEST_INTERVAL_MS: u64 = 366 * 86_400_000;

/// Missed times that are made up for at once, so that a long absence makes no flood.
pub const MISSED_RUNS: usize = 100;

/// How late a time is still kept as on time, in milliseconds: a restart takes less.
pub const ON_TIME_MS: u64 = 10_000;

/// Triggers of a tenant: all of them are looked at to find the next.
pub const TRIGGERS: usize = 1_000;

/// Bytes of a stored trigger: what it creates has the bounds of any task.
pub const TRIGGER_BYTES: usize = 8 << 20;

/// Bytes of what is posted to a webhook.
pub const WEBHOOK_BYTES: usize = 1 << 20;

/// Connections that post to webhooks at the same time: `strangers` before they have shown a secret,
/// and `known` after. Behind a proxy all come from one address.
pub const WEBHOOK_CONNECTIONS: Bounds = Bounds { per_address: 64, strangers: 64, known: 64 };

/// How long a post to a webhook may take.
pub const WEBHOOK: Duration = Duration::from_secs(10);

/// Headers of a post that a webhook hands to its task.
pub const WEBHOOK_HEADERS: usize = 16;

/// Bytes of those headers: they become part of a journal.
pub const WEBHOOK_HEADER_BYTES: usize = 8 << 10;

/// Bytes of a file with a secret that are read.
pub const SECRET_BYTES: u64 = 4 << 10;

/// The shortest secret by which posts are signed: a shorter one can be guessed from one signature.
pub const SECRET_LEAST: usize = 16;

/// Whom an operator may have told: each is looked after by itself.
pub const SINKS: usize = 16;

/// Bytes of the name of one.
pub const SINK_NAME: usize = 64;

/// How long a sink may take to be told.
pub const NOTICE_TIME: Duration = Duration::from_secs(30);

/// The first and the longest wait before a sink is told again.
pub const NOTICE_RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(600));

/// How often a sink is told of one thing, which takes about two hours: then it is given up, for
/// others wait behind it.
pub const NOTICE_TRIES: u32 = 20;

/// How often notifications are looked for that nobody was woken for.
pub const NOTICE_LOOK: Duration = Duration::from_secs(5);

/// The longest that a trigger's next time is slept for at once: a clock that is set is noticed.
pub const TRIGGER_NAP: Duration = Duration::from_secs(30);

/// The first wait before a trigger that could not be set off is tried again.
pub const TRIGGER_RETRY_FIRST: Duration = Duration::from_millis(200);

/// The longest such wait.
pub const TRIGGER_RETRY_MOST: Duration = Duration::from_secs(10);

/// The longest such wait for a time that may not be late: some tries fall into [`ON_TIME_MS`].
pub const TRIGGER_RETRY_ON_TIME: Duration = Duration::from_secs(2);

/// How long a time is tried that cannot be kept, in milliseconds, before it is given up: an hour,
/// in which a node that fell over is set up again.
pub const TRIGGER_PATIENCE_MS: u64 = 3_600_000;

/// Audit records in one answer.
pub const AUDIT_RECORDS_PER_PAGE: usize = 1_000;

/// Events that are looked at for one answer about the audit: the vat has other work as well.
pub const AUDIT_EVENTS_PER_PAGE: usize = 500;

/// Sturdy references of one tenant: a list of them fits a message.
pub const REFS: usize = 4_096;

/// How often references that ended long ago are looked for when another one is saved: all are read.
pub const REFS_LOOK: Duration = Duration::from_secs(60);

/// How long a reference that is no longer good stays in lists, so that a person can see what became
/// of it.
pub const REF_REMEMBERED: Duration = Duration::from_secs(30 * 86_400);

/// The shortest time after which a reference may be dropped as unused: a client that reconnects
/// restores it within less.
pub const REF_UNUSED_SHORTEST: Duration = Duration::from_secs(1);

/// How long each end of an introduction may take: a dial over a slow network, and then some. Calls
/// go on meanwhile.
pub const INTRODUCTION: Duration = Duration::from_secs(30);

/// Bytes of the address at which a tool node may be dialled: a host name and a port.
pub const ADDRESS_BYTES: usize = 300;

/// The most that may be charged of a resource.
pub const fn bound(resource: Resource) -> Bound {
    match resource {
        Resource::TaskBytes => Bound {
            identity: 512 << 20,
            tenant: 1 << 30,
            process: 2 << 30,
            why: "One task may hold 512 MiB. Four such fit the memory of a small machine.",
        },
        Resource::DiskBytes => Bound {
            identity: 4 << 30,
            tenant: 16 << 30,
            process: 64 << 30,
            why: "Eight tasks that hold all that one may. Of a smaller disk a reserve stays free.",
        },
        Resource::Followers => Bound {
            identity: 2_048,
            tenant: 4_096,
            process: 8_192,
            why: "Some KiB each. A console follows a thousand tasks with one.",
        },
        Resource::HeavyJobs => Bound {
            identity: 8,
            tenant: 32,
            process: 64,
            why: "Each reads the whole journal. A person waits for one; more only queue.",
        },
        Resource::References => Bound {
            identity: 1_024,
            tenant: REFS as u64,
            process: 16 * REFS as u64,
            why: "A list of a tenant's fits a message. A program keeps one for each task that it shows.",
        },
        Resource::Invites => Bound {
            identity: 256,
            tenant: 1_000,
            process: INVITES as u64,
            why: "All are looked through for a fresh one. A person invites some at a time.",
        },
    }
}

/// After how long to ask again for a heavy job: one takes seconds.
pub const JOBS_AGAIN: Duration = Duration::from_secs(2);

/// Heavy jobs that run at once; one of each identity. Each takes a thread and reads the disk, and a
/// neighbour's calls need both.
pub const HEAVY_JOBS_AT_ONCE: usize = 2;

/// Bytes of events that were sent to the followers of one identity and not answered for: some of the
/// largest batches. More wait in the journal.
pub const FEED_BYTES_PER_IDENTITY: usize = 64 << 20;

/// The same for all identities.
pub const FEED_BYTES: usize = 512 << 20;

/// Events that are read at first for a follower; the more, the smaller they turn out to be.
pub const EVENTS_AT_FIRST: usize = 4;

/// Bytes of the manifests of the grants that a task is created with, each counted as often as it is
/// granted: they are written in one commit.
pub const GRANTED_BYTES: usize = 32 << 20;

/// Bytes that a task takes in memory beside the values that it holds.
pub const TASK_BYTES: u64 = 4 << 10;

/// Calls of agents that begin in one round of the vat: what comes in meanwhile is looked at between
/// two rounds. More would make others wait longer. One task has a part of them, since its next call
/// may wait for the disk.
pub const BEGINS: shares::Bounds = shares::Bounds { task: 8, identity: 16, all: 24 };

/// Calls of agents in flight at one node. A connection takes 4,096, and those of tools that call back
/// have no bound of their own: a part is left to them, and one of it to every other identity.
pub const NODE_CALLS: shares::Bounds = shares::Bounds { task: 512, identity: 2_048, all: 3_072 };

/// Events of a task that wait for the disk before its next call begins: some milliseconds of a busy
/// disk, and a part of what one lane of the commit queue takes.
pub const UNWRITTEN_EVENTS: u64 = 1_024;

/// How long an attempt has a place at least, before it may be asked to give it to another identity:
/// longer than it takes to start one.
pub const PLACE_LEAST: Duration = Duration::from_secs(1);

/// How often those who have places are asked while others wait.
pub const PLACE_LOOK: Duration = Duration::from_millis(500);

/// Kinds of wishes for a place that are looked at before other work goes on.
pub const WISHES_AT_ONCE: usize = 256;

/// Bytes by which a task grows on disk before that is charged: each event would cost as much.
pub const STORED_STEP: u64 = 4 << 10;

/// Bytes of program and inputs from which on an idle task has them on disk only, and reads them again
/// for its next attempt: less is not worth the reading.
pub const IDLE_PAYLOAD_BYTES: u64 = 16 << 10;

/// Tasks at work below one that was not spawned itself, at all levels together: an agent that spawns
/// without end stops here, and what it made is still looked through in a moment.
pub const FAMILY_TASKS: usize = 1_000;

/// Tasks that came of one, ended ones included for as long as they are kept: what an agent makes without end
/// stays on disk, and stops here.
pub const FAMILY_TOTAL: usize = 10_000;

/// Levels of tasks that spawn tasks: what one is passed is checked by all above it.
pub const FAMILY_DEPTH: u8 = 16;
