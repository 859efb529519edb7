//! The store as a decision on the commit thread sees it.

use std::sync::RwLockReadGuard;

use super::commit::Writes;
use super::range::{Layers, Order, range_of};
use super::state::State;
use super::{DiskError, Pair};

/// What a decision on the commit thread sees: all that was queued before it.
pub struct View<'a> {
    pub(super) state: RwLockReadGuard<'a, State>,
    pub(super) written: &'a Writes,
}

impl View<'_> {
    /// The value of a key.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, DiskError> {
        self.look(|layers| layers.get(key))
    }

    /// Up to `limit` pairs whose keys begin with `prefix` and are at or after `from`, in order.
    pub fn scan(&self, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<Pair>, DiskError> {
        let Some(range) = range_of(prefix, from) else { return Ok(Vec::new()) };
        self.look(|layers| layers.scan(range, Order::Forward, limit))
    }

    fn look<'a, R>(
        &'a self,
        look: impl FnOnce(&Layers<'a>) -> Result<R, DiskError>,
    ) -> Result<R, DiskError> {
        self.state.look(|layers: &mut Layers<'a>| {
            layers.writes.insert(0, self.written);
            look(layers)
        })
    }
}
