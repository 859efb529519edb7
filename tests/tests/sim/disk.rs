//! Disks that survive their hosts, and may lose unacknowledged writes when a host crashes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, LocalBoxFuture};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use remit_core::status::Status;
use remit_core::{Event, EventNumber, Fact, TaskId};
use remit_journal::{Journal, JournalError, MemoryJournal, Retention, Snapshot, TaskHead};
use remit_store::{DiskError, Pair, Write};
use remit_tool_node::ledger::Store;
use tokio::sync::oneshot;

use crate::past::{Happened, Past};

type Job = Box<dyn FnOnce() + Send>;

/// Writes in flight to the medium, in order.
struct Flush {
    waiting: Mutex<(VecDeque<Job>, bool)>,
    chance: Mutex<StdRng>,
}

impl Flush {
    fn new(seed: u64) -> Arc<Self> {
        let chance = Mutex::new(StdRng::seed_from_u64(seed));
        Arc::new(Self { waiting: Mutex::default(), chance })
    }

    /// Queues a write. It happens some milliseconds later, together with all writes queued by then.
    fn submit<R: Send + 'static>(
        self: &Arc<Self>,
        write: impl FnOnce() -> R + Send + 'static,
    ) -> oneshot::Receiver<R> {
        let (sender, receiver) = oneshot::channel();
        let mut waiting = self.waiting.lock().unwrap();
        waiting.0.push_back(Box::new(move || {
            // The receiver is gone if the request was cancelled.
            let _unheard = sender.send(write());
        }));
        if !std::mem::replace(&mut waiting.1, true) {
            let flush = Arc::clone(self);
            tokio::task::spawn_local(async move { flush.run().await });
        }
        receiver
    }

    async fn run(&self) {
        loop {
            let ms = self.chance.lock().unwrap().random_range(1..25);
            tokio::time::sleep(Duration::from_millis(ms)).await;
            let batch = {
                let mut waiting = self.waiting.lock().unwrap();
                if waiting.0.is_empty() {
                    waiting.1 = false;
                    return;
                }
                std::mem::take(&mut waiting.0)
            };
            batch.into_iter().for_each(|write| write());
        }
    }

    /// The host has crashed. A random number of the writes in flight still reaches the medium.
    fn crash(&self) {
        let mut waiting = self.waiting.lock().unwrap();
        let kept = self.chance.lock().unwrap().random_range(0..=waiting.0.len());
        // Writes reach the medium in order, so a prefix of them survives.
        let batch: Vec<Job> = waiting.0.drain(..).collect();
        waiting.1 = false;
        drop(waiting);
        batch.into_iter().take(kept).for_each(|write| write());
    }
}

/// The orchestrator's journal, in memory.
pub(crate) struct SimJournal {
    memory: Arc<MemoryJournal>,
    flush: Arc<Flush>,
    past: Arc<Past>,
}

impl SimJournal {
    pub(crate) fn new(seed: u64, past: Arc<Past>) -> Arc<Self> {
        Arc::new(Self { memory: Arc::default(), flush: Flush::new(seed), past })
    }

    pub(crate) fn crash(&self) {
        self.flush.crash();
    }

    /// Makes the disk refuse writes, or accept them again.
    pub(crate) fn refuse(&self, refuse: bool) {
        self.memory.refuse(refuse.then_some("the simulated disk is full"));
    }

    /// All events of a task that are on disk.
    pub(crate) fn events(&self, task: TaskId) -> Vec<Event> {
        self.memory.read("default", task, EventNumber(0), usize::MAX).unwrap()
    }

    /// Whether the intent of the call with this key and line is on disk.
    pub(crate) fn intends(&self, key: &[u8], line: &str) -> bool {
        let (task, call) = crate::history::call_of(key);
        self.events(task).iter().any(|event| {
            matches!(&event.fact, Fact::CallRequested(asked)
                if asked.call.0 == call && format!("{:?}", asked.args).contains(line))
        })
    }

    fn later<R: Send + 'static>(
        &self,
        write: impl FnOnce(&MemoryJournal) -> BoxFuture<'static, Result<R, JournalError>>
        + Send
        + 'static,
    ) -> BoxFuture<'static, Result<R, JournalError>> {
        let memory = Arc::clone(&self.memory);
        let done = self.flush.submit(move || write(&memory).now_or_never().unwrap());
        async move {
            done.await.unwrap_or_else(|_| Err(JournalError::Unavailable("the host is gone".into())))
        }
        .boxed()
    }
}

