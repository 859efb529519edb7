//! What follows from other records, made anew: heads, index entries, and how often bodies are held.

use std::collections::{BTreeMap, HashMap};

use remit_core::TaskId;
use remit_store::{DiskError, Pair, Write};

use super::backup::JournalTotals;
use super::cut::{Cut, CutTask};
use super::record::{self, Hash};
use super::sled::notices;
use super::{Family, JournalError, TaskHead, keys, recovery};

/// What was seen of the records so far.
#[derive(Default)]
pub(super) struct Rebuild {
    counts: HashMap<(String, Hash), u64>,
    pub(super) kept: JournalTotals,
}

impl Rebuild {
    /// Counts a record, and the bodies that it holds. An error says what is wrong with it.
    pub(super) fn see(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        self.kept.tasks += u64::from(keys::is_head(key));
        if keys::is_event(key) {
            self.kept.events += 1;
            let tenant = keys::tenant(key).ok_or("an event belongs to nobody")?;
            // What a damaged event holds nobody knows.
            for body in record::bodies(value).unwrap_or_default() {
                *self.counts.entry((tenant.clone(), body.hash)).or_default() += 1;
            }
        }
        self.kept.snapshots += u64::from(keys::is_snapshot(key));
        Ok(())
    }

    /// The records of how often each body is held.
    fn counts(self) -> impl Iterator<Item = Pair> {
        let key = |(tenant, hash): (String, Hash)| keys::count(&tenant, &hash);
        self.counts.into_iter().map(move |(of, n)| (key(of), n.to_be_bytes().to_vec()))
    }

    /// How often each body is held.
    pub(super) const fn held(&self) -> &HashMap<(String, Hash), u64> {
        &self.counts
    }
}

/// The writes that correct what does not follow from all other records of a journal, as it is now:
/// what is missing or wrong, and what nothing leads to.
pub(super) fn corrections(cut: &Cut) -> Result<Vec<Write>, JournalError> {
    let mut derived = BTreeMap::new();
    let mut heads: BTreeMap<(String, TaskId), TaskHead> = BTreeMap::new();
    // In the order of their creation: the one that spawned another comes first.
    for of in cut.tasks() {
        // A task with an unreadable head is listed as halted, and never activated.
        let Ok(head) = &of.head else { continue };
        let mut head = corrected(cut, &of, head)?;
        let parent = head.parent.and_then(|parent| heads.get(&(of.tenant.clone(), parent)));
        head.family = family(&head, parent);
        derived.insert(keys::head(&of.tenant, of.task), head.to_bytes()?);
        derived.extend(entries(&of.tenant, of.task, &head));
        heads.insert((of.tenant, of.task), head);
    }
    let mut rebuild = Rebuild::default();
    cut.each(keys::ALL_EVENTS, |key, value| {
        rebuild.see(&key, &value).map_err(|why| JournalError::from(DiskError(why)))
    })?;
    derived.extend(rebuild.counts());
    let is_derived = |key: &[u8]| keys::list(key).is_some() || keys::is_count(key);
    let stale = cut.records.iter().filter(|(key, _)| is_derived(key));
    let stale = stale.filter(|(key, _)| !derived.contains_key(key));
    let mut writes: Vec<Write> = stale.map(|(key, _)| (key.clone(), None)).collect();
    let wrong = derived.into_iter().filter(|(key, value)| cut.get(key) != Some(value));
    writes.extend(wrong.map(|(key, value)| (key, Some(value))));
    for miscount in notices::miscounts(&cut.records) {
        writes.push(miscount.correction()?);
    }
    Ok(writes)
}

/// The head with what the task's events say, as far as they can be read.
fn corrected(cut: &Cut, of: &CutTask, head: &TaskHead) -> Result<TaskHead, JournalError> {
    let Ok(Some(recovered)) = recovery::recover(&cut.journal, &of.tenant, of.task) else {
        return Ok(head.clone());
    };
    if recovered.task.head().number != head.number {
        return Ok(head.clone());
    }
    Ok(head.clone().corrected(TaskHead::of(&recovered.task, of.task)))
}

/// The family of the task with this head, as the head of the one that spawned it says, if that one
/// is still held.
pub(super) fn family(head: &TaskHead, parent: Option<&TaskHead>) -> Option<Family> {
    let spawned_by = head.parent?;
    parent.map_or(head.family, |parent| Some(parent.family_below(spawned_by)))
}

/// The index entries that follow from a head.
pub(super) fn entries(tenant: &str, task: TaskId, head: &TaskHead) -> Vec<Pair> {
    let empty = |key: Vec<u8>| (key, Vec::new());
    let mut entries = vec![empty(keys::place(tenant, head.status, task))];
    if !head.status.has_ended() {
        entries.push(empty(keys::live(tenant, task)));
    }
    if head.questions > 0 {
        entries.push(empty(keys::asks(tenant, task)));
    }
    if !head.key.is_empty() {
        entries.push((keys::created(tenant, &head.key), task.as_bytes().to_vec()));
    }
    if let Some(family) = head.family {
        entries.push(empty(keys::member(tenant, family.root, task)));
    }
    if let Some(due_ms) = head.due_ms() {
        entries.push(empty(keys::due(tenant, due_ms, task)));
    }
    entries
}
