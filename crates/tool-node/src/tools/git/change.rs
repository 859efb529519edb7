//! What differs: between revisions, and from one to the working directory.

use std::collections::BTreeMap;

use git2::{
    Delta, Diff, DiffFormat, DiffOptions, Repository, Status as Flags, StatusOptions, Tree,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{failure, history};
use crate::kit::{Failure, RelPath, fail};
use crate::limits;

#[derive(Deserialize, JsonSchema)]
pub(super) struct DiffArgs {
    /// The revision to compare from; HEAD if it is not said.
    from: Option<String>,
    /// The revision to compare to; the working directory if it is not said.
    to: Option<String>,
    /// Only this file or directory.
    path: Option<RelPath>,
}

/// What differs.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(super) struct Changes {
    /// Every file that differs.
    files: Vec<File>,
    /// The differences as a patch.
    patch: String,
    /// Whether the patch, or the list, is cut short.
    truncated: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct File {
    /// Where it is, or was.
    path: String,
    /// `added`, `deleted`, `modified`, `renamed`, `type-changed` or `other`.
    change: &'static str,
    /// Lines that were added.
    added: usize,
    /// Lines that were removed.
    removed: usize,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Status {
    /// The branch that is checked out; null if none is.
    branch: Option<String>,
    /// The id of its last commit; null if there is none yet.
    head: Option<String>,
    /// Whether nothing differs.
    clean: bool,
    /// The files that differ.
    files: Vec<Differs>,
    /// Whether the list is cut short.
    truncated: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Differs {
    /// Where it is, or was.
    path: String,
    /// How what is staged differs from the last commit; null if it does not.
    staged: Option<&'static str>,
    /// How the working directory differs from what is staged; null if it does not.
    working: Option<&'static str>,
}

pub(super) fn diff(repo: &Repository, args: &DiffArgs) -> Result<Changes, Failure> {
    let git = |error: git2::Error| failure(&error);
    let mut options = options();
    if let Some(path) = args.path.as_ref().filter(|path| !path.is_root()) {
        options.pathspec(path.as_str());
    }
    let options = Some(&mut options);
    let tree = |rev: &str| history::find(repo, rev)?.tree().map_err(git);
    let from = match &args.from {
        Some(rev) => Some(tree(rev)?),
        None => head_tree(repo)?,
    };
    let diff = match &args.to {
        Some(rev) => repo.diff_tree_to_tree(from.as_ref(), Some(&tree(rev)?), options),
        None if repo.is_bare() => {
            return Err(fail::invalid("to", "a bare repository has no working directory"));
        }
        None => repo.diff_tree_to_workdir_with_index(from.as_ref(), options),
    };
    read(&diff.map_err(git)?)
}

/// What a commit changed against its first parent.
pub(super) fn of_commit(repo: &Repository, commit: &git2::Commit<'_>) -> Result<Changes, Failure> {
    let diff = || {
        let before = commit.parents().next().map(|parent| parent.tree()).transpose()?;
        repo.diff_tree_to_tree(before.as_ref(), Some(&commit.tree()?), Some(&mut options()))
    };
    read(&diff().map_err(|error| failure(&error))?)
}

/// The tree of the last commit; `None` before the first one.
pub(super) fn head_tree(repo: &Repository) -> Result<Option<Tree<'_>>, Failure> {
    match repo.head() {
        Ok(head) => head.peel_to_tree().map(Some).map_err(|error| failure(&error)),
        Err(error) if error.code() == git2::ErrorCode::UnbornBranch => Ok(None),
        Err(error) => Err(failure(&error)),
    }
}

fn options() -> DiffOptions {
    let mut options = DiffOptions::new();
    options
        // A path is a path: one that a caveat allows must not match others.
        .disable_pathspec_match(true)
        .ignore_submodules(true)
        .max_size(limits::GIT_DIFF_FILE);
    options
}

fn read(diff: &Diff<'_>) -> Result<Changes, Failure> {
    let mut changes = Changes::default();
    let mut lines: BTreeMap<Vec<u8>, (usize, usize)> = BTreeMap::new();
    let mut patch = Vec::new();
    let mut seen = 0;
    let printed = diff.print(DiffFormat::Patch, |delta, _, line| {
        let origin = line.origin();
        let counts = lines.entry(path_of(&delta)).or_default();
        match origin {
            '+' => counts.0 += 1,
            '-' => counts.1 += 1,
            _ => {}
        }
        seen += line.content().len();
        if patch.len() + line.content().len() < limits::GIT_PATCH {
            if matches!(origin, '+' | '-' | ' ') {
                patch.push(u8::try_from(origin).unwrap_or(b' '));
            }
            patch.extend_from_slice(line.content());
        } else {
            changes.truncated = true;
        }
        seen < limits::GIT_DIFF && lines.len() <= limits::GIT_ENTRIES
    });
    match printed {
        Err(error) if error.code() != git2::ErrorCode::User => return Err(failure(&error)),
        Err(_) => changes.truncated = true,
        Ok(()) => {}
    }
    changes.truncated |= diff.deltas().len() > limits::GIT_ENTRIES;
    let described = |delta: git2::DiffDelta<'_>| {
        let path = path_of(&delta);
        let (added, removed) = lines.get(&path).copied().unwrap_or_default();
        let path = String::from_utf8_lossy(&path).into_owned();
        File { path, change: word(delta.status()), added, removed }
    };
    changes.files = diff.deltas().take(limits::GIT_ENTRIES).map(described).collect();
    changes.patch = String::from_utf8_lossy(&patch).into_owned();
    Ok(changes)
}

fn path_of(delta: &git2::DiffDelta<'_>) -> Vec<u8> {
    let path = delta.new_file().path_bytes().or_else(|| delta.old_file().path_bytes());
    path.unwrap_or_default().to_vec()
}

const fn word(delta: Delta) -> &'static str {
    match delta {
        Delta::Added | Delta::Untracked => "added",
        Delta::Deleted => "deleted",
        Delta::Modified => "modified",
        Delta::Renamed => "renamed",
        Delta::Typechange => "type-changed",
        _ => "other",
    }
}

