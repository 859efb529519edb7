//! A worker's socket, spliced onto a connection of its own to the task's owner. Nothing is proxied:
//! the bytes go through unread.

use std::pin::Pin;
use std::task::{Context, Poll};

use remit_vat::credential::Credential;
use remit_vat::limits::HANDSHAKE;
use remit_vat::tls::{self, Dialled, Purpose, Refused};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::UnixStream;

use crate::limits;
use crate::process::Words;

/// Dials the owner at `address`, shows the ticket, and splices until either side ends.
pub(crate) async fn splice(
    address: &str,
    credential: &Credential,
    ticket: &[u8],
    worker: UnixStream,
    words: Words,
) -> Result<(), Refused> {
    let (mut owner, _) = tls::dial(address, credential, Purpose::Attempt, HANDSHAKE).await?;
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

/// Dials the tool node `node` at `address` and shows it the ticket. Answers when it is taken.
pub(crate) async fn dial(
    (address, node): (&str, &str),
    credential: &Credential,
    ticket: &[u8],
) -> Result<Dialled, Refused> {
    let mut stream = tls::dial_introduced(address, node, credential, HANDSHAKE).await?;
    let show = async {
        stream.write_all(ticket).await?;
        stream.flush().await?;
        stream.read_u8().await
    };
    match tokio::time::timeout(HANDSHAKE, show).await {
        Ok(Ok(tls::DIRECT_ACCEPTED)) => Ok(stream),
        Ok(Ok(_)) => Err(Refused(format!("{node} answered what it never does"))),
        Ok(Err(error)) => Err(Refused(format!("{node} did not take the ticket: {error}"))),
        Err(_) => Err(Refused(format!("{node} did not answer within {HANDSHAKE:?}"))),
    }
}

/// Splices a direct connection onto the worker's end of it, until either side ends.
pub(crate) async fn splice_direct(mut direct: Dialled, mut worker: UnixStream) {
    let size = limits::SPLICE_BYTES;
    let spliced =
        tokio::io::copy_bidirectional_with_sizes(&mut worker, &mut direct, size, size).await;
    if let Err(error) = spliced {
        tracing::debug!(%error, "a direct connection ended");
    }
}

/// A stream that counts what is read from it.
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
