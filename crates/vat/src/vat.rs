//! A vat: one thread with one event loop, and the only ways in and out of it.

use std::future::Future;
use std::io;

/// A running vat: a thread with a `LocalSet`, on which capabilities live.
#[derive(Debug)]
pub struct Vat {
    door: Door,
}

impl Vat {
    /// Starts a vat on a thread of its own.
    pub fn spawn(_name: &str) -> io::Result<Self> {
        todo!()
    }

    /// Makes the calling thread a vat until `work` is done. For `main`.
    pub fn run<F: Future>(_work: F) -> io::Result<F::Output> {
        todo!()
    }

    /// The way in.
    pub const fn door(&self) -> &Door {
        &self.door
    }

    /// Lets in nobody new, waits for what is inside, and ends the thread.
    pub async fn close(self) {
        todo!()
    }
}

/// The way into a vat for code on any thread: a bounded queue of closures.
#[derive(Debug, Clone)]
pub struct Door {}

impl Door {
    /// Runs `visit` inside the vat and brings out what its future gives. Waits while the door is
    /// crowded. Dropping the returned future ends the visit.
    pub async fn enter<V, F, R>(&self, _visit: V) -> Result<R, VatClosed>
    where
        V: FnOnce() -> F + Send + 'static,
        F: Future<Output = R> + 'static,
        R: Send + 'static,
    {
        todo!()
    }
}

/// The vat has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the vat has ended")]
pub struct VatClosed;

/// The one way out of a vat: runs blocking work on another thread, with plain data only.
pub async fn offload<R: Send + 'static>(
    _work: impl FnOnce() -> R + Send + 'static,
) -> io::Result<R> {
    todo!()
}
