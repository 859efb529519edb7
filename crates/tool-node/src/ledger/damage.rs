//! A damaged ledger: what of it is wrong, and what a person accepts.

use std::path::Path;

use remit_store::{Disk, DiskError, OnDamage, Write};
use remit_vat::vat::offload;

use super::{Entry, FLOOR, Ledger, PLACE, now_ms, record_key, settings};
use crate::limits;
use crate::serve::state;

/// What is written of an accepted loss: the moment, eight bytes, follows.
const LOSS: u8 = b'l';

/// What a check of a ledger found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Checked {
    /// How many calls it knows.
    pub records: usize,
    /// What is damaged, in words for a person; empty: nothing is.
    pub damaged: Vec<String>,
    /// Losses that were accepted, with who accepted them.
    pub accepted: Vec<String>,
}

/// What of the entries of a ledger is wrong.
struct Faults {
    records: usize,
    /// The keys in the store, and what is wrong with each.
    found: Vec<(Vec<Vec<u8>>, String)>,
}

impl Ledger {
    /// Reads all of the ledger in `dir`, which no node has open, and changes nothing.
    ///
    /// # Errors
    /// The folder cannot be read, or a node has it open.
    pub async fn check(dir: &Path) -> Result<Checked, DiskError> {
        let dir = dir.to_owned();
        let checked = offload(move || {
            let disk = at_rest(&dir, OnDamage::ReadOnly)?;
            let faults = faults(&disk)?;
            let losses = disk.scan(&[LOSS], &[LOSS], limits::LEDGER_PAGE)?;
            let text = |(_, text): (Vec<u8>, Vec<u8>)| String::from_utf8_lossy(&text).into_owned();
            let whole = disk.damage().map(ToString::to_string);
            Ok(Checked {
                records: faults.records,
                damaged: whole
                    .into_iter()
                    .chain(faults.found.into_iter().map(|(_, w)| w))
                    .collect(),
                accepted: losses.into_iter().map(text).collect(),
            })
        });
        checked.await.map_err(|e| DiskError(e.to_string()))?
    }

    /// Has what is left of the ledger in `dir` count, in the name of `who`, and keeps a record of that.
    /// Of calls that were sent before now and of which it knows nothing, it says from now on that it
    /// does not go back so far: people are asked. Gives what was accepted; empty: nothing is lost.
    ///
    /// # Errors
    /// The folder cannot be read or written, or a node has it open.
    pub async fn accept_loss(dir: &Path, who: &str) -> Result<Vec<String>, DiskError> {
        let (dir, who) = (dir.to_owned(), who.to_owned());
        let accepted = offload(move || {
            let seen = at_rest(&dir, OnDamage::ReadOnly)?;
            let whole = seen.damage().map(ToString::to_string);
            drop(seen);
            let disk = at_rest(&dir, OnDamage::Accept)?;
            let faults = faults(&disk)?;
            let words = faults.found.iter().map(|(_, what)| what.clone());
            let lost: Vec<String> = whole.into_iter().chain(words).collect();
            if lost.is_empty() {
                return Ok(lost);
            }
            let now_ms = now_ms();
            let said = format!("{who} accepted, at {now_ms} ms since 1970: {}", lost.join("; "));
            let mut writes: Vec<Write> = faults
                .found
                .into_iter()
                .flat_map(|(keys, _)| keys)
                .map(|key| (key, None))
                .collect();
            // In the same commit, so that no call is taken for one that never began.
            writes.push((FLOOR.to_vec(), Some(now_ms.to_be_bytes().to_vec())));
            let key = [&[LOSS][..], &now_ms.to_be_bytes()].concat();
            writes.push((key, Some(said.into_bytes())));
            futures::executor::block_on(disk.commit(writes))?;
            Ok(lost)
        });
        accepted.await.map_err(|e| DiskError(e.to_string()))?
    }
}

/// The store of a ledger that is there.
fn at_rest(dir: &Path, on_damage: OnDamage) -> Result<Disk, DiskError> {
    if !dir.is_dir() {
        return Err(DiskError(format!("there is no ledger in {}", dir.display())));
    }
    Disk::open_with(dir, settings(on_damage))
}

