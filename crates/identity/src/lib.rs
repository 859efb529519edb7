//! Who a process is, and whom it lets in.
//!
//! For: the certificate and key of a member ([`credential`]), how it joins and renews them ([`join`]),
//! mutual TLS ([`tls`]), letting in those who dial, a bounded number at once ([`accept`],
//! [`handshakes`]), tickets that are good once ([`ticket`]), and staying connected as one and the same
//! member ([`membership`]). Not for: signing certificates, which is the authority's, and what a member
//! may do.

pub mod accept;
pub mod credential;
pub mod handshakes;
pub mod join;
mod key;
pub mod limits;
pub mod membership;
pub mod ticket;
pub mod tls;
