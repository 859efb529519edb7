//! Losses: commits that a damaged store lost, the tasks that they were about, and what a person
//! decides. Until then these tasks stop, and all others go on.

use std::collections::BTreeMap;

use futures::executor::block_on;
use remit_core::audit::{Decision, Record};
use remit_core::{Code, Failure, TaskId};
use remit_store::{Disk, DiskError, Loss, Write};
use serde::{Deserialize, Serialize};

use super::{JournalError, SledJournal, verify};
use crate::audit::Audit;
use crate::limits;

/// What the keys of losses begin with; the number of the first commit follows.
const LOSSES: &[u8] = b"loss/";

/// A loss that nobody has accepted yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// The first and the last number of each run of commits that is missing.
    pub commits: Vec<(u64, u64)>,
    /// The tasks that they were about, by id.
    tasks: Vec<String>,
    /// Whether the audit tells of it.
    is_told: bool,
}

impl Lost {
    /// The tasks that the missing commits were about.
    pub fn tasks(&self) -> impl Iterator<Item = TaskId> + '_ {
        self.tasks.iter().filter_map(|task| task.parse().ok())
    }

    fn numbers(&self) -> String {
        let run = |(first, last): &(u64, u64)| match first == last {
            true => format!("commit {first}"),
            false => format!("commits {first} to {last}"),
        };
        self.commits.iter().map(run).collect::<Vec<_>>().join(", ")
    }

    /// What is missing, and what became of it.
    pub fn in_words(&self) -> String {
        let tasks = match self.tasks.len() {
            0 => "no task".to_owned(),
            1 => format!("task {}, which stops", self.tasks[0]),
            _ => format!("the tasks {}, which stop", self.tasks.join(", ")),
        };
        format!("missing: {}; about {tasks}", self.numbers())
    }

    fn failure(&self) -> Failure {
        let why = format!(
            "the journal lost {}, in part about this task, so it stops where it was: restore a backup (`remit restore`), or accept the loss (`remit verify --accept-loss`), and it goes on from what is left",
            self.numbers()
        );
        Failure::new(Code::Failed, why)
    }
}

/// The record of a loss, as the store writes it.
pub(super) fn record(loss: &Loss) -> Write {
    let commits: Vec<(u64, u64)> =
        loss.commits.iter().map(|run| (*run.start(), *run.end())).collect();
    let first = commits.first().map_or(0, |(first, _)| *first);
    let tasks = loss.subjects.iter().map(|task| TaskId::from_bytes(*task).to_string()).collect();
    written(&key(first), &Lost { commits, tasks, is_told: false })
}

fn key(first: u64) -> Vec<u8> {
    [LOSSES, &first.to_be_bytes()].concat()
}

fn written(key: &[u8], lost: &Lost) -> Write {
    (key.to_vec(), Some(serde_json::to_vec(lost).unwrap_or_default()))
}

fn read(disk: &Disk) -> Result<Vec<(Vec<u8>, Lost)>, DiskError> {
    let stored = disk.scan(LOSSES, LOSSES, limits::FINDINGS)?;
    let read = |(key, value): (Vec<u8>, Vec<u8>)| match serde_json::from_slice(&value) {
        Ok(lost) => Ok((key, lost)),
        Err(error) => Err(DiskError(format!(
            "the record of a loss cannot be read ({error}): restore the journal from a backup"
        ))),
    };
    stored.into_iter().map(read).collect()
}

/// The losses that nobody has accepted yet.
pub(super) fn losses(disk: &Disk) -> Result<Vec<Lost>, DiskError> {
    Ok(read(disk)?.into_iter().map(|(_, lost)| lost).collect())
}

/// Why tasks are stopped by losses.
pub fn stopped(losses: &[Lost]) -> BTreeMap<TaskId, Failure> {
    losses.iter().flat_map(|lost| lost.tasks().map(|task| (task, lost.failure()))).collect()
}

/// Makes anew what follows from other records, if something was lost since the last start. Blocks.
pub fn mend_lists(journal: &SledJournal) -> Result<(), JournalError> {
    if losses(journal.disk())?.iter().any(|lost| !lost.is_told) {
        verify::rebuild(journal)?;
    }
    Ok(())
}

/// Writes records of losses that the stream of `tenant` does not tell of yet, in the name of `who`.
pub async fn tell(
    journal: &SledJournal,
    audit: &Audit,
    tenant: &str,
    who: &str,
) -> Result<(), Failure> {
    let disk = journal.disk();
    let unreadable = |error: DiskError| JournalError::from(error).into_failure();
    for (key, lost) in read(disk).map_err(unreadable)? {
        if lost.is_told {
            continue;
        }
        tracing::error!(lost = lost.in_words(), "the journal lost what was acknowledged");
        let record = Record::new(who, Decision::Lost).because(lost.in_words());
        audit.record(tenant, record.about(lost.tasks.join(" "))).await?;
        let told = written(&key, &Lost { is_told: true, ..lost });
        disk.commit(vec![told]).await.map_err(unreadable)?;
    }
    Ok(())
}

/// Has what is left count as all there is, in the name of `who`, and writes records in the stream of
/// `tenant` that say so. `damage`: what the store says it lacks, if that was not confined to tasks. Gives what was
/// accepted, in words, and how many entries of lists were made anew. Blocks.
pub fn accept(
    journal: &SledJournal,
    audit: &Audit,
    tenant: &str,
    who: &str,
    damage: Option<String>,
) -> Result<(Vec<String>, usize), JournalError> {
    let corrected = verify::rebuild(journal)?;
    let known = read(journal.disk())?;
    let mut accepted: Vec<(String, String)> =
        known.iter().map(|(_, lost)| (lost.in_words(), lost.tasks.join(" "))).collect();
    accepted.extend(damage.map(|damage| (damage, String::new())));
    for (what, tasks) in &accepted {
        let record = Record::new(who, Decision::LossAccepted).because(what.as_str()).about(tasks);
        let recorded = block_on(audit.record(tenant, record));
        recorded.map_err(|failure| JournalError::Unavailable(failure.message))?;
    }
    let gone = known.into_iter().map(|(key, _)| (key, None)).collect();
    block_on(journal.disk().commit(gone))?;
    Ok((accepted.into_iter().map(|(what, _)| what).collect(), corrected))
}
