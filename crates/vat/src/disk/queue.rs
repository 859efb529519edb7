//! The commit queue: many hand in, one thread takes all that waits, in order, in bounded batches.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

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

    /// Takes batches and gives them to `apply`, until the queue is closed and empty.
    pub(super) fn serve(&self, mut apply: impl FnMut(Vec<J>)) {
        let guard = Ending(self);
        while let Some(batch) = self.take() {
            apply(batch);
        }
        drop(guard);
    }

    fn take(&self) -> Option<Vec<J>> {
        let mut waiting = self.lock();
        while waiting.jobs.is_empty() {
            if waiting.closed.is_some() {
                return None;
            }
            waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn queue() -> Queue<u32> {
        Queue::new(Size { jobs: 5, bytes: 100 }, Size { jobs: 3, bytes: 30 })
    }

    #[test]
    fn batches_are_bounded_and_in_order() {
        let queue = queue();
        for (job, bytes) in [(1, 10), (2, 15), (3, 10), (4, 60), (5, 1)] {
            queue.push(job, bytes).unwrap();
        }
        queue.close();
        let mut batches = Vec::new();
        queue.serve(|batch| batches.push(batch));
        assert_eq!(batches, [vec![1, 2], vec![3], vec![4], vec![5]]);
    }

    #[test]
    fn a_full_queue_refuses_and_says_why() {
        let queue = queue();
        queue.push(0, 1000).unwrap();
        let (job, why) = queue.push(1, 1).unwrap_err();
        assert_eq!(job, 1);
        assert!(why.contains("1 writes of 1000 bytes"), "{why}");
    }

    #[test]
    fn a_closed_queue_takes_nothing_more() {
        let queue = queue();
        queue.close();
        assert!(queue.push(1, 1).is_err());
    }

    #[test]
    fn what_waits_is_let_go_when_the_serving_thread_panics() {
        let queue = Queue::new(Size { jobs: 9, bytes: 9 }, Size { jobs: 1, bytes: 9 });
        let (sender, receiver) = std::sync::mpsc::channel::<()>();
        queue.push(sender.clone(), 1).unwrap();
        queue.push(sender, 1).unwrap();
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            queue.serve(|_| panic!("on purpose"));
        }));
        assert!(panicked.is_err());
        assert!(receiver.recv().is_err(), "every sender is gone");
    }

    #[test]
    fn many_threads_lose_and_reorder_nothing() {
        let queue = Queue::new(Size { jobs: 4096, bytes: 1 << 20 }, Size { jobs: 7, bytes: 64 });
        let mut seen = Vec::new();
        std::thread::scope(|scope| {
            let server = scope.spawn(|| {
                let mut seen = Vec::new();
                queue.serve(|batch| seen.extend(batch));
                seen
            });
            let writers: Vec<_> = (0..8_u32)
                .map(|writer| {
                    let queue = &queue;
                    scope.spawn(move || {
                        (0..200_u32).for_each(|n| queue.push((writer, n), 3).unwrap());
                    })
                })
                .collect();
            writers.into_iter().for_each(|writer| writer.join().unwrap());
            queue.close();
            seen = server.join().unwrap();
        });
        assert_eq!(seen.len(), 1600);
        for writer in 0..8 {
            let own: Vec<u32> =
                seen.iter().filter(|(w, _)| *w == writer).map(|(_, n)| *n).collect();
            assert!(own.is_sorted());
        }
    }
}
