//! Switching between branches.

use std::collections::BTreeSet;
use std::path::Path;

use git2::build::CheckoutBuilder;
use git2::{Delta, Diff, DiffOptions, ErrorCode, Index, Oid, Repository, Tree};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::commit::{Identity, locked_index};
use super::hidden::{Hidden, os_path};
use super::lock::Lock;
use super::place::Opened;
use super::stage::{self, Staged};
use super::state::{self, MODULE, Marked};
use super::{By, change, failure, find, status, text};
use crate::kit::{Failure, fail};
use crate::limits;

#[derive(Deserialize, JsonSchema)]
pub(super) struct CheckoutArgs {
    /// The branch. If only a repository that this one was cloned from has it, it is made there.
    branch: String,
    /// Whether to make it, at the last commit.
    #[serde(default)]
    create: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Switched {
    /// The branch that is checked out now.
    branch: String,
    /// The commit that it is at.
    id: String,
    /// Where the branch was made, such as `origin/topic` or `HEAD`; null if it was there.
    made_at: Option<String>,
}

/// The branch to switch to.
struct Target {
    name: String,
    id: Oid,
    made_at: Option<String>,
}

/// Switches to a branch. All that can be known beforehand is checked, and both locks are taken,
/// before the working directory is touched.
pub(super) fn checkout(open: &Opened, args: &CheckoutArgs, by: &By) -> Result<Switched, Failure> {
    let hidden = &*by.hidden;
    let git = |error: git2::Error| failure(&error);
    let repo = &open.repo;
    let target = Target::find(open, args)?;
    let now = repo.find_reference("HEAD").map_err(git)?;
    let before = now.symbolic_target_bytes().map(<[u8]>::to_vec);
    let switched = Switched {
        branch: args.branch.clone(),
        id: target.id.to_string(),
        made_at: target.made_at.clone(),
    };
    if before.as_deref() == Some(target.name.as_bytes()) && target.made_at.is_none() {
        return Ok(switched);
    }
    if repo.workdir().is_none() {
        return Err(fail::failed("a bare repository has no working directory to switch"));
    }
    state::check_changeable(open, "a checkout")?;
    check_free(open, &target.name)?;
    let head = Lock::take(&open.git_dir.join("HEAD"), target.content().as_bytes())?;
    let old = repo.refname_to_id("HEAD").ok();
    let (from, to) = (change::head_tree(repo)?, tree(repo, target.id)?);
    let index = match from.as_ref().map(Tree::id) == Some(to.id()) {
        true => None,
        false => Some(Switch::prepare(open, from.as_ref(), &to, hidden)?),
    };
    let made = target.make(repo)?;
    if index.is_some()
        && let Err(failure) = move_files(repo, &to, hidden)
    {
        made.undo(repo);
        return Err(failure);
    }
    let published = index.map_or(Ok(()), |switch| switch.lock.publish());
    published.and_then(|()| head.publish()).map_err(|error| {
        fail::unknown(format!(
            "the files of `{}` are in the working directory, but HEAD or the index could not be replaced: {error}",
            args.branch
        ))
    })?;
    log_move(repo, &by.author, before.as_deref(), old, &target);
    Ok(switched)
}

impl Target {
    fn find(open: &Opened, args: &CheckoutArgs) -> Result<Self, Failure> {
        let branch = &args.branch;
        let valid = git2::Branch::name_is_valid(branch).unwrap_or(false);
        if branch.len() > limits::GIT_REV_BYTES || !valid {
            let shown: String = branch.chars().take(80).collect();
            return Err(fail::invalid("branch", format!("`{shown}` is no name for a branch")));
        }
        let name = format!("refs/heads/{branch}");
        match open.repo.refname_to_id(&name) {
            Ok(id) => return Ok(Self { name, id, made_at: None }),
            Err(error) if error.code() == ErrorCode::NotFound => {}
            Err(error) => return Err(failure(&error)),
        }
        let elsewhere = elsewhere(open, branch);
        match (args.create, elsewhere.as_slice()) {
            (true, []) => {
                let id = find::find(&open.repo, "HEAD")?;
                Ok(Self { name, id, made_at: Some("HEAD".into()) })
            }
            (true, [(there, _), ..]) => Err(fail::failed(format!(
                "nothing was changed: `{there}` exists, and a new `{branch}` at the last commit would be another branch. Leave out `create` to begin where `{there}` is, or take another name"
            ))),
            (false, [(there, id)]) => Ok(Self { name, id: *id, made_at: Some(there.clone()) }),
            (false, []) => Err(fail::not_found(format!(
                "there is no branch `{branch}`: `create` makes it at the last commit"
            ))),
            (false, many) => {
                let names: Vec<_> = many.iter().map(|(there, _)| there.as_str()).collect();
                let names = names.join("`, `");
                Err(fail::failed(format!(
                    "nothing was changed: `{branch}` may be `{names}`. Make the branch with git"
                )))
            }
        }
    }

