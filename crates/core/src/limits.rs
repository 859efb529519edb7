//! Every bound of this crate, each with its reason.

/// Operations of one task. Each stays in memory while the task runs, at some hundred bytes.
pub const MAX_OPERATIONS: usize = 100_000;

/// How far an operation's number may run ahead of the highest one seen. Pipelined calls arrive
/// out of order by a few; more is an agent that makes numbers up.
pub const MAX_AHEAD: u64 = 10_000;

/// Grants of one task, those that it derived for itself and for others included, so that a list of
/// them fits a message.
pub const MAX_GRANTS: usize = 1_024;

/// How many times a grant may be narrowed in a row: every call checks the whole chain.
pub const MAX_DEPTH: usize = 32;

/// Caveats of one grant: every call checks all of them.
pub const MAX_CAVEATS: usize = 64;

/// Accepted inputs that wait for the agent. A sender that is faster than the agent must wait.
pub const MAX_WAITING_INPUTS: usize = 1_000;

/// Bytes of one value that is recorded: it is read back on every replay.
pub const MAX_VALUE_BYTES: usize = 4 << 20;

/// Bytes of all values that a task holds: arguments, results and inputs stay in memory while it
/// runs, for a replay asks for them again.
pub const MAX_HELD_BYTES: u64 = 512 << 20;

/// Bytes of the message of a failure, and of its detail: what ended a task stands in lists.
pub const MAX_FAILURE_BYTES: usize = 16 << 10;

/// Bytes of one line of output; the rest of the line is cut off.
pub const MAX_LINE_BYTES: usize = 16 << 10;

/// Questions of one task that wait for people at once: a person must be able to look through them.
pub const MAX_QUESTIONS: usize = 64;

/// How long a held call or a request waits for a person, in milliseconds: a week, so that a weekend
/// and a short illness lose nothing.
pub const QUESTION_LIFE_MS: u64 = 7 * 86_400_000;

/// Decisions of one task that count for later calls: each call that needs approval looks through
/// them. The oldest is forgotten first, which asks a person once more.
pub const MAX_STANDING: usize = 256;

/// Bytes of a reason that is given for or against something, which people read.
pub const MAX_REASON_BYTES: usize = 1024;

/// Fruitless attempts in a row that are counted: a task is paused long before.
pub const MAX_FRUITLESS: usize = 64;

/// Lines of output of one task.
pub const MAX_LINES: u64 = 100_000;

/// The longest sleep, in milliseconds: ten years, so that sums of times cannot overflow.
pub const MAX_SLEEP_MS: u64 = 10 * 366 * 86_400_000;

/// Calls that one message names: more than anybody reads at once.
pub const SHOWN_CALLS: usize = 20;

/// Bytes of a name: of a task, a grant, a method, a key.
pub const MAX_NAME_BYTES: usize = 256;

/// Names in one caveat, or values that an argument may have: they are looked through on each call.
pub const MAX_CAVEAT_ITEMS: usize = 256;

/// Bytes of one of them: the longest identity, and any name or URL that a person would write.
pub const MAX_CAVEAT_TEXT_BYTES: usize = 1024;

/// Steps of a guard's path into the arguments.
pub const MAX_GUARD_STEPS: usize = 8;

/// Bytes of a pattern or of a CEL expression: one that a person can still read and judge.
pub const MAX_PATTERN_BYTES: usize = 1024;

/// Bytes of memory that a compiled pattern may take, and again the tables made while it runs.
pub const MAX_PATTERN_MEMORY: usize = 256 << 10;

/// How deep a pattern may nest: its compiler recurses.
pub const MAX_PATTERN_DEPTH: u32 = 32;

/// Bytes of a text that a pattern looks at; a longer one does not match. With the bound above on
/// its memory, one match takes milliseconds at most.
pub const MAX_MATCHED_BYTES: usize = 64 << 10;

/// How deep the brackets, signs and choices of a CEL expression may nest: its parser recurses.
pub const MAX_CEL_DEPTH: u16 = 64;

/// Nodes of a CEL expression.
pub const MAX_CEL_NODES: usize = 512;

/// Steps of one evaluation of a CEL expression, counted before it begins as the most that it could
/// take with these arguments: some ten milliseconds.
pub const MAX_CEL_STEPS: u64 = 50_000;

/// Uses that a rate allows at once, so that its arithmetic cannot overflow.
pub const MAX_RATE_COUNT: u32 = 1_000_000;

/// How deep the tree of a CEL expression may be: its evaluator takes up to 30 KiB of stack for each
/// level, unoptimised. Chains of && and of || are balanced, other operators lean to one side.
pub const MAX_CEL_TREE_DEPTH: u16 = 20;

/// Times that the holder of a sturdy reference may narrow it: each becomes a grant when it is
/// restored, below those that it was saved from.
pub const MAX_LINKS: usize = 16;

/// Bytes of what one such narrowing says: some caveats that a person can still read.
pub const MAX_LINK_BYTES: usize = 4096;

/// Bytes of a sturdy reference: it is pasted as one line.
pub const MAX_REFERENCE_BYTES: usize = 16 << 10;

/// Outcomes of pure calls that a task keeps for those after them.
pub const MAX_MEMO: usize = 1_024;

/// Bytes of the JSON Schema of a method's arguments: a few thousand lines.
pub const MAX_SCHEMA_BYTES: usize = 256 << 10;

/// Parts of a schema, what it refers to counted each time: each takes some hundred bytes while its
/// tool is in use.
pub const MAX_SCHEMA_NODES: usize = 4_096;

/// How deep a schema may nest: its compiler and its checker recurse.
pub const MAX_SCHEMA_DEPTH: usize = 32;

/// Patterns of one schema, each of which takes up to twice the memory below.
pub const MAX_SCHEMA_PATTERNS: usize = 32;

/// Patterns in the schemas of one tool, which are all compiled when it registers.
pub const MAX_MANIFEST_PATTERNS: usize = 256;

/// Bytes of memory of one compiled pattern of a schema: there are more of them than in caveats.
pub const MAX_SCHEMA_PATTERN_MEMORY: usize = 64 << 10;

/// Comparisons of one check of arguments against a schema: every value once takes fewer, and these
/// take some ten milliseconds.
pub const MAX_SCHEMA_STEPS: u64 = 1_000_000;
