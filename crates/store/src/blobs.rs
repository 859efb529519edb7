//! Large values, which sled keeps in files of their own and does not sync.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Longer than a tick of any file system's clock that matters.
const TICK: Duration = Duration::from_millis(20);

/// The files of large values that were synced.
#[derive(Default)]
pub(super) struct Blobs {
    synced: HashSet<OsString>,
    /// When their folder last changed, if it could not have changed since without its time saying
    /// so: file systems count time in ticks.
    as_of: Option<SystemTime>,
}

impl Blobs {
    /// Syncs those below `dir` that were not synced before.
    pub(super) fn sync(&mut self, dir: &Path) -> io::Result<()> {
        let dir = dir.join("blobs");
        let changed = std::fs::metadata(&dir)?.modified()?;
        if self.as_of == Some(changed) {
            return Ok(());
        }
        let is_past = changed.elapsed().is_ok_and(|age| age > TICK);
        let mut present = HashSet::new();
        let mut fresh = false;
        for entry in std::fs::read_dir(&dir)? {
            let entry = entry?;
            if !self.synced.contains(&entry.file_name()) {
                match File::open(entry.path()) {
                    Ok(file) => file.sync_data()?,
                    // sled removes those that nothing refers to any more.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => return Err(error),
                }
                fresh = true;
            }
            present.insert(entry.file_name());
        }
        *self = Self { synced: present, as_of: is_past.then_some(changed) };
        if fresh { File::open(&dir)?.sync_all() } else { Ok(()) }
    }
}
