//! Watching a connection: when the peer was last heard, and whether the stream has ended.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use remit_core::Failure;
use remit_schema::peer_capnp::peer;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::within;
use crate::limits::LAST_BYTES;
use crate::turn;

/// The state of a connection's stream.
#[derive(Debug)]
pub(super) struct Watch {
    heard: Cell<Instant>,
    closed: Cell<bool>,
    over_bound: Cell<bool>,
    cause: RefCell<String>,
    closing: Notify,
    cutting: Notify,
}

impl Default for Watch {
    fn default() -> Self {
        Self {
            heard: Cell::new(Instant::now()),
            closed: Cell::new(false),
            over_bound: Cell::new(false),
            cause: RefCell::new(String::new()),
            closing: Notify::new(),
            cutting: Notify::new(),
        }
    }
}

impl Watch {
    pub(super) const fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// Records that the connection is ending, and why. The first cause stays.
    pub(super) fn end(&self, cause: String) {
        if !self.closed.replace(true) {
            *self.cause.borrow_mut() = cause;
            self.closing.notify_one();
        }
    }

    /// As [`Watch::end`], because the peer exceeded a bound.
    pub(super) fn end_over_bound(&self, cause: String) {
        if !self.is_closed() {
            self.over_bound.set(true);
            turn::note_cut_off();
        }
        self.end(cause);
    }

    /// As [`Watch::cut`], because the peer exceeded a bound.
    pub(super) fn cut_over_bound(&self, cause: String) {
        self.end_over_bound(cause);
        self.cutting.notify_one();
    }

    /// Whether the connection ended because the peer exceeded a bound.
    pub(super) const fn is_over_bound(&self) -> bool {
        self.over_bound.get()
    }

    /// Ends the connection and everything in flight on it, without a farewell to the peer.
    pub(super) fn cut(&self, cause: &str) {
        self.end(cause.to_owned());
        self.cutting.notify_one();
    }

    /// Completes when the connection must be cut: at once after [`Watch::cut`], or when it has been
    /// ending for [`LAST_BYTES`]. Only one task may wait for this.
    pub(super) async fn is_cut(&self) {
        let overdue = async {
            self.closing.notified().await;
            tokio::time::sleep(LAST_BYTES).await;
        };
        tokio::select! {
            biased;
            () = self.cutting.notified() => {}
            () = overdue => {}
        }
    }

    /// The cause of the connection's end. Empty while it has none.
    pub(super) fn cause(&self) -> String {
        self.cause.borrow().clone()
    }

    /// Completes when nothing was heard for `limit`, and never if `limit` is zero.
    pub(super) async fn silent(&self, limit: Duration) {
        if limit.is_zero() {
            return std::future::pending().await;
        }
        loop {
            let until = self.heard.get() + limit;
            if Instant::now() >= until {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    }
}

/// Pings the peer, and returns the failure of the first ping that fails.
pub(super) async fn ping(peer: Option<peer::Client>, every: Duration, limit: Duration) -> Failure {
    let Some(peer) = peer.filter(|_| !every.is_zero()) else {
        return std::future::pending().await;
    };
    let limit = if limit.is_zero() { every.saturating_mul(3) } else { limit };
    loop {
        tokio::time::sleep(every).await;
        if let Err(failure) = within(limit, peer.ping_request().send()).await {
            return failure;
        }
    }
}

/// A reader that records when bytes arrive and when the stream ends.
pub(super) struct Watched<R> {
    inner: R,
    watch: Rc<Watch>,
}

impl<R> Watched<R> {
    pub(super) const fn new(inner: R, watch: Rc<Watch>) -> Self {
        Self { inner, watch }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Watched<R> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let polled = Pin::new(&mut this.inner).poll_read(cx, buf);
        match &polled {
            Poll::Ready(Ok(())) if buf.filled().len() == before => {
                this.watch.end("the peer closed the connection".into());
            }
            Poll::Ready(Ok(())) => this.watch.heard.set(Instant::now()),
            // Every error of the stream becomes a disconnect to the calls on it. capnp-rpc takes
            // some kinds, such as an end without TLS's closing message, for failures of the calls
            // themselves.
            Poll::Ready(Err(error)) => {
                let why = match error.kind() {
                    // The stream of a killed process ends like this.
                    io::ErrorKind::UnexpectedEof => "the peer ended without a farewell".to_owned(),
                    _ => format!("reading failed: {error}"),
                };
                this.watch.end(why.clone());
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionReset, why)));
            }
            Poll::Pending => {}
        }
        polled
    }
}
