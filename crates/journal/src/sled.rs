//! The journal on a disk of its own.

// A match that decides names every variant, so that a new one cannot fall through to another arm.
#![cfg_attr(not(test), deny(clippy::wildcard_enum_match_arm))]

mod append;
mod list;
mod meta;
pub(crate) mod notices;
mod remove;
mod snapshots;

use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use remit_core::status::Status;
use remit_core::{Event, EventNumber, TaskId};
pub use remit_store::{Compacted, OnDamage};
use remit_store::{Confine, Disk, DiskError, Settings, View};

use self::append::Append;
use self::notices::Told;
pub use self::notices::{Notice, Topic, UnsentNotices, What};
use super::body::Body;
use super::loss::{self, Lost};
use super::record::{self, Hash};
use super::{Journal, JournalError, Retention, Snapshot, TaskHead, keys};
use crate::audit::Audit;
use crate::limits;
use crate::meta::Meta;

/// The journal in a store, beside whatever else is there under other first bytes of keys.
#[derive(Debug, Clone)]
pub struct SledJournal {
    disk: Disk,
    holds: Holds,
    told: Told,
}

/// Backups and checks that read the journal now: meanwhile nothing is removed or replaced.
#[derive(Debug, Clone, Default)]
struct Holds(Arc<AtomicUsize>);

impl Holds {
    /// To be asked on the commit thread, where holds begin.
    fn check(&self) -> Result<(), JournalError> {
        if self.0.load(Ordering::SeqCst) == 0 { Ok(()) } else { Err(JournalError::Busy) }
    }
}

/// A hold on the journal: until it is dropped, nothing is removed or replaced.
#[derive(Debug)]
pub(super) struct Hold(Holds);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl From<DiskError> for JournalError {
    fn from(error: DiskError) -> Self {
        Self::Unavailable(error.0)
    }
}

impl SledJournal {
    /// Opens the journal in the folder `dir` for an orchestrator that serves, making it at first:
    /// commits that are missing stop the tasks that they were about, and no others. A second open of
    /// the folder, by any process, is refused.
    pub fn open(dir: &Path, cache_bytes: u64) -> Result<Self, JournalError> {
        Ok(Self::new(Disk::open_with(dir, Self::confining(cache_bytes))?))
    }

    /// The same for a person's command, while no orchestrator serves.
    pub fn open_at_rest(
        dir: &Path,
        cache_bytes: u64,
        on_damage: OnDamage,
    ) -> Result<Self, JournalError> {
        let settings = Settings { on_damage, ..Self::settings(cache_bytes) };
        Ok(Self::new(Disk::open_with(dir, settings)?))
    }

    /// The small records beside the events.
    pub fn meta(&self) -> Arc<dyn Meta> {
        Arc::new(meta::SledMeta(self.disk.clone()))
    }

    /// The mesh's own audit log. `now_ms` is the wall clock, in milliseconds since 1970.
    pub fn audit(&self, now_ms: Box<dyn Fn() -> u64>) -> Rc<Audit> {
        Audit::new(self.disk.clone(), now_ms)
    }

    /// Gives the space of what was removed back to the file system; the journal works on meanwhile.
    pub async fn compact(&self) -> Result<Compacted, JournalError> {
        Ok(self.disk.compact().await?)
    }

    /// Why nothing can be written: less is there than was acknowledged.
    pub fn damage(&self) -> Option<String> {
        self.disk.damage().map(ToString::to_string)
    }

    /// The journal in `disk`.
    pub fn new(disk: Disk) -> Self {
        Self { disk, holds: Holds::default(), told: Told::default() }
    }

    /// How the store of a journal is opened, with a cache of this size.
    pub fn settings(cache_bytes: u64) -> Settings {
        Settings {
            bulk: keys::BULK,
            advice: "Nothing of it is used until you restore it from a backup (`remit restore`) or accept the loss (`remit verify --accept-loss`); `remit verify` names the tasks and events that are known to be missing. Which tasks a missing commit was about is not known",
            ..Settings::new(cache_bytes)
        }
    }

    /// The same for an orchestrator that serves: commits that are missing stop the tasks that they were
    /// about, and no others.
    pub fn confining(cache_bytes: u64) -> Settings {
        let confine = Confine { subject: keys::subject, record: loss::record };
        Settings { confine: Some(confine), ..Self::settings(cache_bytes) }
    }

    /// The store that it is in.
    pub const fn disk(&self) -> &Disk {
        &self.disk
    }

    /// A hold that begins now. On the commit thread it is in order with all that is written.
    pub(super) fn hold(&self) -> Hold {
        self.holds.0.fetch_add(1, Ordering::SeqCst);
        Hold(self.holds.clone())
    }

