//! Commits, branches and tags.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use git2::{ErrorCode, ObjectType, Oid, Repository};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::change::{self, Changes};
use super::find::{self, find};
use super::hidden::Hidden;
use super::place::Opened;
use super::record::Record;
use super::walk::{Ended, Met, Walk};
use super::work::Stop;
use super::{failure, text};
use crate::kit::{Content, Failure, RelPath, fail};
use crate::limits;

#[derive(Deserialize, JsonSchema)]
pub(super) struct LogArgs {
    /// How many commits at most, up to 1,000; 50 if it is not said.
    max: Option<usize>,
    /// The revision to begin at; HEAD if it is not said.
    from: Option<String>,
    /// Only commits that changed this file or directory.
    path: Option<RelPath>,
    /// Only commits since then: a time in milliseconds since 1970, which the time of the committer
    /// is compared with, or a revision, with which all is left out that it comes from.
    since: Option<Since>,
    /// How many commits to pass over before the first one is looked at, to go on with a log.
    skip: Option<usize>,
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
    /// The ids of the commits that it comes from; none where a shallow clone ends.
    parents: Vec<String>,
    /// The name of its author.
    author: String,
    /// The address of its author.
    email: String,
    /// When its author wrote it, in milliseconds since 1970; null if that cannot be told.
    time_ms: Option<i64>,
    /// The name of its committer.
    committer: String,
    /// When it was committed, in milliseconds since 1970; null if that cannot be told.
    committed_ms: Option<i64>,
    /// The first paragraph of its message, in a line.
    summary: String,
    /// The rest of its message.
    body: String,
    /// What is wrong with a commit that is malformed, damaged or missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    /// The commit as it is stored, at most 64 KiB of it, if a part of it could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    raw: Option<Content>,
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
#[serde(rename_all = "camelCase")]
pub(super) struct Branch {
    /// Its name.
    name: String,
    /// The same as bytes, if it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    raw: Option<Content>,
    /// The id of its last commit; null if it is broken.
    id: Option<String>,
    /// Whether it is the one that is checked out.
    current: bool,
    /// Whether it is what was last seen of a branch elsewhere.
    remote: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Tag {
    /// Its name.
    name: String,
    /// The same as bytes, if it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    raw: Option<Content>,
    /// The id of the commit it names, or of the file or directory; null if it is broken.
    id: Option<String>,
    /// `commit`, `tree` or `blob`; null if it is broken.
    kind: Option<&'static str>,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
pub(super) struct PageArgs {
    /// How many at most, up to 10,000. Without it a longer list is refused.
    pub(super) max: Option<usize>,
    /// How many to pass over, to go on with a list.
    #[serde(default)]
    pub(super) skip: usize,
}

pub(super) fn log(open: &Opened, args: &LogArgs, stop: &Stop) -> Result<Vec<Commit>, Failure> {
    let max = args.max.unwrap_or(50);
    if max > limits::GIT_LOG {
        let most = limits::GIT_LOG;
        let why = format!("`max` is {max}: at most {most} are given at once. `skip` goes on");
        return Err(fail::invalid("max", why));
    }
    if args.from.is_none() && change::head_tree(&open.repo).is_ok_and(|tree| tree.is_none()) {
        return Ok(Vec::new());
    }
    let mut walk = Walk::new(open)?;
    walk.push(find(&open.repo, args.from.as_deref().unwrap_or("HEAD"))?);
    let mut after_ms = f64::NEG_INFINITY;
    match &args.since {
        Some(Since::TimeMs(ms)) => after_ms = *ms,
        Some(Since::Rev(rev)) => walk.hide(find(&open.repo, rev)?),
        None => {}
    }
    let mut commits = Vec::new();
    let (mut met, mut older) = (0_usize, 0_usize);
    let skip = args.skip.unwrap_or_default();
    while commits.len() < max {
        let next = match walk.next(stop)? {
            Ok(next) => next,
            Err(Ended::All) => break,
            Err(Ended::Limit) => return Err(too_far(args, met, commits.len())),
        };
        met += 1;
        if met <= skip {
            continue;
        }
        if stop.ends_walk(met - skip) {
            return Err(too_far(args, met - 1, commits.len()));
        }
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of this age are exact")]
        let old = next.record.committer.time_ms().is_some_and(|time| (time as f64) < after_ms);
        // As in git, clocks that differ do not end the walk at the first old commit.
        older = if old { older + 1 } else { 0 };
        if older > limits::GIT_OLDER {
            break;
        }
        if !old && touches(open, &walk, &next, args.path.as_ref()) {
            commits.push(describe(next.id, next.record));
        }
    }
    Ok(commits)
}

/// The failure of a log that looked at as many commits as it may.
fn too_far(args: &LogArgs, met: usize, found: usize) -> Failure {
    let from = args.from.as_deref().unwrap_or("HEAD");
    let these = if found == 0 { String::new() } else { format!("`max: {found}` gives these, ") };
    let why = match &args.since {
        Some(Since::Rev(_)) => "leave out `since`, or give a later revision".to_owned(),
        _ => format!("{these}`from: \"{from}\", skip: {met}` goes on"),
    };
    fail::limit(format!(
        "the log is not complete: {met} commits were looked at and {found} found, which is as far as one call goes. {why}"
    ))
}

/// Whether what is at `path` differs between a commit and each of its parents. What cannot be
/// compared counts as different.
fn touches(open: &Opened, walk: &Walk<'_>, met: &Met, path: Option<&RelPath>) -> bool {
    let Some(path) = path.filter(|path| !path.is_root()) else { return true };
    let at = |tree: Option<Oid>| -> Result<_, git2::Error> {
        let tree = tree.ok_or_else(|| git2::Error::from_str("no tree"))?;
        match open.repo.find_tree(tree)?.get_path(path.as_str().as_ref()) {
            Ok(entry) => Ok(Some((entry.id(), entry.filemode()))),
            Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    };
    let Ok(now) = at(met.record.tree) else { return true };
    if met.record.parents.is_empty() {
        return now.is_some();
    }
    met.record.parents.iter().all(|parent| {
        let tree = walk.tree(*parent);
        let same_tree = tree.is_some() && tree == met.record.tree;
        !same_tree && !at(tree).is_ok_and(|before| before == now)
    })
}

fn describe(id: Oid, record: Record) -> Commit {
    let id = id.to_string();
    let (summary, body) = parts(&record.message);
    Commit {
        short: short(&id),
        id,
        parents: record.parents.iter().map(Oid::to_string).collect(),
        author: text::lossy(&record.author.name),
        email: text::lossy(&record.author.address),
        time_ms: record.author.time_ms(),
        committer: text::lossy(&record.committer.name),
        committed_ms: record.committer.time_ms(),
        summary,
        body,
        problem: record.problem,
        raw: record.raw,
    }
}

/// The first paragraph of a message in a line, and the rest.
fn parts(message: &str) -> (String, String) {
    let message = message.trim_start_matches('\n');
    let lines = message.lines().take_while(|line| !line.trim().is_empty());
    let (mut summary, mut count) = (Vec::new(), 0);
    for line in lines {
        summary.push(line.trim());
        count += 1;
    }
    let rest: Vec<_> = message.lines().skip(count).collect();
    (summary.join(" "), rest.join("\n").trim().to_owned())
}

pub(super) fn short(id: &str) -> String {
    id.chars().take(8).collect()
}

pub(super) fn show(open: &Opened, rev: &str, hidden: &Hidden) -> Result<Shown, Failure> {
    let id = find(&open.repo, rev)?;
    let met = Walk::new(open)?.met(id);
    let changes = change::of_commit(&open.repo, &met.record, hidden)?;
    Ok(Shown { commit: describe(id, met.record), changes })
}

pub(super) fn branches(open: &Opened, args: PageArgs) -> Result<Vec<Branch>, Failure> {
    let current = open.repo.find_reference("HEAD").ok();
    let current = current.and_then(|head| head.symbolic_target_bytes().map(<[u8]>::to_vec));
    let mut branches = Vec::new();
    for (prefix, remote) in [("refs/heads/", false), ("refs/remotes/", true)] {
        for name in names(open, prefix)? {
            let id = object(&open.repo, &name).filter(|(_, kind)| *kind == ObjectType::Commit);
            let short = name.get(prefix.len()..).unwrap_or_default();
            branches.push(Branch {
                name: text::lossy(short),
                raw: text::raw(short),
                id: id.map(|(id, _)| id.to_string()),
                current: current.as_ref() == Some(&name),
                remote,
            });
        }
    }
    page(branches, args, "branches")
}

pub(super) fn tags(open: &Opened, args: PageArgs) -> Result<Vec<Tag>, Failure> {
    let mut tags = Vec::new();
    for name in names(open, "refs/tags/")? {
        let short = name.get("refs/tags/".len()..).unwrap_or_default();
        let found = object(&open.repo, &name);
        tags.push(Tag {
            name: text::lossy(short),
            raw: text::raw(short),
            id: found.map(|(id, _)| id.to_string()),
            kind: found.map(|(_, kind)| kind.str()),
        });
    }
    page(tags, args, "tags")
}

/// The names below `prefix`, broken ones too, in order.
fn names(open: &Opened, prefix: &str) -> Result<BTreeSet<Vec<u8>>, Failure> {
    let git = |error: git2::Error| failure(&error);
    let mut names = BTreeSet::new();
    let found = open.repo.references_glob(&format!("{prefix}*")).map_err(git)?;
    for reference in found.take(limits::GIT_REFS) {
        names.extend(reference.ok().map(|reference| reference.name_bytes().to_vec()));
    }
    let files = open.common_dir.join(prefix);
    add_loose(&files, prefix.as_bytes(), limits::GIT_REF_DEPTH, &mut names);
    match names.len() < limits::GIT_REFS {
        true => Ok(names),
        false => Err(fail::limit(format!("there are more names below {prefix} than can be read"))),
    }
}

/// Adds the names that have a file of their own: libgit2 passes over one that holds no reference.
fn add_loose(dir: &Path, above: &[u8], depth: usize, names: &mut BTreeSet<Vec<u8>>) {
    // There is none if all references are packed.
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for entry in entries.flatten().take(limits::GIT_REFS) {
        let name = [above, entry.file_name().as_bytes()].concat();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && depth > 0 => {
                add_loose(&entry.path(), &[&name, &b"/"[..]].concat(), depth - 1, names);
            }
            Ok(kind) if kind.is_file() && !name.ends_with(b".lock") => {
                names.insert(name);
            }
            _ => {}
        }
    }
}

/// What a reference leads to.
fn object(repo: &Repository, name: &[u8]) -> Option<(Oid, ObjectType)> {
    let odb = repo.odb().ok()?;
    let target = match std::str::from_utf8(name) {
        Ok(name) => repo.refname_to_id(name).ok()?,
        // It can be found by a walk alone.
        Err(_) => {
            let mut all = repo.references().ok()?.flatten();
            all.find(|found| found.name_bytes() == name)?.resolve().ok()?.target()?
        }
    };
    find::peel(&odb, target)
}

/// The part of a list that was asked for. A longer one is refused rather than cut short.
pub(super) fn page<T>(list: Vec<T>, args: PageArgs, what: &str) -> Result<Vec<T>, Failure> {
    let (most, all) = (limits::GIT_ENTRIES, list.len());
    if args.max.is_some_and(|max| max > most) {
        return Err(fail::invalid("max", format!("at most {most} are given at once")));
    }
    if args.max.is_none() && all.saturating_sub(args.skip) > most {
        return Err(fail::limit(format!(
            "there are {all} {what}: give `max`, and `skip` for those that follow"
        )));
    }
    Ok(list.into_iter().skip(args.skip).take(args.max.unwrap_or(most)).collect())
}
