//! What operators may be told of: an entry beside the event that it is about, in the same commit, and
//! for each sink how far it was told.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use remit_core::event::Fact;
use remit_core::{Event, EventNumber, TaskId};
use remit_store::{View, Write};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::super::{JournalError, keys};
use super::SledJournal;
use crate::limits;

/// Notices that are removed in one commit.
const FORGOTTEN_AT_ONCE: usize = 1_000;

/// Something that an operator may be told of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// The tenant of the task.
    pub tenant: String,
    /// The task.
    pub task: TaskId,
    /// The event that it is about.
    pub event: EventNumber,
    /// When that was recorded, in milliseconds since 1970.
    pub time_ms: u64,
    /// What happened.
    pub what: What,
}

/// What happened. The names are for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    /// A call waits for approval.
    Approval,
    /// An agent asks for a capability.
    Capability,
    /// Somebody has to say what became of a call.
    Settlement,
    /// The task ended with a result.
    Completed,
    /// It ended with a failure.
    Failed,
    /// Somebody ended it.
    Cancelled,
}

impl What {
    const fn of(fact: &Fact) -> Option<Self> {
        match fact {
            Fact::ApprovalRequested(_) => Some(Self::Approval),
            Fact::CapabilityRequested(_) => Some(Self::Capability),
            Fact::SettlementRequested(_) => Some(Self::Settlement),
            Fact::TaskCompleted(_) => Some(Self::Completed),
            Fact::TaskFailed(_) => Some(Self::Failed),
            Fact::TaskCancelled(_) => Some(Self::Cancelled),
            _ => None,
        }
    }

    /// Whether the task has ended.
    pub const fn is_end(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }

    /// The name that is told.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Approval => "approval",
            Self::Capability => "capability",
            Self::Settlement => "settlement",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Whether notices are kept, and word of new ones.
#[derive(Debug, Clone)]
pub(super) struct Told {
    kept: Arc<AtomicBool>,
    added: watch::Sender<()>,
}

impl Default for Told {
    fn default() -> Self {
        Self { kept: Arc::default(), added: watch::Sender::new(()) }
    }
}

impl Told {
    pub(super) fn is_kept(&self) -> bool {
        self.kept.load(Ordering::Relaxed)
    }

    fn keep(&self, kept: bool) {
        self.kept.store(kept, Ordering::Relaxed);
    }

