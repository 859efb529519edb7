//! What is under way to followers: a bounded number of bytes for each identity and for all.
//!
//! A follower reads a page of the journal when it is its turn among those of its identity, and holds
//! what it sends until that is answered for. So one identity's followers wait for each other, and no
//! other identity waits for them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use remit_core::Identity;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::limits;

/// What is counted at once: the smallest batch counts as one.
const UNIT_BYTES: usize = 1 << 10;

/// The followers of all identities.
#[derive(Debug)]
pub struct Feeds {
    all: Arc<Semaphore>,
    shares: RefCell<HashMap<Identity, Weak<Share>>>,
}

/// The followers of one identity.
#[derive(Debug)]
pub struct Share {
    turn: Arc<Semaphore>,
    own: Arc<Semaphore>,
    all: Arc<Semaphore>,
}

/// Bytes that are under way, until it is dropped.
#[derive(Debug)]
pub struct InFlightBytes {
    _own: Option<OwnedSemaphorePermit>,
    _all: Option<OwnedSemaphorePermit>,
}

impl Feeds {
    /// With nothing under way.
    pub fn new() -> Rc<Self> {
        let all = Arc::new(Semaphore::new(limits::FEED_BYTES / UNIT_BYTES));
        Rc::new(Self { all, shares: RefCell::default() })
    }

    /// The share of `who`, one for all of its followers.
    pub fn share(&self, who: &Identity) -> Rc<Share> {
        let mut shares = self.shares.borrow_mut();
        if let Some(share) = shares.get(who).and_then(Weak::upgrade) {
            return share;
        }
        shares.retain(|_, share| share.strong_count() > 0);
        let own = Arc::new(Semaphore::new(limits::FEED_BYTES_PER_IDENTITY / UNIT_BYTES));
        let turn = Arc::new(Semaphore::new(1));
        let share = Rc::new(Share { turn, own, all: Arc::clone(&self.all) });
        shares.insert(who.clone(), Rc::downgrade(&share));
        share
    }
}

impl Share {
    /// Waits for the turn to read, first come, first served. The next begins when it is dropped.
    pub async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        // The semaphore is never closed.
        Arc::clone(&self.turn).acquire_owned().await.ok()
    }

    /// Waits until so many bytes more may be under way.
    pub async fn reserve(&self, bytes: usize) -> InFlightBytes {
        let most = limits::FEED_BYTES_PER_IDENTITY / UNIT_BYTES;
        let units = u32::try_from(bytes.div_ceil(UNIT_BYTES).clamp(1, most)).unwrap_or(u32::MAX);
        let own = Arc::clone(&self.own).acquire_many_owned(units).await.ok();
        let all = Arc::clone(&self.all).acquire_many_owned(units).await.ok();
        InFlightBytes { _own: own, _all: all }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use remit_core::Role;

    use super::*;

    fn who(name: &str) -> Identity {
        Identity::new("home", "default", Role::Client, name).unwrap()
    }

    #[test]
    fn followers_that_do_not_read_hold_up_only_their_identity() {
        let feeds = Feeds::new();
        let (one, two) = (feeds.share(&who("one")), feeds.share(&who("two")));
        let batch = 4 << 20;
        let mut held = Vec::new();
        while let Some(under_way) = feeds.share(&who("one")).reserve(batch).now_or_never() {
            held.push(under_way);
            assert!(held.len() <= limits::FEED_BYTES_PER_IDENTITY / batch);
        }
        assert_eq!(held.len(), limits::FEED_BYTES_PER_IDENTITY / batch);
        assert!(two.reserve(batch).now_or_never().is_some());
        let mut next = Box::pin(one.reserve(batch));
        assert!(next.as_mut().now_or_never().is_none());
        held.pop();
        assert!(next.now_or_never().is_some(), "a batch that was answered for makes room");
    }

    #[test]
    fn a_batch_over_the_bound_goes_alone() {
        let feeds = Feeds::new();
        let one = feeds.share(&who("one"));
        let large = one.reserve(2 * limits::FEED_BYTES_PER_IDENTITY).now_or_never();
        assert!(large.is_some() && one.reserve(1).now_or_never().is_none());
    }

    #[test]
    fn a_share_ends_with_its_followers() {
        let feeds = Feeds::new();
        drop(feeds.share(&who("one")));
        let _two = feeds.share(&who("two"));
        assert_eq!(feeds.shares.borrow().len(), 1);
    }
}
