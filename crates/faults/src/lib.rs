//! Faults that tests inject into a process of a mesh.
//!
//! For: where a test may have a process die ([`crash`]). Not for: faults of one store, which its own
//! settings carry.

pub mod crash;