    pub(super) fn stored_head(
        &self,
        tenant: &str,
        task: TaskId,
    ) -> Result<Option<TaskHead>, JournalError> {
        let bytes = self.disk.get(&keys::head(tenant, task))?;
        bytes.map(|bytes| read_head(task, &bytes)).transpose()
    }

    /// The hash that the event after `after` must follow.
    pub(super) fn hash_of(
        &self,
        tenant: &str,
        task: TaskId,
        head: &TaskHead,
        after: EventNumber,
    ) -> Result<Hash, JournalError> {
        if after.0 == 0 {
            return Ok(record::beginning(tenant, task));
        }
        if after == head.pruned {
            return Ok(head.pruned_hash);
        }
        let damaged = |why| JournalError::Corrupt { task, number: after, why };
        let bytes = self.disk.get(&keys::event(tenant, task, after))?;
        let bytes = bytes.ok_or_else(|| damaged("it is missing".into()))?;
        record::check(&bytes, None).map_err(damaged)
    }

    /// The content of a body, as it is stored.
    pub(super) fn body(&self, tenant: &str, body: &Body) -> Result<Vec<u8>, String> {
        let prefix = keys::body(tenant, &body.hash);
        let pieces = keys::pieces_of(body.size as usize).len();
        let pieces = self.disk.scan(&prefix, &prefix, pieces).map_err(|error| error.to_string())?;
        Ok(pieces.into_iter().flat_map(|(_, piece)| piece).collect())
    }

    /// Whether a task with this head may be read from after `after` on. `None`: it has nothing more.
    fn readable(
        task: TaskId,
        head: Option<TaskHead>,
        after: EventNumber,
    ) -> Result<Option<TaskHead>, JournalError> {
        let Some(head) = head.filter(|head| after < head.number) else { return Ok(None) };
        if after < head.pruned {
            let (asked, first) = (after.next(), head.pruned.next());
            return Err(JournalError::Pruned { task, asked, first });
        }
        Ok(Some(head))
    }
}

/// Where a reader of events has come to.
struct Reading {
    number: EventNumber,
    before: Hash,
    events: Vec<Event>,
    bytes: usize,
}

impl SledJournal {
    /// Reads the next events of a task, a few at a time.
    fn read_some(
        &self,
        tenant: &str,
        task: TaskId,
        head: &TaskHead,
        reading: &mut Reading,
        limit: usize,
    ) -> Result<(), JournalError> {
        let from = keys::event(tenant, task, reading.number.next());
        let stored = self.disk.scan(&keys::events(tenant, task), &from, limit)?;
        if stored.is_empty() {
            let (number, why) = (reading.number.next(), "it is missing".to_owned());
            return Err(JournalError::Corrupt { task, number, why });
        }
        for (key, bytes) in &stored {
            let number = reading.number.next();
            let damaged = |why: String| JournalError::Corrupt { task, number, why };
            if keys::number(key) != Some(number) {
                return Err(damaged("it is missing".into()));
            }
            let mut fetched = 0;
            let fetch = |body: &Body| {
                fetched += body.size as usize;
                self.body(tenant, body)
            };
            let (event, hash) =
                record::open(bytes, number, Some(&reading.before), fetch).map_err(damaged)?;
            if number == head.number && hash != head.hash {
                return Err(damaged("it is not the one that the task's head names".into()));
            }
            reading.before = hash;
            reading.number = number;
            reading.events.push(event);
            reading.bytes += bytes.len() + fetched;
            if reading.bytes >= limits::READ_BYTES {
                break;
            }
        }
        Ok(())
    }
}

/// Events that are scanned at once: few enough that large ones do not fill the memory.
const SCANNED: usize = 128;

