//! A call while it runs: who waits for it, and what ends it before its time.

use std::cell::Cell;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;

use futures::FutureExt as _;
use remit_core::Failure;
use remit_vat::unsettled::{NoReply, Unsettled};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Link;
use super::turns::Turn;
use crate::kit::{Reply, fail};
use crate::limits;

/// A call with effects, while it runs.
pub(super) struct Running {
    pub(super) cancel: CancellationToken,
    /// How many callers wait for it. When the last gives up, it is cancelled.
    attached: Cell<usize>,
    pub(super) done: watch::Sender<Option<Ended>>,
}

/// How a call ended, and what it cost.
pub(super) type Ended = (Result<Reply, NoReply>, u64);

impl Running {
    /// One for which nobody waits yet.
    pub(super) fn new() -> Rc<Self> {
        let (cancel, done) = (CancellationToken::new(), watch::Sender::new(None));
        Rc::new(Self { cancel, attached: Cell::new(0), done })
    }

    /// How it ended. Dropping the future cancels the call if nobody else waits for it, unless `link`
    /// says that the connection is lost.
    pub(super) async fn wait(self: Rc<Self>, link: Link) -> Result<Reply, NoReply> {
        self.attached.set(self.attached.get() + 1);
        let attached = Attached { running: self, link };
        attached.running.finished().await.0
    }

    /// How it ended, and what it cost; who asks does not keep it running.
    pub(super) async fn finished(&self) -> Ended {
        let mut done = self.done.subscribe();
        match done.wait_for(Option::is_some).await.map(|result| result.clone()) {
            Ok(Some(result)) => result,
            _ => {
                let why = "the node stopped while the call ran".to_owned();
                (Err(NoReply::Unsettled(Unsettled::Unknown(why))), 0)
            }
        }
    }
}

/// One caller that waits.
struct Attached {
    running: Rc<Running>,
    link: Link,
}

impl Drop for Attached {
    fn drop(&mut self) {
        let left = self.running.attached.get() - 1;
        self.running.attached.set(left);
        if left == 0 && !(self.link)() {
            self.running.cancel.cancel();
        }
    }
}

/// One call in flight.
pub(super) struct Counted<'a>(&'a watch::Sender<u32>);

impl<'a> Counted<'a> {
    /// From here on it counts.
    pub(super) fn new(count: &'a watch::Sender<u32>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// `work`, with a panic turned into a failure.
pub(super) async fn contained(
    read_only: bool,
    work: impl Future<Output = Result<Reply, Failure>>,
) -> Result<Reply, Failure> {
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
        tracing::error!(panic = %text, "a method panicked");
        let why = format!("the tool has a defect and panicked: {text}");
        // How far it had come cannot be told.
        Err(if read_only { fail::failed(why) } else { fail::unknown(why) })
    })
}

/// `work`, dropped when it does not end soon after it was cancelled.
pub(super) async fn stoppable(
    cancel: &CancellationToken,
    work: impl Future<Output = Result<Reply, Failure>>,
) -> Result<Reply, Failure> {
    let overdue = async {
        cancel.cancelled().await;
        tokio::time::sleep(limits::CANCEL_GRACE).await;
    };
    tokio::select! {
        biased;
        result = work => result,
        () = overdue => Err(fail::cancelled(
            "the call was cancelled and stopped midway: part of its effect may have happened",
        )),
    }
}

/// `work`, begun when its turn comes. One that is cancelled before does not begin.
pub(super) async fn in_turn(
    turn: Option<Turn>,
    cancel: &CancellationToken,
    work: impl Future<Output = Result<Reply, Failure>>,
) -> Result<Reply, Failure> {
    let Some(turn) = turn else { return work.await };
    tokio::select! {
        biased;
        () = turn.come() => {}
        () = cancel.cancelled() => {
            return Err(fail::cancelled("the call was cancelled before it began"));
        }
    }
    turn.begin(work).await
}
