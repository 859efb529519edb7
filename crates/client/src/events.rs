//! The stream of a task's events.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures::Stream;
use remit_core::{CallNumber, Event, EventNumber};
use tokio::sync::mpsc;

use crate::error::Error;

/// An item of the stream.
#[derive(Debug, Clone, PartialEq)]
pub enum Followed {
    /// An event of the task. Events come in order, each exactly once.
    Event(Event),
    /// All events up to this number were history; the events after it are live. Comes once.
    CaughtUp(EventNumber),
    /// A piece of output of a call in flight. Output is not stored, and is dropped when the reader
    /// is slow.
    Output {
        /// The call.
        call: CallNumber,
        /// The piece of output.
        text: String,
    },
    /// The connection to the mesh is lost and the client reconnects. Events of the meantime follow
    /// after [`Reconnected`](Self::Reconnected), each exactly once.
    Disconnected,
    /// The connection is up again.
    Reconnected,
}

/// A stream of a task's events, from a cursor on. It reconnects by itself. It ends after the task's
/// last event, or after the first error. Dropping it ends the subscription.
#[derive(Debug)]
pub struct Events {
    items: mpsc::Receiver<Result<Followed, Error>>,
}

impl Events {
    pub(crate) const fn new(items: mpsc::Receiver<Result<Followed, Error>>) -> Self {
        Self { items }
    }

    /// Receives the next item; `None` after the end. Cancel safe: dropping the future loses no
    /// item.
    pub async fn next(&mut self) -> Option<Result<Followed, Error>> {
        self.items.recv().await
    }
}

impl Stream for Events {
    type Item = Result<Followed, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.items.poll_recv(cx)
    }
}
