//! Bytes of the calls in flight of one identity, over all of its connections.

use std::cell::Cell;
use std::rc::Rc;

use tokio::sync::Notify;

use crate::limits::{CALLS_HELD_FLOOR_BYTES, CALLS_HELD_PER_IDENTITY_BYTES};

/// What the calls in flight of one identity hold. All of its connections share one.
#[derive(Debug, Default)]
pub struct HeldBytes {
    bytes: Cell<usize>,
    eased: Notify,
}

impl HeldBytes {
    /// With nothing held.
    pub fn new() -> Rc<Self> {
        Rc::default()
    }

    /// Bytes that are held.
    pub const fn bytes(&self) -> usize {
        self.bytes.get()
    }

    /// Whether a connection that holds `own` of it reads no more for now. A little is always read,
    /// so that a person can take back what holds so much.
    pub(super) const fn is_full_for(&self, own: usize) -> bool {
        self.bytes.get() >= CALLS_HELD_PER_IDENTITY_BYTES && own >= CALLS_HELD_FLOOR_BYTES
    }

    pub(super) fn add(&self, bytes: usize) {
        self.bytes.set(self.bytes.get().saturating_add(bytes));
    }

    pub(super) fn release(&self, bytes: usize) {
        self.bytes.set(self.bytes.get().saturating_sub(bytes));
        self.eased.notify_waiters();
    }

    pub(super) async fn eased(&self) {
        self.eased.notified().await;
    }
}
