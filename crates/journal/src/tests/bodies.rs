//! Large bodies: stored once, put back whole, and gone with the last event that holds them.

use remit_core::InputId;

use super::*;
use crate::keys;
use crate::limits;

contract! {
    events_with_large_bodies_read_back
}

pub(super) fn large(seed: u8) -> String {
    let bytes = (0..=u8::MAX).cycle().take(limits::BODY_BYTES + 7);
    bytes.map(|n| char::from(b'a' + (n ^ seed) % 26)).collect()
}

/// Input, which every state of a task takes.
pub(super) fn output(number: u64, value: Value) -> Event {
    let (sender, key) = ("me".to_owned(), String::new());
    let fact = Fact::InputAccepted { input: InputId(number - 1), value, sender, key, steer: false };
    Event { number: EventNumber(number), time_ms: number, fact }
}

fn stored(disk: &Disk, prefix: &[u8]) -> usize {
    disk.scan(prefix, prefix, 9_999).unwrap().len()
}

fn events_with_large_bodies_read_back(journal: &dyn Journal) {
    let both = Value::List(vec![Value::Text(large(1)), Value::Data(large(2).into_bytes())]);
    let many = Value::List((0..20_000).map(Value::Integer).collect());
    let written = vec![
        event(1),
        output(2, Value::Text(large(1))),
        output(3, both),
        output(4, many),
        output(5, Value::Data(vec![1; 4 << 20])),
    ];
    wait(journal.append(TENANT, task(1), &written, head(Status::Running))).unwrap();
    append(journal, 1, 6..=9, Status::Running).unwrap();
    assert_eq!(read_all(journal, 1).unwrap(), [written, events(6..=9)].concat());
}

#[test]
fn a_body_is_stored_once_and_goes_with_the_last_event_that_holds_it() {
    let dir = TempDir::new().unwrap();
    let (disk, journal) = open(&dir);
    let pieces = keys::pieces_of(large(1).len()).len();
    for n in 1..=3 {
        append(&journal, n, 1..=1, Status::Running).unwrap();
        let held = [2, 3].map(|number| output(number, Value::Text(large(1))));
        wait(journal.append(TENANT, task(n), &held, head(Status::Completed))).unwrap();
    }
    assert_eq!(stored(&disk, keys::ALL_BODIES), pieces);
    assert_eq!(stored(&disk, keys::ALL_COUNTS), 1);
    for n in 1..=3 {
        assert_eq!(stored(&disk, keys::ALL_BODIES), pieces);
        let events = read_all(&journal, n).unwrap();
        assert_eq!(events[2], output(3, Value::Text(large(1))));
        wait(journal.remove(TENANT, task(n))).unwrap();
    }
    assert_eq!(stored(&disk, b""), 0, "nothing at all is left");
}

#[test]
fn tenants_do_not_share_bodies() {
    let dir = TempDir::new().unwrap();
    let (disk, journal) = open(&dir);
    for tenant in ["a", "b"] {
        let events = vec![event(1), output(2, Value::Text(large(1)))];
        wait(journal.append(tenant, task(1), &events, head(Status::Completed))).unwrap();
    }
    assert_eq!(stored(&disk, keys::ALL_COUNTS), 2);
    wait(journal.remove("a", task(1))).unwrap();
    assert_eq!(journal.read("b", task(1), EventNumber(1), 9).unwrap().len(), 1);
}

#[test]
fn a_large_event_does_not_make_large_records() {
    let dir = TempDir::new().unwrap();
    let (disk, journal) = open(&dir);
    let events = vec![event(1), output(2, Value::Data(vec![3; 4 << 20]))];
    wait(journal.append(TENANT, task(1), &events, head(Status::Running))).unwrap();
    let largest = disk.scan(b"", b"", 9_999).unwrap().iter().map(|(_, value)| value.len()).max();
    assert!(largest.unwrap() <= limits::BODY_BYTES, "{largest:?}");
}

#[test]
fn a_damaged_body_is_noticed_with_its_event() {
    let dir = TempDir::new().unwrap();
    let (disk, journal) = open(&dir);
    let events = vec![event(1), output(2, Value::Text(large(1)))];
    wait(journal.append(TENANT, task(1), &events, head(Status::Running))).unwrap();
    let (key, mut piece) = disk.scan(keys::ALL_BODIES, b"", 1).unwrap().remove(0);
    piece[9] ^= 1;
    wait(disk.commit(vec![(key.clone(), Some(piece))])).unwrap();
    for change in [None, Some(Vec::new())] {
        let error = read_all(&journal, 1).unwrap_err();
        assert!(matches!(&error, JournalError::Corrupt { number: EventNumber(2), .. }), "{error}");
        wait(disk.commit(vec![(key.clone(), change)])).unwrap();
    }
}

#[test]
fn a_page_of_large_events_is_cut_short() {
    let dir = TempDir::new().unwrap();
    let (_, journal) = open(&dir);
    append(&journal, 1, 1..=1, Status::Running).unwrap();
    let body = Value::Data(vec![3; 4 << 20]);
    for number in 2..=10 {
        let event = output(number, body.clone());
        wait(journal.append(TENANT, task(1), &[event], head(Status::Running))).unwrap();
    }
    let page = journal.read(TENANT, task(1), EventNumber(1), 100).unwrap();
    assert_eq!(page.len() * (4 << 20), limits::READ_BYTES);
    assert_eq!(read_all(&journal, 1).unwrap().len(), 10);
}
