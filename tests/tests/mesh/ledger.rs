//! Damage at random places of a tool node's ledger: no call is lost, or it is said.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says clearly enough what it expected")]

use std::fs;
use std::path::Path;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use remit_core::{Outcome, Value};
use remit_tool_node::ledger::{CallState, Ledger};
use tempfile::TempDir;

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Places that are damaged, and what decides which.
const PLACES: u64 = 200;
const SEED: u64 = 20_261_130;

fn files(dir: &Path, found: &mut Vec<std::path::PathBuf>) {
    let mut paths: Vec<_> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            files(&path, found);
        } else if !path.ends_with("lock") && fs::metadata(&path).unwrap().len() > 0 {
            found.push(path);
        }
    }
}

/// Damages one file, and says how.
fn spoil(dir: &Path, chance: &mut StdRng) -> String {
    let mut all = Vec::new();
    files(dir, &mut all);
    let path = all.swap_remove(chance.random_range(0..all.len()));
    let mut bytes = fs::read(&path).unwrap();
    // The engine's file is mostly zeros.
    let written = bytes.iter().rposition(|byte| *byte != 0).map_or(1, |last| last + 1);
    let (at, other) = (chance.random_range(0..written), chance.random_range(0..written));
    let end = (at + 4096).min(bytes.len());
    let how = chance.random_range(0..6);
    match how {
        0 => bytes[at] ^= 1 << chance.random_range(0..8),
        1 => bytes[at..end].fill(0),
        2 => bytes[at..end].iter_mut().for_each(|byte| *byte = chance.random()),
        3 => {
            let many = at.abs_diff(other).min(4096).min(bytes.len() - at.max(other));
            (0..many).for_each(|n| bytes.swap(at + n, other + n));
        }
        4 => bytes.truncate(written - 1 - chance.random_range(0..written.min(60))),
        _ => bytes.truncate(at),
    }
    fs::write(&path, bytes).unwrap();
    format!("{} way {how} at {at}", path.strip_prefix(dir).unwrap().display())
}

/// What the ledger in `dir` says of each call, or of its damage.
async fn said(dir: &Path) -> Result<Vec<CallState>, String> {
    let ledger = Ledger::open(dir).await.map_err(|error| error.to_string())?;
    let said = (0..60_u8).map(|call| ledger.look_up(&[call]).map_err(|error| error.to_string()));
    said.collect()
}

#[tokio::test]
async fn damage_anywhere_loses_no_call_or_is_said() {
    println!("seed {SEED}");
    let (dir, kept) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let ledger = Ledger::open(dir.path()).await.unwrap();
    for call in 0..60_u8 {
        ledger.started(&[call]).await.unwrap();
        if call % 3 > 0 {
            let text = Value::Text("x".repeat(usize::from(call) * 50));
            ledger.completed(&[call], Outcome::value(text), 0).await.unwrap();
        }
    }
    copy(dir.path(), kept.path());
    drop(ledger);
    let (mut whole, mut told) = (0, 0);
    let expected = said(dir.path()).await.unwrap();
    for place in 0..PLACES {
        let mut chance = StdRng::seed_from_u64(SEED + place);
        let spoilt = TempDir::new().unwrap();
        // As its end left it, or as a stop in the midst of its work did.
        copy(if place % 2 == 0 { dir.path() } else { kept.path() }, spoilt.path());
        let how = spoil(spoilt.path(), &mut chance);
        match said(spoilt.path()).await {
            Ok(found) => {
                assert!(found == expected, "place {place}, {how}: a call was lost silently");
                whole += 1;
            }
            Err(_) => told += 1,
        }
    }
    assert!(whole > 0 && told > 0, "{whole} whole, {told} told");
}
