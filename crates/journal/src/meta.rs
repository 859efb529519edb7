//! Small records beside the events: members, invites, references, triggers, accepted interfaces.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use futures::FutureExt as _;
use futures::future::{BoxFuture, ready};
use remit_core::{Code, Failure};

use crate::limits::UPDATE_TRIES;

/// A key and its value.
pub type Record = (Vec<u8>, Vec<u8>);

/// A key and its new value, or `None` to remove it.
pub type Change = (Vec<u8>, Option<Vec<u8>>);

/// Changes that take effect together, if the records that were seen are still the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    seen: Vec<Change>,
    changes: Vec<Change>,
}

impl Batch {
    /// These changes, whatever is recorded.
    pub const fn of(changes: Vec<Change>) -> Self {
        Self { seen: Vec::new(), changes }
    }

    /// The same, only if the record of `key` still has this value; `None`: only if there is none.
    #[must_use]
    pub fn if_still(mut self, key: Vec<u8>, value: Option<Vec<u8>>) -> Self {
        self.seen.push((key, value));
        self
    }

    /// About how many bytes it writes.
    pub(crate) fn bytes(&self) -> usize {
        self.changes.iter().map(|(key, value)| key.len() + value.as_ref().map_or(0, Vec::len)).sum()
    }

    /// The changes, or a conflict if a record is not as it was seen; `now` gives what is recorded.
    pub(crate) fn decide<E>(
        self,
        now: impl Fn(&[u8]) -> Result<Option<Vec<u8>>, E>,
    ) -> Result<Result<Vec<Change>, MetaError>, E> {
        for (key, value) in &self.seen {
            if now(key)? != *value {
                return Ok(Err(MetaError::Conflict));
            }
        }
        Ok(Ok(self.changes))
    }
}

/// Where small records are kept. Keys are the caller's: each kind of record has a prefix of its own,
/// and none begins like a key of the journal.
pub trait Meta: Send + Sync {
    /// The value of a key.
    fn get(&self, key: &[u8]) -> BoxFuture<'static, Result<Option<Vec<u8>>, MetaError>>;

    /// Up to `limit` records whose keys begin with `prefix`, in the order of the keys.
    fn scan(
        &self,
        prefix: &[u8],
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<Record>, MetaError>>;

    /// Makes all changes of a batch or none, durably when it answers. Batches are queued when this
    /// function is called and take effect in that order; polling or dropping the future changes
    /// nothing about that.
    fn commit(&self, batch: Batch) -> BoxFuture<'static, Result<(), MetaError>>;
}

/// Replaces the record of `key` by what `change` makes of it; `None`: it is left as it is. When another
/// writer was there first, `change` decides anew on what that one wrote.
///
/// # Errors
/// `change` refuses, the medium fails, or others were first [`UPDATE_TRIES`] times in a row.
pub async fn update<E: From<MetaError>>(
    meta: &dyn Meta,
    key: &[u8],
    change: impl Fn(&[u8]) -> Result<Option<Vec<u8>>, E>,
) -> Result<(), E> {
    for _ in 0..UPDATE_TRIES {
        let Some(seen) = meta.get(key).await? else { return Ok(()) };
        let Some(changed) = change(&seen)? else { return Ok(()) };
        let batch =
            Batch::of(vec![(key.to_vec(), Some(changed))]).if_still(key.to_vec(), Some(seen));
        match meta.commit(batch).await {
            // The other writer's commit is durable by now, so the next read sees it.
            Err(MetaError::Conflict) => {}
            done => return Ok(done?),
        }
    }
    Err(MetaError::Conflict.into())
}

/// Why records were not read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetaError {
    /// A record is no longer as it was seen: nothing was written. The same batch never succeeds;
    /// read the record and decide anew.
    #[error("the record was changed by another writer: read it again")]
    Conflict,
    /// What is recorded cannot be used.
    #[error("{0}")]
    Damaged(String),
    /// The medium does not take it or give it. Trying later may help.
    #[error("{0}")]
    Unavailable(String),
}

impl From<MetaError> for Failure {
    fn from(error: MetaError) -> Self {
        let code = match &error {
            MetaError::Damaged(_) => Code::Failed,
            // What was asked for is decided anew when it is asked for again.
            MetaError::Conflict | MetaError::Unavailable(_) => Code::Unavailable,
        };
        Self::new(code, error.to_string())
    }
}

/// Records that last as long as this is held, for tests and simulations.
#[derive(Debug, Default)]
pub struct MemoryMeta {
    records: Mutex<BTreeMap<Vec<u8>, Vec<u8>>>,
}

impl MemoryMeta {
    /// No records.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Meta for MemoryMeta {
    fn get(&self, key: &[u8]) -> BoxFuture<'static, Result<Option<Vec<u8>>, MetaError>> {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        ready(Ok(records.get(key).cloned())).boxed()
    }

    fn scan(
        &self,
        prefix: &[u8],
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<Record>, MetaError>> {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let found = records.range(prefix.to_vec()..).take_while(|(key, _)| key.starts_with(prefix));
        let found = found.take(limit).map(|(key, value)| (key.clone(), value.clone())).collect();
        ready(Ok(found)).boxed()
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'static, Result<(), MetaError>> {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let decided = batch.decide(|key| Ok(records.get(key).cloned())).and_then(|decided| decided);
        let committed = decided.map(|changes| {
            for (key, value) in changes {
                match value {
                    Some(value) => records.insert(key, value),
                    None => records.remove(&key),
                };
            }
        });
        ready(committed).boxed()
    }
}
