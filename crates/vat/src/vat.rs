//! A vat: one thread with one event loop, and the only ways in and out of it.

use std::future::Future;
use std::io;

use futures::future::LocalBoxFuture;
use tokio::sync::{mpsc, oneshot};
use tokio::task::LocalSet;

use crate::limits;
use crate::turn;

type Visit = Box<dyn FnOnce() -> LocalBoxFuture<'static, ()> + Send>;

/// A running vat: a thread with a `LocalSet`, on which capabilities live.
#[derive(Debug)]
pub struct Vat {
    handle: VatHandle,
    closing: oneshot::Sender<()>,
    ended: oneshot::Receiver<()>,
}

impl Vat {
    /// Starts a vat on a thread of its own.
    pub fn spawn(name: &str) -> io::Result<Self> {
        let runtime = runtime()?;
        let (sender, visits) = mpsc::channel(limits::DOOR_QUEUE);
        let (closing, closed) = oneshot::channel();
        let (over, ended) = oneshot::channel();
        std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            LocalSet::new().block_on(&runtime, receive(visits, closed));
            // Blocking work cannot be cancelled, so its end is waited for, but not without a bound.
            runtime.shutdown_timeout(limits::LAST_OFFLOADED);
            // No receiver is left if the `Vat` was dropped rather than closed.
            let _unheard = over.send(());
        })?;
        Ok(Self { handle: VatHandle { visits: sender }, closing, ended })
    }

    /// Makes the calling thread a vat until `work` completes. For `main`.
    pub fn run<F: Future>(work: F) -> io::Result<F::Output> {
        let runtime = runtime()?;
        let done = LocalSet::new().block_on(&runtime, turn::timed("the main work", work));
        runtime.shutdown_timeout(limits::LAST_OFFLOADED);
        Ok(done)
    }

    /// The way in, for code on any thread.
    pub const fn handle(&self) -> &VatHandle {
        &self.handle
    }

    /// Refuses new visits, also through handles that others hold, waits for the visits in progress,
    /// and ends the thread.
    pub async fn close(self) {
        let _ended_already = self.closing.send(());
        drop(self.handle);
        // An error means that the thread has ended already.
        let _ended = self.ended.await;
    }
}

/// The way into a vat for code on any thread: a bounded queue of closures. The vat ends when its
/// last handle is dropped.
#[derive(Debug, Clone)]
pub struct VatHandle {
    visits: mpsc::Sender<Visit>,
}

impl VatHandle {
    /// Runs `visit` inside the vat and returns the output of its future. Waits while the queue is
    /// full. Dropping the returned future cancels the visit.
    pub async fn enter<V, F, R>(&self, visit: V) -> Result<R, VatClosed>
    where
        V: FnOnce() -> F + Send + 'static,
        F: Future<Output = R> + 'static,
        R: Send + 'static,
    {
        let (mut reply, result) = oneshot::channel();
        let visit: Visit = Box::new(move || {
            Box::pin(async move {
                let work = visit();
                tokio::pin!(work);
                tokio::select! {
                    biased;
                    () = reply.closed() => {}
                    value = &mut work => {
                        // The caller may have gone at this very moment.
                        let _unheard = reply.send(value);
                    }
                }
            })
        });
        self.visits.send(visit).await.map_err(|_| VatClosed)?;
        result.await.map_err(|_| VatClosed)
    }
}

/// The vat has ended, or the visit panicked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the vat has ended")]
pub struct VatClosed;

/// The one way out of a vat: runs blocking work on another thread, with plain data only. In a
/// simulation it runs the work on the vat's own thread.
pub async fn offload<R: Send + 'static>(
    work: impl FnOnce() -> R + Send + 'static,
) -> io::Result<R> {
    if crate::chance::repeats() {
        // Work on another thread ends at a time of its own, so no second run would repeat the
        // first.
        return Ok(work());
    }
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)
}

fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// Runs each visit in a task of its own, so that a panic ends only that visit. Returns when the vat
/// is closed or its last handle is dropped, and the last visit has ended.
async fn receive(mut visits: mpsc::Receiver<Visit>, mut closed: oneshot::Receiver<()>) {
    let mut inside = tokio::task::JoinSet::new();
    let mut open = true;
    loop {
        tokio::select! {
            biased;
            told = &mut closed, if open => {
                open = false;
                // A vat whose `Vat` was only dropped lives on for the remaining handles.
                if told.is_ok() {
                    visits.close();
                }
            }
            visit = visits.recv() => match visit {
                Some(visit) => { inside.spawn_local(turn::timed("a visit", visit())); }
                None => break,
            },
            Some(left) = inside.join_next() => see_off(left),
        }
    }
    while let Some(left) = inside.join_next().await {
        see_off(left);
    }
}

fn see_off(left: Result<(), tokio::task::JoinError>) {
    if let Err(error) = left
        && error.is_panic()
    {
        tracing::error!(%error, "a visit to the vat panicked");
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;

    #[tokio::test]
    async fn a_visit_brings_out_plain_data() {
        let vat = Vat::spawn("test").unwrap();
        let length = vat.handle().enter(|| async { Rc::new(String::from("inside")).len() }).await;
        assert_eq!(length, Ok(6));
        vat.close().await;
    }

    #[tokio::test]
    async fn a_visit_that_panics_ends_only_itself() {
        let vat = Vat::spawn("test").unwrap();
        let panicked = vat.handle().enter(|| async { panic!("on purpose") }).await;
        assert_eq!(panicked, Err::<(), _>(VatClosed));
        assert_eq!(vat.handle().enter(|| async { 1 }).await, Ok(1));
    }

    #[tokio::test]
    async fn a_closed_vat_refuses_visits_through_every_handle() {
        let vat = Vat::spawn("test").unwrap();
        let handle = vat.handle().clone();
        assert_eq!(handle.enter(|| async { 1 }).await, Ok(1));
        vat.close().await;
        assert_eq!(handle.enter(|| async { 2 }).await, Err(VatClosed));
    }

    #[tokio::test]
    async fn a_vat_ends_with_its_last_handle() {
        let vat = Vat::spawn("test").unwrap();
        let Vat { handle, closing, ended } = vat;
        drop(closing);
        assert_eq!(handle.enter(|| async { 1 }).await, Ok(1));
        drop(handle);
        assert_eq!(ended.await, Ok(()));
    }

    #[tokio::test]
    async fn a_visit_ends_when_its_future_is_dropped() {
        let vat = Vat::spawn("test").unwrap();
        let (sender, dropped) = oneshot::channel::<()>();
        let forever = vat.handle().enter(move || async move {
            let _held = sender;
            std::future::pending::<()>().await;
        });
        let (_, ended) = tokio::join!(
            async {
                tokio::time::timeout(std::time::Duration::from_millis(50), forever).await.ok()
            },
            dropped
        );
        assert!(ended.is_err());
    }
}
