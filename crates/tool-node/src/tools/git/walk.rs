//! A walk through history by the time of the commits, newest first, which a malformed commit does
//! not end.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet, VecDeque};

use git2::{Odb, Oid, Repository};

use super::failure;
use super::place::Opened;
use super::record::Record;
use super::work::Stop;
use crate::kit::Failure;
use crate::limits;

/// A commit that was met.
pub(super) struct Met {
    pub(super) id: Oid,
    pub(super) record: Record,
}

/// What is known of a commit.
#[derive(Clone, Copy)]
struct Mark {
    hidden: bool,
    queued: bool,
}

/// A walk from some commits to all that they come from.
pub(super) struct Walk<'r> {
    odb: Odb<'r>,
    /// Commits at which a shallow clone ends.
    ends: HashSet<Oid>,
    seen: HashMap<Oid, Mark>,
    /// Commits in the queue that are not hidden.
    waiting: usize,
    /// By time, then in the order of arrival.
    queue: BinaryHeap<(i64, Reverse<usize>, Oid)>,
    records: HashMap<Oid, Record>,
    arrived: usize,
    hides: bool,
    /// What is left of a walk that hides something: that is known at its end alone.
    limited: Option<VecDeque<Met>>,
}

/// Why a walk gives no commit.
pub(super) enum Ended {
    /// All have been met.
    All,
    /// More have been looked at than a call may look at.
    Limit,
}

impl<'r> Walk<'r> {
    pub(super) fn new(open: &'r Opened) -> Result<Self, Failure> {
        Ok(Self {
            odb: odb(&open.repo)?,
            ends: ends(open),
            seen: HashMap::new(),
            waiting: 0,
            queue: BinaryHeap::new(),
            records: HashMap::new(),
            arrived: 0,
            hides: false,
            limited: None,
        })
    }

    pub(super) fn push(&mut self, id: Oid) {
        self.queue_up(id, false);
    }

    /// Leaves out a commit and all that it comes from.
    pub(super) fn hide(&mut self, id: Oid) {
        self.hides = true;
        self.queue_up(id, true);
    }

    fn queue_up(&mut self, id: Oid, hidden: bool) {
        if self.seen.contains_key(&id) {
            if hidden {
                self.hide_met(id);
            }
            return;
        }
        self.seen.insert(id, Mark { hidden, queued: true });
        self.waiting += usize::from(!hidden);
        let record = self.met(id).record;
        // git takes a time that cannot be read for 1970, too.
        let time = record.committer.time_s.unwrap_or(0);
        self.queue.push((time, Reverse(self.arrived), id));
        self.records.insert(id, record);
        self.arrived += 1;
    }

    /// Hides a commit that was met before, and what it comes from as far as that was met.
    fn hide_met(&mut self, id: Oid) {
        let mut todo = vec![id];
        while let Some(id) = todo.pop() {
            let Some(mark) = self.seen.get_mut(&id).filter(|mark| !mark.hidden) else { continue };
            mark.hidden = true;
            self.waiting -= usize::from(mark.queued);
            if !mark.queued {
                todo.extend(self.records.get(&id).into_iter().flat_map(|r| r.parents.clone()));
            }
        }
    }

    /// The next commit.
    pub(super) fn next(&mut self, stop: &Stop) -> Result<Result<Met, Ended>, Failure> {
        if self.hides && self.limited.is_none() {
            match self.limit(stop)? {
                Ok(met) => self.limited = Some(met),
                Err(ended) => return Ok(Err(ended)),
            }
        }
        if let Some(limited) = &mut self.limited {
            return Ok(limited.pop_front().ok_or(Ended::All));
        }
        let Some(id) = self.pop(stop)? else { return Ok(Err(Ended::All)) };
        let record = self.records.remove(&id).unwrap_or_default();
        Ok(Ok(Met { id, record }))
    }

    /// A commit by itself.
    pub(super) fn met(&self, id: Oid) -> Met {
        let mut record = Record::read(&self.odb, id);
        if self.ends.contains(&id) {
            record.parents.clear();
        }
        Met { id, record }
    }

    /// The tree of a commit, which may wait in the queue.
    pub(super) fn tree(&self, id: Oid) -> Option<Oid> {
        match self.records.get(&id) {
            Some(record) => record.tree,
            None => self.met(id).record.tree,
        }
    }

    fn pop(&mut self, stop: &Stop) -> Result<Option<Oid>, Failure> {
        let Some((_, _, id)) = self.queue.pop() else { return Ok(None) };
        stop.check()?;
        let mut hidden = false;
        if let Some(mark) = self.seen.get_mut(&id) {
            mark.queued = false;
            hidden = mark.hidden;
            self.waiting -= usize::from(!hidden);
        }
        let parents = self.records.get(&id).map(|record| record.parents.clone());
        for parent in parents.unwrap_or_default() {
            self.queue_up(parent, hidden);
        }
        Ok(Some(id))
    }

    /// Walks until all that is left is hidden, and a little further: clocks differ.
    fn limit(&mut self, stop: &Stop) -> Result<Result<VecDeque<Met>, Ended>, Failure> {
        let mut met = Vec::new();
        let mut further = 0;
        while further < limits::GIT_SLOP {
            let Some(id) = self.pop(stop)? else { break };
            met.push(id);
            if stop.ends_walk(met.len()) {
                return Ok(Err(Ended::Limit));
            }
            further = if self.waiting == 0 { further + 1 } else { 0 };
        }
        met.retain(|id| self.seen.get(id).is_some_and(|mark| !mark.hidden));
        let taken = met.into_iter().map(|id| {
            let record = self.records.remove(&id).unwrap_or_default();
            Met { id, record }
        });
        Ok(Ok(taken.collect()))
    }
}

fn odb(repo: &Repository) -> Result<Odb<'_>, Failure> {
    repo.odb().map_err(|error| failure(&error))
}

fn ends(open: &Opened) -> HashSet<Oid> {
    // Without the file nothing ends early.
    let text = std::fs::read(open.common_dir.join("shallow")).unwrap_or_default();
    text.split(|byte| *byte == b'\n').filter_map(super::record::oid).collect()
}
