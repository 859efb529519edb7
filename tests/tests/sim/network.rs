//! Connections over the simulated network. There is no TLS: a peer begins with its identity.

use std::time::Duration;

use capnp::capability::FromClientHook;
use remit_core::{Identity, Role};
use remit_vat::chance;
use remit_vat::connection::{Connection, ConnectionOptions};
use remit_vat::limits::ConnectionLimits;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use turmoil::net::TcpStream;

pub(crate) const ORCHESTRATOR: &str = "orchestrator";
pub(crate) const PORT: u16 = 7474;

/// The purpose of a connection, which ALPN names outside the simulation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Peer,
    Attempt,
}

pub(crate) fn identity(role: Role, name: &str) -> Identity {
    Identity::new("home", "default", role, name).unwrap()
}

/// Dials the orchestrator as `who`. Gives up after 3 s.
pub(crate) async fn dial(who: &Identity, purpose: Purpose) -> Option<TcpStream> {
    let dialling = async {
        let mut stream = TcpStream::connect((ORCHESTRATOR, PORT)).await.ok()?;
        let who = who.to_string();
        let hello = [&[purpose as u8, u8::try_from(who.len()).unwrap()], who.as_bytes()].concat();
        stream.write_all(&hello).await.ok()?;
        Some(stream)
    };
    tokio::time::timeout(Duration::from_secs(3), dialling).await.ok().flatten()
}

/// Reads the identity and the purpose with which a peer begins.
pub(crate) async fn greet(stream: &mut TcpStream) -> Option<(Identity, Purpose)> {
    let greeting = async {
        let mut head = [0; 2];
        stream.read_exact(&mut head).await.ok()?;
        let mut who = vec![0; usize::from(head[1])];
        stream.read_exact(&mut who).await.ok()?;
        let purpose = if head[0] == Purpose::Peer as u8 { Purpose::Peer } else { Purpose::Attempt };
        Some((String::from_utf8(who).unwrap().parse().unwrap(), purpose))
    };
    tokio::time::timeout(Duration::from_secs(3), greeting).await.ok().flatten()
}

/// Connects for the bootstrap object of the peer's role, and dials again until it succeeds.
pub(crate) async fn connect<C: FromClientHook>(who: &Identity) -> (C, Connection) {
    loop {
        if let Some(stream) = dial(who, Purpose::Peer).await {
            let limits = ConnectionLimits::default();
            let options = ConnectionOptions { peer: ORCHESTRATOR.into(), limits };
            return Connection::connect(stream, None, options);
        }
        pause().await;
    }
}

/// A random pause of up to a second before the next try.
pub(crate) async fn pause() {
    tokio::time::sleep(Duration::from_secs(1).mul_f64(chance::fraction())).await;
}