pub(super) fn status(repo: &Repository) -> Result<Status, Failure> {
    let git = |error: git2::Error| failure(&error);
    let head = repo.head().ok();
    let branch = head.as_ref().filter(|head| head.is_branch());
    let branch = branch.map(|head| String::from_utf8_lossy(head.shorthand_bytes()).into_owned());
    let id = head.as_ref().and_then(|head| head.peel_to_commit().ok()).map(|c| c.id().to_string());
    let mut status = Status { branch, head: id, clean: true, files: Vec::new(), truncated: false };
    if repo.is_bare() {
        return Ok(status);
    }
    let mut options = StatusOptions::new();
    options.include_untracked(true).recurse_untracked_dirs(true).exclude_submodules(true);
    let found = repo.statuses(Some(&mut options)).map_err(git)?;
    status.clean = found.is_empty();
    status.truncated = found.len() > limits::GIT_ENTRIES;
    let differs = |entry: git2::StatusEntry<'_>| Differs {
        path: String::from_utf8_lossy(entry.path_bytes()).into_owned(),
        staged: staged(entry.status()),
        working: working(entry.status()),
    };
    status.files = found.iter().take(limits::GIT_ENTRIES).map(differs).collect();
    Ok(status)
}

fn staged(flags: Flags) -> Option<&'static str> {
    let words = [
        (Flags::INDEX_NEW, "added"),
        (Flags::INDEX_DELETED, "deleted"),
        (Flags::INDEX_MODIFIED, "modified"),
        (Flags::INDEX_RENAMED, "renamed"),
        (Flags::INDEX_TYPECHANGE, "type-changed"),
    ];
    words.into_iter().find(|(flag, _)| flags.contains(*flag)).map(|(_, word)| word)
}

fn working(flags: Flags) -> Option<&'static str> {
    let words = [
        (Flags::WT_NEW, "untracked"),
        (Flags::WT_DELETED, "deleted"),
        (Flags::WT_MODIFIED, "modified"),
        (Flags::WT_RENAMED, "renamed"),
        (Flags::WT_TYPECHANGE, "type-changed"),
        (Flags::CONFLICTED, "conflict"),
    ];
    words.into_iter().find(|(flag, _)| flags.contains(*flag)).map(|(_, word)| word)
}
