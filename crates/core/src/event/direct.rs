//! Facts of the direct path between an agent node and a tool node.

use serde::{Deserialize, Serialize};

use crate::id::{Attempt, CallNumber, GrantId};

/// An agent node was given a ticket for a tool node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Introduced {
    /// The grant that says that it may be.
    pub grant: GrantId,
    /// The attempt that uses the connection.
    pub attempt: Attempt,
    /// The agent node, as a SPIFFE name.
    pub agent: String,
    /// The tool node, as a SPIFFE name.
    pub node: String,
}

/// Where the value of a call is that is not in the journal: with the tool node that serves the
/// call's grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OffloadedResult {
    /// The call.
    pub call: CallNumber,
    /// The key under which the tool node's ledger has the outcome.
    pub key: Vec<u8>,
    /// SHA-256 over the value, as [`crate::Value::digest`] gives it.
    #[serde(with = "serde_bytes")]
    pub digest: [u8; 32],
    /// What it is charged for.
    pub bytes: u64,
}
