//! Remit's vats, and all that is between them.
//!
//! For: event loops that host objects ([`vat`]), connections and their bounds ([`connection`]),
//! identity and transport ([`credential`], [`authority`], [`tls`], [`join`]), failures in exceptions
//! ([`exception`]), calls that have no outcome yet
//! ([`unsettled`]), conversions between the wire and the types of `remit_core` ([`wire`]), the durable
//! store under journals and ledgers ([`disk`]), what makes a simulation repeat itself
//! ([`chance`], [`watched`]), what contains a panic ([`contain`]),
//! what is done to its end ([`lasting`]), and where a test may have a process
//! die ([`crash`]). Not for: what any node does with them.

pub mod accept;
pub mod authority;
pub mod backoff;
pub mod chance;
pub mod connection;
pub mod contain;
pub mod crash;
pub mod credential;
pub mod disk;
pub mod exception;
pub mod fair;
pub mod gate;
pub mod handshakes;
pub mod join;
pub mod lasting;
pub mod limits;
pub mod membership;
pub mod shorten;
pub mod ticket;
pub mod tls;
pub mod turn;
pub mod unsettled;
pub mod vat;
pub mod watched;
pub mod wire;
