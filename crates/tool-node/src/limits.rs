//! Every bound of this crate, each with its reason.

use std::time::Duration;

use remit_identity::handshakes::Bounds;

/// Bytes of a call's result. The owner of a task records no more, and nobody should do work whose
/// result is thrown away.
pub const MAX_RESULT_BYTES: usize = remit_core::limits::MAX_VALUE_BYTES;

/// Bytes of an idempotency key: owners use a task's id and a number.
pub const MAX_KEY_BYTES: usize = 256;

/// Calls that begin in one round of the node; what comes in meanwhile is looked at between two rounds.
pub const BEGINS: usize = 64;

/// Those of them that one task has: another one's call does not wait for more.
pub const BEGINS_OF_TASK: usize = 32;

/// How long a method that was cancelled may take to tidy up before it is dropped. Long enough for a
/// disk write or the end of a process group, short against the patience of whoever cancelled.
pub const CANCEL_GRACE: Duration = Duration::from_secs(5);

/// How long calls in flight may take to end when the node is told to stop.
pub const DRAIN: Duration = Duration::from_secs(10);

/// Outcomes in the ledger. A task makes at most a hundred thousand calls, and the oldest go first.
pub const LEDGER_RECORDS: usize = 200_000;

/// Bytes of outcomes in the ledger, so that it stays small against the disk it shares.
pub const LEDGER_BYTES: u64 = 256 << 20;

/// How long the ledger keeps an outcome: an owner that was away longer must ask a person.
pub const LEDGER_AGE: Duration = Duration::from_secs(7 * 86_400);

/// What is forgotten counts as sent so much later than it was entered, so that calls on their way and
/// clocks that differ do not make it look as if it had never begun.
pub const LEDGER_MARGIN: Duration = Duration::from_secs(60);

/// Memory of the ledger's cache. Repeated keys are rare and recent.
pub const LEDGER_CACHE_BYTES: u64 = 16 << 20;

/// Records that one new record may push out, so that no single call pays for all the old ones.
pub const LEDGER_PRUNE_AT_ONCE: usize = 64;

/// Records read at once when the ledger is opened.
pub const LEDGER_PAGE: usize = 1_000;

/// Calls that were refused while the ledger could not be written, known by key. More than are in
/// flight in a busy mesh; what is beyond them, a person is asked about.
pub const UNDONE_CALLS: usize = 10_000;

/// How long the outcome of a call waits for a ledger that cannot be written: longer than a disk that
/// failed takes to be tried again, and not so long that nobody is told what holds the call up.
pub const LEDGER_PATIENCE: Duration = Duration::from_secs(15);

/// The first wait before an outcome is recorded once more: a disk that failed is tried again about
/// then.
pub const LEDGER_RETRY_FIRST: Duration = Duration::from_millis(100);

/// The longest such wait.
pub const LEDGER_RETRY_MOST: Duration = Duration::from_secs(2);

/// Bytes of one piece of ephemeral output; a longer one is cut into pieces.
pub const MAX_OUTPUT_BYTES: usize = 16 << 10;

/// Pieces of ephemeral output that wait to be sent. When the orchestrator is slower, pieces are
/// dropped: the outcome carries the whole.
pub const OUTPUT_QUEUE: usize = 256;

/// How long the orchestrator may take to accept a registration, a report or a piece of output.
pub const PORT_DEADLINE: Duration = Duration::from_secs(10);

/// How often the load is reported although it did not change, so that the node is seen to be well.
pub const REPORT_EVERY: Duration = Duration::from_secs(3);

/// The least time between two reports: under load a report per call would double the messages.
pub const REPORT_AT_MOST_EVERY: Duration = Duration::from_millis(200);

/// How long a tool waits for the answer of an object that was lent to it.
pub const REMOTE_DEADLINE: Duration = Duration::from_secs(60);

/// Bytes of a node's configuration file.
pub const CONFIG_BYTES: u64 = 1 << 20;

/// How long the pipes of an ended program may stay open, held by a process that left its group.
pub const PROCESS_DRAIN: Duration = Duration::from_secs(1);

/// Symbolic links followed in one path: as the kernel's own bound.
pub const FS_LINKS: usize = 40;

/// Bytes that one read gives at most, below what a result may have.
pub const FS_READ_BYTES: u64 = (MAX_RESULT_BYTES as u64) - 4096;

/// Entries that one listing or glob gives: more is not read by anyone, and fills the journal.
pub const FS_ENTRIES: usize = 10_000;

/// Entries that one glob, search or recursive removal visits.
pub const FS_VISITS: usize = 500_000;

/// How deep a tree is walked. Each level holds an open folder.
pub const FS_DEPTH: usize = 64;

/// Bytes of a file that is searched; larger ones are skipped and counted.
pub const FS_SEARCH_FILE_BYTES: u64 = 8 << 20;

/// Matches that one search gives without and with asking for more.
pub const FS_MATCHES: usize = 200;
/// The most matches that may be asked for.
pub const FS_MATCHES_MOST: usize = 2_000;

/// Bytes of a matching line that are shown.
pub const FS_LINE_BYTES: usize = 500;

