//! The stream of what happens to a task.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures::Stream;
use remit_core::{CallNumber, Event, EventNumber};
use tokio::sync::mpsc;

use crate::error::Error;

/// One thing a follower is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Followed {
    /// Something happened. Events come in order, each once.
    Event(Event),
    /// Everything up to this event was history; what follows is live. Told once.
    CaughtUp(EventNumber),
    /// A piece of output of a call in flight. It is not kept, and left out when the reader is slow.
    Output {
        /// The call.
        call: CallNumber,
        /// What it put out.
        text: String,
    },
    /// The connection to the mesh is lost; another one is being made. Events that happen meanwhile
    /// come after [`Reconnected`](Self::Reconnected), each once.
    Disconnected,
    /// The connection is there again.
    Reconnected,
}

/// What happens to a task, from a cursor on. It reconnects by itself and ends when the task has
/// ended. After an error it ends as well. Dropping it ends the subscription.
#[derive(Debug)]
pub struct Events {
    items: mpsc::Receiver<Result<Followed, Error>>,
}

impl Events {
    pub(crate) const fn new(items: mpsc::Receiver<Result<Followed, Error>>) -> Self {
        Self { items }
    }

    /// The next thing, or `None` after the end. Cancelling loses nothing.
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
