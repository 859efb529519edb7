//! The commit queue: many hand in, one thread takes all that waits, in order, in bounded batches.

use std::collections::VecDeque;
use std::time::Duration;

// Of the standard library, or of the checker of schedules.
use super::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// How much a queue or a batch holds.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Jobs.
    pub jobs: usize,
    /// Bytes that they write.
    pub bytes: usize,
}

/// The queue.
pub(super) struct Queue<J> {
    waiting: Mutex<Waiting<J>>,
    changed: Condvar,
    most: Size,
    batch: Size,
}

struct Waiting<J> {
    jobs: VecDeque<(J, usize)>,
    bytes: usize,
    closed: Option<&'static str>,
}

impl<J> Queue<J> {
    /// A queue of at most `most`, taken in batches of at most `batch` but at least one job.
    pub(super) fn new(most: Size, batch: Size) -> Self {
        let waiting = Waiting { jobs: VecDeque::new(), bytes: 0, closed: None };
        Self { waiting: Mutex::new(waiting), changed: Condvar::new(), most, batch }
    }

    /// Puts a job at the end, or gives it back with the reason. Never waits.
    pub(super) fn push(&self, job: J, bytes: usize) -> Result<(), (J, String)> {
        let mut waiting = self.lock();
        if let Some(why) = waiting.closed {
            return Err((job, why.to_owned()));
        }
        let full = waiting.jobs.len() >= self.most.jobs
            || (!waiting.jobs.is_empty() && waiting.bytes + bytes > self.most.bytes);
        if full {
            let (jobs, held) = (waiting.jobs.len(), waiting.bytes);
            let why = format!(
                "{jobs} writes of {held} bytes wait for the disk already, which is too slow for them: try again later"
            );
            return Err((job, why));
        }
        waiting.jobs.push_back((job, bytes));
        waiting.bytes += bytes;
        self.changed.notify_one();
        Ok(())
    }

    /// Lets nothing more in. What waits is still served.
    pub(super) fn close(&self) {
        self.shut("the store is closed");
    }

    /// Takes batches and gives them to `apply`, until the queue is closed and empty. Before each it
    /// does what else there is to do: `chore`, which says when at the latest it wants to be called
    /// again; `None`: after the next batch.
    pub(super) fn serve(
        &self,
        mut apply: impl FnMut(Vec<J>),
        mut chore: impl FnMut() -> Option<Duration>,
    ) {
        let guard = Ending(self);
        while let Some(batch) = self.take(chore()) {
            if !batch.is_empty() {
                apply(batch);
            }
        }
        drop(guard);
    }

    /// The next batch; an empty one after `patience`. `None`: there will be no more.
    fn take(&self, patience: Option<Duration>) -> Option<Vec<J>> {
        let mut waiting = self.lock();
        while waiting.jobs.is_empty() {
            if waiting.closed.is_some() {
                return None;
            }
            waiting = match patience {
                None => self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner),
                Some(patience) => {
                    let waited = self.changed.wait_timeout(waiting, patience);
                    let (waiting, waited) = waited.unwrap_or_else(PoisonError::into_inner);
                    if waited.timed_out() && waiting.jobs.is_empty() && waiting.closed.is_none() {
                        return Some(Vec::new());
                    }
                    waiting
                }
            };
        }
        let mut batch = Vec::new();
        let mut bytes = 0;
        while let Some((_, more)) = waiting.jobs.front() {
            let full = batch.len() >= self.batch.jobs || bytes + more > self.batch.bytes;
            if full && !batch.is_empty() {
                break;
            }
            if let Some((job, more)) = waiting.jobs.pop_front() {
                waiting.bytes -= more;
                bytes += more;
                batch.push(job);
            }
        }
        Some(batch)
    }

    fn shut(&self, why: &'static str) {
        self.lock().closed.get_or_insert(why);
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Waiting<J>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// However the serving thread ends, nobody waits for it after that.
struct Ending<'a, J>(&'a Queue<J>);

impl<J> Drop for Ending<'_, J> {
    fn drop(&mut self) {
        self.0.shut("the commit thread has ended: restart this node");
        let left = std::mem::take(&mut self.0.lock().jobs);
        drop(left);
    }
}
