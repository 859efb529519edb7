//! What operators are to be told: in the same commit as the event that it is about, an entry for each
//! sink, in a queue for its topic and for who created the task.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use remit_core::event::Fact;
use remit_core::{Event, EventNumber, TaskId};
use remit_store::{DiskError, Pair, View, Write};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::super::{JournalError, keys};
use super::SledJournal;
use crate::limits;

/// Notices that are looked at, and removed, in one commit.
const FORGOTTEN_AT_ONCE: usize = 1_000;

/// What a sink may be told of. Each has queues of its own, so that neither waits for the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Topic {
    /// Something waits for a person.
    Question,
    /// A task has ended.
    Ended,
}

impl Topic {
    /// Every topic.
    pub const ALL: [Self; 2] = [Self::Question, Self::Ended];

    const fn byte(self) -> u8 {
        match self {
            Self::Question => b'q',
            Self::Ended => b'e',
        }
    }
}

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
            Fact::TaskCreated(_)
            | Fact::AttemptStarted { .. }
            | Fact::AttemptEnded { .. }
            | Fact::GrantAdded(_)
            | Fact::GrantRevoked { .. }
            | Fact::GrantRepinned { .. }
            | Fact::GrantEnded { .. }
            | Fact::CallRequested(_)
            | Fact::CallCompleted { .. }
            | Fact::ResultOffloaded(_)
            | Fact::Introduced(_)
            | Fact::NotIntroduced { .. }
            | Fact::CallDenied(_)
            | Fact::CallUnknown { .. }
            | Fact::CallRecalled { .. }
            | Fact::ApprovalDecided(_)
            | Fact::CapabilityDecided(_)
            | Fact::SettlementDecided(_)
            | Fact::SettlementWithdrawn { .. }
            | Fact::LogEmitted { .. }
            | Fact::InputAccepted { .. }
            | Fact::InputRequested { .. }
            | Fact::InputDelivered { .. }
            | Fact::SteersRequested { .. }
            | Fact::SteersDelivered { .. }
            | Fact::TimerSet { .. }
            | Fact::TimerFired { .. }
            | Fact::TaskPaused { .. }
            | Fact::TaskResumed { .. }
            | Fact::CancelRequested(_)
            | Fact::TaskForked(_)
            | Fact::TaskUpgraded(_) => None,
        }
    }

    /// What it is about.
    pub const fn topic(self) -> Topic {
        match self {
            Self::Approval | Self::Capability | Self::Settlement => Topic::Question,
            Self::Completed | Self::Failed | Self::Cancelled => Topic::Ended,
        }
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

/// The sinks for which notices are kept, and word of new ones.
#[derive(Debug, Clone)]
pub(super) struct Told {
    sinks: Arc<Mutex<Vec<(String, Topic)>>>,
    added: watch::Sender<()>,
}

impl Default for Told {
    fn default() -> Self {
        Self { sinks: Arc::default(), added: watch::Sender::new(()) }
    }
}

impl Told {
    /// Each sink with each of its topics.
    pub(super) fn sinks(&self) -> Vec<(String, Topic)> {
        self.sinks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn keep_for(&self, sinks: &[(String, Topic)]) {
        sinks.clone_into(&mut self.sinks.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Some were added, and are durable.
    pub(super) fn tell(&self) {
        self.added.send_replace(());
    }
}

/// The notices of an append. Events that a fork copied from another task's past give none.
pub(super) fn notices(tenant: &str, task: TaskId, events: &[Event]) -> Vec<Notice> {
    let forked = |event: &Event| matches!(event.fact, Fact::TaskForked(_));
    let from = events.iter().rposition(forked).map_or(0, |at| at + 1);
    let notice = |event: &Event| {
        let (tenant, what) = (tenant.to_owned(), What::of(&event.fact)?);
        Some(Notice { tenant, task, event: event.number, time_ms: event.time_ms, what })
    };
    events.iter().skip(from).filter_map(notice).collect()
}

/// How many notices of one creator wait for a sink, and how many were given up since it was last told
/// of that.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Count {
    waiting: usize,
    given_up: usize,
}

impl Count {
    fn read(view: &View<'_>, key: &[u8]) -> Result<Self, DiskError> {
        Ok(view.get(key)?.map(|bytes| Self::of(&bytes)).unwrap_or_default())
    }

    fn of(value: &[u8]) -> Self {
        rmp_serde::from_slice(value).unwrap_or_default()
    }

    fn write(self, key: Vec<u8>) -> Result<Write, DiskError> {
        let is_empty = self.waiting == 0 && self.given_up == 0;
        Ok((key, if is_empty { None } else { Some(packed(&self)?) }))
    }
}

/// A count of waiting notices that is not how many there are.
pub(crate) struct Miscount {
    key: Vec<u8>,
    counted: Count,
    waiting: usize,
}

impl fmt::Display for Miscount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sink = keys::tenant(&self.key).unwrap_or_default();
        let (waiting, counted) = (self.waiting, self.counted.waiting);
        write!(f, "sink {sink}: {waiting} notices of one creator wait, counted {counted}")
    }
}

impl Miscount {
    /// The write that corrects it.
    pub(crate) fn correction(self) -> Result<Write, DiskError> {
        Count { waiting: self.waiting, ..self.counted }.write(self.key)
    }
}

/// Compares the counts of notices among `records` with the notices.
pub(crate) fn miscounts(records: &[Pair]) -> Vec<Miscount> {
    let mut counts: BTreeMap<Vec<u8>, (Count, usize)> = BTreeMap::new();
    for (key, value) in records {
        if key.starts_with(keys::ALL_NOTICE_COUNTS) {
            counts.entry(key.clone()).or_default().0 = Count::of(value);
        } else if let Some(count) = keys::count_of_notice(key) {
            counts.entry(count).or_default().1 += 1;
        }
    }
    let wrong = counts.into_iter().filter(|(_, (counted, waiting))| counted.waiting != *waiting);
    wrong.map(|(key, (counted, waiting))| Miscount { key, counted, waiting }).collect()
}

/// The writes by which notices of tasks of this creator get the next numbers, and a place in the queue
/// of each sink. Those of one creator push out only its own, the oldest first.
pub(super) fn add(
    view: &View<'_>,
    sinks: &[(String, Topic)],
    creator: &str,
    notices: &[Notice],
) -> Result<Vec<Write>, JournalError> {
    let last = view.get(keys::NOTICE_END)?.map_or(0, |bytes| number_of(&bytes));
    let end = last + notices.len() as u64;
    let mut writes = vec![(keys::NOTICE_END.to_vec(), Some(end.to_be_bytes().to_vec()))];
    for (sink, topic) in sinks {
        let new = (last + 1..).zip(notices).filter(|(_, notice)| notice.what.topic() == *topic);
        let new: Vec<(u64, &Notice)> = new.collect();
        if new.is_empty() {
            continue;
        }
        let queue = keys::notices_of(sink, topic.byte(), creator);
        let count_key = keys::notice_count(sink, topic.byte(), creator);
        let mut count = Count::read(view, &count_key)?;
        count.waiting += new.len();
        let over = count.waiting.saturating_sub(limits::NOTICES);
        for (oldest, _) in view.scan(&queue, &queue, over)? {
            writes.push((oldest, None));
            count.waiting -= 1;
            count.given_up += 1;
        }
        for (number, notice) in new {
            let key = [&queue[..], &number.to_be_bytes()].concat();
            writes.push((key, Some(packed(notice)?)));
        }
        writes.push(count.write(count_key)?);
    }
    Ok(writes)
}

fn packed(what: &impl Serialize) -> Result<Vec<u8>, DiskError> {
    rmp_serde::to_vec(what)
        .map_err(|error| DiskError(format!("a notice cannot be written: {error}")))
}

fn number_of(bytes: &[u8]) -> u64 {
    bytes.last_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

impl SledJournal {
    /// Adds a notice for each of these sinks and topics to every event from now on that is one. Call
    /// it before the first task goes on.
    pub fn add_notices_for(&self, sinks: &[(String, Topic)]) {
        self.told.keep_for(sinks);
    }

    /// Keeps notices for these sinks and topics from now on, and removes what was kept for others. A
    /// sink that is new is told of what comes after. Durable when it answers.
    pub async fn keep_notices_for(&self, sinks: &[(String, Topic)]) -> Result<(), JournalError> {
        self.add_notices_for(sinks);
        let wanted: Vec<[Vec<u8>; 2]> = sinks
            .iter()
            .map(|(sink, topic)| {
                [keys::notices(sink, topic.byte()), keys::notice_counts(sink, topic.byte())]
            })
            .collect();
        let is_wanted = |key: &[u8]| wanted.iter().flatten().any(|prefix| key.starts_with(prefix));
        for all in [keys::ALL_NOTICES, keys::ALL_NOTICE_COUNTS] {
            let mut from = all.to_vec();
            loop {
                let page = self.disk.scan(all, &from, FORGOTTEN_AT_ONCE)?;
                let Some((last, _)) = page.last() else { break };
                from = [&last[..], &[0]].concat();
                let over = page.into_iter().filter(|(key, _)| !is_wanted(key));
                self.disk.commit(over.map(|(key, _)| (key, None)).collect()).await?;
            }
        }
        Ok(())
    }

    /// Changes when notices were added.
    pub fn notices_added(&self) -> watch::Receiver<()> {
        self.told.added.subscribe()
    }

    /// What this sink is to be told next of a topic, if anything waits: the oldest notice of the
    /// creator after the one of `last`, so that creators take turns.
    pub fn untold(
        &self,
        sink: &str,
        topic: Topic,
        last: Option<&UnsentNotices>,
    ) -> Result<Option<UnsentNotices>, JournalError> {
        let all = keys::notices(sink, topic.byte());
        let from = last.map_or_else(|| all.clone(), UnsentNotices::after_its_creator);
        let mut found = self.disk.scan(&all, &from, 1)?;
        if found.is_empty() {
            found = self.disk.scan(&all, &all, 1)?;
        }
        let Some((key, notice)) = found.pop() else { return Ok(None) };
        let creator = key.get(all.len()..key.len() - 8).unwrap_or_default();
        let count = [&keys::notice_counts(sink, topic.byte())[..], creator].concat();
        let given_up = self.disk.get(&count)?.and_then(|bytes| rmp_serde::from_slice(&bytes).ok());
        Ok(Some(UnsentNotices {
            number: number_of(&key),
            creator: String::from_utf8_lossy(creator.get(1..).unwrap_or_default()).into_owned(),
            notice: rmp_serde::from_slice(&notice).ok(),
            given_up: given_up.map_or(0, |count: Count| count.given_up),
            key,
            count,
        }))
    }

    /// Notes that a sink was told of this, and of what was given up. Durable when it answers.
    pub async fn told(&self, told: &UnsentNotices) -> Result<(), JournalError> {
        let (key, count_key, given_up) = (told.key.clone(), told.count.clone(), told.given_up);
        let note = move |view: &View<'_>| {
            let mut count = Count::read(view, &count_key)?;
            count.given_up = count.given_up.saturating_sub(given_up);
            // It may have been pushed out meanwhile.
            let waited = view.get(&key)?.is_some();
            count.waiting = count.waiting.saturating_sub(usize::from(waited));
            Ok(Ok::<_, std::convert::Infallible>(vec![(key, None), count.write(count_key)?]))
        };
        self.disk.transact(0, note).await.map(|Ok(())| ()).map_err(JournalError::from)
    }
}

/// What a sink was not told of.
#[derive(Debug, Clone)]
pub struct UnsentNotices {
    /// Its number, which rises.
    pub number: u64,
    /// Who created the task, as a SPIFFE name; empty: not known.
    pub creator: String,
    /// The notice. `None`: it is damaged.
    pub notice: Option<Notice>,
    /// How many of its creator's were given up, since too many waited.
    pub given_up: usize,
    key: Vec<u8>,
    /// The key of the count of its creator's.
    count: Vec<u8>,
}

impl UnsentNotices {
    /// Where the notices of the next creator begin.
    fn after_its_creator(&self) -> Vec<u8> {
        let queue = self.key.get(..self.key.len() - 8).unwrap_or_default();
        [queue, &[u8::MAX; 9]].concat()
    }
}
