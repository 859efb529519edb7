//! Backups: everything in one stream of bytes, and back from it into an empty folder.

use std::collections::HashSet;
use std::io::{self, Read};
use std::path::Path;

use futures::executor::block_on;
use remit_store::{Disk, Pair, Write};
use sha2::{Digest as _, Sha256};

use super::body::Body;
use super::cut::{Cut, CutTask, PAGE};
use super::keys::{self, Kind};
use super::rebuild::Rebuild;
use super::snapshot::Label;
use super::{JournalError, SledJournal, record, verify};
use crate::audit;
use crate::limits;

/// How a backup begins.
const MAGIC: &[u8] = b"remit backup 1\n";

/// Stands where the length of a key would, after the last record.
const END: u32 = u32::MAX;

/// How much was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JournalTotals {
    /// Tasks.
    pub tasks: u64,
    /// Events.
    pub events: u64,
    /// Large contents that are stored once, apart from the events that hold them.
    pub bodies: u64,
    /// Snapshots.
    pub snapshots: u64,
}

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
pub enum NoBackup {
    /// Nobody takes it any more.
    #[error("the backup was ended by whoever asked for it")]
    Unwanted,
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// Why a backup was not restored.
#[derive(Debug, thiserror::Error)]
pub enum NotRestored {
    /// The backup cannot be read.
    #[error("the backup cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// It is not what was written.
    #[error("this is no whole backup: {0}; nothing was restored")]
    Damaged(String),
    /// The store cannot be written.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// Gives a backup to `take`, piece by piece. Blocks for as long as reading takes; the journal works
/// on meanwhile, and the backup is of the moment at which this began.
pub fn write_backup(
    journal: &SledJournal,
    take: impl FnMut(Vec<u8>) -> Result<(), NoBackup>,
) -> Result<JournalTotals, NoBackup> {
    let cut = Cut::take(journal)?;
    let mut out = Out { take, piece: MAGIC.to_vec(), hash: Sha256::new(), records: 0 };
    let mut kept = JournalTotals::default();
    let mut seen = HashSet::new();
    for task in cut.tasks() {
        kept.tasks += 1;
        events(&cut, &task, &mut seen, &mut kept, &mut out)?;
        kept.snapshots += snapshot(&cut, &task, &mut out)?;
    }
    kept.bodies = seen.len() as u64;
    cut.each(audit::RECORDS, |key, value| out.record(&key, &value))?;
    for (key, value) in &cut.records {
        if keys::kind(key) == Kind::Other {
            out.record(key, value)?;
        }
    }
    out.end()?;
    Ok(kept)
}

/// The events of a task up to the cut, each after the bodies that it is the first to hold.
fn events<T: FnMut(Vec<u8>) -> Result<(), NoBackup>>(
    cut: &Cut,
    task: &CutTask,
    seen: &mut HashSet<(String, Body)>,
    kept: &mut JournalTotals,
    out: &mut Out<T>,
) -> Result<(), NoBackup> {
    let CutTask { tenant, task, head: Ok(head) } = task else { return Ok(()) };
    let (prefix, last) = (keys::events(tenant, *task), keys::event(tenant, *task, head.number));
    let mut from = keys::event(tenant, *task, head.pruned.next());
    loop {
        let page = cut.journal.disk().scan(&prefix, &from, PAGE).map_err(JournalError::from)?;
        let Some((end, _)) = page.last() else { return Ok(()) };
        from.clone_from(end);
        from.push(0);
        for (key, value) in page {
            if key > last {
                return Ok(());
            }
            // What is damaged is kept as it is: a check of the backup finds it as well.
            for body in record::bodies(&value).unwrap_or_default() {
                if seen.insert((tenant.clone(), body)) {
                    cut.each(&keys::body(tenant, &body.hash), |key, value| {
                        out.record(&key, &value)
                    })?;
                }
            }
            out.record(&key, &value)?;
            kept.events += 1;
        }
    }
}

fn snapshot<T: FnMut(Vec<u8>) -> Result<(), NoBackup>>(
    cut: &Cut,
    task: &CutTask,
    out: &mut Out<T>,
) -> Result<u64, NoBackup> {
    let label = cut.get(&keys::snapshot(&task.tenant, task.task));
    let Some(Ok(label)) = label.map(Label::from_bytes) else { return Ok(0) };
    let pieces = keys::snapshot_pieces(&task.tenant, task.task, label.number);
    cut.each(&pieces, |key, value| out.record(&key, &value))?;
    Ok(1)
}

/// The stream of a backup, on its way out.
struct Out<T> {
    take: T,
    piece: Vec<u8>,
    hash: Sha256,
    records: u64,
}

impl<T: FnMut(Vec<u8>) -> Result<(), NoBackup>> Out<T> {
    fn record(&mut self, key: &[u8], value: &[u8]) -> Result<(), NoBackup> {
        for part in [key, value] {
            let size = u32::try_from(part.len()).unwrap_or(END);
            self.piece.extend(size.to_be_bytes());
        }
        self.piece.extend(key);
        self.piece.extend(value);
        self.records += 1;
        if self.piece.len() >= limits::BACKUP_PIECE_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), NoBackup> {
        self.hash.update(&self.piece);
        (self.take)(std::mem::take(&mut self.piece))
    }

