//! Remit's vats, the connections between them, and the wire conversions.
//!
//! For: event loops that host objects ([`vat`]), connections and their bounds ([`connection`]),
//! failures in exceptions ([`exception`]), calls that have no outcome yet ([`unsettled`]),
//! conversions between the wire and the types of `remit_core` ([`wire`]), repeatable simulations
//! ([`chance`], [`watched`]), contained panics ([`contain`]), and work that outlives its caller
//! ([`run_detached`]). Not for: the identity of a peer, and the behaviour of any node.

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
