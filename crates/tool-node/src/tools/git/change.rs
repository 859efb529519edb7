//! What differs: between revisions, and from one to the working directory.

use std::collections::BTreeMap;

use git2::{Delta, Diff, DiffFormat, DiffOptions, Repository, Tree};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::find::find;
use super::hidden::Hidden;
use super::module::{self, Module};
use super::place::Opened;
use super::record::Record;
use super::state::{MODULE, Marked};
use super::status::{Skipped, filter};
use super::{failure, text};
use crate::kit::{Content, Failure, RelPath, fail};
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
    /// Every file that differs. A file that was renamed is one deleted and one added.
    files: Vec<File>,
    /// The differences as a patch.
    patch: String,
    /// Files that could not be compared.
    skipped: Vec<Skipped>,
    /// Whether the patch, or the list, is cut short: `diff` with a `path` gives less at once.
    truncated: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct File {
    /// Where it is, or was.
    path: String,
    /// The same as bytes, if it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    raw: Option<Content>,
    /// `added`, `deleted`, `modified`, `type-changed` or `other`.
    change: &'static str,
    /// Lines that were added; null if they were not counted.
    added: Option<usize>,
    /// Lines that were removed; null if they were not counted.
    removed: Option<usize>,
}

pub(super) fn diff(open: &Opened, args: &DiffArgs, hidden: &Hidden) -> Result<Changes, Failure> {
    let git = |error: git2::Error| failure(&error);
    let repo = &open.repo;
    let mut options = options();
    if let Some(path) = args.path.as_ref().filter(|path| !path.is_root()) {
        options.pathspec(path.as_str());
    }
    let from = match &args.from {
        Some(rev) => Some(tree_at(repo, rev)?),
        None => head_tree(repo)?,
    };
    let mut reading = Reading::default();
    match &args.to {
        Some(rev) => {
            let to = tree_at(repo, rev)?;
            let diff = repo.diff_tree_to_tree(from.as_ref(), Some(&to), Some(&mut options));
            reading.read(&diff.map_err(git)?, |path| !hidden.hides(path))?;
        }
        None if repo.is_bare() => {
            return Err(fail::invalid("to", "a bare repository has no working directory"));
        }
        None => to_workdir(open, from.as_ref(), &mut options, hidden, &mut reading)?,
    }
    let below =
        |path: &str| args.path.as_ref().is_none_or(|at| super::status::within(path.as_bytes(), at));
    reading.changes.skipped.retain(|one| below(&one.path) && !hidden.hides(one.path.as_bytes()));
    Ok(reading.finish())
}

/// Compares with the working directory. Where a file is not looked at, with what is staged.
fn to_workdir(
    open: &Opened,
    from: Option<&Tree<'_>>,
    options: &mut DiffOptions,
    hidden: &Hidden,
    reading: &mut Reading,
) -> Result<(), Failure> {
    let git = |error: git2::Error| failure(&error);
    let mut index = open.repo.index().map_err(git)?;
    let marked = Marked::read(open, &mut index, None)?;
    open.repo.set_index(&mut index).map_err(git)?;
    let staged = open.repo.diff_tree_to_index(from, Some(&index), Some(options)).map_err(git)?;
    let mut apart: std::collections::BTreeSet<_> = marked.ignored.into_keys().collect();
    for delta in staged.deltas() {
        let modes = [delta.old_file().mode(), delta.new_file().mode()];
        if modes.iter().any(|mode| u32::from(*mode) == MODULE) {
            apart.insert(path_of(&delta));
        }
    }
    reading.read(&staged, |path| apart.contains(path) && !hidden.hides(path))?;
    for (path, id) in &marked.modules {
        let why = match module::look(open, path) {
            Module::At(now) if now != *id => format!("it is a submodule, at {now} now"),
            Module::Gone => "it is a submodule whose directory is gone".into(),
            Module::Unknown(why) => why,
            Module::At(_) | Module::Absent => continue,
        };
        reading.changes.skipped.push(Skipped::new(path, why));
    }
    options.ignore_submodules(true);
    let diff = open.repo.diff_tree_to_workdir_with_index(from, Some(options)).map_err(git)?;
    for delta in diff.deltas().filter(|delta| delta.status() == Delta::Modified) {
        let path = path_of(&delta);
        if !apart.contains(&path)
            && let Some(filter) = filter(&open.repo, &path)?
        {
            let why = format!("it goes through {filter}, which is not run");
            reading.changes.skipped.push(Skipped::new(&path, why));
            apart.insert(path);
        }
    }
    reading.read(&diff, |path| !apart.contains(path) && !hidden.hides(path))
}

