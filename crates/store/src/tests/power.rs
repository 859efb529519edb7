//! A machine that loses power: of what was written and not synced, any part may be gone.

use std::fs;
use std::path::PathBuf;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::*;

/// Commits, after each of which the power may go.
const COMMITS: usize = 24;

/// How often it goes.
const LOSSES: u64 = 200;

/// Decides when and what.
const SEED: u64 = 20_261_201;

/// What the medium writes at once.
const BLOCK: usize = 4096;

/// The folder after each commit, and what was stored then.
struct History {
    after: Vec<(TempDir, Vec<Pair>)>,
}

impl History {
    fn of(settings: Settings) -> Self {
        let dir = TempDir::new().unwrap();
        let disk = Disk::open_with(dir.path(), settings).unwrap();
        let after = (0..COMMITS).map(|n| {
            let text = format!("{n} {}", "x".repeat(n * 97 % 700));
            let gone = (format!("{:03}", n / 2).into_bytes(), None);
            wait(disk.commit(vec![put(&format!("{n:03}"), &text), put("head", &text), gone]))
                .unwrap();
            let stored = disk.scan(b"", b"", 999).unwrap();
            let copy = TempDir::new().unwrap();
            damage::copy(dir.path(), copy.path());
            (copy, stored)
        });
        Self { after: after.collect() }
    }
}

fn names(dir: &Path) -> Vec<PathBuf> {
    let mut names: Vec<_> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    names.sort();
    names
}

/// Each block as it was before, or as it is. A file may be as short as it was.
fn mixed(before: &[u8], now: &[u8], chance: &mut StdRng) -> Vec<u8> {
    let mut bytes = now.to_vec();
    for at in (0..bytes.len()).step_by(BLOCK) {
        if chance.random() {
            let end = (at + BLOCK).min(bytes.len());
            for (n, byte) in bytes.iter_mut().enumerate().take(end).skip(at) {
                *byte = before.get(n).copied().unwrap_or_default();
            }
        }
    }
    if chance.random() {
        bytes.truncate(before.len().max(1));
    }
    bytes
}

/// The folder after commit `at`, as a loss of power while the next one is written leaves it. `torn`:
/// whether writes to the engine that came since an earlier commit may be gone.
fn lost(history: &History, at: usize, torn: bool, chance: &mut StdRng) -> TempDir {
    let dir = TempDir::new().unwrap();
    let earlier = history.after[chance.random_range(0..=at)].0.path();
    damage::copy(history.after[at].0.path(), dir.path());
    // The notes are never synced.
    fs::copy(earlier.join("acknowledged"), dir.path().join("acknowledged")).unwrap();
    // Of the next commit any part is there.
    if let Some((next, _)) = history.after.get(at + 1) {
        let segment = names(&dir.path().join("log")).pop().unwrap();
        let synced = fs::read(&segment).unwrap();
        let later = next.path().join("log").join(segment.file_name().unwrap());
        if let Ok(later) = fs::read(later) {
            let end = chance.random_range(synced.len()..=later.len());
            let mut bytes = later[..end].to_vec();
            if chance.random() {
                // What was extended and not written reads as zeros.
                bytes[synced.len()..].fill(0);
            }
            fs::write(&segment, bytes).unwrap();
        }
    }
    let states = names(dir.path()).into_iter().filter(|path| path.join("db").is_file());
    for state in states.filter(|_| torn) {
        let before = earlier.join(state.file_name().unwrap()).join("db");
        let before = fs::read(before).unwrap_or_default();
        let now = fs::read(state.join("db")).unwrap();
        fs::write(state.join("db"), mixed(&before, &now, chance)).unwrap();
    }
    dir
}

#[test]
fn a_loss_of_power_loses_nothing_that_was_acknowledged() {
    println!("seed {SEED}");
    let often = Settings { memory_bytes: 2_000, ..Settings::new(CACHE) };
    let trimmed = Settings { log_bytes: 0, ..often.clone() };
    // Where the log goes back to the first commit, the state is made anew from it.
    let histories = [(often, true), (Settings::new(CACHE), true), (trimmed, false)];
    let histories = histories.map(|(settings, torn)| (History::of(settings), torn));
    for loss in 0..LOSSES {
        let mut chance = StdRng::seed_from_u64(SEED + loss);
        let (history, torn) = &histories[chance.random_range(0..histories.len())];
        let at = chance.random_range(0..COMMITS);
        let dir = lost(history, at, *torn, &mut chance);
        let disk = Disk::open(dir.path(), CACHE);
        let disk = disk.unwrap_or_else(|error| panic!("loss {loss}, after commit {at}: {error}"));
        let found = disk.scan(b"", b"", 999).unwrap();
        let next = history.after.get(at + 1).map(|(_, stored)| stored);
        assert!(
            found == history.after[at].1 || Some(&found) == next,
            "loss {loss}, after commit {at}: an acknowledged commit is gone, or half of one is there"
        );
        wait(disk.commit(vec![put("later", "1")])).unwrap();
    }
}
