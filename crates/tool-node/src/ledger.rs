//! The ledger: what became of every call with effects, by its idempotency key, on disk.
//!
//! A key is asked for when its owner does not know whether a call happened: after a crash, or a lost
//! connection. The ledger is bounded in size and age; what falls out of it was settled long ago.

mod damage;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use remit_core::Outcome;
use remit_store::{Disk, DiskError, OnDamage, Pair, Settings, Write};
use remit_vat::vat::offload;

pub use self::damage::Checked;
use crate::limits;
use crate::serve::state;

/// What is known of a call.
#[derive(Debug, Clone, PartialEq)]
pub enum CallState {
    /// It did not begin, or was forgotten.
    NeverStarted,
    /// It began, and no end was recorded.
    Started,
    /// Nothing is recorded, and the records do not go back to when it was sent.
    Forgotten,
    /// It ended so, and cost so much. Objects that it returned are gone.
    Completed(Outcome<u32>, u64),
}

/// A ledger in a folder of its own. Used by one node at a time.
pub struct Ledger {
    store: Rc<dyn Store>,
    order: RefCell<Order>,
}

/// Where a ledger keeps its records: a disk, or what a simulation has in its place.
pub trait Store {
    /// The value of a key.
    ///
    /// # Errors
    /// The medium cannot be read.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, DiskError>;

    /// Up to `limit` pairs whose keys begin with `prefix` and are at or after `from`, in order.
    ///
    /// # Errors
    /// The medium cannot be read.
    fn scan(&self, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<Pair>, DiskError>;

    /// Applies all of `writes` at once, durably when it answers. They take effect in the order of
    /// the calls.
    fn commit(&self, writes: Vec<Write>) -> LocalBoxFuture<'static, Result<(), DiskError>>;
}

impl Store for Disk {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, DiskError> {
        Self::get(self, key)
    }

    fn scan(&self, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<Pair>, DiskError> {
        Self::scan(self, prefix, from, limit)
    }

    fn commit(&self, writes: Vec<Write>) -> LocalBoxFuture<'static, Result<(), DiskError>> {
        Self::commit(self, writes).boxed_local()
    }
}

/// Which records there are, oldest first, so that the oldest can be forgotten.
#[derive(Default)]
struct Order {
    entries: BTreeMap<u64, Entry>,
    places: HashMap<Vec<u8>, u64>,
    bytes: u64,
    last: u64,
    /// Of what was sent before this moment, in milliseconds since 1970, records may be missing.
    floor_ms: u64,
}

struct Entry {
    time_ms: u64,
    bytes: u64,
    /// CRC-32 of the record.
    sum: u32,
    /// Whether writing it failed, so that the store may hold the one before, or none.
    is_unsure: bool,
    key: Vec<u8>,
}

/// Records by key.
const RECORD: u8 = b'r';
/// Keys by place in the order, eight bytes, with time (eight bytes), size (eight bytes) and CRC-32
/// of the record before the key. They vouch for the records, which are read one by one.
const PLACE: u8 = b'p';
/// The moment before which records may be missing, eight bytes.
const FLOOR: &[u8] = b"f";

impl Ledger {
    /// Opens the ledger in `dir`, making it at first.
    ///
    /// # Errors
    /// The folder cannot be read or written, or another node has it.
    pub async fn open(dir: &Path) -> Result<Self, DiskError> {
        let dir = dir.to_owned();
        let opened = offload(move || {
            let disk = Disk::open_with(&dir, settings(OnDamage::Refuse))?;
            let order = read_order(&disk)?;
            Ok::<_, DiskError>((disk, order))
        });
        let (disk, mut order) = opened.await.map_err(|e| DiskError(e.to_string()))??;
        if order.floor_ms == 0 {
            // A new one knows of nothing that was sent before, perhaps to one that is lost.
            order.floor_ms = now_ms();
            disk.commit(vec![order.floor()]).await?;
        }
        Ok(Self { store: Rc::new(disk), order: RefCell::new(order) })
    }

