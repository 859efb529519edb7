//! Bytes of the calls in flight of one identity, over all of its connections.

use std::cell::Cell;
use std::rc::Rc;

use tokio::sync::Notify;

use crate::limits::{CALLS_HELD_FLOOR_BYTES, CALLS_HELD_PER_IDENTITY_BYTES};

/// The bytes that the calls in flight of one identity hold. All of its connections share one
/// counter.
#[derive(Debug, Default)]
pub struct HeldBytes {
    bytes: Cell<usize>,
    eased: Notify,
}

impl HeldBytes {
    /// Starts with nothing held.
    pub fn new() -> Rc<Self> {
        Rc::default()
    }

    /// The bytes held now.
    pub const fn bytes(&self) -> usize {
        self.bytes.get()
    }

    /// Whether a connection that holds `own` of these bytes must stop reading. Below the floor a
    /// connection always reads, so that a person can free what the others hold.
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