    fn content(&self) -> String {
        format!("ref: {}\n", self.name)
    }

    /// Makes the branch if it is to be made.
    fn make(&self, repo: &Repository) -> Result<Made, Failure> {
        let Some(at) = &self.made_at else { return Ok(Made(None)) };
        let made =
            repo.reference(&self.name, self.id, false, &format!("branch: Created from {at}"));
        made.map_err(|error| {
            let why = error.message();
            fail::failed(format!("nothing was changed: `{}` cannot be made: {why}", self.name))
        })?;
        Ok(Made(Some(self.name.clone())))
    }
}

/// The branch that was made, if one was.
struct Made(Option<String>);

impl Made {
    fn undo(&self, repo: &Repository) {
        let Some(name) = &self.0 else { return };
        let deleted = repo.find_reference(name).and_then(|mut branch| branch.delete());
        if let Err(error) = deleted {
            tracing::warn!(branch = %name, %error, "removing a branch that was just made failed");
        }
    }
}

/// What is known of a branch at other repositories, by its name here.
fn elsewhere(open: &Opened, branch: &str) -> Vec<(String, Oid)> {
    let at = |remote: &&str| {
        let there = format!("{remote}/{branch}");
        let id = open.repo.refname_to_id(&format!("refs/remotes/{there}")).ok()?;
        Some((there, id))
    };
    open.settings.remotes().iter().filter_map(at).collect()
}

fn tree(repo: &Repository, commit: Oid) -> Result<Tree<'_>, Failure> {
    repo.find_commit(commit).and_then(|commit| commit.tree()).map_err(|error| failure(&error))
}

/// Fails if another working directory of this repository has the branch checked out.
fn check_free(open: &Opened, name: &str) -> Result<(), Failure> {
    // A bare repository has a HEAD and no working directory.
    let main = (!open.settings.bare()).then(|| open.common_dir.clone());
    let mut others: Vec<_> = main.into_iter().collect();
    // Without others there is no such directory.
    if let Ok(entries) = std::fs::read_dir(open.common_dir.join("worktrees")) {
        others.extend(entries.flatten().map(|entry| entry.path()));
    }
    others.retain(|other| other.canonicalize().ok().as_ref() != Some(&open.git_dir));
    let names = |path: &Path| {
        std::fs::read_to_string(path).is_ok_and(|text| {
            let text = text.trim();
            text.strip_prefix("ref:").map_or(text, str::trim) == name
        })
    };
    let has = |other: &std::path::PathBuf| {
        ["HEAD", "rebase-merge/head-name", "rebase-apply/head-name"]
            .iter()
            .any(|file| names(&other.join(file)))
    };
    match others.iter().any(has) {
        true => Err(fail::failed(format!(
            "nothing was changed: `{name}` is checked out in another working directory of this repository"
        ))),
        false => Ok(()),
    }
}

/// A switch between two trees that can be made: the index that it leads to is in the lock.
struct Switch {
    lock: Lock,
}