    /// Some were added, and are durable.
    pub(super) fn tell(&self) {
        self.added.send_replace(());
    }
}

/// What of an append somebody may be told. What a task took over of another one's past is old.
pub(super) fn notices(tenant: &str, task: TaskId, events: &[Event]) -> Vec<Notice> {
    let forked = |event: &Event| matches!(event.fact, Fact::TaskForked(_));
    let from = events.iter().rposition(forked).map_or(0, |at| at + 1);
    let notice = |event: &Event| {
        let (tenant, what) = (tenant.to_owned(), What::of(&event.fact)?);
        Some(Notice { tenant, task, event: event.number, time_ms: event.time_ms, what })
    };
    events.iter().skip(from).filter_map(notice).collect()
}

/// The writes by which notices get the next numbers.
pub(super) fn add(view: &View<'_>, notices: &[Notice]) -> Result<Vec<Write>, JournalError> {
    let mut number = view.get(keys::NOTICE_END)?.map_or(0, |bytes| number_of(&bytes));
    let mut writes = Vec::new();
    for notice in notices {
        number += 1;
        let bytes = rmp_serde::to_vec(notice).map_err(|error| unwritable(&error))?;
        writes.push((keys::notice(number), Some(bytes)));
    }
    writes.push((keys::NOTICE_END.to_vec(), Some(number.to_be_bytes().to_vec())));
    Ok(writes)
}

fn unwritable(error: &dyn std::fmt::Display) -> JournalError {
    remit_store::DiskError(format!("a notice cannot be written: {error}")).into()
}

fn number_of(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

impl SledJournal {
    /// Keeps notices for these sinks from now on, and nothing for others. A sink that is new is told
    /// of what comes after. Durable when it answers.
    pub async fn keep_notices_for(&self, sinks: &[String]) -> Result<(), JournalError> {
        let wanted: BTreeSet<Vec<u8>> =
            sinks.iter().map(|name| keys::notice_cursor(name)).collect();
        self.told.keep(!wanted.is_empty());
        let kept = self.disk.scan(keys::ALL_NOTICE_CURSORS, &[], usize::MAX)?;
        let end = self.disk.get(keys::NOTICE_END)?.unwrap_or_else(|| vec![0; 8]);
        let over = kept.iter().filter(|(key, _)| !wanted.contains(key));
        let mut writes: Vec<Write> = over.map(|(key, _)| (key.clone(), None)).collect();
        let known: BTreeSet<&Vec<u8>> = kept.iter().map(|(key, _)| key).collect();
        let new = wanted.iter().filter(|key| !known.contains(key));
        writes.extend(new.map(|key| (key.clone(), Some(end.clone()))));
        self.disk.commit(writes).await?;
        self.forget_told().await
    }

    /// Changes when notices were added.
    pub fn notices_added(&self) -> watch::Receiver<()> {
        self.told.added.subscribe()
    }

    /// Up to `limit` notices that this sink was not told of, by their numbers, and how many there are
    /// in all. More than [`limits::NOTICES`] are not kept: `skipped` of the oldest are passed over.
    pub fn untold(&self, sink: &str, limit: usize) -> Result<Untold, JournalError> {
        let told = self.cursor(&keys::notice_cursor(sink))?;
        let end = self.disk.get(keys::NOTICE_END)?.map_or(0, |bytes| number_of(&bytes));
        let first = told.max(end.saturating_sub(limits::NOTICES));
        let from = keys::notice(first + 1);
        let kept = self.disk.scan(keys::ALL_NOTICES, &from, limit)?;
        let read = |(key, bytes): (Vec<u8>, Vec<u8>)| {
            Some((keys::number(&key)?.0, rmp_serde::from_slice(&bytes).ok()))
        };
        let next = kept.into_iter().filter_map(read).collect();
        Ok(Untold { skipped: first - told, next })
    }

    /// Notes that this sink was told of everything up to this notice. Durable when it answers.
    pub async fn told(&self, sink: &str, number: u64) -> Result<(), JournalError> {
        let cursor = (keys::notice_cursor(sink), Some(number.to_be_bytes().to_vec()));
        self.disk.commit(vec![cursor]).await?;
        self.forget_told().await
    }

    /// Removes notices that every sink was told of.
    async fn forget_told(&self) -> Result<(), JournalError> {
        let cursors = self.disk.scan(keys::ALL_NOTICE_CURSORS, &[], usize::MAX)?;
        let least = cursors.iter().map(|(_, number)| number_of(number)).min().unwrap_or(u64::MAX);
        loop {
            let page = self.disk.scan(keys::ALL_NOTICES, &[], FORGOTTEN_AT_ONCE)?;
            let is_over = |key: &[u8]| keys::number(key).is_some_and(|number| number.0 <= least);
            let over = page.into_iter().filter(|(key, _)| is_over(key));
            let writes: Vec<Write> = over.map(|(key, _)| (key, None)).collect();
            if writes.is_empty() {
                return Ok(());
            }
            self.disk.commit(writes).await?;
        }
    }

    fn cursor(&self, key: &[u8]) -> Result<u64, JournalError> {
        Ok(self.disk.get(key)?.map_or(0, |bytes| number_of(&bytes)))
    }
}

/// What a sink was not told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Untold {
    /// How many were passed over, since too many wait.
    pub skipped: u64,
    /// The next ones, with their numbers. `None`: it is damaged.
    pub next: Vec<(u64, Option<Notice>)>,
}
