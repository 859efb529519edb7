//! The rules that a machine can check: style, layers, schemas, CI and configuration files. Each
//! test names the file, the violation, and the remedy.

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