/// Reads every entry, and the record that it vouches for.
fn faults(disk: &Disk) -> Result<Faults, DiskError> {
    let mut faults = Faults { records: 0, found: Vec::new() };
    let mut from = vec![PLACE];
    loop {
        let page = disk.scan(&[PLACE], &from, limits::LEDGER_PAGE)?;
        let Some((last, _)) = page.last() else { return Ok(faults) };
        from.clone_from(last);
        from.push(0);
        for (place, value) in page {
            let Some(entry) = Entry::from_bytes(&value).filter(|_| place.len() == 9) else {
                let what = "an entry of its order cannot be read".to_owned();
                faults.found.push((vec![place], what));
                continue;
            };
            faults.records += 1;
            let key = record_key(&entry.key);
            let stored = disk.get(&key)?;
            let right = stored.as_deref().is_some_and(|bytes| {
                crc32fast::hash(bytes) == entry.sum && state::from_bytes(bytes).is_ok()
            });
            if !right {
                let hex = hex::encode(&entry.key);
                let what = format!("the record of the call with key {hex} is damaged or missing");
                faults.found.push((vec![place, key], what));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use remit_core::{Outcome, Value};
    use tempfile::TempDir;

    use super::super::CallState;
    use super::super::tests::copy;
    use super::*;

    /// A ledger that lost its last commit, as a stop of its node left it.
    async fn cut() -> TempDir {
        let (dir, cut) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let ledger = Ledger::open(dir.path()).await.unwrap();
        ledger.completed(b"a", Outcome::value(Value::Integer(1)), 0).await.unwrap();
        ledger.started(b"b").await.unwrap();
        copy(dir.path(), cut.path());
        let log = fs::read_dir(cut.path().join("log")).unwrap().next().unwrap().unwrap().path();
        let bytes = fs::read(&log).unwrap();
        fs::write(&log, &bytes[..bytes.len() - 1]).unwrap();
        cut
    }

    #[tokio::test]
    async fn an_accepted_loss_is_recorded_and_older_calls_are_forgotten_and_not_unbegun() {
        let dir = cut().await;
        assert!(Ledger::open(dir.path()).await.is_err());
        let checked = Ledger::check(dir.path()).await.unwrap();
        assert!(checked.damaged[0].contains("missing"), "{checked:?}");
        let lost = Ledger::accept_loss(dir.path(), "a person").await.unwrap();
        assert_eq!(lost, checked.damaged);
        let checked = Ledger::check(dir.path()).await.unwrap();
        assert_eq!((checked.records, checked.damaged.len()), (1, 0));
        assert!(checked.accepted[0].starts_with("a person accepted"), "{checked:?}");
        let ledger = Ledger::open(dir.path()).await.unwrap();
        assert_eq!(ledger.look_up(b"b").unwrap(), CallState::NeverStarted);
        assert!(!ledger.remembers(1_000), "so whoever asks is told that it was forgotten");
        assert!(matches!(ledger.look_up(b"a").unwrap(), CallState::Completed(..)));
    }

    #[tokio::test]
    async fn a_damaged_record_is_named_and_its_loss_accepted() {
        let dir = TempDir::new().unwrap();
        let ledger = Ledger::open(dir.path()).await.unwrap();
        for key in [b"a", b"b"] {
            ledger.started(key).await.unwrap();
        }
        ledger.store.commit(vec![(record_key(b"a"), Some(vec![1]))]).await.unwrap();
        drop(ledger);
        let checked = Ledger::check(dir.path()).await.unwrap();
        assert!(checked.damaged.len() == 1 && checked.damaged[0].contains("key 61"), "{checked:?}");
        Ledger::accept_loss(dir.path(), "a person").await.unwrap();
        assert_eq!(Ledger::accept_loss(dir.path(), "again").await.unwrap(), Vec::<String>::new());
        let ledger = Ledger::open(dir.path()).await.unwrap();
        assert_eq!(ledger.look_up(b"a").unwrap(), CallState::NeverStarted);
        assert_eq!(ledger.look_up(b"b").unwrap(), CallState::Started);
        assert!(!ledger.remembers(1_000));
    }
}
