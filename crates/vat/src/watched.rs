//! A value that tasks of one vat watch. Watchers wake in the order in which they began to wait, so
//! that every run of a simulation goes on in the same order.

use std::cell::{Cell, Ref, RefCell};
use std::rc::Rc;

use tokio::sync::Notify;

/// The writing side. Dropping it tells the watchers that the value will not change again.
#[derive(Debug)]
pub struct Watched<T> {
    shared: Rc<Shared<T>>,
}

/// A reading side. It knows which version of the value it saw last.
#[derive(Debug, Clone)]
pub struct Watcher<T> {
    shared: Rc<Shared<T>>,
    seen: u64,
}

#[derive(Debug)]
struct Shared<T> {
    value: RefCell<T>,
    version: Cell<u64>,
    closed: Cell<bool>,
    changed: Notify,
}

/// The value will not change any more: its [`Watched`] was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the value will not change any more")]
pub struct Unwatched;

impl<T> Watched<T> {
    /// Starts with `value`.
    pub fn new(value: T) -> Self {
        let (version, closed, changed) = (Cell::new(0), Cell::new(false), Notify::new());
        Self { shared: Rc::new(Shared { value: RefCell::new(value), version, closed, changed }) }
    }

    /// The current value.
    pub fn borrow(&self) -> Ref<'_, T> {
        self.shared.value.borrow()
    }

    /// A watcher that has seen the current value.
    pub fn subscribe(&self) -> Watcher<T> {
        Watcher { shared: Rc::clone(&self.shared), seen: self.shared.version.get() }
    }

    /// Applies `change`, wakes the watchers if it returns true, and returns the same.
    pub fn send_if_modified(&self, change: impl FnOnce(&mut T) -> bool) -> bool {
        let changed = change(&mut self.shared.value.borrow_mut());
        if changed {
            self.shared.version.set(self.shared.version.get() + 1);
            self.shared.changed.notify_waiters();
        }
        changed
    }
}

impl<T> Drop for Watched<T> {
    fn drop(&mut self) {
        self.shared.closed.set(true);
        self.shared.changed.notify_waiters();
    }
}

impl<T> Watcher<T> {
    /// The current value, without marking it as seen.
    pub fn borrow(&self) -> Ref<'_, T> {
        self.shared.value.borrow()
    }

    /// The current value, and marks it as seen.
    pub fn borrow_and_update(&mut self) -> Ref<'_, T> {
        self.seen = self.shared.version.get();
        self.shared.value.borrow()
    }

    /// Waits until the value has changed since the watcher last saw it, and marks it as seen.
    /// Dropping the future loses no change.
    pub async fn changed(&mut self) -> Result<(), Unwatched> {
        loop {
            let changed = self.shared.changed.notified();
            let version = self.shared.version.get();
            if version != self.seen {
                self.seen = version;
                return Ok(());
            }
            if self.shared.closed.get() {
                return Err(Unwatched);
            }
            changed.await;
        }
    }

    /// Waits until `which` holds for the value, and returns the value. Returns at once if it holds
    /// already.
    pub async fn wait_for(
        &mut self,
        mut which: impl FnMut(&T) -> bool,
    ) -> Result<Ref<'_, T>, Unwatched> {
        while !which(&*self.borrow_and_update()) {
            self.changed().await?;
        }
        Ok(self.shared.value.borrow())
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    fn set(watched: &Watched<u32>, value: u32) {
        watched.send_if_modified(|held| std::mem::replace(held, value) != value);
    }

    #[test]
    fn a_change_wakes_a_watcher_once() {
        let watched = Watched::new(1);
        let mut watcher = watched.subscribe();
        assert_eq!(watcher.changed().now_or_never(), None);
        set(&watched, 1);
        assert_eq!(watcher.changed().now_or_never(), None);
        set(&watched, 2);
        assert_eq!(watcher.changed().now_or_never(), Some(Ok(())));
        assert_eq!(watcher.changed().now_or_never(), None);
        set(&watched, 3);
        assert_eq!(*watcher.borrow_and_update(), 3);
        assert_eq!(watcher.changed().now_or_never(), None);
    }

    #[test]
    fn the_last_change_is_heard_before_the_end() {
        let watched = Watched::new(1);
        let mut watcher = watched.subscribe();
        set(&watched, 2);
        drop(watched);
        assert_eq!(watcher.changed().now_or_never(), Some(Ok(())));
        assert_eq!(watcher.changed().now_or_never(), Some(Err(Unwatched)));
        assert!(watcher.wait_for(|value| *value == 2).now_or_never().unwrap().is_ok());
        assert!(watcher.wait_for(|value| *value == 3).now_or_never().unwrap().is_err());
    }

    #[tokio::test]
    async fn watchers_wake_in_the_order_in_which_they_waited() {
        let local = tokio::task::LocalSet::new();
        let heard = Rc::new(RefCell::new(Vec::new()));
        let watched = Watched::new(0);
        for number in 0..20 {
            let (mut watcher, heard) = (watched.subscribe(), Rc::clone(&heard));
            local.spawn_local(async move {
                watcher.wait_for(|value| *value == 1).await.unwrap();
                heard.borrow_mut().push(number);
            });
        }
        local.run_until(tokio::task::yield_now()).await;
        set(&watched, 1);
        local.await;
        assert_eq!(*heard.borrow(), (0..20).collect::<Vec<_>>());
    }
}
