//! Every bound of the command line, each with its reason.

use std::time::Duration;

/// Files of one bundle: a program of more belongs into a build step.
pub(crate) const BUNDLE_FILES: usize = 256;

/// Bytes of one bundle: it is sent in one message and kept in the journal.
pub(crate) const BUNDLE_BYTES: usize = 4 << 20;

/// Bytes of an input that is read from a file: it is sent in one message and kept in the journal.
pub(crate) const INPUT_BYTES: u64 = 4 << 20;

/// How long an embedded orchestrator may take to be ready. A million events take half a second.
pub(crate) const READY: Duration = Duration::from_secs(30);

/// How long the granted tools may take to be registered. Nodes that were cut off back off for
/// seconds before they dial again.
pub(crate) const TOOLS: Duration = Duration::from_secs(20);

/// How long one tool may take longer than others, which come from another node or were meant.
pub(crate) const ONE_TOOL: Duration = Duration::from_secs(5);

/// How long an invite lasts that this program makes for itself: it is used at once.
pub(crate) const OWN_INVITE: Duration = Duration::from_secs(60);

/// How long a tool may take whose node is away: a rolling upgrade or a restart of its machine.
pub(crate) const TOOL_AWAY: Duration = Duration::from_secs(120);

/// How long the nodes of a mesh may take to end whose own process has gone: longer than they let what
/// is in flight come to its end.
pub(crate) const ENDING: Duration = Duration::from_secs(30);

/// How often something that will be there soon is looked at again.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// How long a mesh that is said to run may take to answer.
pub(crate) const KNOCK: Duration = Duration::from_secs(3);

/// How long the nodes of an embedded mesh may take to end by themselves before they are killed.
pub(crate) const STOP: Duration = Duration::from_secs(10);

/// Characters of an argument or a result on an event's line: it should fit a terminal's line.
pub(crate) const SHOWN: usize = 72;

/// Bytes of a node's log kept from earlier runs, so that `.remit` does not grow for ever.
pub(crate) const LOG_BYTES: u64 = 4 << 20;

/// Characters of why something failed, on an event's line.
pub(crate) const WHY: usize = 300;

/// How often the processes of an embedded mesh are looked after.
pub(crate) const TEND: Duration = Duration::from_millis(500);

/// Characters of a name or a reason in a table on a terminal.
pub(crate) const CELL: usize = 80;

/// How many tasks `remit ps` shows unless told otherwise: a screen.
pub(crate) const TASKS: u32 = 20;

/// How many tasks are looked at for another one of a name or an id's end, once one was found: as many
/// as ten answers of a mesh hold.
pub(crate) const LOOKED_AT: usize = 10_000;

/// How long names for a shell may take that completes a line: a person waits for the key.
pub(crate) const COMPLETING: Duration = Duration::from_millis(800);

/// How many tasks are offered then: the newest.
pub(crate) const COMPLETED_TASKS: u32 = 100;

/// Lines of a node's log that are shown when it could not be started.
pub(crate) const TAIL: usize = 8;

/// How long a task may wait to begin before a person is told what it waits for.
pub(crate) const LONG_WAIT: Duration = Duration::from_secs(3);

/// Characters of one line of a question to a person: what is longer is for `remit inbox --json`.
pub(crate) const QUESTION: usize = 2_000;

/// Bytes of a grant that a person types: as many as fit a long line.
pub(crate) const GRANT_BYTES: u64 = 4 << 10;

/// Bytes of an answer that a person types to a question of yes or no.
pub(crate) const ANSWER_BYTES: u64 = 64;

/// Pieces of a backup that wait to be written: each is about a mebibyte.
pub(crate) const BACKUP_PIECES: usize = 2;

/// Bytes of cache for a journal that a command reads once.
pub(crate) const STORE_CACHE_BYTES: u64 = 32 << 20;

/// How often to say how far a node is drained.
pub(crate) const PROGRESS: Duration = Duration::from_secs(2);

/// How long to wait for the end of a task that is cancelled: somewhat longer than tools are given.
pub(crate) const CANCELLING: Duration = Duration::from_secs(15);

/// How many references are named of which one may be meant: more are listed elsewhere.
pub(crate) const AMBIGUOUS: usize = 10;

/// The longest line that is read as a reference: the largest one in base64, and some blanks.
pub(crate) const REFERENCE_LINE: u64 = 64 << 10;

/// Bytes of the name of a mesh's folder: file systems take 255, and files next to it have longer ones.
pub(crate) const HOME_NAME: usize = 240;

/// Parts of one type of TypeScript that is written from a schema: a schema whose definitions name each
/// other many times would make it grow without end.
pub(crate) const TYPE_PARTS: usize = 2_000;

/// How deep such a type nests: as deep as schemas that a mesh takes.
pub(crate) const TYPE_DEPTH: usize = 32;

/// Columns of a tool's description: an old terminal, and half a screen.
pub(crate) const COLUMNS: usize = 80;
