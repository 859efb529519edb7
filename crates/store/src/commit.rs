//! The commit thread: takes all that waits, has it written as one, and only then answers.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::queue::{Line, Queue, Size};
use super::sync::thread::{self, JoinHandle};
use super::work::{Job, Work};
use super::{DiskError, Write};

/// What a batch writes: to each key its new value, or nothing.
pub(super) type Writes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// Where batches are written.
pub(super) trait Medium: Send + Sync + 'static {
    /// What a decision sees of it.
    type View<'a>;

    /// Whether a batch may be tried now; if not, why.
    fn admit(&self) -> Result<(), DiskError>;

    /// What is stored, under what the batch has written so far.
    fn view<'a>(&'a self, written: &'a Writes) -> Self::View<'a>;

    /// Writes all of it at once. It is durable when this returns.
    fn write(&self, writes: Writes) -> Result<(), DiskError>;

    /// How long a batch took.
    fn took(&self, took: Duration);

    /// Called on the commit thread between batches: tries, if writes fail, whether they can go on,
    /// and does a piece of what else there is to do. Says when at the latest it wants to be called again; `None`: after the next batch.
    fn mend(&self) -> Option<Duration> {
        None
    }

    /// Called on the commit thread when it ends.
    fn close(&self) {}
}

/// The way to the commit thread. Dropping it writes what is queued and ends the thread.
pub(super) struct Commits<M: Medium> {
    queue: Arc<Queue<Box<dyn Job<M>>>>,
    /// Taken, and joined, when this is dropped.
    thread: Option<JoinHandle<()>>,
}

impl<M: Medium> Commits<M> {
    /// Starts a thread that writes to `medium`, with a queue of at most `most`, of which
    /// `most_of_lane` in one lane, in batches of at most `batch`.
    pub(super) fn start(
        medium: Arc<M>,
        most: Size,
        most_of_lane: Size,
        batch: Size,
    ) -> io::Result<Self> {
        let queue = Arc::new(Queue::new(most, most_of_lane, batch));
        let serving = Arc::clone(&queue);
        let thread = thread::Builder::new().name("commit".into()).spawn(move || {
            serving.serve(|jobs| commit(&*medium, jobs), || medium.mend());
            medium.close();
        })?;
        Ok(Self { queue, thread: Some(thread) })
    }

    /// Queues a decision that will write about `bytes`, at once. Answers when what it decided, and
    /// what it saw, is durable.
    pub(super) fn transact<E, F>(
        &self,
        line: Line,
        bytes: usize,
        decide: F,
    ) -> impl Future<Output = Result<Result<(), E>, DiskError>> + Send + 'static + use<M, E, F>
    where
        E: Send + 'static,
        F: FnOnce(&M::View<'_>) -> Result<Result<Vec<Write>, E>, DiskError> + Send + 'static,
    {
        let (work, answer) = Work::new(decide);
        if let Err((work, why)) = self.queue.push(line, Box::new(work), bytes) {
            work.answer(Err(DiskError(why)));
        }
        async move {
            answer.await.unwrap_or_else(|_| {
                Err(DiskError(
                    "the commit thread ended before it answered: restart this node".into(),
                ))
            })
        }
    }
}

impl<M: Medium> Drop for Commits<M> {
    fn drop(&mut self) {
        self.queue.close();
        let Some(running) = self.thread.take() else { return };
        // The last handle may have sat inside a job.
        if running.thread().id() != thread::current().id() && running.join().is_err() {
            tracing::error!("the commit thread panicked");
        }
    }
}

/// Prepares, writes and answers a batch.
fn commit<M: Medium>(medium: &M, jobs: Vec<Box<dyn Job<M>>>) {
    let begun = Instant::now();
    if let Err(error) = medium.admit() {
        jobs.into_iter().for_each(|job| job.answer(Err(error.clone())));
        return;
    }
    let mut writes = Writes::new();
    let mut prepared = Vec::with_capacity(jobs.len());
    for mut job in jobs {
        let decided = job.prepare(&medium.view(&writes));
        match decided {
            Ok(own) => {
                writes.extend(own);
                prepared.push(job);
            }
            Err(error) => job.answer(Err(error)),
        }
    }
    let written = medium.write(writes);
    medium.took(begun.elapsed());
    prepared.into_iter().for_each(|job| job.answer(written.clone()));
}
