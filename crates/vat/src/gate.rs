//! A gate: calls pass it in the order of their numbers, however long each has to wait before it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

/// Lets calls pass in ascending order of their numbers, one at a time.
#[derive(Debug, Default)]
pub struct Gate {
    /// The numbers at the gate, each with the waker of its waiting call.
    queue: RefCell<BTreeMap<u64, Option<Waker>>>,
}

/// A place at a gate. Dropping it lets the next call pass.
#[derive(Debug)]
pub struct Place {
    gate: Rc<Gate>,
    number: u64,
}

impl Gate {
    /// Takes the place of `number` without waiting. Each number has one place at a time.
    pub fn enter(self: &Rc<Self>, number: u64) -> Place {
        self.queue.borrow_mut().insert(number, None);
        Place { gate: Rc::clone(self), number }
    }

    /// Whether no call is at the gate.
    pub fn is_empty(&self) -> bool {
        self.queue.borrow().is_empty()
    }
}

impl Place {
    /// Waits until this place has the lowest number at the gate.
    pub async fn first(&self) {
        poll_fn(|context| {
            let mut queue = self.gate.queue.borrow_mut();
            if queue.first_key_value().is_none_or(|(first, _)| *first >= self.number) {
                return Poll::Ready(());
            }
            queue.insert(self.number, Some(context.waker().clone()));
            Poll::Pending
        })
        .await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut queue = self.gate.queue.borrow_mut();
        queue.remove(&self.number);
        // Only the lowest number is woken: every other one waits for it in any case.
        let next = queue.first_entry().and_then(|mut first| first.get_mut().take());
        drop(queue);
        if let Some(waker) = next {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use tokio::task::LocalSet;

    use super::*;

    #[test]
    fn the_lowest_number_goes_first() {
        let gate = Rc::new(Gate::default());
        let second = gate.enter(2);
        let first = gate.enter(1);
        assert!(second.first().now_or_never().is_none());
        assert!(first.first().now_or_never().is_some());
        drop(first);
        assert!(second.first().now_or_never().is_some());
        drop(second);
        assert!(gate.is_empty());
    }

    #[tokio::test]
    async fn a_dropped_place_wakes_the_next_call_and_none_too_early() {
        let gate = Rc::new(Gate::default());
        let went = Rc::new(RefCell::new(Vec::new()));
        let first = gate.enter(0);
        let tasks = LocalSet::new();
        let [_, gives_up, _] = [1, 2, 3].map(|number| {
            let (place, went) = (gate.enter(number), Rc::clone(&went));
            tasks.spawn_local(async move {
                place.first().await;
                went.borrow_mut().push(number);
            })
        });
        tasks.run_until(tokio::task::yield_now()).await;
        gives_up.abort();
        tasks.run_until(tokio::task::yield_now()).await;
        assert!(went.borrow().is_empty(), "nobody goes before the first");
        drop(first);
        tasks.await;
        assert_eq!(*went.borrow(), [1, 3]);
    }
}
