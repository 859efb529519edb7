//! Commits of what is in the working directory.

use std::path::Path;
use std::time::UNIX_EPOCH;

use git2::{
    ErrorCode, Index, IndexEntry, IndexEntryExtendedFlag, IndexTime, Oid, Repository, Signature,
    Tree,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::hidden::Hidden;
use super::lock::Lock;
use super::place::Opened;
use super::sparse::Sparse;
use super::stage::{self, Stage};
use super::state::{self, Mark};
use super::status::{self, Skipped, Survey, Untracked};
use super::{By, change, failure, history, text};
use crate::kit::{Failure, RelPath, fail};
use crate::limits;

#[derive(Deserialize, JsonSchema)]
pub(super) struct CommitArgs {
    /// What the commit says.
    message: String,
    /// The files and directories to commit; all changes of tracked files if it is not said.
    paths: Option<Vec<RelPath>>,
    /// Who wrote it, as `Name <address>`; the operator's choice if it is not said.
    author: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Committed {
    /// The new commit's id.
    id: String,
    /// The beginning of it.
    short: String,
    /// Files that were asked for, or differ, and are not in the commit.
    skipped: Vec<Skipped>,
}

/// Who commits.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    name: String,
    address: String,
}

impl Identity {
    /// Reads `Name <address>`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{}` is not of the form `Name <address>`",
                text.chars().take(80).collect::<String>()
            )
        };
        let (name, rest) = text.split_once('<').ok_or_else(wrong)?;
        let address = rest.trim_end().strip_suffix('>').ok_or_else(wrong)?;
        let odd = |part: &str| part.is_empty() || part.contains(['<', '>', '\n', '\r', '\0']);
        if odd(name.trim()) || odd(address) || text.len() > limits::GIT_REV_BYTES {
            return Err(wrong());
        }
        Ok(Self { name: name.trim().to_owned(), address: address.to_owned() })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    pub(super) fn sign(&self) -> Result<Signature<'static>, Failure> {
        Signature::now(&self.name, &self.address).map_err(|error| failure(&error))
    }
}

/// Commits. All that can fail comes before the branch moves: until then nothing has changed but
/// that objects which nothing refers to may be in the repository.
pub(super) fn commit(open: &Opened, args: &CommitArgs, by: &By) -> Result<Committed, Failure> {
    let (committer, hidden) = (&by.author, &*by.hidden);
    let git = |error: git2::Error| failure(&error);
    let author = match &args.author {
        Some(text) => Identity::parse(text).map_err(|why| fail::invalid("author", why))?,
        None => committer.clone(),
    };
    let message = message(&args.message)?;
    state::check_changeable(open, "a commit")?;
    let (mut index, written, lock) = locked_index(open)?;
    let (tip, _head_lock) = Tip::locked(open)?;
    let survey = status::survey(open, &mut index, written, untracked(args), hidden)?;
    if index.has_conflicts() {
        return Err(fail::failed(
            "the commit is refused, and nothing was changed: there are conflicts. Resolve them with git first",
        ));
    }
    let mut stage = Stage::new(open, hidden)?;
    read(&mut stage, &survey, args, &index)?;
    let Stage { staged, mut skipped, .. } = stage;
    skipped.extend(survey.skipped.iter().filter(|skipped| wanted(args, &skipped.path)).cloned());
    let head = change::head_tree(&open.repo)?;
    let tree = match &args.paths {
        None => {
            stage::apply(&mut index, &staged)?;
            whole(open, &mut index, head.as_ref(), hidden)?
        }
        // Only what was named, whatever else was staged by others.
        Some(_) => {
            let mut only = Index::new().map_err(git)?;
            if let Some(head) = &head {
                only.read_tree(head).map_err(git)?;
            }
            stage::apply(&mut only, &staged)?;
            stage::apply(&mut index, &staged)?;
            only.write_tree_to(&open.repo).map_err(git)?
        }
    };
    let tree = open.repo.find_tree(tree).map_err(git)?;
    if head.map_or(tree.is_empty(), |head| head.id() == tree.id()) {
        let left = skipped.first().map(|one| format!(" (`{}` is left out: {})", one.path, one.why));
        return Err(fail::failed(format!(
            "there is nothing to commit: no file differs from the last commit{}",
            left.unwrap_or_default()
        )));
    }
    let parent = tip.id.map(|id| open.repo.find_commit(id)).transpose().map_err(git)?;
    let parents: Vec<_> = parent.iter().collect();
    let (author, committer) = (author.sign()?, committer.sign()?);
    // Into the lock, for now.
    index.write().map_err(git)?;
    let id = open.repo.commit(None, &author, &committer, &message, &tree, &parents).map_err(git)?;
    tip.advance(&open.repo, id, &message)?;
    lock.publish().map_err(|error| {
        fail::unknown(format!(
            "the commit {id} was made, but the index could not be replaced ({error}): `git status` shows its files as changed back until `git reset` is run"
        ))
    })?;
    let id = id.to_string();
    Ok(Committed { short: history::short(&id), id, skipped })
}

