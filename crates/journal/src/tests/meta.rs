//! What small records do wherever they are kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::limits::UPDATE_TRIES;
use crate::meta::{Batch, MemoryMeta, Meta, MetaError, update};

/// One body for every implementation: each test gets an empty one.
macro_rules! meta_contract {
    ($($name:ident)*) => {
        mod in_memory {
            $(#[test] fn $name() { super::$name(&super::MemoryMeta::new()); })*
        }
        mod on_disk {
            $(#[test] fn $name() {
                let dir = tempfile::TempDir::new().unwrap();
                super::$name(&*super::open(&dir).1.meta());
            })*
        }
    };
}

meta_contract! {
    a_record_is_read_as_it_was_written_and_removed
    records_are_listed_by_prefix_in_order_and_bounded
    a_batch_is_made_whole_or_not_at_all
    of_many_who_saw_the_same_record_one_wins
    batches_take_effect_in_the_order_of_the_calls
    an_update_is_decided_anew_on_what_another_wrote
    an_update_gives_up_when_another_writer_is_always_first
    an_update_of_nothing_writes_nothing
}

fn bytes(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

fn put(key: &str, value: &str) -> Batch {
    Batch::of(vec![(bytes(key), Some(bytes(value)))])
}

fn get(meta: &dyn Meta, key: &str) -> Option<Vec<u8>> {
    wait(meta.get(key.as_bytes())).unwrap()
}

fn a_record_is_read_as_it_was_written_and_removed(meta: &dyn Meta) {
    assert_eq!(get(meta, "t/one"), None);
    wait(meta.commit(put("t/one", "first"))).unwrap();
    wait(meta.commit(put("t/one", "second"))).unwrap();
    assert_eq!(get(meta, "t/one"), Some(bytes("second")));
    wait(meta.commit(Batch::of(vec![(bytes("t/one"), None)]))).unwrap();
    assert_eq!(get(meta, "t/one"), None);
}

fn records_are_listed_by_prefix_in_order_and_bounded(meta: &dyn Meta) {
    for key in ["t/b", "t/c", "t/a", "t", "u/a"] {
        wait(meta.commit(put(key, key))).unwrap();
    }
    let list = |prefix: &str, limit| wait(meta.scan(prefix.as_bytes(), limit)).unwrap();
    let record = |key: &str| (bytes(key), bytes(key));
    assert_eq!(list("t/", 9), ["t/a", "t/b", "t/c"].map(record));
    assert_eq!(list("t/", 2), ["t/a", "t/b"].map(record));
    assert_eq!(list("v", 9), []);
}

fn a_batch_is_made_whole_or_not_at_all(meta: &dyn Meta) {
    wait(meta.commit(put("t/seen", "now"))).unwrap();
    let both = |seen: Option<&str>| {
        let changes = vec![(bytes("t/seen"), None), (bytes("t/new"), Some(bytes("new")))];
        Batch::of(changes).if_still(bytes("t/seen"), seen.map(bytes))
    };
    for outdated in [Some("before"), None] {
        assert_eq!(wait(meta.commit(both(outdated))), Err(MetaError::Conflict));
        assert_eq!((get(meta, "t/seen"), get(meta, "t/new")), (Some(bytes("now")), None));
    }
    wait(meta.commit(both(Some("now")))).unwrap();
    assert_eq!((get(meta, "t/seen"), get(meta, "t/new")), (None, Some(bytes("new"))));
}

fn of_many_who_saw_the_same_record_one_wins(meta: &dyn Meta) {
    let claim = |n: usize| put("t/name", &n.to_string()).if_still(bytes("t/name"), None);
    let claims: Vec<_> = (0..50).map(|n| meta.commit(claim(n))).collect();
    let claimed: Vec<_> = claims.into_iter().map(wait).collect();
    assert_eq!(claimed[0], Ok(()));
    assert!(claimed[1..].iter().all(|late| *late == Err(MetaError::Conflict)));
    assert_eq!(get(meta, "t/name"), Some(bytes("0")));
}

fn batches_take_effect_in_the_order_of_the_calls(meta: &dyn Meta) {
    let commits: Vec<_> = (0..100).map(|n| meta.commit(put("t/last", &n.to_string()))).collect();
    for commit in commits.into_iter().rev().step_by(3) {
        wait(commit).unwrap();
    }
    assert_eq!(get(meta, "t/last"), Some(bytes("99")));
}

/// One more `x` than there are.
fn longer(record: &[u8]) -> Result<Option<Vec<u8>>, MetaError> {
    Ok(Some([record, b"x"].concat()))
}

fn an_update_is_decided_anew_on_what_another_wrote(meta: &dyn Meta) {
    wait(meta.commit(put("t/count", ""))).unwrap();
    let calls = AtomicUsize::new(0);
    let changed = |record: &[u8]| {
        // Another writer comes in between what this one reads and what it writes.
        if calls.fetch_add(1, Ordering::Relaxed) < 3 {
            drop(meta.commit(Batch::of(vec![(bytes("t/count"), longer(record)?)])));
        }
        longer(record)
    };
    wait(update(meta, b"t/count", changed)).unwrap();
    assert_eq!(get(meta, "t/count"), Some(bytes("xxxx")), "none of four is lost");
    assert_eq!(calls.into_inner(), 4);
}

fn an_update_gives_up_when_another_writer_is_always_first(meta: &dyn Meta) {
    wait(meta.commit(put("t/count", ""))).unwrap();
    let calls = AtomicUsize::new(0);
    let changed = |record: &[u8]| {
        calls.fetch_add(1, Ordering::Relaxed);
        drop(meta.commit(Batch::of(vec![(bytes("t/count"), longer(record)?)])));
        longer(record)
    };
    assert_eq!(wait(update(meta, b"t/count", changed)), Err(MetaError::Conflict));
    assert_eq!(calls.into_inner(), UPDATE_TRIES);
}

fn an_update_of_nothing_writes_nothing(meta: &dyn Meta) {
    wait(update(meta, b"t/none", longer)).unwrap();
    assert_eq!(get(meta, "t/none"), None);
}

#[test]
fn a_medium_that_fails_is_no_conflict() {
    let dir = TempDir::new().unwrap();
    let settings = SledJournal::settings(CACHE);
    let faults = settings.faults.clone();
    let meta: Arc<dyn Meta> =
        SledJournal::new(Disk::open_with(dir.path(), settings).unwrap()).meta();
    wait(meta.commit(put("t/one", "first"))).unwrap();
    faults.break_at(remit_store::Step::Flush);
    let seen = put("t/one", "second").if_still(bytes("t/one"), Some(bytes("first")));
    let failed = wait(meta.commit(seen)).unwrap_err();
    assert!(matches!(failed, MetaError::Unavailable(_)), "{failed:?}");
}
