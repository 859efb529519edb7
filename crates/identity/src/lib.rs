//! The identity of a process, and the admission of peers.
//!
//! For: the certificate and key of a member ([`credential`]), joining and renewal ([`join`]),
//! mutual TLS ([`tls`]), accepting connections, a bounded number of them unauthenticated
//! ([`accept`], [`handshakes`]), single-use tickets ([`ticket`]), and staying connected as the same
//! member ([`membership`]). Not for: signing certificates, which the authority does, and the
//! permissions of members.

pub mod accept;
pub mod credential;
pub mod handshakes;
pub mod join;
mod key;
pub mod limits;
pub mod membership;
pub mod ticket;
pub mod tls;
