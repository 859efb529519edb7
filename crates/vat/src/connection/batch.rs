//! Batched writing: everything that a vat writes in one turn of its loop goes out at once.
//!
//! capnp-rpc flushes after every message. Here a write only fills a buffer and marks it, and a
//! separate task sends the buffer when the vat has no more work ready: one TLS record and one
//! system call per turn.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::sync::Notify;

use super::load::Load;
use super::watch::Watch;
use crate::limits::{LAST_BYTES, WRITE_BUFFER_BYTES, WRITE_BUFFER_KEPT_BYTES};

/// The side that the vat writes to.
pub(super) struct Batched {
    shared: Rc<Shared>,
    load: Rc<Load>,
}

#[derive(Default)]
struct Shared {
    state: RefCell<State>,
    marked: Notify,
    closing: Notify,
}

#[derive(Default)]
struct State {
    buffer: Vec<u8>,
    writing: bool,
    closing: bool,
    error: Option<(io::ErrorKind, String)>,
    waiting: Option<Waker>,
}

impl Batched {
    /// Writes to `inner` from a task of its own. The task ends at most [`LAST_BYTES`] after this is
    /// dropped, even if the peer does not take the last bytes.
    pub(super) fn new<W: AsyncWrite + Unpin + 'static>(
        inner: W,
        load: Rc<Load>,
        watch: Rc<Watch>,
    ) -> Self {
        let shared = Rc::new(Shared::default());
        let writing = Rc::clone(&shared);
        crate::turn::spawn("a connection's writer", async move {
            let overdue = async {
                writing.closing.notified().await;
                tokio::time::sleep(LAST_BYTES).await;
            };
            tokio::select! {
                biased;
                () = write_out(inner, &writing, &watch) => {}
                () = overdue => {}
            }
        });
        Self { shared, load }
    }
}

impl Drop for Batched {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl Shared {
    fn close(&self) {
        self.state.borrow_mut().closing = true;
        self.marked.notify_one();
        self.closing.notify_one();
    }
}

impl State {
    fn check(&self) -> io::Result<()> {
        match &self.error {
            Some((kind, why)) => Err(io::Error::new(*kind, why.clone())),
            None => Ok(()),
        }
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waiting.take() {
            waker.wake();
        }
    }
}

impl AsyncWrite for Batched {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.shared.state.borrow_mut();
        state.check()?;
        let room = WRITE_BUFFER_BYTES.saturating_sub(state.buffer.len());
        if room == 0 {
            state.waiting = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let taken = room.min(bytes.len());
        state.buffer.extend_from_slice(&bytes[..taken]);
        self.shared.marked.notify_one();
        Poll::Ready(Ok(taken))
    }

    /// capnp-rpc flushes once after each message, so a flush means that one message is complete.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.load.written();
        Poll::Ready(self.shared.state.borrow().check())
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shared.close();
        let mut state = self.shared.state.borrow_mut();
        state.check()?;
        if state.buffer.is_empty() && !state.writing {
            return Poll::Ready(Ok(()));
        }
        state.waiting = Some(cx.waker().clone());
        Poll::Pending
    }
}

async fn write_out<W: AsyncWrite + Unpin>(mut inner: W, shared: &Shared, watch: &Watch) {
    loop {
        shared.marked.notified().await;
        // All other work that is ready in this turn writes first.
        tokio::task::yield_now().await;
        let (mut bytes, closing) = {
            let mut state = shared.state.borrow_mut();
            state.writing = true;
            let bytes = std::mem::take(&mut state.buffer);
            // The buffer is empty again, so a writer that waits for room may go on.
            state.wake();
            (bytes, state.closing)
        };
        let mut written = async {
            inner.write_all(&bytes).await?;
            inner.flush().await
        }
        .await;
        if written.is_ok() && closing {
            written = inner.shutdown().await;
        }
        let mut state = shared.state.borrow_mut();
        state.writing = false;
        if let Err(error) = &written {
            watch.end(format!("writing failed: {error}"));
            state.error = Some((io::ErrorKind::BrokenPipe, error.to_string()));
        }
        state.wake();
        if written.is_err() || (closing && state.buffer.is_empty()) {
            return;
        }
        // A small buffer is used again. A large one is freed: an idle connection holds little
        // memory.
        if state.buffer.capacity() == 0 && bytes.capacity() <= WRITE_BUFFER_KEPT_BYTES {
            bytes.clear();
            state.buffer = bytes;
        }
        if !state.buffer.is_empty() {
            shared.marked.notify_one();
        }
    }
}