    fn end(mut self) -> Result<(), NoBackup> {
        self.piece.extend(END.to_be_bytes());
        self.piece.extend(self.records.to_be_bytes());
        self.flush()?;
        (self.take)(self.hash.finalize().to_vec())
    }
}

/// Makes the store in `dir`, which must not exist yet, from a backup. Blocks. An error leaves
/// nothing there.
pub fn restore_backup(from: &mut dyn Read, dir: &Path) -> Result<JournalTotals, NotRestored> {
    if dir.exists() {
        let why = format!("there is a journal in {} already: move it away first", dir.display());
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, why).into());
    }
    // Under another name until it is whole, so that no half of it is ever taken for a journal.
    let part = dir.with_extension("restoring");
    if part.exists() {
        std::fs::remove_dir_all(&part)?;
    }
    let restored = restore_into(from, &part);
    let whole = restored.and_then(|kept| {
        std::fs::rename(&part, dir)?;
        Ok(kept)
    });
    if whole.is_err() {
        // What cannot be removed is removed by the next try.
        let _left = std::fs::remove_dir_all(&part);
    }
    whole
}

fn restore_into(from: &mut dyn Read, dir: &Path) -> Result<JournalTotals, NotRestored> {
    let settings = SledJournal::settings(limits::RESTORE_CACHE_BYTES);
    let disk = Disk::open_with(dir, settings).map_err(JournalError::from)?;
    let commit = |writes: Vec<Write>| block_on(disk.commit(writes)).map_err(JournalError::from);
    let mut records = Records { from, hash: Sha256::new(), count: 0 };
    records.magic()?;
    let mut rebuild = Rebuild::default();
    let (mut writes, mut bytes) = (Vec::new(), 0);
    while let Some((key, value)) = records.next()? {
        rebuild.see(&key, &value).map_err(NotRestored::Damaged)?;
        bytes += key.len() + value.len();
        writes.push((key, Some(value)));
        if bytes >= limits::BACKUP_PIECE_BYTES {
            commit(std::mem::take(&mut writes))?;
            bytes = 0;
        }
    }
    commit(writes)?;
    let kept = JournalTotals { bodies: rebuild.held().len() as u64, ..rebuild.kept };
    // What follows from the records is not in the backup, or may not follow any more.
    verify::rebuild(&SledJournal::new(disk.clone()))?;
    Ok(kept)
}

/// The records of a backup.
struct Records<'a> {
    from: &'a mut dyn Read,
    hash: Sha256,
    count: u64,
}

impl Records<'_> {
    fn take(&mut self, size: usize) -> Result<Vec<u8>, NotRestored> {
        if size > limits::RECORD_BYTES {
            return Err(NotRestored::Damaged(format!("it has a record of {size} bytes")));
        }
        let mut bytes = vec![0; size];
        self.from.read_exact(&mut bytes).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => NotRestored::Damaged("it is cut short".into()),
            _ => NotRestored::Unreadable(error),
        })?;
        self.hash.update(&bytes);
        Ok(bytes)
    }

    fn number(&mut self) -> Result<u32, NotRestored> {
        let bytes = self.take(4)?;
        Ok(bytes.try_into().map_or(END, u32::from_be_bytes))
    }

    fn magic(&mut self) -> Result<(), NotRestored> {
        if self.take(MAGIC.len())? == MAGIC {
            return Ok(());
        }
        Err(NotRestored::Damaged("it does not begin like one".into()))
    }

    /// The next record. `None`: all were read, and are as they were written.
    fn next(&mut self) -> Result<Option<Pair>, NotRestored> {
        let key = self.number()?;
        if key != END {
            let value = self.number()?;
            self.count += 1;
            return Ok(Some((self.take(key as usize)?, self.take(value as usize)?)));
        }
        let count = self.take(8)?;
        let hash = self.hash.clone().finalize();
        if count != self.count.to_be_bytes() || self.take(hash.len())? != hash[..] {
            return Err(NotRestored::Damaged("its checksum is wrong".into()));
        }
        Ok(None)
    }
}
