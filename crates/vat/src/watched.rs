//! A value that tasks of one vat watch. They hear of a change in the order in which they asked, so
//! that what follows from it happens in the same order in every run.

use std::cell::{Cell, Ref, RefCell};
use std::rc::Rc;

use tokio::sync::Notify;

/// The value, in the hands of the one who changes it.
#[derive(Debug)]
pub struct Watched<T> {
    shared: Rc<Shared<T>>,
}

/// A view of the value.
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

/// The value will not change any more: whoever changed it is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the value will not change any more")]
pub struct Unwatched;

impl<T> Watched<T> {
    /// A value to be watched.
    pub fn new(value: T) -> Self {
        let (version, closed, changed) = (Cell::new(0), Cell::new(false), Notify::new());
        Self { shared: Rc::new(Shared { value: RefCell::new(value), version, closed, changed }) }
    }

    /// The value as it is.
    pub fn borrow(&self) -> Ref<'_, T> {
        self.shared.value.borrow()
    }

    /// A view that takes the value as it is for seen.
    pub fn subscribe(&self) -> Watcher<T> {
        Watcher { shared: Rc::clone(&self.shared), seen: self.shared.version.get() }
    }

    /// Lets `change` at the value, and wakes whoever watches if it says that it changed it.
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
    /// The value as it is.
    pub fn borrow(&self) -> Ref<'_, T> {
        self.shared.value.borrow()
    }

    /// The value as it is, which is seen from now on.
    pub fn borrow_and_update(&mut self) -> Ref<'_, T> {
        self.seen = self.shared.version.get();
        self.shared.value.borrow()
    }

    /// Answers when the value is another than the one seen last, which it then is. Dropping the
    /// future loses nothing.
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

    /// Answers with the value when it is such that `which` holds, at once if it is already.
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
    fn a_change_is_heard_once_and_no_change_is_not() {
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
    async fn those_who_wait_are_woken_in_the_order_in_which_they_asked() {
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
