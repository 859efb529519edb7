//! The audit: a record of every exercise of authority.
//!
//! What happens in a task is in its journal, and its records are a projection of that. What happens
//! outside of any task is in the mesh's own stream, which is kept here: one for each tenant, each
//! record naming the hash of the one before.

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::Future;
use std::rc::Rc;

use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use remit_core::audit::Record;
use remit_core::{Code, Failure};
use remit_store::{Disk, DiskError, View, Write};
use remit_vat::wire;
use sha2::{Digest as _, Sha256};

use crate::limits;
use crate::record as sealed;

/// Keys of records in the store begin so, with the length of the tenant's name, the name and the
/// record's number.
pub(crate) const RECORDS: &[u8] = b"audit/r";

/// Keys of the last number and hash of each stream.
const HEADS: &[u8] = b"audit/h";

/// The mesh's own stream of audit records.
pub struct Audit {
    kept: Backend,
    now_ms: Box<dyn Fn() -> u64>,
}

enum Backend {
    Disk(Disk),
    /// For tests: it is gone with the process.
    Memory(RefCell<HashMap<String, Vec<Record>>>),
}

/// The end of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Head {
    number: u64,
    hash: [u8; 32],
}

impl Audit {
    /// The streams that are kept in `disk`. `now_ms` is the wall clock, in milliseconds since 1970.
    pub fn new(disk: Disk, now_ms: Box<dyn Fn() -> u64>) -> Rc<Self> {
        Rc::new(Self { kept: Backend::Disk(disk), now_ms })
    }

    /// Streams that are kept nowhere, for a mesh that is all in memory.
    pub fn in_memory(now_ms: Box<dyn Fn() -> u64>) -> Rc<Self> {
        Rc::new(Self { kept: Backend::Memory(RefCell::default()), now_ms })
    }

    /// Appends a record to the stream of `tenant`; number, time and hash are given here. It is
    /// queued at once, in the order of the calls, and durable when the future answers: a caller that
    /// reports the recorded decision awaits it first.
    pub fn record(
        &self,
        tenant: &str,
        mut record: Record,
    ) -> impl Future<Output = Result<(), Failure>> + use<> {
        record.time_ms = (self.now_ms)();
        self.append(tenant, record).map(|appended| {
            appended.map_err(|error| {
                let why = format!("the audit log cannot be written, so nothing was done: {error}");
                Failure::new(Code::Unavailable, why)
            })
        })
    }

    fn append(
        &self,
        tenant: &str,
        mut record: Record,
    ) -> LocalBoxFuture<'static, Result<(), DiskError>> {
        match &self.kept {
            Backend::Memory(streams) => {
                let mut streams = streams.borrow_mut();
                let stream = streams.entry(tenant.to_owned()).or_default();
                let before = stream.last().map_or_else(|| beginning(tenant), |last| last.hash);
                record.number = stream.len() as u64 + 1;
                record.hash = sealed::seal(&before, &wire::audit::encode(&record)).1;
                stream.push(record);
                std::future::ready(Ok(())).boxed_local()
            }
            Backend::Disk(disk) => {
                let tenant = tenant.to_owned();
                // About what it takes: the texts of a record are short.
                let bytes = 512 + record.reason.len() + record.subject.len();
                let append = move |view: &View<'_>| follow(view, &tenant, record);
                let done = disk.transact(bytes, append);
                async move {
                    let Ok(()) = done.await?;
                    Ok(())
                }
                .boxed_local()
            }
        }
    }

    /// Up to `limit` records of the tenant's stream after number `after`, each checked against the
    /// one before.
    pub fn read(&self, tenant: &str, after: u64, limit: usize) -> Result<Vec<Record>, Broken> {
        match &self.kept {
            Backend::Memory(streams) => {
                let streams = streams.borrow();
                let stream = streams.get(tenant).map(Vec::as_slice).unwrap_or_default();
                let from = usize::try_from(after).unwrap_or(usize::MAX).min(stream.len());
                Ok(stream[from..].iter().take(limit).cloned().collect())
            }
            Backend::Disk(disk) => read(disk, tenant, after, limit),
        }
    }

    /// The number of the last record of the tenant's stream; 0: there is none.
    pub fn last(&self, tenant: &str) -> Result<u64, Broken> {
        match &self.kept {
            Backend::Memory(streams) => {
                Ok(streams.borrow().get(tenant).map_or(0, |stream| stream.len() as u64))
            }
            Backend::Disk(disk) => Ok(stored_head(disk, tenant)?.map_or(0, |head| head.number)),
        }
    }
}