impl Switch {
    fn prepare(
        open: &Opened,
        from: Option<&Tree<'_>>,
        to: &Tree<'_>,
        hidden: &Hidden,
    ) -> Result<Self, Failure> {
        let git = |error: git2::Error| failure(&error);
        let (mut index, written, lock) = locked_index(open)?;
        let marked = Marked::read(open, &mut index, written)?;
        if index.has_conflicts() {
            return Err(refused("there are conflicts. Resolve them with git first"));
        }
        if marked.sparse {
            return Err(refused("only a part of the files is checked out. Use git itself"));
        }
        let mut options = DiffOptions::new();
        // Otherwise a file that becomes a link would be two differences.
        options.include_typechange(true);
        let diff = open.repo.diff_tree_to_tree(from, Some(to), Some(&mut options)).map_err(git)?;
        check_filters(&open.repo, &diff)?;
        check_staged(&index, &marked, &diff, hidden)?;
        let mut survives = staged_elsewhere(&open.repo, from, &index, &diff)?;
        stage::apply(&mut index, &changes(&diff)?)?;
        survives.retain(|path| index.get_path(os_path(path), 0).is_none());
        if let Some(path) = survives.first() {
            return Err(local(&[shown(path, hidden)]));
        }
        index.write().map_err(git)?;
        Ok(Self { lock })
    }
}

fn refused(why: &str) -> Failure {
    fail::failed(format!("the checkout is refused, and nothing was changed: {why}"))
}

fn local(paths: &[String]) -> Failure {
    let paths = paths.join(", ");
    refused(&format!("local changes would be lost: commit or undo {paths} first"))
}

fn shown(path: &[u8], hidden: &Hidden) -> String {
    if hidden.hides(path) { "a hidden file".into() } else { format!("`{}`", text::lossy(path)) }
}

/// Words of attributes that decide what a file is in the working directory.
const CONVERTING: [&str; 8] =
    ["[attr]", "binary", "crlf", "eol", "filter", "ident", "text", "working-tree-encoding"];

/// Fails if a file that differs goes through a filter, before or after. libgit2 goes by the
/// attributes of the branch that is left.
fn check_filters(repo: &Repository, diff: &Diff<'_>) -> Result<(), Failure> {
    let declares = |id: Oid| {
        let found = repo.find_blob(id);
        found.is_ok_and(|blob| {
            let text = text::lossy(blob.content());
            CONVERTING.iter().any(|word| text.contains(word))
        })
    };
    for delta in diff.deltas() {
        let path = change::path_of(&delta);
        let attributes = path.rsplit(|byte| *byte == b'/').next() == Some(b".gitattributes");
        if attributes && (declares(delta.old_file().id()) || declares(delta.new_file().id())) {
            return Err(refused(&format!(
                "the branches declare line ends or filters differently, in `{}`. Use git itself",
                text::lossy(&path)
            )));
        }
        if delta.status() != Delta::Deleted
            && let Some(filter) = status::filter(repo, &path)?
        {
            let path = text::lossy(&path);
            return Err(refused(&format!(
                "`{path}` goes through {filter}, which is not run. Use git itself"
            )));
        }
    }
    Ok(())
}

/// Fails if what is staged at a path that differs is neither as it was nor as it is to be, or if
/// libgit2 would do something else there than git.
fn check_staged(
    index: &Index,
    marked: &Marked,
    diff: &Diff<'_>,
    hidden: &Hidden,
) -> Result<(), Failure> {
    let mut lost = Vec::new();
    for delta in diff.deltas() {
        let path = change::path_of(&delta);
        let side =
            |file: git2::DiffFile<'_>| file.exists().then(|| (file.id(), u32::from(file.mode())));
        let (old, new) = (side(delta.old_file()), side(delta.new_file()));
        let held = index.get_path(os_path(&path), 0).map(|entry| (entry.id, entry.mode));
        if held != old && held != new {
            lost.push(shown(&path, hidden));
        }
        if marked.ignored.contains_key(&path) {
            let path = shown(&path, hidden);
            return Err(refused(&format!("{path} is marked assume-unchanged. Use git itself")));
        }
        let module = |side: Option<(Oid, u32)>| side.is_some_and(|(_, mode)| mode == MODULE);
        if module(old) != module(new) && old.is_some() {
            let path = shown(&path, hidden);
            return Err(refused(&format!("{path} is a submodule that goes. Use git itself")));
        }
    }
    lost.truncate(10);
    if lost.is_empty() { Ok(()) } else { Err(local(&lost)) }
}

