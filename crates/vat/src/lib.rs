//! Remit's vats, and all that is between them.
//!
//! For: event loops that host objects ([`vat`]), connections and their bounds ([`connection`]),
//! failures in exceptions ([`exception`]), calls that have no outcome yet ([`unsettled`]), conversions
//! between the wire and the types of `remit_core` ([`wire`]), what makes a simulation repeat itself
//! ([`chance`], [`watched`]), what contains a panic ([`contain`]), and work that is done to its end
//! ([`run_detached`]). Not for: who is at the other end, and what any node does with all this.

pub mod backoff;
pub mod chance;
pub mod connection;
pub mod contain;
pub mod exception;
pub mod gate;
pub mod limits;
pub mod run_detached;
pub mod shorten;
pub mod turn;
pub mod unsettled;
pub mod vat;
pub mod watched;
pub mod wire;
