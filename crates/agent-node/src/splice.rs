//! A worker's socket, spliced onto a connection of its own to the task's owner. The bytes pass
//! through unread.

use std::pin::Pin;
use std::task::{Context, Poll};

use remit_identity::credential::Credential;
use remit_identity::limits::HANDSHAKE;
use remit_identity::tls::{self, Dialled, Refused};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::UnixStream;

use crate::limits;
use crate::process::Words;

/// Dials the owner at `address`, presents the ticket, and splices until either side ends.
pub(crate) async fn splice(
    address: &str,
    credential: &Credential,
    ticket: &[u8],
    worker: UnixStream,
    words: Words,
) -> Result<(), Refused> {
    let mut owner = tls::dial_attempt(address, credential, ticket, HANDSHAKE).await?;
    let refused = |error: std::io::Error| Refused(format!("the owner's connection: {error}"));
    owner.write_all(ticket).await.map_err(refused)?;
    owner.flush().await.map_err(refused)?;
    let mut worker = Counted { inner: worker, words };
    let size = limits::SPLICE_BYTES;
    tokio::io::copy_bidirectional_with_sizes(&mut worker, &mut owner, size, size)
        .await
        .map(|_| ())
        .map_err(refused)
}

/// Dials the tool node `node` at `address` and presents the ticket. Returns once the ticket is
/// accepted.
pub(crate) async fn dial(
    (address, node): (&str, &str),
    credential: &Credential,
    ticket: &[u8],
) -> Result<Dialled, Refused> {
    let mut stream = tls::dial_introduced((address, node), credential, ticket, HANDSHAKE).await?;
    let show = async {
        stream.write_all(ticket).await?;
        stream.flush().await?;
        stream.read_u8().await
    };
    match tokio::time::timeout(HANDSHAKE, show).await {
        Ok(Ok(tls::DIRECT_ACCEPTED)) => Ok(stream),
        Ok(Ok(_)) => Err(Refused(format!("{node} gave an unexpected answer to the ticket"))),
        Ok(Err(error)) => Err(Refused(format!("{node} did not take the ticket: {error}"))),
        Err(_) => Err(Refused(format!("{node} did not answer within {HANDSHAKE:?}"))),
    }
}

/// Splices a direct connection onto the worker's socket until either side ends.
pub(crate) async fn splice_direct(mut direct: Dialled, mut worker: UnixStream) {
    let size = limits::SPLICE_BYTES;
    let spliced =
        tokio::io::copy_bidirectional_with_sizes(&mut worker, &mut direct, size, size).await;
    if let Err(error) = spliced {
        tracing::debug!(%error, "a direct connection ended");
    }
}

/// A stream that counts the bytes read from it.
struct Counted {
    inner: UnixStream,
    words: Words,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buf);
        let read = (buf.filled().len() - before) as u64;
        self.words.set(self.words.get().wrapping_add(read));
        polled
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use remit_authority::Authority;
    use remit_core::{Identity, Role};
    use remit_identity::tls::Acceptor;
    use tokio::net::TcpListener;

    use super::*;

    /// Dials the tool node `one` as if it were `wanted`. Returns the dialler's result, and the
    /// bytes that the tool node read.
    async fn dialled(wanted: &str) -> (Result<(), Refused>, Vec<u8>) {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::load_or_create(dir.path(), "home").unwrap();
        let who = |role, name: &str| Identity::new("home", "default", role, name).unwrap();
        let issue = |who| authority.issue(&who, Duration::from_secs(3_600)).unwrap();
        let acceptor = Acceptor::of_introduced(&issue(who(Role::ToolNode, "one"))).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let serve = async {
            let (tcp, _) = listener.accept().await.unwrap();
            let mut stream = acceptor.accept(tcp, Duration::from_secs(60)).await.unwrap().stream;
            let mut read = vec![0; 32];
            let shown = stream.read_exact(&mut read).await.is_ok();
            let _gone = stream.write_all(&[tls::DIRECT_ACCEPTED]).await;
            let _gone = stream.flush().await;
            if shown { read } else { Vec::new() }
        };
        let own = issue(who(Role::AgentNode, "one"));
        let wanted = who(Role::ToolNode, wanted).to_string();
        let dial = async { dial((&address, &wanted), &own, &[7; 32]).await.map(drop) };
        tokio::join!(dial, serve)
    }

    #[tokio::test]
    async fn a_ticket_is_shown_to_the_tool_node_that_it_is_for() {
        let (dialled, shown) = dialled("one").await;
        assert!(dialled.is_ok() && shown == [7; 32]);
    }

    #[tokio::test]
    async fn a_ticket_is_not_shown_to_another_tool_node() {
        let (dialled, shown) = dialled("two").await;
        let why = dialled.unwrap_err().to_string();
        assert!(why.contains("tool-node/one") && why.contains("tool-node/two"), "{why}");
        assert!(shown.is_empty());
    }
}
