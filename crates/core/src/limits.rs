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

/// Bytes of one line of output; the rest of the line is cut off.
pub const MAX_LINE_BYTES: usize = 16 << 10;

/// Lines of output of one task.
pub const MAX_LINES: u64 = 100_000;

/// The longest sleep, in milliseconds: ten years, so that sums of times cannot overflow.
pub const MAX_SLEEP_MS: u64 = 10 * 366 * 86_400_000;

/// Bytes of a name: of a task, a grant, a method, a key.
pub const MAX_NAME_BYTES: usize = 256;