/// Checks the streams of all tenants that are kept in `disk`, and says where one is broken.
pub(crate) fn check(disk: &Disk) -> Result<Vec<String>, DiskError> {
    let mut broken = Vec::new();
    let mut from = HEADS.to_vec();
    loop {
        let page = disk.scan(HEADS, &from, limits::EVENTS_PER_PAGE)?;
        let Some((last, _)) = page.last() else { return Ok(broken) };
        from = [&last[..], &[0]].concat();
        for (key, _) in &page {
            let tenant = String::from_utf8_lossy(&key[HEADS.len()..]);
            let mut after = 0;
            loop {
                match read(disk, &tenant, after, limits::EVENTS_PER_PAGE) {
                    Ok(records) if records.is_empty() => break,
                    Ok(records) => after += records.len() as u64,
                    Err(at) => {
                        broken.push(at.to_string());
                        break;
                    }
                }
            }
        }
    }
}

/// Where a stream is not what was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("record {number} of the mesh's audit log is damaged: {why}")]
pub struct Broken {
    /// The first record that cannot be trusted; 0: the end of the stream itself.
    pub number: u64,
    /// What is wrong.
    pub why: String,
}

impl From<DiskError> for Broken {
    fn from(error: DiskError) -> Self {
        Self { number: 0, why: error.to_string() }
    }
}

impl From<Broken> for Failure {
    fn from(broken: Broken) -> Self {
        Self::new(Code::Failed, broken.to_string())
    }
}

/// Runs on the commit thread, after every record that was queued before this one.
fn follow(
    view: &View<'_>,
    tenant: &str,
    mut record: Record,
) -> Result<Result<Vec<Write>, std::convert::Infallible>, DiskError> {
    let head = match view.get(&head_key(tenant))? {
        None => Head { number: 0, hash: beginning(tenant) },
        Some(bytes) => read_head(&bytes).ok_or_else(|| {
            DiskError("the end of the audit log is damaged: restore it from a backup".into())
        })?,
    };
    record.number = head.number + 1;
    let (bytes, hash) = sealed::seal(&head.hash, &wire::audit::encode(&record));
    let end = [&record.number.to_be_bytes()[..], &hash].concat();
    Ok(Ok(vec![(record_key(tenant, record.number), Some(bytes)), (head_key(tenant), Some(end))]))
}

fn read(disk: &Disk, tenant: &str, after: u64, limit: usize) -> Result<Vec<Record>, Broken> {
    // The head first: what it promises must then be there.
    let Some(head) = stored_head(disk, tenant)? else { return Ok(Vec::new()) };
    if limit == 0 || after >= head.number {
        return Ok(Vec::new());
    }
    let broken = |number: u64, why: String| Broken { number, why };
    let mut before = match after {
        0 => beginning(tenant),
        after => {
            let stored = disk.get(&record_key(tenant, after))?;
            let bytes = stored.ok_or_else(|| broken(after, "it is missing".into()))?;
            sealed::check(&bytes, None).map_err(|why| broken(after, why))?
        }
    };
    let stored = disk.scan(&records(tenant), &record_key(tenant, after + 1), limit)?;
    let mut found = Vec::with_capacity(stored.len());
    let mut number = after;
    for (key, bytes) in stored {
        number += 1;
        if key != record_key(tenant, number) {
            return Err(broken(number, "it is missing".into()));
        }
        let hash = sealed::check(&bytes, Some(&before)).map_err(|why| broken(number, why))?;
        let record = wire::audit::decode(sealed::payload(&bytes), hash)
            .map_err(|malformed| broken(number, malformed.to_string()))?;
        if record.number != number {
            return Err(broken(number, format!("it says it is record {}", record.number)));
        }
        if number == head.number && hash != head.hash {
            return Err(broken(number, "it is not the one that the log ended with".into()));
        }
        before = hash;
        found.push(record);
    }
    if found.len() < limit && number < head.number {
        return Err(broken(number + 1, "it is missing".into()));
    }
    Ok(found)
}

fn stored_head(disk: &Disk, tenant: &str) -> Result<Option<Head>, Broken> {
    let Some(bytes) = disk.get(&head_key(tenant))? else { return Ok(None) };
    let damaged = || Broken { number: 0, why: "the note of where it ends is damaged".into() };
    read_head(&bytes).map(Some).ok_or_else(damaged)
}

fn read_head(bytes: &[u8]) -> Option<Head> {
    let (number, hash) = bytes.split_first_chunk::<8>()?;
    Some(Head { number: u64::from_be_bytes(*number), hash: hash.try_into().ok()? })
}

/// What the first record of a tenant follows.
fn beginning(tenant: &str) -> [u8; 32] {
    Sha256::digest([RECORDS, tenant.as_bytes()].concat()).into()
}

fn head_key(tenant: &str) -> Vec<u8> {
    [HEADS, tenant.as_bytes()].concat()
}

/// The tenant goes with its length, so that none is the beginning of another.
fn records(tenant: &str) -> Vec<u8> {
    let size = u32::try_from(tenant.len()).unwrap_or(u32::MAX).to_be_bytes();
    [RECORDS, &size, tenant.as_bytes()].concat()
}

fn record_key(tenant: &str, number: u64) -> Vec<u8> {
    [&records(tenant)[..], &number.to_be_bytes()].concat()
}