impl Journal for SimJournal {
    fn append(
        &self,
        tenant: &str,
        task: TaskId,
        events: &[Event],
        head: TaskHead,
    ) -> BoxFuture<'static, Result<(), JournalError>> {
        let (tenant, past) = (tenant.to_owned(), Arc::clone(&self.past));
        let events = events.to_vec();
        self.later(move |memory| {
            let appended = memory.append(&tenant, task, &events, head);
            let appended = appended.now_or_never().unwrap();
            if appended.is_ok() {
                past.note(Happened::Durable { task, events });
            }
            std::future::ready(appended).boxed()
        })
    }

    fn read(
        &self,
        tenant: &str,
        task: TaskId,
        after: EventNumber,
        limit: usize,
    ) -> Result<Vec<Event>, JournalError> {
        self.memory.read(tenant, task, after, limit)
    }

    fn snapshot(&self, tenant: &str, task: TaskId) -> Result<Option<Snapshot>, JournalError> {
        self.memory.snapshot(tenant, task)
    }

    fn keep_snapshot(
        &self,
        tenant: &str,
        task: TaskId,
        snapshot: Snapshot,
    ) -> BoxFuture<'static, Result<(), JournalError>> {
        let tenant = tenant.to_owned();
        self.later(move |memory| memory.keep_snapshot(&tenant, task, snapshot))
    }

    fn prune(
        &self,
        tenant: &str,
        task: TaskId,
        through: EventNumber,
    ) -> BoxFuture<'static, Result<(), JournalError>> {
        let tenant = tenant.to_owned();
        self.later(move |memory| memory.prune(&tenant, task, through))
    }

    fn remove(&self, tenant: &str, task: TaskId) -> BoxFuture<'static, Result<(), JournalError>> {
        let tenant = tenant.to_owned();
        self.later(move |memory| memory.remove(&tenant, task))
    }

    fn expired(
        &self,
        keep: &Retention,
        now_ms: u64,
        limit: usize,
    ) -> Result<Vec<(String, TaskId)>, JournalError> {
        self.memory.expired(keep, now_ms, limit)
    }

    fn head(&self, tenant: &str, task: TaskId) -> Result<Option<TaskHead>, JournalError> {
        self.memory.head(tenant, task)
    }

    fn list(
        &self,
        tenant: &str,
        status: Option<Status>,
        after: Option<TaskId>,
        limit: usize,
    ) -> Result<Vec<(TaskId, TaskHead)>, JournalError> {
        self.memory.list(tenant, status, after, limit)
    }

    fn asking(
        &self,
        tenant: &str,
        after: Option<TaskId>,
        limit: usize,
    ) -> Result<Vec<TaskId>, JournalError> {
        self.memory.asking(tenant, after, limit)
    }

    fn stored(&self) -> Result<Vec<(String, String, u64)>, JournalError> {
        self.memory.stored()
    }

    fn family(
        &self,
        tenant: &str,
        root: TaskId,
        limit: usize,
    ) -> Result<Vec<TaskId>, JournalError> {
        self.memory.family(tenant, root, limit)
    }

    fn unsettled(&self) -> Result<Vec<(String, TaskId)>, JournalError> {
        self.memory.unsettled()
    }

    fn find_key(
        &self,
        tenant: &str,
        key: &str,
    ) -> BoxFuture<'static, Result<Option<TaskId>, JournalError>> {
        let (tenant, key) = (tenant.to_owned(), key.to_owned());
        self.later(move |memory| memory.find_key(&tenant, &key))
    }

    fn health(&self) -> Result<(), JournalError> {
        self.memory.health()
    }

    fn last_commit_us(&self) -> u64 {
        self.memory.last_commit_us()
    }
}

/// The disk under a tool node's ledger, in memory.
pub(crate) struct SimStore {
    pairs: Arc<Mutex<BTreeMap<Vec<u8>, Vec<u8>>>>,
    flush: Arc<Flush>,
}

impl SimStore {
    pub(crate) fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self { pairs: Arc::default(), flush: Flush::new(seed) })
    }

    pub(crate) fn crash(&self) {
        self.flush.crash();
    }
}

/// A handle to the disk for one life of the host.
pub(crate) struct Mounted(pub(crate) Arc<SimStore>);

impl Store for Mounted {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, DiskError> {
        Ok(self.0.pairs.lock().unwrap().get(key).cloned())
    }

    fn scan(&self, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<Pair>, DiskError> {
        let pairs = self.0.pairs.lock().unwrap();
        let from = from.max(prefix).to_vec();
        let found = pairs.range(from..).take_while(|(key, _)| key.starts_with(prefix));
        Ok(found.take(limit).map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    fn commit(&self, writes: Vec<Write>) -> LocalBoxFuture<'static, Result<(), DiskError>> {
        let pairs = Arc::clone(&self.0.pairs);
        let done = self.0.flush.submit(move || {
            let mut pairs = pairs.lock().unwrap();
            for (key, value) in writes {
                match value {
                    Some(value) => pairs.insert(key, value),
                    None => pairs.remove(&key),
                };
            }
        });
        async move { done.await.map_err(|_| DiskError("the host is gone".into())) }.boxed_local()
    }
}
