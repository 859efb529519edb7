//! The store as a decision on the commit thread sees it.

use std::collections::BTreeMap;
use std::sync::RwLockReadGuard;

use super::commit::Writes;
use super::folder::Engine;
use super::range::{collect, range_of};
use super::store::{being_opened, unreadable};
use super::{DiskError, Pair};

/// What a decision on the commit thread sees: all that was queued before it.
pub struct View<'a> {
    pub(super) engine: RwLockReadGuard<'a, Option<Engine>>,
    pub(super) written: &'a Writes,
}

impl View<'_> {
    /// The value of a key.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, DiskError> {
        match self.written.get(key) {
            Some(value) => Ok(value.clone()),
            None => {
                let value = self.db()?.get(key).map_err(|e| unreadable(&e))?;
                Ok(value.map(|value| value.to_vec()))
            }
        }
    }

    fn db(&self) -> Result<&sled::Db, DiskError> {
        self.engine.as_ref().map(|engine| &engine.db).ok_or_else(being_opened)
    }

    /// Up to `limit` pairs whose keys begin with `prefix` and are at or after `from`, in order.
    pub fn scan(&self, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<Pair>, DiskError> {
        let Some(range) = range_of(prefix, from) else { return Ok(Vec::new()) };
        // Each key that was written hides one in the store.
        let hidden = self.written.range(range.clone()).count();
        let stored =
            self.db()?.range::<Vec<u8>, _>(range.clone()).take(limit.saturating_add(hidden));
        let mut found: BTreeMap<_, _> = collect(stored)?.into_iter().collect();
        let whole = found.len() < limit.saturating_add(hidden);
        let last = found.last_key_value().map(|(key, _)| key.clone());
        for (key, value) in self.written.range(range) {
            match value {
                // Beyond what was read of the store there may be keys in between.
                Some(value) if whole || Some(key) <= last.as_ref() => {
                    found.insert(key.clone(), value.clone());
                }
                _ => drop(found.remove(key)),
            }
        }
        Ok(found.into_iter().take(limit).collect())
    }
}
