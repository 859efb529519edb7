//! The files that differ from the last commit.

use std::path::Path;

use git2::{
    AttrCheckFlags, AttrValue, Delta, DiffOptions, ErrorCode, Index, IndexTime, Repository,
    Status as Flags, StatusOptions,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::hidden::{Hidden, os_path};
use super::module::{self, Module};
use super::place::Opened;
use super::state::{self, MODULE, Marked};
use super::{change, failure, text};
use crate::kit::{Content, Failure, RelPath};
use crate::limits;

#[derive(Deserialize, JsonSchema)]
pub(super) struct StatusArgs {
    /// Only this file or directory.
    path: Option<RelPath>,
    /// Only files whose path comes after this one: the last of a list that was cut short.
    after: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Status {
    /// The branch that is checked out, which may have no commit yet; null if none is.
    branch: Option<String>,
    /// The id of the last commit; null if there is none yet.
    head: Option<String>,
    /// The operation that waits to be finished, such as `merge` or `rebase`; null if none does.
    waiting: Option<&'static str>,
    /// Whether only a part of the files is in the working directory, by a sparse checkout.
    sparse: bool,
    /// Whether the history ends early, in a shallow clone.
    shallow: bool,
    /// Whether nothing differs and nothing was skipped.
    clean: bool,
    /// The files that differ, by path.
    files: Vec<Differs>,
    /// Files that could not be compared.
    skipped: Vec<Skipped>,
    /// Whether the list is cut short: `after` its last path gives more.
    truncated: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Differs {
    /// Where it is, or was.
    path: String,
    /// The same as bytes, if it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    raw: Option<Content>,
    /// How what is staged differs from the last commit; null if it does not.
    staged: Option<&'static str>,
    /// How the working directory differs from what is staged; null if it does not.
    working: Option<&'static str>,
}

/// A file that was not looked at.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(super) struct Skipped {
    /// Where it is.
    pub(super) path: String,
    /// Why it was not looked at.
    pub(super) why: String,
    /// Whether that is because of a filter that is not run.
    #[serde(skip)]
    pub(super) filtered: bool,
}

impl Skipped {
    pub(super) fn new(path: &[u8], why: impl Into<String>) -> Self {
        Self { path: text::lossy(path), why: why.into(), filtered: false }
    }
}

/// A file that differs.
#[derive(Debug)]
pub(super) struct Difference {
    pub(super) path: Vec<u8>,
    pub(super) staged: Option<&'static str>,
    pub(super) working: Option<&'static str>,
}

/// All that differs, and what could not be compared.
pub(super) struct Survey {
    pub(super) differences: Vec<Difference>,
    pub(super) skipped: Vec<Skipped>,
    pub(super) marked: Marked,
}

/// Which files count that git does not know yet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Untracked {
    Listed,
    LeftOut,
}

/// Compares the last commit, `index` and the working directory, without what is hidden.
pub(super) fn survey(
    open: &Opened,
    index: &mut Index,
    written: Option<IndexTime>,
    untracked: Untracked,
    hidden: &Hidden,
) -> Result<Survey, Failure> {
    let git = |error: git2::Error| failure(&error);
    let marked = Marked::read(open, index, written)?;
    open.repo.set_index(index).map_err(git)?;
    let mut options = StatusOptions::new();
    let listed = untracked == Untracked::Listed;
    options
        .include_untracked(listed)
        .recurse_untracked_dirs(listed)
        .exclude_submodules(true)
        .no_refresh(true);
    let found = open.repo.statuses(Some(&mut options)).map_err(git)?;
    let mut survey = Survey { differences: Vec::new(), skipped: Vec::new(), marked };
    for entry in found.iter().filter(|entry| !entry.status().contains(Flags::IGNORED)) {
        let path = entry.path_bytes();
        if !hidden.hides(path) {
            survey.add(&open.repo, path, entry.status())?;
        }
    }
    survey.add_modules(open, index, hidden)?;
    survey.differences.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(survey)
}

impl Survey {
    fn add(&mut self, repo: &Repository, path: &[u8], flags: Flags) -> Result<(), Failure> {
        let mut difference =
            Difference { path: path.to_vec(), staged: staged(flags), working: working(flags) };
        if self.marked.ignored.contains_key(path) && difference.working != Some("conflict") {
            difference.working = None;
        }
        if self.marked.intended.contains(path) {
            // Nothing is staged but the name.
            difference.staged = None;
            difference.working = difference.working.map(|working| match working {
                "modified" | "type-changed" => "added",
                other => other,
            });
        }
        if matches!(difference.working, Some("modified"))
            && let Some(filter) = filter(repo, path)?
        {
            difference.working = None;
            let why = format!("it goes through {filter}, which is not run");
            self.skipped.push(Skipped { filtered: true, ..Skipped::new(path, why) });
        }
        if difference.staged.is_some() || difference.working.is_some() {
            self.differences.push(difference);
        }
        Ok(())
    }

    /// Compares the commits that submodules are at: libgit2 would open any repository that one names.
    fn add_modules(
        &mut self,
        open: &Opened,
        index: &Index,
        hidden: &Hidden,
    ) -> Result<(), Failure> {
        let git = |error: git2::Error| failure(&error);
        let head = change::head_tree(&open.repo)?;
        let mut options = DiffOptions::new();
        let diff = open.repo.diff_tree_to_index(head.as_ref(), Some(index), Some(&mut options));
        let is_module = |mode: git2::FileMode| u32::from(mode) == MODULE;
        let mut found = std::collections::BTreeMap::new();
        for delta in diff.map_err(git)?.deltas() {
            let (old, new) = (delta.old_file(), delta.new_file());
            if is_module(old.mode()) || is_module(new.mode()) {
                let path = new.path_bytes().or(old.path_bytes()).unwrap_or_default();
                let word = match delta.status() {
                    Delta::Added => "added",
                    Delta::Deleted => "deleted",
                    Delta::Typechange => "type-changed",
                    _ => "modified",
                };
                found.insert(path.to_vec(), (Some(word), None));
            }
        }
        for (path, id) in &self.marked.modules {
            if self.marked.ignored.contains_key(path) {
                continue;
            }
            match module::look(open, path) {
                Module::Gone => found.entry(path.clone()).or_default().1 = Some("deleted"),
                Module::At(now) if now != *id => {
                    found.entry(path.clone()).or_default().1 = Some("modified");
                }
                Module::Unknown(why) => self.skipped.push(Skipped::new(path, why)),
                Module::At(_) | Module::Absent => {}
            }
        }
        self.skipped.retain(|skipped| !hidden.hides(skipped.path.as_bytes()));
        found.retain(|path, _| !hidden.hides(path));
        let differs = |(path, (staged, working))| Difference { path, staged, working };
        self.differences.extend(found.into_iter().map(differs));
        Ok(())
    }
}

/// The filter that a file goes through on its way into the repository, if it is not one of those
/// that libgit2 has built in.
pub(super) fn filter(repo: &Repository, path: &[u8]) -> Result<Option<String>, Failure> {
    let value = |name: &str| -> Result<Option<String>, git2::Error> {
        let found = repo.get_attr_bytes(os_path(path), name, AttrCheckFlags::FILE_THEN_INDEX)?;
        Ok(match AttrValue::from_bytes(found) {
            AttrValue::String(text) => Some(text.to_owned()),
            AttrValue::Bytes(bytes) => Some(text::lossy(bytes)),
            AttrValue::True | AttrValue::False | AttrValue::Unspecified => None,
        })
    };
    let found = || {
        if let Some(name) = value("filter")? {
            return Ok(Some(format!("the filter `{name}`")));
        }
        let encoding = value("working-tree-encoding")?;
        let foreign = encoding.filter(|name| !name.eq_ignore_ascii_case("utf-8"));
        Ok(foreign.map(|name| format!("the encoding `{name}`")))
    };
    found().map_err(|error: git2::Error| failure(&error))
}

pub(super) fn status(open: &Opened, args: &StatusArgs, hidden: &Hidden) -> Result<Status, Failure> {
    let repo = &open.repo;
    let (branch, head) = head(repo)?;
    let mut status = Status {
        branch,
        head,
        waiting: state::waiting(open).map(|(operation, _)| operation),
        sparse: false,
        shallow: repo.is_shallow(),
        clean: true,
        files: Vec::new(),
        skipped: Vec::new(),
        truncated: false,
    };
    if repo.is_bare() {
        return Ok(status);
    }
    let mut index = repo.index().map_err(|error| failure(&error))?;
    let found = survey(open, &mut index, None, Untracked::Listed, hidden)?;
    status.sparse = found.marked.sparse;
    status.clean = found.differences.is_empty() && found.skipped.is_empty();
    status.skipped = found.skipped;
    let wanted = |difference: &Difference| {
        let below = args.path.as_ref().is_none_or(|at| within(&difference.path, at));
        below && args.after.as_ref().is_none_or(|after| *difference.path > *after.as_bytes())
    };
    let mut files: Vec<_> = found.differences.into_iter().filter(wanted).collect();
    status.truncated = files.len() > limits::GIT_ENTRIES;
    files.truncate(limits::GIT_ENTRIES);
    let differs = |Difference { path, staged, working }| Differs {
        raw: text::raw(&path),
        path: text::lossy(&path),
        staged,
        working,
    };
    status.files = files.into_iter().map(differs).collect();
    Ok(status)
}

/// Whether `path` is `at` or below it.
pub(super) fn within(path: &[u8], at: &RelPath) -> bool {
    at.is_root() || os_path(path).starts_with(Path::new(at.as_str()))
}

/// The branch that HEAD names, and the commit that it is at.
fn head(repo: &Repository) -> Result<(Option<String>, Option<String>), Failure> {
    let git = |error: git2::Error| failure(&error);
    let head = repo.find_reference("HEAD").map_err(git)?;
    let branch = head.symbolic_target_bytes().map(|name| {
        let short = name.strip_prefix(b"refs/heads/").unwrap_or(name);
        text::lossy(short)
    });
    match repo.refname_to_id("HEAD") {
        Ok(id) => Ok((branch, Some(id.to_string()))),
        Err(error) if error.code() == ErrorCode::NotFound => Ok((branch, None)),
        Err(error) => Err(git(error)),
    }
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