    /// The ledger in `store`.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn over(store: Rc<dyn Store>) -> Result<Self, DiskError> {
        let order = RefCell::new(read_order(&*store)?);
        Ok(Self { store, order })
    }

    /// Whether a call that was sent so many milliseconds ago would be recorded if it had begun.
    pub fn remembers(&self, age_ms: u64) -> bool {
        now_ms().saturating_sub(age_ms) >= self.order.borrow().floor_ms
    }

    /// Forgets a call, durably, as though it had never begun.
    ///
    /// # Errors
    /// It cannot be written.
    pub async fn forget(&self, key: &[u8]) -> Result<(), DiskError> {
        let mut writes = vec![(record_key(key), None)];
        {
            let mut order = self.order.borrow_mut();
            if let Some(place) = order.places.get(key).copied() {
                order.leave(place, &mut writes);
            }
        }
        self.store.commit(writes).await
    }

    /// What is known of the call with this key.
    ///
    /// # Errors
    /// It cannot be read, or what is recorded is damaged.
    pub fn look_up(&self, key: &[u8]) -> Result<CallState, DiskError> {
        let order = self.order.borrow();
        let entry = order.places.get(key).and_then(|place| order.entries.get(place));
        let sum = entry.filter(|entry| !entry.is_unsure).map(|entry| entry.sum);
        match (sum, self.store.get(&record_key(key))?) {
            (None, None) => Ok(CallState::NeverStarted),
            // Not what was written last, or nothing: whether the call happened is not known.
            (Some(sum), stored) if stored.as_deref().map(crc32fast::hash) != Some(sum) => {
                Err(DiskError(
                    "a record of the ledger is damaged or missing: settle the call by hand".into(),
                ))
            }
            (_, stored) => state::from_bytes(&stored.unwrap_or_default())
                .map_err(|e| DiskError(format!("a record of the ledger cannot be read: {e}"))),
        }
    }

    /// Records, durably, that the call begins.
    ///
    /// # Errors
    /// It cannot be written: the call must not begin.
    pub async fn started(&self, key: &[u8]) -> Result<(), DiskError> {
        self.record(key, &CallState::Started).await
    }

    /// Records, durably, how the call ended and what it cost, in units of the tool's own.
    ///
    /// # Errors
    /// It cannot be written; what was recorded before stands.
    pub async fn completed(
        &self,
        key: &[u8],
        outcome: Outcome<u32>,
        cost: u64,
    ) -> Result<(), DiskError> {
        self.record(key, &CallState::Completed(outcome, cost)).await
    }

    async fn record(&self, key: &[u8], state: &CallState) -> Result<(), DiskError> {
        let bytes = state::to_bytes(state);
        let mut writes = self.order.borrow_mut().enter(key, &bytes, now_ms());
        writes.push((record_key(key), Some(bytes)));
        let written = self.store.commit(writes).await;
        if written.is_err() {
            self.order.borrow_mut().is_unsure_of(key);
        }
        written
    }
}

impl Order {
    /// Enters the record of `key`, which is `bytes`, as the newest and forgets what is too old or too much. Gives
    /// the writes that say so on disk.
    fn enter(&mut self, key: &[u8], bytes: &[u8], time_ms: u64) -> Vec<Write> {
        let (mut writes, before_ms) = (Vec::new(), self.floor_ms);
        if let Some(place) = self.places.get(key).copied() {
            self.leave(place, &mut writes);
        }
        let (size, sum) = (bytes.len() as u64, crc32fast::hash(bytes));
        let entry = Entry { time_ms, bytes: size, sum, is_unsure: false, key: key.to_vec() };
        writes.push((place_key(self.last + 1), Some(entry.to_bytes())));
        self.push(self.last + 1, entry);
        for _ in 0..limits::LEDGER_PRUNE_AT_ONCE {
            match self.entries.first_key_value() {
                Some((&place, oldest)) if self.too_much(oldest, time_ms) => {
                    let margin = u64::try_from(limits::LEDGER_MARGIN.as_millis());
                    let lost_ms = oldest.time_ms.saturating_add(margin.unwrap_or(u64::MAX));
                    writes.push((record_key(&oldest.key), None));
                    self.leave(place, &mut writes);
                    self.floor_ms = self.floor_ms.max(lost_ms);
                }
                _ => break,
            }
        }
        if self.floor_ms > before_ms {
            writes.push(self.floor());
        }
        writes
    }

