//! The rules of style that a machine can check: each test names the file, what it found there, and
//! what to do about it.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says what it expected")]

mod layers;
mod shape;
mod source;
mod words;
