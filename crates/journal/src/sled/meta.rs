//! Small records in the journal's store, in its order of commits.

use futures::FutureExt as _;
use futures::future::{BoxFuture, ready};
use remit_store::{Disk, DiskError, View};

use crate::meta::{Batch, Meta, MetaError, Record};

/// Small records in a store.
#[derive(Debug, Clone)]
pub(super) struct SledMeta(pub(super) Disk);

impl From<DiskError> for MetaError {
    fn from(error: DiskError) -> Self {
        Self::Unavailable(error.0)
    }
}

impl Meta for SledMeta {
    fn get(&self, key: &[u8]) -> BoxFuture<'static, Result<Option<Vec<u8>>, MetaError>> {
        ready(self.0.get(key).map_err(MetaError::from)).boxed()
    }

    fn scan(
        &self,
        prefix: &[u8],
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<Record>, MetaError>> {
        ready(self.0.scan(prefix, prefix, limit).map_err(MetaError::from)).boxed()
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'static, Result<(), MetaError>> {
        let bytes = batch.bytes();
        let decide = move |view: &View<'_>| batch.decide(|key| view.get(key));
        let done = self.0.transact(bytes, decide);
        async move { done.await? }.boxed()
    }
}
