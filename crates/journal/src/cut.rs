//! A cut: what the store held at one moment, and a hold on it for as long as it is read.

use futures::executor::block_on;
use remit_core::TaskId;
use remit_store::{DiskError, Pair, View};

use super::keys::{self, Kind};
use super::sled::Hold;
use super::{JournalError, SledJournal, TaskHead};
use crate::audit;

/// Records that are read at once.
pub(super) const PAGE: usize = 256;

/// What the store held at one moment, but for what does not change once it is written.
pub(super) struct Cut {
    /// The records, by key.
    pub(super) records: Vec<Pair>,
    /// The journal, in which nothing is removed or replaced while this is held.
    pub(super) journal: SledJournal,
    _hold: Hold,
}

/// A task in a cut.
pub(super) struct CutTask {
    pub(super) tenant: String,
    pub(super) task: TaskId,
    /// An error says what is wrong with it.
    pub(super) head: Result<TaskHead, String>,
}

impl Cut {
    /// Takes a cut on the commit thread, between two commits. Blocks.
    pub(super) fn take(journal: &SledJournal) -> Result<Self, JournalError> {
        let holder = journal.clone();
        let looked = journal.disk().transact(0, move |view: &View<'_>| {
            let hold = holder.hold();
            Ok(Err((records(view)?, hold)))
        });
        match block_on(looked)? {
            Err((records, hold)) => Ok(Self { records, journal: journal.clone(), _hold: hold }),
            Ok(()) => Err(DiskError("the store gave no answer: try again".into()).into()),
        }
    }

    /// The tasks.
    pub(super) fn tasks(&self) -> impl Iterator<Item = CutTask> {
        let heads = self.records.iter().filter(|(key, _)| keys::is_head(key));
        heads.filter_map(|(key, bytes)| {
            let (tenant, task) = keys::tenant(key).zip(keys::task(key))?;
            Some(CutTask { tenant, task, head: TaskHead::from_bytes(bytes) })
        })
    }

    /// Whether a task was being removed.
    pub(super) fn is_removing(&self) -> bool {
        self.records
            .iter()
            .any(|(key, _)| key.starts_with(keys::ALL_LEAVING) && keys::kind(key) == Kind::Derived)
    }

    /// The value of a record.
    pub(super) fn get(&self, key: &[u8]) -> Option<&[u8]> {
        let at = self.records.binary_search_by(|(other, _)| (**other).cmp(key)).ok()?;
        self.records.get(at).map(|(_, value)| &**value)
    }

    /// Shows `visit` every record whose key begins with `prefix`, in order, as it is now.
    pub(super) fn each<E: From<JournalError>>(
        &self,
        prefix: &[u8],
        mut visit: impl FnMut(Vec<u8>, Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut from = prefix.to_vec();
        loop {
            let page = self.journal.disk().scan(prefix, &from, PAGE).map_err(JournalError::from)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            // The least key after the last one.
            from.clone_from(last);
            from.push(0);
            for (key, value) in page {
                visit(key, value)?;
            }
        }
    }
}

/// All records but those that a head leads to, and the audit log's, which has an end of its own.
fn records(view: &View<'_>) -> Result<Vec<Pair>, DiskError> {
    let mut found = Vec::new();
    let mut from = Vec::new();
    'pages: loop {
        let page = view.scan(&[], &from, PAGE)?;
        let Some((last, _)) = page.last() else { return Ok(found) };
        from.clone_from(last);
        from.push(0);
        for (key, value) in page {
            if keys::kind(&key) == Kind::Bulk {
                from = keys::after_kind(&key);
                continue 'pages;
            }
            if key.starts_with(audit::RECORDS) {
                from = [audit::RECORDS, &[u8::MAX; 9]].concat();
                continue 'pages;
            }
            found.push((key, value));
        }
    }
}