/// A message as git keeps it: no empty lines around it, and a line feed at its end.
fn message(text: &str) -> Result<String, Failure> {
    let clean = git2::message_prettify(text, None)
        .map_err(|_| fail::invalid("message", "a message cannot contain the character NUL"))?;
    match clean.is_empty() {
        true => Err(fail::invalid("message", "a commit needs a message")),
        false => Ok(clean),
    }
}

const fn untracked(args: &CommitArgs) -> Untracked {
    match args.paths {
        Some(_) => Untracked::Listed,
        None => Untracked::LeftOut,
    }
}

fn wanted(args: &CommitArgs, path: &str) -> bool {
    let Some(paths) = &args.paths else { return true };
    paths.iter().any(|at| status::within(path.as_bytes(), at))
}

/// The index under its lock, which it will be written to, and when it was last written.
pub(super) fn locked_index(open: &Opened) -> Result<(Index, Option<IndexTime>, Lock), Failure> {
    let path = open.git_dir.join("index");
    let unreadable = |error: std::io::Error| fail::failed(format!("the index: {error}"));
    let lock = Lock::take(&path, EMPTY_INDEX)?;
    let written = match std::fs::copy(&path, lock.path()) {
        Ok(_) => Some(modified(&path).map_err(unreadable)?),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(unreadable(error)),
    };
    let index = Index::open(lock.path()).map_err(|error| failure(&error))?;
    Ok((index, written, lock))
}

/// An index of version 2 without entries, with its checksum.
const EMPTY_INDEX: &[u8] = b"DIRC\0\0\0\x02\0\0\0\0\
    \x39\xd8\x90\x13\x9e\xe5\x35\x6c\x7e\xf5\x72\x21\x6c\xeb\xcd\x27\xaa\x41\xf9\xdf";

fn modified(path: &Path) -> std::io::Result<IndexTime> {
    let since = path.metadata()?.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = i32::try_from(since.as_secs()).unwrap_or(i32::MAX);
    Ok(IndexTime::new(seconds, since.subsec_nanos()))
}

/// Reads what is to be committed into `stage`. Fails before anything is read if a file goes
/// through a filter, or a path names nothing.
fn read(
    stage: &mut Stage<'_>,
    survey: &Survey,
    args: &CommitArgs,
    index: &Index,
) -> Result<(), Failure> {
    let differing: Vec<_> =
        survey.differences.iter().filter(|one| wanted(args, &text::lossy(&one.path))).collect();
    for at in args.paths.iter().flatten().filter(|at| !at.is_root()) {
        let differs = differing.iter().any(|one| status::within(&one.path, at));
        stage.check_known(at, differs, index)?;
    }
    let mut filtered = survey.skipped.iter().filter(|one| one.filtered && wanted(args, &one.path));
    let untold = |path: &str, why: &str| {
        fail::failed(format!(
            "the commit is refused, and nothing was changed: `{path}` cannot be committed here: {why}. Commit it with git, or give `paths` without it"
        ))
    };
    if let Some(one) = filtered.next() {
        return Err(untold(&one.path, &one.why));
    }
    for one in differing.iter().filter(|one| one.working != Some("deleted")) {
        if let Some(filter) = status::filter(&stage.open().repo, &one.path)? {
            let why = format!("it goes through {filter}, which is not run");
            return Err(untold(&text::lossy(&one.path), &why));
        }
    }
    let sparse = Sparse::read(stage.open())?;
    for one in &differing {
        let outside = sparse.as_ref().is_some_and(|sparse| !sparse.holds(&one.path));
        if outside && one.working.is_some() {
            stage.skipped.push(Skipped::new(&one.path, "it is outside of the sparse checkout"));
        }
        // A file that is not looked at stays as it was staged.
        match outside || survey.marked.ignored.contains_key(&one.path) {
            true => stage.add_staged(&one.path, index),
            false => stage.add(&one.path, index)?,
        }
    }
    if args.paths.is_some() {
        let assumed = survey.marked.ignored.iter().filter(|(_, m)| **m == Mark::AssumeUnchanged);
        for (path, _) in assumed.filter(|(path, _)| wanted(args, &text::lossy(path))) {
            if let Some(filter) = status::filter(&stage.open().repo, path)? {
                let why = format!("it goes through {filter}, which is not run");
                return Err(untold(&text::lossy(path), &why));
            }
            stage.add_if_changed(path, index)?;
        }
    }
    Ok(())
}

