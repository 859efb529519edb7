//! What a worker is given and gives back, as plain data, and how its engine reaches the outside.

use remit_core::event::Level;
use remit_core::{Failure, Value};

/// An object outside, as the engine knows it: the number of the call that returned it, or from
/// [`FIRST_OTHER`] on a grant or a part of a value.
pub(crate) type Handle = u64;

/// Handles below stand for results of calls.
pub(crate) const FIRST_OTHER: Handle = 1 << 40;

/// What an agent runs, and all that it is given.
#[derive(Debug)]
pub(crate) struct Script {
    /// Paths and texts.
    pub(crate) source: Vec<(String, String)>,
    pub(crate) entry: String,
    pub(crate) input: Value<Handle>,
    pub(crate) seed: Vec<u8>,
    pub(crate) time_ms: u64,
    pub(crate) grants: Vec<(String, Handle)>,
}

/// The bounds of one script.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) memory_bytes: u64,
    /// Of processor time between two awaits.
    pub(crate) deadline_ms: u32,
}

/// How an operation ended.
#[derive(Debug)]
pub(crate) struct Completion {
    pub(crate) number: u64,
    /// The moment at which the owner recorded it; 0: it did not say.
    pub(crate) time_ms: u64,
    pub(crate) result: Result<Answer, Failure>,
}

/// What a call, a sleep or a wait for input gave.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) value: Value<Handle>,
    /// Whether there is an object beside the value; its handle is the call's number.
    pub(crate) object: bool,
}

/// The outside, as a running script can reach it. Nothing here waits: completions come back later.
pub(crate) trait Outside {
    fn call(&self, number: u64, handle: Handle, method: &str, args: &Value<Handle>);
    fn sleep(&self, number: u64, duration_ms: u64);
    fn input(&self, number: u64);
    fn log(&self, line: u64, level: Level, text: &str);
    /// The script cannot reach this object any more.
    fn release(&self, handle: Handle);
}