/// Memory of a compiled pattern, so that no pattern can exhaust the node.
pub const FS_PATTERN_BYTES: usize = 4 << 20;

/// Lines that one `readLines` gives without and with asking for more.
pub const FS_LINES: usize = 1_000;
/// The most lines that may be asked for.
pub const FS_LINES_MOST: usize = 10_000;

/// Bytes of a line that `readLines` gives: longer ones are cut, and counted.
pub const FS_LINE_READ_BYTES: usize = 64 << 10;

/// Files that a search names of those it could not look into; the others are only counted.
pub const FS_UNSEARCHED: usize = 20;

/// Patterns that the braces of one glob may stand for.
pub const FS_GLOB_CHOICES: usize = 256;

/// Bytes of one `.gitignore`; the rest is not read.
pub const FS_IGNORE_BYTES: u64 = 256 << 10;

/// Hidden places of one root: each path is compared with all of them.
pub const FS_HIDDEN: usize = 32;

/// Commits that a log gives at once: a screen of an agent's memory, many times over.
pub const GIT_LOG: usize = 1_000;

/// Commits that a log looks at to find those that were asked for, so that a call ends in seconds and
/// holds some hundred bytes for each of them.
pub const GIT_WALK: usize = 500_000;

/// How long a log may look, before it says how to go on.
pub const GIT_TIME: Duration = Duration::from_secs(30);

/// Commits that are looked at after all that is left seems to be hidden: as in git, since clocks differ.
pub const GIT_SLOP: usize = 5;

/// Commits in a row that are older than what was asked for, after which a log ends: clocks differ.
pub const GIT_OLDER: usize = 1_000;

/// Branches and tags that are read to list a part of them.
pub const GIT_REFS: usize = 1_000_000;

/// Directories in the name of a branch or a tag: real ones have a few.
pub const GIT_REF_DEPTH: usize = 32;

/// Bytes of a malformed commit that are shown as they are: real ones are a few hundred.
pub const GIT_RAW_COMMIT: usize = 64 << 10;

/// Bytes of a revision, a branch's name, or an author: real ones are far shorter.
pub const GIT_REV_BYTES: usize = 256;

/// Files, branches or tags in one answer.
pub const GIT_ENTRIES: usize = 10_000;

/// Bytes of a patch: a quarter of what a result may hold, as the list of files goes with it.
pub const GIT_PATCH: usize = MAX_RESULT_BYTES / 4;

/// Bytes of differences that are looked at to count lines, so that a call ends in seconds.
pub const GIT_DIFF: usize = 64 << 20;

/// Bytes of a file that is compared line by line; a larger one is told to differ.
pub const GIT_DIFF_FILE: i64 = 8 << 20;

/// Bytes of a file that is committed: it is held in memory once.
pub const GIT_COMMIT_FILE: u64 = 64 << 20;

/// How long a clone may take.
pub const CLONE_TIME: Duration = Duration::from_secs(600);

/// Bytes that a clone may receive.
pub const CLONE_BYTES: usize = 2 << 30;

/// Bytes of output of the program that clones, which says little.
pub const CLONE_OUTPUT: usize = 64 << 10;

/// Bytes of a URL: what servers take at least.
pub const URL_BYTES: usize = 8_000;

/// How often a path is decoded to see where it leads: proxies in a row that each decode once are few.
pub const URL_DECODINGS: usize = 5;

/// The part of a request's time in which a connection must stand.
pub const CONNECT_SHARE: f32 = 0.5;

/// Redirects that one request follows: real sites need two or three.
pub const REDIRECTS: usize = 5;

/// The least bytes of a secret: shorter ones could be guessed, and stand in texts by chance.
pub const SECRET_BYTES: usize = 8;

/// How long a ticket for a direct connection is good: the agent node dials at once.
pub const TICKET_LIFE: Duration = Duration::from_secs(60);

/// Agent nodes that are awaited at once: each has a minute, and a node runs some hundred attempts.
pub const INTRODUCTIONS_WAITING: usize = 1_024;

/// Grants in a chain: a grant of a tool's own is narrowed from few others.
pub const LINKS: usize = 64;

/// From how many bytes on a value goes over the direct connection: below, a round trip of its own
/// costs more than the bytes, and the journal has it all.
pub const KEPT_FROM_BYTES: usize = 64 << 10;

/// Bytes of values that wait for one agent node: it asks for each as soon as it hears of it. Beyond
/// that, values go through the task's owner.
pub const KEPT_BYTES: usize = 64 << 20;

/// Direct connections that are not authenticated yet: an agent node with a ticket takes a place of
/// its own, and strangers have no business here.
pub const HANDSHAKES: Bounds = Bounds { per_address: 16, strangers: 32, known: 64 };

/// Direct connections of one agent node at once: one for each grant of each attempt that asks for
/// it.
pub const DIRECT_CONNECTIONS: usize = 1_024;

/// Connections of one program to its proxy at once: package managers open about a dozen. More wait.
pub const PROXY_CONNECTIONS: usize = 16;

/// Bytes that a connection of a program to its proxy reads or writes at once.
pub const PROXY_BUFFER: usize = 64 << 10;