/// The tree of the whole index, but for what is hidden, which stays as it was, and for names that
/// hold nothing yet.
fn whole(
    open: &Opened,
    index: &mut Index,
    head: Option<&Tree<'_>>,
    hidden: &Hidden,
) -> Result<Oid, Failure> {
    let git = |error: git2::Error| failure(&error);
    let nothing = |entry: &IndexEntry| {
        IndexEntryExtendedFlag::from_bits_truncate(entry.flags_extended).is_intent_to_add()
    };
    let odd = |entry: &IndexEntry| hidden.hides(&entry.path) || nothing(entry);
    let any = index.iter().any(|entry| odd(&entry));
    if !any && !head.is_some_and(|head| hidden.is_in(head)) {
        return index.write_tree_to(&open.repo).map_err(git);
    }
    let mut seen = Index::new().map_err(git)?;
    for entry in index.iter().filter(|entry| !odd(entry)) {
        seen.add(&entry).map_err(git)?;
    }
    if let Some(head) = head {
        let mut before = Index::new().map_err(git)?;
        before.read_tree(head).map_err(git)?;
        for entry in before.iter().filter(|entry| hidden.hides(&entry.path)) {
            seen.add(&entry).map_err(git)?;
        }
    }
    seen.write_tree_to(&open.repo).map_err(git)
}

/// What HEAD names, and the commit that it is at.
pub(super) struct Tip {
    name: String,
    pub(super) id: Option<Oid>,
}

impl Tip {
    /// Reads HEAD. If it names a branch, nothing else can change that while the lock is held.
    fn locked(open: &Opened) -> Result<(Self, Option<Lock>), Failure> {
        let git = |error: git2::Error| failure(&error);
        let head = || open.repo.find_reference("HEAD");
        let on_branch = head().map_err(git)?.symbolic_target_bytes().is_some();
        let lock = on_branch.then(|| Lock::take(&open.git_dir.join("HEAD"), b"")).transpose()?;
        let target = head().map_err(git)?.symbolic_target_bytes().map(<[u8]>::to_vec);
        if target.is_some() != on_branch {
            return Err(fail::failed("HEAD was changed by another process: try again"));
        }
        let name = String::from_utf8(target.unwrap_or_else(|| b"HEAD".to_vec()))
            .map_err(|_| fail::failed("the branch's name is not UTF-8: use git itself"))?;
        let id = match open.repo.refname_to_id(&name) {
            Ok(id) => Some(id),
            Err(error) if error.code() == ErrorCode::NotFound => None,
            Err(error) => return Err(git(error)),
        };
        if open.repo.find_reference(&name).is_ok_and(|found| found.target().is_none()) {
            return Err(fail::failed(format!(
                "`{name}` is another name of a branch: use git itself"
            )));
        }
        Ok((Self { name, id }, lock))
    }

    /// Moves to `id`, unless another process moved it meanwhile.
    fn advance(&self, repo: &Repository, id: Oid, message: &str) -> Result<(), Failure> {
        let subject = message.lines().next().unwrap_or_default();
        let moved = match self.id {
            Some(old) => {
                repo.reference_matching(&self.name, id, true, old, &format!("commit: {subject}"))
            }
            None => repo.reference(&self.name, id, false, &format!("commit (initial): {subject}")),
        };
        let Err(error) = moved else { return Ok(()) };
        let why = error.message();
        match repo.refname_to_id(&self.name) {
            Ok(now) if now == id => Ok(()),
            Ok(now) if Some(now) == self.id => Err(fail::failed(format!(
                "the commit was not made, and nothing was changed: `{}` cannot be moved: {why}",
                self.name
            ))),
            Err(gone) if gone.code() == ErrorCode::NotFound && self.id.is_none() => {
                Err(fail::failed(format!("the commit was not made: `{}`: {why}", self.name)))
            }
            _ => Err(fail::unknown(format!(
                "whether `{}` is at the commit {id} is not known ({why}): look at the log",
                self.name
            ))),
        }
    }
}
