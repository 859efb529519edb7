//! Commits, branches and tags.

use git2::{BranchType, Repository, Sort};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::change::{self, Changes};
use super::failure;
use crate::kit::{Failure, RelPath, fail};
use crate::limits;

#[derive(Deserialize, JsonSchema)]
pub(super) struct LogArgs {
    /// How many commits at most; 50 if it is not said.
    max: Option<usize>,
    /// The revision to begin at; HEAD if it is not said.
    from: Option<String>,
    /// Only commits that changed this file or directory.
    path: Option<RelPath>,
    /// Only commits after this: a time in milliseconds since 1970, or a revision.
    since: Option<Since>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum Since {
    TimeMs(f64),
    Rev(String),
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct RevArgs {
    /// The revision.
    pub(super) rev: String,
}

/// A commit.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Commit {
    /// Its id.
    id: String,
    /// The beginning of its id.
    short: String,
    /// The name of its author.
    author: String,
    /// The address of its author.
    email: String,
    /// When it was made, in milliseconds since 1970.
    time_ms: i64,
    /// The first paragraph of its message, in a line.
    summary: String,
    /// The rest of its message.
    body: String,
}

/// A commit with what it changed.
#[derive(Serialize, JsonSchema)]
pub(super) struct Shown {
    #[serde(flatten)]
    commit: Commit,
    #[serde(flatten)]
    changes: Changes,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Branch {
    /// Its name.
    name: String,
    /// The id of its last commit.
    id: String,
    /// Whether it is the one that is checked out.
    current: bool,
    /// Whether it is what was last seen of a branch elsewhere.
    remote: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Tag {
    /// Its name.
    name: String,
    /// The id of the commit it names.
    id: String,
}

/// The commit that `rev` names.
pub(super) fn find<'r>(repo: &'r Repository, rev: &str) -> Result<git2::Commit<'r>, Failure> {
    let shown: String = rev.chars().take(80).collect();
    // `HEAD:path` would name a file where a path could be checked, and `:/text` searches it all.
    if rev.is_empty()
        || rev.len() > limits::GIT_REV_BYTES
        || rev.contains([':', '\0'])
        || rev.contains("{/")
    {
        let why = format!("`{shown}` is no revision: give a branch, a tag, an id, HEAD or HEAD~2");
        return Err(fail::invalid("rev", why));
    }
    let found = repo.revparse_single(rev).and_then(|object| object.peel_to_commit());
    found.map_err(|error| match error.code() {
        git2::ErrorCode::NotFound => {
            fail::not_found(format!("the repository has no revision `{shown}`"))
        }
        _ => fail::invalid("rev", format!("`{shown}`: {}", error.message())),
    })
}

pub(super) fn log(repo: &Repository, args: &LogArgs) -> Result<Vec<Commit>, Failure> {
    let git = |error: git2::Error| failure(&error);
    if args.from.is_none() && change::head_tree(repo)?.is_none() {
        return Ok(Vec::new());
    }
    let mut walk = repo.revwalk().map_err(git)?;
    walk.set_sorting(Sort::TIME).map_err(git)?;
    walk.push(find(repo, args.from.as_deref().unwrap_or("HEAD"))?.id()).map_err(git)?;
    let mut after_ms = f64::NEG_INFINITY;
    match &args.since {
        Some(Since::TimeMs(ms)) => after_ms = *ms,
        Some(Since::Rev(rev)) => walk.hide(find(repo, rev)?.id()).map_err(git)?,
        None => {}
    }
    let max = args.max.unwrap_or(50).min(limits::GIT_LOG);
    let mut commits = Vec::new();
    for id in walk.take(limits::GIT_WALK) {
        if commits.len() >= max {
            break;
        }
        let commit = repo.find_commit(id.map_err(git)?).map_err(git)?;
        let described = describe(&commit);
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of this age are exact")]
        let old = (described.time_ms as f64) <= after_ms;
        // Clocks differ between authors, so an old commit does not end the walk.
        if old || !touches(&commit, args.path.as_ref()).map_err(git)? {
            continue;
        }
        commits.push(described);
    }
    Ok(commits)
}

/// Whether what is at `path` differs between a commit and each of its parents.
fn touches(commit: &git2::Commit<'_>, path: Option<&RelPath>) -> Result<bool, git2::Error> {
    let Some(path) = path.filter(|path| !path.is_root()) else { return Ok(true) };
    let at = |commit: &git2::Commit<'_>| -> Result<_, git2::Error> {
        let entry = commit.tree()?.get_path(path.as_str().as_ref());
        Ok(entry.ok().map(|entry| (entry.id(), entry.filemode())))
    };
    let now = at(commit)?;
    if commit.parent_count() == 0 {
        return Ok(now.is_some());
    }
    for parent in commit.parents() {
        if at(&parent)? == now {
            return Ok(false);
        }
    }
    Ok(true)
}

pub(super) fn describe(commit: &git2::Commit<'_>) -> Commit {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let id = commit.id().to_string();
    let author = commit.author();
    Commit {
        short: short(&id),
        id,
        author: text(author.name_bytes()),
        email: text(author.email_bytes()),
        time_ms: author.when().seconds().saturating_mul(1000),
        summary: commit.summary_bytes().map(text).unwrap_or_default(),
        body: commit.body_bytes().map(text).unwrap_or_default(),
    }
}

pub(super) fn short(id: &str) -> String {
    id.chars().take(8).collect()
}

pub(super) fn show(repo: &Repository, rev: &str) -> Result<Shown, Failure> {
    let commit = find(repo, rev)?;
    let changes = change::of_commit(repo, &commit)?;
    Ok(Shown { commit: describe(&commit), changes })
}

pub(super) fn branches(repo: &Repository) -> Result<Vec<Branch>, Failure> {
    let git = |error: git2::Error| failure(&error);
    let mut branches = Vec::new();
    for branch in repo.branches(None).map_err(git)?.take(limits::GIT_ENTRIES) {
        let (branch, kind) = branch.map_err(git)?;
        // A symbolic one, such as origin/HEAD, may point to nothing.
        let Ok(commit) = branch.get().peel_to_commit() else { continue };
        branches.push(Branch {
            name: String::from_utf8_lossy(branch.name_bytes().map_err(git)?).into_owned(),
            id: commit.id().to_string(),
            current: branch.is_head(),
            remote: kind == BranchType::Remote,
        });
    }
    Ok(branches)
}

pub(super) fn tags(repo: &Repository) -> Result<Vec<Tag>, Failure> {
    let git = |error: git2::Error| failure(&error);
    let mut tags = Vec::new();
    for reference in repo.references_glob("refs/tags/*").map_err(git)?.take(limits::GIT_ENTRIES) {
        let reference = reference.map_err(git)?;
        // A tag may name something else than a commit.
        let Ok(commit) = reference.peel_to_commit() else { continue };
        let name = String::from_utf8_lossy(reference.shorthand_bytes()).into_owned();
        tags.push(Tag { name, id: commit.id().to_string() });
    }
    Ok(tags)
}
