//! Bytes that the messages of one identity hold, over all of its connections.

use std::cell::Cell;
use std::rc::Rc;

use tokio::sync::Notify;

use crate::limits::{CALLS_HELD_FLOOR_BYTES, CALLS_HELD_PER_IDENTITY_BYTES};

/// The bytes that the messages of one identity hold. All of its connections share one counter.
#[derive(Debug, Default)]
pub struct HeldBytes {
    /// Of calls in flight.
    calls: Cell<usize>,
    /// Of messages that are being read, or that wait until their call may begin.
    arriving: Cell<usize>,
    /// Whether some connection is the exempt one.
    exempt: Cell<bool>,
    eased: Notify,
}

impl HeldBytes {
    /// Starts with nothing held.
    pub fn new() -> Rc<Self> {
        Rc::default()
    }

    /// The bytes held now.
    pub const fn bytes(&self) -> usize {
        self.calls.get() + self.arriving.get()
    }

    /// Whether a connection whose calls hold `own` of these bytes must let its next call wait.
    /// Below the floor none waits, so that a person can free what the others hold.
    pub(super) const fn is_full_for(&self, own: usize) -> bool {
        self.calls.get() >= CALLS_HELD_PER_IDENTITY_BYTES && own >= CALLS_HELD_FLOOR_BYTES
    }

    /// Whether a message of this size must wait before it is read.
    pub(super) const fn is_full_for_message(&self, bytes: usize) -> bool {
        self.bytes() >= CALLS_HELD_PER_IDENTITY_BYTES && bytes > CALLS_HELD_FLOOR_BYTES
    }

    /// Makes the caller the one connection that reads a message although the identity is at its
    /// bound. Otherwise messages that were read in part could fill it for ever. Returns whether no
    /// other connection is the exempt one.
    pub(super) fn exempt(&self) -> bool {
        !self.exempt.replace(true)
    }

    pub(super) fn end_exemption(&self) {
        self.exempt.set(false);
        self.eased.notify_waiters();
    }

    pub(super) fn add(&self, bytes: usize) {
        self.calls.set(self.calls.get().saturating_add(bytes));
    }

    pub(super) fn release(&self, bytes: usize) {
        self.calls.set(self.calls.get().saturating_sub(bytes));
        self.eased.notify_waiters();
    }

    pub(super) fn arriving(&self, bytes: usize) {
        self.arriving.set(self.arriving.get().saturating_add(bytes));
    }

    /// A message of this size was read.
    pub(super) fn arrived(&self, bytes: usize) {
        self.arriving.set(self.arriving.get().saturating_sub(bytes));
        self.eased.notify_waiters();
    }

    pub(super) async fn eased(&self) {
        self.eased.notified().await;
    }
}