/// Paths at which something is staged that the switch does not touch.
fn staged_elsewhere(
    repo: &Repository,
    from: Option<&Tree<'_>>,
    index: &Index,
    diff: &Diff<'_>,
) -> Result<Vec<Vec<u8>>, Failure> {
    let touched: BTreeSet<_> = diff.deltas().map(|delta| change::path_of(&delta)).collect();
    let staged = repo.diff_tree_to_index(from, Some(index), None);
    let staged = staged.map_err(|error| failure(&error))?;
    let kept = staged.deltas().filter(|delta| delta.status() != Delta::Deleted);
    Ok(kept.map(|delta| change::path_of(&delta)).filter(|path| !touched.contains(path)).collect())
}

/// What the index holds after the switch.
fn changes(diff: &Diff<'_>) -> Result<Vec<Staged>, Failure> {
    let mut changes = Vec::new();
    for delta in diff.deltas() {
        let (path, new) = (change::path_of(&delta), delta.new_file());
        if matches!(delta.status(), Delta::Unreadable | Delta::Conflicted) {
            return Err(refused(&format!("`{}` cannot be read", text::lossy(&path))));
        }
        changes.push(match new.exists() {
            true => Staged::Holds(stage::entry(&path, new.id(), u32::from(new.mode()), 0)),
            false => Staged::Gone(path),
        });
    }
    Ok(changes)
}

/// Puts the files of `to` in the place of those of HEAD. If a local change is in the way, nothing
/// has happened.
fn move_files(repo: &Repository, to: &Tree<'_>, hidden: &Hidden) -> Result<(), Failure> {
    let mut conflicts = Vec::new();
    let mut options = CheckoutBuilder::new();
    options
        .safe()
        .update_index(false)
        .overwrite_ignored(false)
        .notify_on(git2::CheckoutNotificationType::CONFLICT);
    options.notify(|_, path, _, _, _| {
        use std::os::unix::ffi::OsStrExt as _;
        conflicts.extend(path.map(|path| shown(path.as_os_str().as_bytes(), hidden)));
        true
    });
    let moved = repo.checkout_tree(to.as_object(), Some(&mut options));
    drop(options);
    let Err(error) = moved else { return Ok(()) };
    if !conflicts.is_empty() {
        conflicts.truncate(10);
        return Err(local(&conflicts));
    }
    Err(fail::unknown(format!(
        "the checkout stopped on its way ({}): HEAD is as it was, and some files of the other branch may be in the working directory. `git status` shows them as changed",
        error.message()
    )))
}

/// Notes the move in the log of HEAD, as git does. The switch is done: an error is for people.
fn log_move(
    repo: &Repository,
    who: &Identity,
    before: Option<&[u8]>,
    old: Option<Oid>,
    target: &Target,
) {
    let from = match (before, old) {
        (Some(name), _) => text::lossy(name.strip_prefix(b"refs/heads/").unwrap_or(name)),
        (None, Some(id)) => id.to_string(),
        (None, None) => return,
    };
    let to = target.name.strip_prefix("refs/heads/").unwrap_or(&target.name);
    let noted = || {
        let who = who.sign().map_err(|failure| failure.message)?;
        let mut log = repo.reflog("HEAD").map_err(|error| error.message().to_owned())?;
        log.append(target.id, &who, Some(&format!("checkout: moving from {from} to {to}")))
            .and_then(|()| log.write())
            .map_err(|error| error.message().to_owned())
    };
    if let Err(why) = noted() {
        tracing::warn!(%why, "noting a checkout in the log of HEAD failed");
    }
}
