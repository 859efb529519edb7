//! Faults that tests inject into a process of a mesh.
//!
//! For: the points at which a test may kill a process ([`crash`]). Not for: faults of a single
//! store, which its own settings carry.

pub mod crash;
