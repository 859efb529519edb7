//! Whole meshes in a simulated network, under faults that a seed gives.
//!
//! One file per invariant: `acknowledged`, `intents`, `attempts`, `completed`, `cursors`,
//! `settling` and `panics`. The orchestrator and the tool node are the real ones, on disks in
//! memory that lose unflushed writes. Agents and clients are small programs that speak to them over
//! turmoil's network.
//!
//! `REMIT_SEEDS=10000` runs as many worlds, beginning with that of `REMIT_FIRST_SEED`.
//! `REMIT_SEED=n` runs the world of one seed.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that unwraps says what it expected, and its seed comes from the environment"
)]

mod acknowledged;
mod agent;
mod attempts;
mod client;
mod completed;
mod cursors;
mod disk;
mod history;
mod intents;
mod network;
mod orchestrator;
mod panics;
mod past;
mod program;
mod repeatable;
mod seeds;
mod settling;
mod tool;
mod world;