    /// Writing the record of `key` failed.
    fn is_unsure_of(&mut self, key: &[u8]) {
        let entry = self.places.get(key).and_then(|place| self.entries.get_mut(place));
        if let Some(entry) = entry {
            entry.is_unsure = true;
        }
    }

    fn floor(&self) -> Write {
        (FLOOR.to_vec(), Some(self.floor_ms.to_be_bytes().to_vec()))
    }

    fn too_much(&self, oldest: &Entry, now_ms: u64) -> bool {
        let age = Duration::from_millis(now_ms.saturating_sub(oldest.time_ms));
        self.entries.len() > 1
            && (self.entries.len() > limits::LEDGER_RECORDS
                || self.bytes > limits::LEDGER_BYTES
                || age > limits::LEDGER_AGE)
    }

    fn push(&mut self, place: u64, entry: Entry) {
        self.last = place;
        self.bytes += entry.bytes;
        self.places.insert(entry.key.clone(), place);
        self.entries.insert(place, entry);
    }

    fn leave(&mut self, place: u64, writes: &mut Vec<Write>) {
        if let Some(entry) = self.entries.remove(&place) {
            self.bytes -= entry.bytes;
            self.places.remove(&entry.key);
            writes.push((place_key(place), None));
        }
    }
}

impl Entry {
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = [self.time_ms.to_be_bytes(), self.bytes.to_be_bytes()].concat();
        bytes.extend(self.sum.to_be_bytes());
        bytes.extend_from_slice(&self.key);
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (time_ms, rest) = bytes.split_first_chunk::<8>()?;
        let (size, rest) = rest.split_first_chunk::<8>()?;
        let (sum, key) = rest.split_first_chunk::<4>()?;
        let (time_ms, bytes) = (u64::from_be_bytes(*time_ms), u64::from_be_bytes(*size));
        let (sum, key) = (u32::from_be_bytes(*sum), key.to_vec());
        Some(Self { time_ms, bytes, sum, is_unsure: false, key })
    }
}

/// How the store of a ledger is opened.
fn settings(on_damage: OnDamage) -> Settings {
    Settings {
        bulk: &[&[RECORD]],
        on_damage,
        advice: "Accept the loss with `remit verify --ledger DIR --accept-loss`, and people are asked about the calls that it may have known; or move the folder aside to begin a new ledger, which asks about all of them",
        ..Settings::new(limits::LEDGER_CACHE_BYTES)
    }
}

fn read_order(store: &dyn Store) -> Result<Order, DiskError> {
    let mut order = Order::default();
    let floor = store.get(FLOOR)?.and_then(|floor| floor.try_into().ok());
    order.floor_ms = floor.map_or(0, u64::from_be_bytes);
    loop {
        let page = store.scan(&[PLACE], &place_key(order.last + 1), limits::LEDGER_PAGE)?;
        if page.is_empty() {
            return Ok(order);
        }
        for (key, value) in page {
            let place = key.get(1..).and_then(|place| place.try_into().ok());
            let (Some(place), Some(entry)) = (place, Entry::from_bytes(&value)) else {
                let found = "an entry of the ledger's order cannot be read";
                let mend = settings(OnDamage::Refuse).advice;
                return Err(DiskError(format!("{found}. {mend}")));
            };
            order.push(u64::from_be_bytes(place), entry);
        }
    }
}

fn record_key(key: &[u8]) -> Vec<u8> {
    [&[RECORD], key].concat()
}

