//! `DirectPort`: what an agent node that was introduced can do here.

use std::rc::Rc;

use remit_core::{Identity, Role};
use remit_identity::limits::HANDSHAKE;
use remit_identity::tls::{DIRECT_ACCEPTED, Refused};
use remit_schema::direct_capnp::direct_port;
use remit_schema::peer_capnp::peer;
use remit_vat::connection::{Connection, ConnectionOptions};
use remit_vat::exception::to_exception;
use remit_vat::limits::ConnectionLimits;
use remit_vat::wire;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::introductions::{Introduction, Introductions};

struct Port {
    introduction: Rc<Introduction>,
}

/// Serves an agent node whose identity is verified: the stream begins with a ticket, which says what
/// it gets.
pub(crate) async fn serve<S>(
    introductions: &Introductions,
    mut stream: S,
    identity: &Identity,
) -> Result<Connection, Refused>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let refused = |why: &str| Refused(format!("{identity} was refused: {why}"));
    if identity.role() != Role::AgentNode {
        return Err(refused("it is no agent node"));
    }
    let mut ticket = [0; 32];
    let read = tokio::time::timeout(HANDSHAKE, stream.read_exact(&mut ticket)).await;
    if !matches!(read, Ok(Ok(_))) {
        return Err(refused("it showed no ticket in time"));
    }
    let redeemed = introductions.redeem(&ticket, &identity.to_string());
    let introduction = redeemed.ok_or_else(|| refused("its ticket is not good"))?;
    let answer = async {
        stream.write_all(&[DIRECT_ACCEPTED]).await?;
        stream.flush().await
    };
    if !matches!(tokio::time::timeout(HANDSHAKE, answer).await, Ok(Ok(()))) {
        return Err(refused("it did not wait for the answer"));
    }
    let peer = format!("a direct path from {identity}");
    let options = ConnectionOptions { peer, limits: ConnectionLimits::attempt() };
    let port: direct_port::Client =
        capnp_rpc::new_client(Port { introduction: Rc::clone(&introduction) });
    let connection = Connection::serve(stream, port.client, options);
    introduction.connected(connection.clone());
    Ok(connection)
}

impl direct_port::Server for Port {
    async fn body(
        self: Rc<Self>,
        params: direct_port::BodyParams,
        mut results: direct_port::BodyResults,
    ) -> Result<(), capnp::Error> {
        let taken = self.introduction.take(params.get()?.get_token()?);
        let value = taken.map_err(|failure| to_exception(&failure))?;
        wire::value::write(results.get().init_value(), &value, &[]);
        Ok(())
    }
}

impl peer::Server for Port {
    async fn ping(
        self: Rc<Self>,
        _: peer::PingParams,
        _: peer::PingResults,
    ) -> Result<(), capnp::Error> {
        Ok(())
    }
}
