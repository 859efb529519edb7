//! States of a repository in which a change is refused, or in which files count otherwise.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use git2::{Index, IndexEntryExtendedFlag, IndexEntryFlag, IndexTime, Oid, RepositoryState};

use super::hidden::os_path;
use super::place::Opened;
use crate::kit::{Failure, fail};

/// Mode of a submodule in an index or a tree.
pub(super) const MODULE: u32 = 0o160_000;

/// The operation that waits to be finished, by its name and the commands that end it.
pub(super) fn waiting(open: &Opened) -> Option<(&'static str, &'static str)> {
    use RepositoryState as State;
    Some(match open.repo.state() {
        State::Merge => ("merge", "`git commit` or `git merge --abort`"),
        State::Revert | State::RevertSequence => {
            ("revert", "`git revert --continue` or `git revert --abort`")
        }
        State::CherryPick | State::CherryPickSequence => {
            ("cherry-pick", "`git cherry-pick --continue` or `git cherry-pick --abort`")
        }
        State::Rebase | State::RebaseInteractive | State::RebaseMerge => {
            ("rebase", "`git rebase --continue` or `git rebase --abort`")
        }
        State::ApplyMailbox | State::ApplyMailboxOrRebase => {
            ("am", "`git am --continue`, `git rebase --continue`, or their --abort")
        }
        State::Bisect => ("bisect", "`git bisect reset`"),
        // Between two picks only this is there.
        State::Clean if open.git_dir.join("sequencer").is_dir() => {
            ("sequence", "`git cherry-pick --continue`, `git revert --continue`, or their --abort")
        }
        State::Clean => return None,
    })
}

/// Fails if `what`, such as "a commit", would not be as the `git` program does it.
pub(super) fn check_changeable(open: &Opened, what: &str) -> Result<(), Failure> {
    if let Some(why) = open.settings.refuses_changes(open.repo.workdir(), &open.git_dir) {
        return Err(fail::failed(format!(
            "{what} is refused, and nothing was changed: {why}. Use git itself"
        )));
    }
    match waiting(open) {
        // A commit on the way is a part of looking for a fault.
        Some(("bisect", _)) if what == "a commit" => Ok(()),
        Some((operation, end)) => Err(fail::failed(format!(
            "{what} is refused, and nothing was changed: a {operation} is not finished. End it by {end}"
        ))),
        None => Ok(()),
    }
}

/// A mark by which the file of an entry is not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    AssumeUnchanged,
    SkipWorktree,
}

/// The entries of an index that are not just files.
#[derive(Debug, Default)]
pub(super) struct Marked {
    /// Entries whose file is not looked at.
    pub(super) ignored: BTreeMap<Vec<u8>, Mark>,
    /// Entries that `git add --intent-to-add` made: they hold nothing yet.
    pub(super) intended: BTreeSet<Vec<u8>>,
    /// Submodules, and the commits that they are recorded at.
    pub(super) modules: BTreeMap<Vec<u8>, Oid>,
    /// Whether a part of the files is left out of the working directory.
    pub(super) sparse: bool,
}

impl Marked {
    /// Reads the marks of `index`, which may not know when it was written: `written` is that time.
    /// As git does, a file that is there although a sparse checkout leaves it out counts as any
    /// other.
    pub(super) fn read(
        open: &Opened,
        index: &mut Index,
        written: Option<IndexTime>,
    ) -> Result<Self, Failure> {
        let mut marked = Self { sparse: open.settings.sparse(), ..Self::default() };
        let workdir = open.repo.workdir().unwrap_or(Path::new(""));
        let mut adjusted = Vec::new();
        for mut entry in index.iter() {
            let extended = IndexEntryExtendedFlag::from_bits_truncate(entry.flags_extended);
            let mut changed = false;
            if entry.mode == MODULE {
                marked.modules.insert(entry.path.clone(), entry.id);
            }
            if extended.is_intent_to_add() {
                marked.intended.insert(entry.path.clone());
            }
            if IndexEntryFlag::from_bits_truncate(entry.flags).is_valid() {
                marked.ignored.insert(entry.path.clone(), Mark::AssumeUnchanged);
            }
            if extended.is_skip_worktree() {
                let there = || workdir.join(os_path(&entry.path)).symlink_metadata().is_ok();
                if marked.sparse && there() {
                    entry.flags_extended &= !IndexEntryExtendedFlag::SKIP_WORKTREE.bits();
                    changed = true;
                } else {
                    marked.ignored.insert(entry.path.clone(), Mark::SkipWorktree);
                    marked.sparse |= !there();
                }
            }
            // Changed in the second in which the index was written: its times tell nothing. The git
            // program compares whole seconds.
            let is_as_new = |written: IndexTime| entry.mtime.seconds() >= written.seconds();
            if written.is_some_and(is_as_new) && entry.mode != MODULE {
                entry.mtime = IndexTime::new(0, 0);
                entry.ctime = IndexTime::new(0, 0);
                changed = true;
            }
            if changed {
                adjusted.push(entry);
            }
        }
        for entry in adjusted {
            index.add(&entry).map_err(|error| super::failure(&error))?;
        }
        Ok(marked)
    }
}
