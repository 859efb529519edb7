//! Damage at random places of all files of a store: nothing is lost, or it is said.

use std::fs;
use std::path::PathBuf;

use rand::rngs::StdRng;
use rand::{RngCore as _, SeedableRng as _};

use super::*;

/// Places that are damaged.
const PLACES: u64 = 200;

/// Decides which.
const SEED: u64 = 20_261_130;

/// What the medium reads at once, and spoils at once.
const BLOCK: usize = 4096;

/// Copies a folder that may be in use. The engine may rename or remove a file of its own after it was
/// listed; such a file is left out, as a loss of power may leave it out too.
pub(super) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else if let Err(error) = fs::copy(entry.path(), to) {
            assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{error}");
        }
    }
}

/// All files, but the one that is only a lock.
fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    let mut paths: Vec<_> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            files(&path, found);
        } else if !path.ends_with("lock") {
            found.push(path);
        }
    }
}

struct Chance(StdRng);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.0.next_u64() % end.max(1) as u64).unwrap()
    }
}

/// Damages one file, and says how.
fn damage(dir: &Path, chance: &mut Chance) -> String {
    let mut all = Vec::new();
    files(dir, &mut all);
    all.retain(|path| fs::metadata(path).unwrap().len() > 0);
    let path = all.swap_remove(chance.below(all.len()));
    let mut bytes = fs::read(&path).unwrap();
    // Half of the time where something was written: the engine's file is mostly zeros.
    let written = bytes.iter().rposition(|byte| *byte != 0).map_or(1, |last| last + 1);
    let reach = if chance.below(2) == 0 { bytes.len() } else { written };
    let at = chance.below(reach);
    let (block, end) = (at / BLOCK * BLOCK, (at / BLOCK * BLOCK + BLOCK).min(bytes.len()));
    let how = match chance.below(6) {
        0 => {
            bytes[at] ^= 1 << chance.below(8);
            "flipped"
        }
        1 => {
            bytes[block..end].fill(0);
            "zeroed"
        }
        2 => {
            chance.0.fill_bytes(&mut bytes[block..end]);
            "spoilt"
        }
        3 => {
            let other = chance.below(reach) / BLOCK * BLOCK;
            for n in 0..BLOCK {
                if block + n < bytes.len() && other + n < bytes.len() {
                    bytes.swap(block + n, other + n);
                }
            }
            "swapped"
        }
        4 => {
            bytes.truncate(at);
            "truncated"
        }
        _ => {
            bytes.truncate(written - 1 - chance.below(written.min(60)));
            "without the last write"
        }
    };
    fs::write(&path, bytes).unwrap();
    format!("{} {how} at {at}", path.strip_prefix(dir).unwrap().display())
}

/// A store with a history: what is there is younger than what was.
fn fill(disk: &Disk) {
    for n in 0..150_usize {
        let text = format!("{n} {}", "x".repeat(n * 7 % 900));
        let mut writes = vec![put(&format!("{n:04}"), &text), put("head", &text)];
        if n % 3 == 0 {
            writes.push((format!("{:04}", n / 2).into_bytes(), None));
        }
        wait(disk.commit(writes)).unwrap();
    }
}

/// Stores that hold the same: closed; stopped between checkpoints; with a log that goes not back to
/// the beginning; with all in the log.
fn stores() -> Vec<TempDir> {
    let settings = Settings { memory_bytes: 20_000, ..Settings::new(CACHE) };
    let trimmed = Settings { log_bytes: 0, ..settings.clone() };
    let in_log = Settings::new(CACHE);
    let made = [(settings.clone(), true), (settings, false), (trimmed, false), (in_log, false)];
    let stores = made.into_iter().map(|(settings, closed)| {
        let (dir, kept) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let disk = Disk::open_with(dir.path(), settings).unwrap();
        fill(&disk);
        if closed {
            drop(disk);
            copy(dir.path(), kept.path());
        } else {
            copy(dir.path(), kept.path());
        }
        kept
    });
    stores.collect()
}

#[test]
fn damage_anywhere_loses_nothing_or_is_said() {
    println!("seed {SEED}");
    let stores = stores();
    let expected = Disk::open(stores[0].path(), CACHE).unwrap().scan(b"", b"", 999).unwrap();
    let (mut whole, mut said) = (0, 0);
    for place in 0..PLACES {
        let mut chance = Chance(StdRng::seed_from_u64(SEED + place));
        let dir = TempDir::new().unwrap();
        let store = chance.below(stores.len());
        copy(stores[store].path(), dir.path());
        let how = damage(dir.path(), &mut chance);
        let found = Disk::open(dir.path(), CACHE).and_then(|disk| disk.scan(b"", b"", 999));
        match found {
            Ok(found) => {
                assert!(found == expected, "place {place}, store {store}, {how}: lost silently");
                whole += 1;
            }
            Err(error) => {
                let text = error.to_string();
                assert!(text.contains("damage") || text.contains("backup"), "{how}: {text}");
                said += 1;
            }
        }
    }
    println!("{whole} lost nothing, {said} were said");
    assert!(whole > 0 && said > 0, "the places are badly chosen: {whole} whole, {said} said");
}
