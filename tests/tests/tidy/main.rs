//! The rules that a machine can check: style, layers, schemas, CI and what operators copy. Each test
//! names the file, what it found there, and what to do about it.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says what it expected")]

mod ci;
mod deploy;
mod layers;
mod limits;
mod schema;
mod security;
mod shape;
mod source;
mod words;
