//! The ledger: what became of every call with effects, by its idempotency key, on disk.
//!
//! A key is asked for when its owner does not know whether a call happened: after a crash, or a lost
//! connection. The ledger is bounded in size and age; what falls out of it was settled long ago.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use remit_core::Outcome;
use remit_vat::disk::{Disk, DiskError, Pair, Write};
use remit_vat::vat::offload;

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
    key: Vec<u8>,
}

/// Records by key.
const RECORD: u8 = b'r';
/// Keys by place in the order, eight bytes, with time (eight bytes) and size (eight bytes) of the
/// record before the key.
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
            let disk = Disk::open(&dir, limits::LEDGER_CACHE_BYTES)?;
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
        match self.store.get(&record_key(key))? {
            None => Ok(CallState::NeverStarted),
            Some(bytes) => state::from_bytes(&bytes)
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
        let size = bytes.len() as u64;
        let mut writes = self.order.borrow_mut().enter(key, size, now_ms());
        writes.push((record_key(key), Some(bytes)));
        self.store.commit(writes).await
    }
}

impl Order {
    /// Enters the record of `key` as the newest and forgets what is too old or too much. Gives
    /// the writes that say so on disk.
    fn enter(&mut self, key: &[u8], bytes: u64, time_ms: u64) -> Vec<Write> {
        let (mut writes, before_ms) = (Vec::new(), self.floor_ms);
        if let Some(place) = self.places.get(key).copied() {
            self.leave(place, &mut writes);
        }
        let entry = Entry { time_ms, bytes, key: key.to_vec() };
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
        bytes.extend_from_slice(&self.key);
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (time_ms, rest) = bytes.split_first_chunk::<8>()?;
        let (size, key) = rest.split_first_chunk::<8>()?;
        let (time_ms, bytes) = (u64::from_be_bytes(*time_ms), u64::from_be_bytes(*size));
        Some(Self { time_ms, bytes, key: key.to_vec() })
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
                let mend = "move the ledger's folder aside to begin a new one; calls that were in flight must then be settled by hand";
                return Err(DiskError(format!("{found}: {mend}")));
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
        Outcome::Value { value, object: true }
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
            assert!(order.enter(key, 10, at).iter().all(|(key, _)| key[0] != RECORD));
        }
        let writes = order.enter(b"c", 10, 8 * day);
        assert!(writes.contains(&(b"rb".to_vec(), None)), "b is older than a week");
        assert!(!writes.contains(&(b"ra".to_vec(), None)), "a was entered again");
        assert_eq!(order.bytes, 20);
        order.enter(b"d", limits::LEDGER_BYTES, 8 * day);
        assert_eq!(order.entries.len(), 1, "one record as large as all pushes out the others");
    }
}
