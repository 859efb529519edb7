//! Turns that identities share, and within each identity its tasks.
//!
//! Two that want the same get it in turn, whatever each has queued.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::{Rc, Weak};

use remit_core::TaskId;
use remit_store::fair::{Turn, Turns};

/// How many turns there are at once.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Of one task.
    pub task: usize,
    /// Of one identity.
    pub identity: usize,
    /// Of all.
    pub all: usize,
}

/// Turns that identities share.
#[derive(Debug)]
pub struct Shares {
    bounds: Bounds,
    all: Rc<Turns<String>>,
    identities: RefCell<HashMap<String, Weak<Turns<TaskId>>>>,
}

/// A turn, until it is dropped.
#[derive(Debug)]
pub struct Share {
    _own: Turn<TaskId>,
    _all: Turn<String>,
    /// Else the next one would find none of those that are held.
    _shares: Rc<Shares>,
}

impl Shares {
    /// With these bounds.
    pub fn new(bounds: Bounds) -> Rc<Self> {
        let all = Turns::new(bounds.all, bounds.identity);
        Rc::new(Self { bounds, all, identities: RefCell::default() })
    }

    /// Waits for the turn of a task of this identity. `None` never comes, as in [`Turns::take`].
    pub async fn take(self: Rc<Self>, who: &str, task: TaskId) -> Option<Share> {
        let own = self.of(who).take(task).await?;
        let all = self.all.take(who.to_owned()).await?;
        Some(Share { _own: own, _all: all, _shares: self })
    }

    fn of(&self, who: &str) -> Rc<Turns<TaskId>> {
        let mut identities = self.identities.borrow_mut();
        if let Some(turns) = identities.get(who).and_then(Weak::upgrade) {
            return turns;
        }
        identities.retain(|_, turns| turns.strong_count() > 0);
        let turns = Turns::new(self.bounds.identity, self.bounds.task);
        identities.insert(who.to_owned(), Rc::downgrade(&turns));
        turns
    }
}

/// Turns towards each node: how many calls are in flight there.
#[derive(Debug, Default)]
pub struct Nodes(RefCell<HashMap<String, Weak<Shares>>>);

impl Nodes {
    /// Those of one node.
    pub fn of(&self, node: &str, bounds: Bounds) -> Rc<Shares> {
        let mut nodes = self.0.borrow_mut();
        if let Some(shares) = nodes.get(node).and_then(Weak::upgrade) {
            return shares;
        }
        nodes.retain(|_, shares| shares.strong_count() > 0);
        let shares = Shares::new(bounds);
        nodes.insert(node.to_owned(), Rc::downgrade(&shares));
        shares
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    const BOUNDS: Bounds = Bounds { task: 2, identity: 3, all: 4 };

    fn task(number: u8) -> TaskId {
        TaskId::from_bytes([number; 16])
    }

    #[test]
    fn a_task_and_an_identity_have_no_more_than_they_may() {
        let shares = Shares::new(BOUNDS);
        let mut one: Vec<_> =
            (0..5).map(|_| Box::pin(Rc::clone(&shares).take("one", task(1)))).collect();
        let held: Vec<_> = one.iter_mut().filter_map(|t| t.as_mut().now_or_never()).collect();
        assert_eq!(held.len(), 2, "a task has two");
        let mut later = one.split_off(2);
        let more: Vec<_> =
            (0..3).filter_map(|_| Rc::clone(&shares).take("one", task(2)).now_or_never()).collect();
        assert_eq!(more.len(), 1, "its identity has three");
        assert!(
            Rc::clone(&shares).take("two", task(3)).now_or_never().is_some(),
            "and another one its own"
        );
        drop((held, more));
        assert!(later.iter_mut().any(|turn| turn.as_mut().now_or_never().is_some()));
    }

    #[test]
    fn a_task_with_thousands_before_it_waits_for_one_turn() {
        let shares = Shares::new(Bounds { task: 1, identity: 1, all: 1 });
        let held = Rc::clone(&shares).take("one", task(1)).now_or_never();
        let mut many: Vec<_> =
            (0..5_000).map(|_| Box::pin(Rc::clone(&shares).take("one", task(1)))).collect();
        assert!(many.iter_mut().all(|turn| turn.as_mut().now_or_never().is_none()));
        let mut sister = Box::pin(Rc::clone(&shares).take("one", task(2)));
        let mut neighbour = Box::pin(Rc::clone(&shares).take("two", task(3)));
        assert!(sister.as_mut().now_or_never().is_none());
        assert!(neighbour.as_mut().now_or_never().is_none());
        drop(held);
        let mut waited = 0;
        loop {
            let (is_sister, is_neighbour) =
                (sister.as_mut().now_or_never(), neighbour.as_mut().now_or_never());
            if is_neighbour.is_some() || is_sister.is_some() {
                break;
            }
            let next = many.iter_mut().find_map(|turn| turn.as_mut().now_or_never());
            assert!(next.is_some());
            waited += 1;
        }
        assert!(waited <= 2, "{waited}");
    }

    #[test]
    fn nodes_share_nothing() {
        let nodes = Nodes::default();
        let one = || nodes.of("one", Bounds { task: 1, identity: 1, all: 1 });
        let held = one().take("me", task(1)).now_or_never();
        assert!(one().take("me", task(1)).now_or_never().is_none(), "what is held counts");
        assert!(nodes.of("two", BOUNDS).take("me", task(1)).now_or_never().is_some());
        drop(held);
        assert!(one().take("me", task(1)).now_or_never().is_some());
    }
}