/// What a commit changed against its first parent.
pub(super) fn of_commit(
    repo: &Repository,
    record: &Record,
    hidden: &Hidden,
) -> Result<Changes, Failure> {
    let diff = || {
        let odb = repo.odb()?;
        let before = record.parents.first().and_then(|parent| Record::read(&odb, *parent).tree);
        let before = before.map(|tree| repo.find_tree(tree)).transpose()?;
        let after = record.tree.map(|tree| repo.find_tree(tree)).transpose()?;
        repo.diff_tree_to_tree(before.as_ref(), after.as_ref(), Some(&mut options()))
    };
    let mut reading = Reading::default();
    reading.read(&diff().map_err(|error| failure(&error))?, |path| !hidden.hides(path))?;
    Ok(reading.finish())
}

/// The tree of a revision.
pub(super) fn tree_at<'r>(repo: &'r Repository, rev: &str) -> Result<Tree<'r>, Failure> {
    let id = find(repo, rev)?;
    let tree = || Record::read(&repo.odb()?, id).tree.map(|tree| repo.find_tree(tree)).transpose();
    let found: Option<Tree<'_>> = tree().map_err(|error: git2::Error| failure(&error))?;
    found.ok_or_else(|| fail::failed(format!("the commit {id} names no tree")))
}

/// The tree of the last commit; `None` before the first one.
pub(super) fn head_tree(repo: &Repository) -> Result<Option<Tree<'_>>, Failure> {
    match repo.refname_to_id("HEAD") {
        Ok(_) => tree_at(repo, "HEAD").map(Some),
        // HEAD itself is there: without it the repository is not opened.
        Err(error) if error.code() == git2::ErrorCode::NotFound => Ok(None),
        Err(error) => Err(failure(&error)),
    }
}

fn options() -> DiffOptions {
    let mut options = DiffOptions::new();
    options
        // A path is a path: one that a caveat allows must not match others.
        .disable_pathspec_match(true)
        .include_typechange(true)
        .max_size(limits::GIT_DIFF_FILE);
    options
}

/// Differences as they are read.
#[derive(Default)]
struct Reading {
    changes: Changes,
    lines: BTreeMap<Vec<u8>, Count>,
    patch: Vec<u8>,
    seen: usize,
}

/// Lines of a file.
#[derive(Default)]
struct Count {
    added: usize,
    removed: usize,
    /// Whether they were not compared, as it is no text, or too large.
    binary: bool,
}

impl Reading {
    /// Reads `diff`, as far as its paths are `shown`.
    fn read(&mut self, diff: &Diff<'_>, shown: impl Fn(&[u8]) -> bool) -> Result<(), Failure> {
        let printed = diff.print(DiffFormat::Patch, |delta, _, line| {
            let path = path_of(&delta);
            !shown(&path) || self.line(path, &line)
        });
        match printed {
            Err(error) if error.code() != git2::ErrorCode::User => return Err(failure(&error)),
            Err(_) => self.changes.truncated = true,
            Ok(()) => {}
        }
        for delta in diff.deltas() {
            let path = path_of(&delta);
            if !shown(&path) {
                continue;
            }
            if self.changes.files.len() >= limits::GIT_ENTRIES {
                self.changes.truncated = true;
                break;
            }
            let count = self.lines.get(&path).filter(|count| !count.binary);
            self.changes.files.push(File {
                change: word(delta.status()),
                added: count.map(|count| count.added),
                removed: count.map(|count| count.removed),
                raw: text::raw(&path),
                path: text::lossy(&path),
            });
        }
        Ok(())
    }

    /// Takes a line. Gives whether more can be taken.
    fn line(&mut self, path: Vec<u8>, line: &git2::DiffLine<'_>) -> bool {
        let origin = line.origin();
        let count = self.lines.entry(path).or_default();
        match origin {
            '+' => count.added += 1,
            '-' => count.removed += 1,
            'B' => count.binary = true,
            _ => {}
        }
        self.seen += line.content().len();
        if self.patch.len() + line.content().len() < limits::GIT_PATCH {
            if matches!(origin, '+' | '-' | ' ') {
                self.patch.push(u8::try_from(origin).unwrap_or(b' '));
            }
            self.patch.extend_from_slice(line.content());
        } else {
            self.changes.truncated = true;
        }
        self.seen < limits::GIT_DIFF && self.lines.len() <= limits::GIT_ENTRIES
    }

    fn finish(mut self) -> Changes {
        self.changes.files.sort_by(|a, b| a.path.cmp(&b.path));
        self.changes.patch = text::lossy(&self.patch);
        self.changes
    }
}

pub(super) fn path_of(delta: &git2::DiffDelta<'_>) -> Vec<u8> {
    let path = delta.new_file().path_bytes().or_else(|| delta.old_file().path_bytes());
    path.unwrap_or_default().to_vec()
}

const fn word(delta: Delta) -> &'static str {
    match delta {
        Delta::Added | Delta::Untracked => "added",
        Delta::Deleted => "deleted",
        Delta::Modified => "modified",
        Delta::Typechange => "type-changed",
        _ => "other",
    }
}
