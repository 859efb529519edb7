//! Places at something that a node has little of, such as an MCP server. One task takes a share of
//! them at most, so the others find some.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::calls::{TaskKey, task_of};

/// Places, of which one task may take a fixed share. Waiting tasks get one in the order of asking.
#[derive(Debug)]
pub(crate) struct Places {
    all: Arc<Semaphore>,
    share: usize,
    tasks: RefCell<HashMap<TaskKey, Weak<Semaphore>>>,
}

/// A place, held until this is dropped.
pub(crate) struct Place {
    _of_task: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl Places {
    /// `all` places, of which one task takes `share` at most.
    pub(crate) fn new(all: usize, share: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(all)), share, tasks: RefCell::default() }
    }

    /// Waits for a place for the task whose call has this key. It first waits within the task's
    /// share, so a task has at most its share of requests in the queue for all.
    pub(crate) async fn take(&self, key: &[u8]) -> Option<Place> {
        let task = self.task(key);
        let of_task = task.acquire_owned().await.ok()?;
        let of_all = Arc::clone(&self.all).acquire_owned().await.ok()?;
        Some(Place { _of_task: of_task, _of_all: of_all })
    }

    /// The share of a task. Those of tasks that neither hold nor wait for a place are forgotten.
    fn task(&self, key: &[u8]) -> Arc<Semaphore> {
        let mut tasks = self.tasks.borrow_mut();
        tasks.retain(|_, share| share.strong_count() > 0);
        let share = tasks.entry(task_of(key)).or_default();
        share.upgrade().unwrap_or_else(|| {
            let fresh = Arc::new(Semaphore::new(self.share));
            *share = Arc::downgrade(&fresh);
            fresh
        })
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn a_task_that_takes_all_it_can_leaves_places_for_others() {
        let places = Places::new(4, 2);
        let [one, other, third] = [[1; 24], [2; 24], [3; 24]];
        let held: Vec<_> = [places.take(&one).await, places.take(&one).await].into();
        assert!(places.take(&one).now_or_never().is_none(), "its share is taken");
        let more: Vec<_> = [places.take(&other).await, places.take(&other).await].into();
        let mut waiting = Box::pin(places.take(&third));
        assert!(waiting.as_mut().now_or_never().is_none(), "all are taken");
        drop(held);
        assert!(waiting.await.is_some());
        drop(more);
        let _again = places.take(&one).await;
        assert_eq!(places.tasks.borrow().len(), 1, "shares of the others are forgotten");
    }
}
