//! Tickets and tokens: 32 random bytes that are valid once. The side that expects one keeps its
//! hash.

use sha2::{Digest as _, Sha256};

/// A random ticket.
pub fn fresh() -> [u8; 32] {
    rand::random()
}

/// The hash under which a ticket is kept. The duration of a look-up by hash reveals nothing about
/// the ticket.
pub fn hash(ticket: &[u8]) -> [u8; 32] {
    Sha256::digest(ticket).into()
}
