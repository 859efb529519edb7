//! Tickets and tokens: 32 random bytes that are good once. Whoever waits for one keeps its hash.

use sha2::{Digest as _, Sha256};

/// A ticket that nobody can guess.
pub fn fresh() -> [u8; 32] {
    rand::random()
}

/// The hash under which it is kept. A look-up by it tells nothing of the ticket by how long it takes.
pub fn hash(ticket: &[u8]) -> [u8; 32] {
    Sha256::digest(ticket).into()
}
