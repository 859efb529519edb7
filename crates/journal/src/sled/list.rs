//! Lists of tasks, none of which reads an event.

use std::collections::BTreeMap;

use remit_core::TaskId;
use remit_core::status::Status;
use remit_store::Pair;

use super::super::{JournalError, Retention, TaskHead, keys};
use super::{SledJournal, read_head};

/// Keys that are read at once.
const PAGE: usize = 1_000;

/// The statuses of tasks that have ended.
const ENDED: [Status; 3] = [Status::Completed, Status::Failed, Status::Cancelled];

impl SledJournal {
    pub(super) fn list_all(
        &self,
        tenant: &str,
        after: Option<TaskId>,
        limit: usize,
    ) -> Result<Vec<(TaskId, TaskHead)>, JournalError> {
        let before = after.map(|task| keys::head(tenant, task)).unwrap_or_default();
        let page = self.disk.scan_back(&keys::heads(tenant), &before, limit)?;
        let read = |(key, bytes): Pair| keys::task(&key).map(|task| (task, shown(task, &bytes)));
        Ok(page.into_iter().filter_map(read).collect())
    }

    /// Tasks of one status, newest first.
    pub(super) fn list_placed(
        &self,
        tenant: &str,
        status: Status,
        after: Option<TaskId>,
        limit: usize,
    ) -> Result<Vec<(TaskId, TaskHead)>, JournalError> {
        let mut before = after.map(|task| keys::place(tenant, status, task)).unwrap_or_default();
        let mut found = Vec::new();
        while found.len() < limit {
            let wanted = (limit - found.len()).min(PAGE);
            let page = self.disk.scan_back(&keys::places(tenant, status), &before, wanted)?;
            let full = page.len() == wanted;
            for (key, _) in page {
                let Some(task) = keys::task(&key) else { continue };
                before = key;
                let Some(bytes) = self.disk.get(&keys::head(tenant, task))? else { continue };
                let head = shown(task, &bytes);
                // It may have moved on since the page was read.
                if head.status == status {
                    found.push((task, head));
                }
            }
            if !full {
                break;
            }
        }
        Ok(found)
    }

    pub(super) fn list_asking(
        &self,
        tenant: &str,
        after: Option<TaskId>,
        limit: usize,
    ) -> Result<Vec<TaskId>, JournalError> {
        let before = after.map(|task| keys::asks(tenant, task)).unwrap_or_default();
        let page = self.disk.scan_back(&keys::asking(tenant), &before, limit)?;
        Ok(page.into_iter().filter_map(|(key, _)| keys::task(&key)).collect())
    }

    pub(super) fn list_family(
        &self,
        tenant: &str,
        root: TaskId,
        limit: usize,
    ) -> Result<Vec<TaskId>, JournalError> {
        let page = self.disk.scan(&keys::family(tenant, root), &[], limit)?;
        Ok(page.into_iter().filter_map(|(key, _)| keys::task(&key)).collect())
    }

    pub(super) fn list_live(&self) -> Result<Vec<(String, TaskId)>, JournalError> {
        let mut found = Vec::new();
        self.each(keys::ALL_LIVE, |key| {
            found.extend(keys::tenant(key).zip(keys::task(key)));
            Ok(true)
        })?;
        Ok(found)
    }

    /// How much the tasks of each creator take on disk.
    pub(super) fn sum_stored(&self) -> Result<Vec<(String, String, u64)>, JournalError> {
        let mut sums: BTreeMap<(String, String), u64> = BTreeMap::new();
        let mut from = keys::ALL_HEADS.to_vec();
        loop {
            let page = self.disk.scan(keys::ALL_HEADS, &from, PAGE)?;
            let Some((last, _)) = page.last() else { break };
            from.clone_from(last);
            from.push(0);
            for (key, bytes) in page {
                // One that cannot be read is listed as halted, and counts for nobody.
                let head = TaskHead::from_bytes(&bytes).ok().zip(keys::tenant(&key));
                if let Some((head, tenant)) = head {
                    let sum = sums.entry((tenant, head.creator)).or_default();
                    *sum = sum.saturating_add(head.bytes);
                }
            }
        }
        Ok(sums.into_iter().map(|((tenant, creator), sum)| (tenant, creator, sum)).collect())
    }

    pub(super) fn list_expired(
        &self,
        keep: &Retention,
        now_ms: u64,
        limit: usize,
    ) -> Result<Vec<(String, TaskId)>, JournalError> {
        let mut found = Vec::new();
        self.each(keys::ALL_LEAVING, |key| {
            found.extend(keys::tenant(key).zip(keys::task(key)));
            Ok(found.len() < limit)
        })?;
        self.each(keys::ALL_DUE, |key| {
            if keys::due_ms(key).is_some_and(|due_ms| due_ms <= now_ms) {
                found.extend(keys::tenant(key).zip(keys::task(key)));
            }
            Ok(found.len() < limit)
        })?;
        if found.len() >= limit || ENDED.iter().all(|status| keep.of(*status).is_none()) {
            return Ok(found);
        }
        self.each(keys::ALL_PLACES, |key| {
            let Some((tenant, task)) = keys::tenant(key).zip(keys::task(key)) else {
                return Ok(true);
            };
            let Some(status) = keys::status_of_place(key) else { return Ok(true) };
            // What was created later than that cannot have ended so long ago: no need to read it.
            let old = keep.limit_ms(status, now_ms).is_some_and(|ms| task.created_ms() <= ms);
            if found.len() < limit && old {
                let bytes = self.disk.get(&keys::head(&tenant, task))?;
                let head = bytes.and_then(|bytes| TaskHead::from_bytes(&bytes).ok());
                // Those that say so themselves were found above.
                if head.is_some_and(|head| head.retention_ms == 0 && keep.is_over(&head, now_ms)) {
                    found.push((tenant, task));
                }
            }
            Ok(found.len() < limit)
        })?;
        Ok(found)
    }

    /// Shows `visit` each key that begins with `prefix`, in order, until it has enough.
    fn each(
        &self,
        prefix: &[u8],
        mut visit: impl FnMut(&[u8]) -> Result<bool, JournalError>,
    ) -> Result<(), JournalError> {
        let mut from = prefix.to_vec();
        loop {
            let page = self.disk.scan(prefix, &from, PAGE)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            // The least key after the last one.
            from.clone_from(last);
            from.push(0);
            for (key, _) in &page {
                if !visit(key)? {
                    return Ok(());
                }
            }
        }
    }
}

/// A head for a list: one that is damaged is shown as such, and does not spoil the list.
fn shown(task: TaskId, bytes: &[u8]) -> TaskHead {
    read_head(task, bytes).unwrap_or_else(|error| TaskHead {
        status: Status::Halted,
        detail: error.to_string(),
        ..TaskHead::default()
    })
}
