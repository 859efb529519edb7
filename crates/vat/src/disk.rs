//! A durable key-value store over sled: one commit thread, synced to the medium.

use std::path::Path;
use std::sync::Arc;

/// An open store. Clones share it.
#[derive(Clone)]
pub struct Disk {
    _inner: Arc<()>,
}

/// Why a store could not be opened, read or written: what was asked, what was found, what to do.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct DiskError(pub String);

/// One write: a key and its new value, or `None` to remove it.
pub type Write = (Vec<u8>, Option<Vec<u8>>);

impl Disk {
    /// Opens the store in the folder `dir`, making it at first. `cache_bytes` bounds the cache.
    /// A second open of the same folder, by any process, is refused.
    pub fn open(_dir: &Path, _cache_bytes: u64) -> Result<Self, DiskError> {
        todo!()
    }

    /// Applies all of `writes` at once, durably when it answers: group commit. Works from any
    /// runtime. Dropping the future does not take the writes back.
    pub async fn commit(&self, _writes: Vec<Write>) -> Result<(), DiskError> {
        todo!()
    }

    /// The value of a key.
    pub fn get(&self, _key: &[u8]) -> Result<Option<Vec<u8>>, DiskError> {
        todo!()
    }

    /// Up to `limit` pairs whose keys begin with `prefix` and are at or after `from`, in order.
    pub fn scan(
        &self,
        _prefix: &[u8],
        _from: &[u8],
        _limit: usize,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>, DiskError> {
        todo!()
    }

    /// How long the last commit took, in microseconds; 0: none yet.
    pub fn last_commit_us(&self) -> u64 {
        todo!()
    }
}