/// Bytes that such a connection holds at most: its own buffers, and those of the HTTP client that asks
/// the server for it, of some 400 KiB in each direction.
pub const PROXY_CONNECTION_BYTES: usize = 1 << 20;

/// Bytes that the proxies of all programs of a node hold: eight programs with all their connections.
/// Further connections wait.
pub const PROXY_BYTES: usize = 128 << 20;

/// Connections of the programs of one task to their proxies: half of what all may have. More wait.
pub const PROXY_CONNECTIONS_OF_TASK: usize = 64;

/// Files of a folder whose content an approval binds: a project without what it installs and builds.
pub const CONTENT_FILES: usize = 50_000;

/// Bytes of such a folder: they are read for each look, in some seconds.
pub const CONTENT_BYTES: u64 = 1 << 30;

/// Folders in folders of such a folder: the walk keeps one open for each.
pub const CONTENT_DEPTH: usize = 100;

/// How often a folder is read that changes meanwhile, before that is an error.
pub const CONTENT_TRIES: usize = 5;

/// Longer than the ticks by which a kernel tells the times of files: of two changes within one, the
/// second may not be seen.
pub const CONTENT_TICK: Duration = Duration::from_millis(20);

/// Changed files that are named to who approves: what a person reads. The others are counted.
pub const CONTENT_CHANGED: usize = 100;

/// How long the tools of a node may take to be there before it registers without those that are not:
/// a server is started in some seconds, and a command that asks for tools waits a little longer.
pub const FIRST_TOOLS: Duration = Duration::from_secs(4);

/// Bytes of one message of an MCP server. As JSON, what a result may hold takes twice as much at most
/// where it is text, and a third more where it is bytes.
pub const MCP_MESSAGE_BYTES: usize = 8 << 20;

/// Values in one message of an MCP server, names of fields not counted: read, each takes some hundred
/// bytes. A list of a large folder has a tenth as many.
pub const MCP_MESSAGE_VALUES: usize = 250_000;

/// Bytes from which on a variable of another program's configuration may be a key without its name
/// saying so, if it has a digit and neither spaces nor slashes.
pub const MCP_KEY_BYTES: usize = 16;

/// Messages of one MCP server a second, on average: progress that a person can follow is far slower,
/// and calls that are answered at once stay below.
pub const MCP_RATE: f64 = 2_000.0;

/// Messages of one MCP server at once, so that all calls in flight may be answered and show progress.
pub const MCP_BURST: f64 = 2_000.0;

/// How long nothing is read of a server that says more than that: its pipe fills meanwhile.
pub const MCP_PAUSE: Duration = Duration::from_millis(10);

/// Requests of an MCP server that it was not answered yet: each is refused at once, so that more means
/// that it does not read.
pub const MCP_UNANSWERED: usize = 64;

/// Calls of one MCP server in flight, as many as programs to one proxy. More wait.
pub const MCP_CALLS: usize = 64;

/// The same of one task: so many that four busy tasks share a server.
pub const MCP_CALLS_OF_TASK: usize = 16;

/// How often a request that may be repeated is sent when the server ends each time.
pub const MCP_TRIES: u32 = 3;

/// How long an MCP server may take to start and to say what it offers. Some are fetched first.
pub const MCP_START: Duration = Duration::from_secs(120);

/// How long a call waits for a server that is being started again: longer than the first waits.
pub const MCP_RESTARTS: Duration = Duration::from_secs(20);

/// The first wait before a server that ended is started again.
pub const MCP_RETRY_FIRST: Duration = Duration::from_millis(500);

/// The longest such wait: a server that cannot start costs little, and is back soon once it can.
pub const MCP_RETRY_MOST: Duration = Duration::from_secs(60);

/// How long a server must have lived for the waits to begin anew: one that ends at a call now and then
/// is well in between.
pub const MCP_WELL: Duration = Duration::from_secs(10);

/// How long a server that let a call's time pass may take to answer a ping.
pub const MCP_PING: Duration = Duration::from_secs(10);

/// The least time between two looks at what a server offers.
pub const MCP_RELIST: Duration = Duration::from_secs(1);

/// Tools of one server, and prompts: what a manifest may hold, with some room.
pub const MCP_METHODS: usize = 250;

/// Pages of one list.
pub const MCP_PAGES: usize = 64;

/// Bytes of what a server says of itself, so that several servers fit one registration.
pub const MCP_MANIFEST_BYTES: usize = 256 << 10;

/// Bytes of the name of a server's tool: those that clients take have at most so many.
pub const MCP_NAME_BYTES: usize = 128;

/// Bytes of a description, or of the words of a failure: some pages.
pub const MCP_WORDS_BYTES: usize = 8 << 10;

/// Lines of progress of one call that wait to be shown. More are dropped: the result carries the whole.
pub const MCP_LINES: usize = 64;

/// Bytes of one of them.
pub const MCP_LINE_BYTES: usize = 1 << 10;

/// Resources of one server that are watched.
pub const MCP_WATCHED: usize = 256;

/// Bytes of the end of a server's standard error, for the log.
pub const MCP_LAST_WORDS: usize = 2 << 10;