fn place_key(place: u64) -> Vec<u8> {
    [&[PLACE][..], &place.to_be_bytes()].concat()
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use remit_core::{Code, Failure, Value};

    use super::*;

    fn done(value: Value<u32>) -> Outcome<u32> {
        Outcome::Value { value: value.into(), object: true }
    }

    #[tokio::test]
    async fn what_is_recorded_is_known_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(dir.path()).await.unwrap();
        assert_eq!(ledger.look_up(b"a").unwrap(), CallState::NeverStarted);
        ledger.started(b"a").await.unwrap();
        ledger.started(b"b").await.unwrap();
        let value = done(Value::List(vec![Value::Integer(1), Value::Data(vec![0])]));
        ledger.completed(b"a", value.clone(), 7).await.unwrap();
        let failure = Outcome::Failure(Failure::new(Code::Failed, "no").with_detail("why"));
        ledger.completed(b"c", failure.clone(), 0).await.unwrap();
        drop(ledger);
        let ledger = Ledger::open(dir.path()).await.unwrap();
        assert_eq!(ledger.look_up(b"a").unwrap(), CallState::Completed(value, 7));
        assert_eq!(ledger.look_up(b"b").unwrap(), CallState::Started);
        assert_eq!(ledger.look_up(b"c").unwrap(), CallState::Completed(failure, 0));
        assert_eq!(ledger.order.borrow().entries.len(), 3);
    }

    #[test]
    fn the_oldest_are_forgotten_first() {
        let mut order = Order::default();
        let day = 86_400_000;
        for (at, key) in [(0, b"a"), (1, b"b"), (6 * day, b"a")] {
            assert!(order.enter(key, &[0; 10], at).iter().all(|(key, _)| key[0] != RECORD));
        }
        let writes = order.enter(b"c", &[0; 10], 8 * day);
        assert!(writes.contains(&(b"rb".to_vec(), None)), "b is older than a week");
        assert!(!writes.contains(&(b"ra".to_vec(), None)), "a was entered again");
        assert_eq!(order.bytes, 20);
        order.bytes += limits::LEDGER_BYTES - 30;
        order.enter(b"d", &[0; 11], 8 * day);
        assert_eq!(order.entries.len(), 2, "one byte too many pushes out the oldest");
    }

    /// A record that is gone, and one that is older than the last one written.
    #[tokio::test]
    async fn a_damaged_record_is_said_and_never_taken_for_a_call_that_did_not_begin() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(dir.path()).await.unwrap();
        ledger.started(b"a").await.unwrap();
        let started = ledger.store.get(b"ra").unwrap();
        ledger.completed(b"a", done(Value::Null), 0).await.unwrap();
        for damaged in [started, None] {
            ledger.store.commit(vec![(b"ra".to_vec(), damaged)]).await.unwrap();
            let said = ledger.look_up(b"a").unwrap_err().to_string();
            assert!(said.contains("damaged"), "{said}");
        }
    }

    /// As a stop of the process would leave it.
    pub(super) fn copy(from: &Path, to: &Path) {
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
            let to = to.join(entry.file_name());
            if entry.path().is_dir() {
                copy(&entry.path(), &to);
            } else {
                std::fs::copy(entry.path(), to).unwrap();
            }
        }
    }

    #[tokio::test]
    async fn a_ledger_that_lost_an_acknowledged_record_does_not_open() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(dir.path()).await.unwrap();
        ledger.started(b"a").await.unwrap();
        ledger.started(b"b").await.unwrap();
        let kept = tempfile::tempdir().unwrap();
        copy(dir.path(), kept.path());
        let log = std::fs::read_dir(kept.path().join("log")).unwrap().next().unwrap().unwrap();
        let bytes = std::fs::read(log.path()).unwrap();
        std::fs::write(log.path(), &bytes[..bytes.len() - 1]).unwrap();
        let said = Ledger::open(kept.path()).await.err().unwrap().to_string();
        assert!(said.contains("the last ones, are missing") && said.contains("aside"), "{said}");
    }
}
