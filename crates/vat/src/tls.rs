//! Mutual TLS 1.3: who may speak, and as whom.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use remit_core::{Identity, Role};
use tokio::net::TcpStream;

use crate::credential::Credential;

/// What a connection is for, agreed in the handshake (ALPN) before any byte of it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// `remit/1`: a peer that wants the bootstrap object of its role.
    Peer,
    /// `remit-attempt/1`: an agent node that splices in a worker. Starts with a ticket, 32 bytes.
    Attempt,
    /// `remit-join/1`: a stranger with an invite, the only one without a certificate.
    Join,
}

/// An accepted connection.
pub struct Accepted {
    /// The stream, after the handshake.
    pub stream: tokio_rustls::server::TlsStream<TcpStream>,
    /// What it is for.
    pub purpose: Purpose,
    /// Who it is, and until when; `None` only if the purpose is to join.
    pub peer: Option<(Identity, SystemTime)>,
}

/// Why a connection was not made: a sentence for the log, with the peer's address or identity.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

/// Accepts TLS connections as the holder of one credential.
#[derive(Clone)]
pub struct Acceptor {}

impl Acceptor {
    /// An acceptor for the holder of `credential`. Peers must be of the same mesh and authority and
    /// have one of `roles`.
    pub fn new(_credential: &Credential, _roles: &[Role]) -> Result<Self, Refused> {
        todo!()
    }

    /// Shakes hands over an accepted TCP stream, within `limit`.
    pub async fn accept(&self, _tcp: TcpStream, _limit: Duration) -> Result<Accepted, Refused> {
        todo!()
    }
}

/// Dials the orchestrator at `address` (host:port) as the holder of `credential`, and makes sure
/// that it is an orchestrator of the same mesh.
pub async fn dial(
    _address: &str,
    _credential: &Credential,
    _purpose: Purpose,
    _limit: Duration,
) -> Result<(tokio_rustls::client::TlsStream<TcpStream>, Identity), Refused> {
    todo!()
}

/// Sets what every TCP connection of the mesh has: no delay, keep-alive, and a time-out for bytes
/// that the peer does not acknowledge.
pub fn tune(_tcp: &TcpStream) -> std::io::Result<()> {
    todo!()
}

/// The address a listener is bound to, for the ready line.
pub fn local(_listener: &tokio::net::TcpListener) -> std::io::Result<SocketAddr> {
    todo!()
}