impl Journal for SledJournal {
    fn append(
        &self,
        tenant: &str,
        task: TaskId,
        events: &[Event],
        head: TaskHead,
    ) -> BoxFuture<'static, Result<(), JournalError>> {
        let append = Append::new(tenant, task, events, head, &self.told);
        let told = append.is_told().then(|| self.told.clone());
        // Tasks take turns, so that one that writes much waits for itself.
        let (lane, bytes) = (*task.as_bytes(), append.bytes());
        let done = self.disk.transact_in(lane, bytes, move |view| append.decide(view));
        async move {
            done.await??;
            if let Some(told) = told {
                told.tell();
            }
            Ok(())
        }
        .boxed()
    }

    fn read(
        &self,
        tenant: &str,
        task: TaskId,
        after: EventNumber,
        limit: usize,
    ) -> Result<Vec<Event>, JournalError> {
        // The head first: what it promises must then be there.
        let head = self.stored_head(tenant, task)?;
        let Some(head) = Self::readable(task, head, after)? else { return Ok(Vec::new()) };
        let read = || {
            let before = self.hash_of(tenant, task, &head, after)?;
            let mut reading = Reading { number: after, before, events: Vec::new(), bytes: 0 };
            while reading.number < head.number
                && reading.events.len() < limit
                && reading.bytes < limits::READ_BYTES
            {
                let left = (limit - reading.events.len()).min(SCANNED);
                self.read_some(tenant, task, &head, &mut reading, left)?;
            }
            Ok(reading.events)
        };
        read().or_else(|error| {
            // Damaged, or removed while it was read?
            let head = self.stored_head(tenant, task)?;
            if Self::readable(task, head, after)?.is_none() { Ok(Vec::new()) } else { Err(error) }
        })
    }

    fn hash(
        &self,
        tenant: &str,
        task: TaskId,
        number: EventNumber,
    ) -> Result<Option<[u8; 32]>, JournalError> {
        let Some(head) = self.stored_head(tenant, task)? else { return Ok(None) };
        self.hash_of(tenant, task, &head, number).map(Some)
    }

    fn snapshot(&self, tenant: &str, task: TaskId) -> Result<Option<Snapshot>, JournalError> {
        self.read_snapshot(tenant, task)
    }

    fn keep_snapshot(
        &self,
        tenant: &str,
        task: TaskId,
        snapshot: Snapshot,
    ) -> BoxFuture<'static, Result<(), JournalError>> {
        self.write_snapshot(tenant, task, snapshot)
    }

    fn prune(
        &self,
        tenant: &str,
        task: TaskId,
        through: EventNumber,
    ) -> BoxFuture<'static, Result<(), JournalError>> {
        self.clone().prune_in_steps(tenant.to_owned(), task, through).boxed()
    }

    fn remove(&self, tenant: &str, task: TaskId) -> BoxFuture<'static, Result<(), JournalError>> {
        self.clone().remove_in_steps(tenant.to_owned(), task).boxed()
    }

    fn expired(
        &self,
        keep: &Retention,
        now_ms: u64,
        limit: usize,
    ) -> Result<Vec<(String, TaskId)>, JournalError> {
        self.list_expired(keep, now_ms, limit)
    }

    fn head(&self, tenant: &str, task: TaskId) -> Result<Option<TaskHead>, JournalError> {
        self.stored_head(tenant, task)
    }

    fn list(
        &self,
        tenant: &str,
        status: Option<Status>,
        after: Option<TaskId>,
        limit: usize,
    ) -> Result<Vec<(TaskId, TaskHead)>, JournalError> {
        match status {
            Some(status) => self.list_placed(tenant, status, after, limit),
            None => self.list_all(tenant, after, limit),
        }
    }

    fn asking(
        &self,
        tenant: &str,
        after: Option<TaskId>,
        limit: usize,
    ) -> Result<Vec<TaskId>, JournalError> {
        self.list_asking(tenant, after, limit)
    }

    fn stored(&self) -> Result<Vec<(String, String, u64)>, JournalError> {
        self.sum_stored()
    }

    fn family(
        &self,
        tenant: &str,
        root: TaskId,
        limit: usize,
    ) -> Result<Vec<TaskId>, JournalError> {
        self.list_family(tenant, root, limit)
    }

    fn unsettled(&self) -> Result<Vec<(String, TaskId)>, JournalError> {
        self.list_live()
    }

    fn find_key(
        &self,
        tenant: &str,
        key: &str,
    ) -> BoxFuture<'static, Result<Option<TaskId>, JournalError>> {
        let key = keys::created(tenant, key);
        // On the commit thread, so that it answers after what was queued before it is durable.
        let looked = self.disk.transact_after_all(0, move |view: &View<'_>| {
            let found = view.get(&key)?.and_then(|task| keys::task(&task));
            Ok(found.map_or(Ok(Vec::new()), Err))
        });
        async move { Ok(looked.await?.err()) }.boxed()
    }

    fn lost(&self) -> Result<Vec<Lost>, JournalError> {
        Ok(loss::losses(&self.disk)?)
    }

    fn on_disk(&self) -> Option<SledJournal> {
        Some(self.clone())
    }

    fn health(&self) -> Result<(), JournalError> {
        Ok(self.disk.health()?)
    }

    fn last_commit_us(&self) -> u64 {
        self.disk.last_commit_us()
    }
}

fn read_head(task: TaskId, bytes: &[u8]) -> Result<TaskHead, JournalError> {
    TaskHead::from_bytes(bytes).map_err(|why| JournalError::Corrupt {
        task,
        number: EventNumber(0),
        why,
    })
}

/// A task's head as a decision on the commit thread sees it.
fn head_in(view: &View<'_>, tenant: &str, task: TaskId) -> Result<Option<TaskHead>, JournalError> {
    let bytes = view.get(&keys::head(tenant, task))?;
    bytes.map(|bytes| read_head(task, &bytes)).transpose()
}
