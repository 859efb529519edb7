//! One connection between two vats, over any byte stream.

use std::time::Duration;

use capnp::capability::{Client, FromClientHook, RemotePromise, Response};
use capnp::traits::{Owned, Pipelined};
use remit_core::Failure;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::limits::ConnectionLimits;

/// What a connection needs to know beside its stream.
#[derive(Debug, Clone)]
pub struct ConnectionOptions {
    /// Who is at the other end, for logs.
    pub peer: String,
    /// Its bounds.
    pub limits: ConnectionLimits,
}

/// A handle on one running connection. Cloning it gives another handle on the same one; dropping
/// the last handle does not end the connection (`abort` does, and so does the peer).
#[derive(Debug, Clone)]
pub struct Connection {}

/// How a connection ended: by whom and why, in words for a log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Ended(pub String);

impl Connection {
    /// Serves `bootstrap` to the peer at the other end of `stream`.
    pub fn serve<S>(_stream: S, _bootstrap: Client, _options: ConnectionOptions) -> Self
    where
        S: AsyncRead + AsyncWrite + 'static,
    {
        todo!()
    }

    /// Asks the peer at the other end of `stream` for its bootstrap object, and offers `own` if
    /// the peer asks for one. Pings the peer through `remit_schema::peer_capnp::peer`.
    pub fn connect<C, S>(
        _stream: S,
        _own: Option<Client>,
        _options: ConnectionOptions,
    ) -> (C, Self)
    where
        C: FromClientHook,
        S: AsyncRead + AsyncWrite + 'static,
    {
        todo!()
    }

    /// Whether the stream has ended, for whatever reason. True before calls in flight are dropped,
    /// so a method that is being dropped can tell a lost connection from a cancelled call.
    pub fn is_closed(&self) -> bool {
        todo!()
    }

    /// Answers with the cause when the connection has ended.
    pub async fn ended(&self) -> Ended {
        todo!()
    }

    /// Ends the connection now; `reason` is logged and becomes the cause.
    pub fn abort(&self, _reason: &str) {
        todo!()
    }
}

/// The answer to a call, or a failure when it does not come within `deadline`. Both halves of the
/// promise are dropped then, so the call is cancelled at the callee.
pub async fn within<R>(
    _deadline: Duration,
    _promise: RemotePromise<R>,
) -> Result<Response<R>, Failure>
where
    R: Pipelined + Owned + 'static + Unpin,
{
    todo!()
}
