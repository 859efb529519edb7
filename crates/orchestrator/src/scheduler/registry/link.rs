//! What an object is reached over: whether a call failed, or was lost on the way, is decided by the
//! connection's own state.

use remit_vat::connection::{Connection, is_disconnect};

/// What the calls on an object go over.
#[derive(Debug, Clone, Default)]
pub enum Link {
    /// They do not leave this process.
    #[default]
    Here,
    /// The connection of a tool node.
    Over(Connection),
    /// The connection of a client that gave an object of its own. It could as well end it, so the
    /// kind of its error is believed; no text is.
    Client,
}

impl Link {
    /// Whether a call that failed with `error` was lost with the connection.
    pub async fn took_along(&self, error: &capnp::Error) -> bool {
        match self {
            Self::Here => false,
            Self::Over(connection) => connection.took_along(error).await,
            Self::Client => is_disconnect(error),
        }
    }
}
