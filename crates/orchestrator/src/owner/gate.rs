//! A gate: calls on one grant go out in the order of their numbers, whatever each has to wait for.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use remit_core::CallNumber;
use tokio::sync::Notify;

/// Lets calls through by number, one at a time.
#[derive(Debug, Default)]
pub struct Gate {
    queue: RefCell<BTreeSet<CallNumber>>,
    moved: Notify,
}

/// A place at a gate. Dropping it lets the next one through.
#[derive(Debug)]
pub struct Place {
    gate: Rc<Gate>,
    call: CallNumber,
}

impl Gate {
    /// Takes a place, at once.
    pub fn enter(self: &Rc<Self>, call: CallNumber) -> Place {
        self.queue.borrow_mut().insert(call);
        Place { gate: Rc::clone(self), call }
    }
}

impl Place {
    /// Waits until no call with a lower number is at the gate.
    pub async fn first(&self) {
        loop {
            let moved = self.gate.moved.notified();
            if self.gate.queue.borrow().first() == Some(&self.call) {
                return;
            }
            moved.await;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.gate.queue.borrow_mut().remove(&self.call);
        self.gate.moved.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn the_lowest_number_goes_first() {
        let gate = Rc::new(Gate::default());
        let second = gate.enter(CallNumber(2));
        let first = gate.enter(CallNumber(1));
        assert!(second.first().now_or_never().is_none());
        assert!(first.first().now_or_never().is_some());
        drop(first);
        assert!(second.first().now_or_never().is_some());
    }
}
