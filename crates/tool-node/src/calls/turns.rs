//! The order in which calls begin: of those that belong together, the order in which they arrived.
//!
//! What a call waits for before it begins differs: one with effects is put on disk first, one that
//! only reads is not. Without turns a read would overtake the write that was sent before it.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::pin::pin;
use std::rc::Rc;

use futures::poll;
use remit_vat::gate::{Gate, Place};

/// The calls that have arrived and not begun, by what they belong to.
#[derive(Default)]
pub(crate) struct Turns {
    arrived: Cell<u64>,
    lines: RefCell<HashMap<u64, Rc<Gate>>>,
}

/// One call's place in its line. Dropping it lets the next one begin.
pub(crate) struct Turn {
    turns: Rc<Turns>,
    line: u64,
    /// There until the drop.
    place: Option<Place>,
}

impl Turns {
    /// A place at the end of a line.
    pub(crate) fn arrive(self: &Rc<Self>, line: u64) -> Turn {
        let number = self.arrived.get();
        self.arrived.set(number + 1);
        let place = self.lines.borrow_mut().entry(line).or_default().enter(number);
        Turn { turns: Rc::clone(self), line, place: Some(place) }
    }
}

impl Turn {
    /// Waits until every call that arrived before it, in its line, has begun or ended.
    pub(crate) async fn come(&self) {
        if let Some(place) = &self.place {
            place.first().await;
        }
    }

    /// Begins `work`, lets the next call begin, and goes on with it.
    pub(crate) async fn begin<T>(self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        let begun = poll!(work.as_mut());
        drop(self);
        match begun {
            std::task::Poll::Ready(done) => done,
            std::task::Poll::Pending => work.await,
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        drop(self.place.take());
        let mut lines = self.turns.lines.borrow_mut();
        if lines.get(&self.line).is_some_and(|gate| gate.is_empty()) {
            lines.remove(&self.line);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn the_next_in_line_comes_when_the_one_before_has_begun_and_not_when_it_ends() {
        let turns = Rc::<Turns>::default();
        let [first, second, other] = [7, 7, 8].map(|line| turns.arrive(line));
        assert!(first.come().now_or_never().is_some());
        assert!(second.come().now_or_never().is_none());
        assert!(other.come().now_or_never().is_some(), "lines do not wait for one another");
        let mut endless = Box::pin(first.begin(std::future::pending::<()>()));
        assert!(second.come().now_or_never().is_none());
        assert!(endless.as_mut().now_or_never().is_none());
        assert!(second.come().now_or_never().is_some());
    }

    #[test]
    fn nothing_is_kept_of_a_line_in_which_nobody_is() {
        let turns = Rc::<Turns>::default();
        let [first, second] = [1, 1].map(|line| turns.arrive(line));
        drop(first);
        assert_eq!(turns.lines.borrow().len(), 1);
        assert_eq!(second.begin(std::future::ready(5)).now_or_never(), Some(5));
        assert!(turns.lines.borrow().is_empty());
    }
}
