//! The commit queue: many hand in, one thread takes what waits, in bounded batches. What stands in one
//! lane is taken in order, and the lanes take turns.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

// Of the standard library, or of the checker of schedules.
use super::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use crate::fair::FairQueue;
use crate::limits::DISK_SHARED_WEIGHT;

/// How much a queue or a batch holds.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Jobs.
    pub jobs: usize,
    /// Bytes that they write.
    pub bytes: usize,
}

/// Whose turn a job waits for.
pub type Lane = [u8; 16];

/// The lane of all that is nobody's.
pub(super) const SHARED: Lane = [0; 16];

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    /// Behind what stands in the same lane.
    In(Lane),
    /// Behind all that was queued before it, and before all that comes after it.
    AfterAll,
}

/// The queue.
pub(super) struct Queue<J> {
    waiting: Mutex<Waiting<J>>,
    changed: Condvar,
    most: Size,
    most_of_lane: Size,
    batch: Size,
}

struct Waiting<J> {
    /// Each is served before the next one. One that stands after all has a part of its own.
    parts: VecDeque<FairQueue<Lane, (J, usize)>>,
    jobs: usize,
    bytes: usize,
    /// What waits in each lane.
    lanes: HashMap<Lane, Size>,
    closed: Option<&'static str>,
}

impl<J> Queue<J> {
    /// A queue of at most `most`, of which `most_of_lane` in one lane, taken in batches of at most
    /// `batch` but at least one job.
    pub(super) fn new(most: Size, most_of_lane: Size, batch: Size) -> Self {
        let waiting = Waiting {
            parts: VecDeque::new(),
            jobs: 0,
            bytes: 0,
            lanes: HashMap::new(),
            closed: None,
        };
        Self { waiting: Mutex::new(waiting), changed: Condvar::new(), most, most_of_lane, batch }
    }

    /// Puts a job at the end of its line, or gives it back with the reason. Never waits.
    pub(super) fn push(&self, line: Line, job: J, bytes: usize) -> Result<(), (J, String)> {
        let mut waiting = self.lock();
        if let Some(why) = waiting.closed {
            return Err((job, why.to_owned()));
        }
        let lane = match line {
            Line::In(lane) => lane,
            Line::AfterAll => SHARED,
        };
        let all = Size { jobs: waiting.jobs, bytes: waiting.bytes };
        let own = waiting.lanes.get(&lane).copied().unwrap_or(Size { jobs: 0, bytes: 0 });
        for (held, most) in [(own, self.most_of_lane), (all, self.most)] {
            let full = held.jobs >= most.jobs
                || (held.jobs > 0 && held.bytes.saturating_add(bytes) > most.bytes);
            if full {
                let Size { jobs, bytes } = held;
                let why = format!(
                    "{jobs} writes of {bytes} bytes wait for the disk already, which is too slow for them: try again later"
                );
                return Err((job, why));
            }
        }
        waiting.push(line, lane, (job, bytes));
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
        while waiting.jobs == 0 {
            if waiting.closed.is_some() {
                return None;
            }
            waiting = match patience {
                None => self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner),
                Some(patience) => {
                    let waited = self.changed.wait_timeout(waiting, patience);
                    let (waiting, waited) = waited.unwrap_or_else(PoisonError::into_inner);
                    if waited.timed_out() && waiting.jobs == 0 && waiting.closed.is_none() {
                        return Some(Vec::new());
                    }
                    waiting
                }
            };
        }
        let mut batch = Vec::new();
        let mut bytes = 0;
        while let Some(more) = waiting.peek() {
            let full = batch.len() >= self.batch.jobs || bytes + more > self.batch.bytes;
            if full && !batch.is_empty() {
                break;
            }
            let Some((job, more)) = waiting.pop() else { break };
            bytes += more;
            batch.push(job);
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

impl<J> Waiting<J> {
    fn push(&mut self, line: Line, lane: Lane, (job, bytes): (J, usize)) {
        if line == Line::AfterAll || self.parts.is_empty() {
            self.parts.push_back(FairQueue::default());
        }
        if let Some(last) = self.parts.back_mut() {
            // What is nobody's is everybody's: creations, people's decisions, the audit.
            let weight = if lane == SHARED { DISK_SHARED_WEIGHT } else { 1 };
            last.push(lane, weight, (job, bytes));
        }
        if line == Line::AfterAll {
            self.parts.push_back(FairQueue::default());
        }
        self.jobs += 1;
        self.bytes = self.bytes.saturating_add(bytes);
        let held = self.lanes.entry(lane).or_insert(Size { jobs: 0, bytes: 0 });
        held.jobs += 1;
        held.bytes = held.bytes.saturating_add(bytes);
    }

    /// Bytes of the job that is next.
    fn peek(&self) -> Option<usize> {
        self.parts.iter().find_map(FairQueue::peek).map(|(_, bytes)| *bytes)
    }

    fn pop(&mut self) -> Option<(J, usize)> {
        while self.parts.len() > 1 && self.parts.front().is_some_and(FairQueue::is_empty) {
            self.parts.pop_front();
        }
        let (lane, (job, bytes)) = self.parts.front_mut()?.pop()?;
        self.jobs -= 1;
        self.bytes = self.bytes.saturating_sub(bytes);
        if let Some(held) = self.lanes.get_mut(&lane) {
            held.jobs -= 1;
            held.bytes = held.bytes.saturating_sub(bytes);
            if held.jobs == 0 {
                self.lanes.remove(&lane);
            }
        }
        Some((job, bytes))
    }
}

/// However the serving thread ends, nobody waits for it after that.
struct Ending<'a, J>(&'a Queue<J>);

impl<J> Drop for Ending<'_, J> {
    fn drop(&mut self) {
        self.0.shut("the commit thread has ended: restart this node");
        let left = std::mem::take(&mut self.0.lock().parts);
        drop(left);
    }
}
