//! What follows from other records, made anew: where tasks stand, and how often bodies are held.

use std::collections::{BTreeMap, HashMap};

use remit_store::{DiskError, Write};

use super::backup::JournalTotals;
use super::cut::Cut;
use super::record::{self, Hash};
use super::{JournalError, TaskHead, keys};

/// What was seen of the records so far.
#[derive(Default)]
pub(super) struct Rebuild {
    counts: HashMap<(String, Hash), u64>,
    pub(super) kept: JournalTotals,
}

impl Rebuild {
    /// Looks at a record. Gives the writes that follow from it at once, or what is wrong with it.
    pub(super) fn see(&mut self, key: &[u8], value: &[u8]) -> Result<Vec<Write>, String> {
        if keys::is_head(key) {
            return self.see_head(key, value);
        }
        if keys::is_event(key) {
            self.kept.events += 1;
            let tenant = keys::tenant(key).ok_or("an event belongs to nobody")?;
            // What a damaged event holds nobody knows.
            for body in record::bodies(value).unwrap_or_default() {
                *self.counts.entry((tenant.clone(), body.hash)).or_default() += 1;
            }
        }
        self.kept.snapshots += u64::from(keys::is_snapshot(key));
        Ok(Vec::new())
    }

    fn see_head(&mut self, key: &[u8], value: &[u8]) -> Result<Vec<Write>, String> {
        self.kept.tasks += 1;
        let of = keys::tenant(key).zip(keys::task(key));
        let (tenant, task) = of.ok_or("a head belongs to nobody")?;
        // Without a head it is listed as halted, and never taken up.
        let Ok(head) = TaskHead::from_bytes(value) else { return Ok(Vec::new()) };
        let mut writes = vec![(keys::place(&tenant, head.status, task), Some(Vec::new()))];
        if !head.status.has_ended() {
            writes.push((keys::live(&tenant, task), Some(Vec::new())));
        }
        if head.questions > 0 {
            writes.push((keys::asks(&tenant, task), Some(Vec::new())));
        }
        if !head.key.is_empty() {
            writes.push((keys::created(&tenant, &head.key), Some(task.as_bytes().to_vec())));
        }
        if let Some(family) = head.family {
            writes.push((keys::member(&tenant, family.root, task), Some(Vec::new())));
        }
        if let Some(due_ms) = head.due_ms() {
            writes.push((keys::due(&tenant, due_ms, task), Some(Vec::new())));
        }
        Ok(writes)
    }

    /// The writes of how often each body is held.
    pub(super) fn counts(mut self) -> impl Iterator<Item = Write> {
        self.kept.bodies = self.counts.len() as u64;
        let key = |(tenant, hash): (String, Hash)| keys::count(&tenant, &hash);
        self.counts.into_iter().map(move |(of, n)| (key(of), Some(n.to_be_bytes().to_vec())))
    }

    /// What follows from all records of a journal, as it is now: what is missing or wrong, and what
    /// nothing leads to.
    pub(super) fn corrections(cut: &Cut) -> Result<Vec<Write>, JournalError> {
        let mut rebuild = Self::default();
        let mut derived = BTreeMap::new();
        let damaged = |why| JournalError::from(DiskError(why));
        for (key, value) in cut.records.iter().filter(|(key, _)| keys::is_head(key)) {
            derived.extend(rebuild.see(key, value).map_err(damaged)?);
        }
        cut.each(keys::ALL_EVENTS, |key, value| {
            rebuild.see(&key, &value).map(drop).map_err(damaged)
        })?;
        derived.extend(rebuild.counts());
        let is_derived = |key: &[u8]| keys::list(key).is_some() || keys::is_count(key);
        let stale = cut.records.iter().filter(|(key, _)| is_derived(key));
        let stale = stale.filter(|(key, _)| !derived.contains_key(key));
        let mut writes: Vec<Write> = stale.map(|(key, _)| (key.clone(), None)).collect();
        derived.retain(|key, value| cut.get(key) != value.as_deref());
        writes.extend(derived);
        Ok(writes)
    }

    /// How often each body is held.
    pub(super) const fn held(&self) -> &HashMap<(String, Hash), u64> {
        &self.counts
    }
}
