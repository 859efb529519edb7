//! From the name of a revision to the commit.

use git2::{ErrorCode, ObjectType, Odb, Oid, Repository};

use super::failure;
use super::record::{self, Record};
use crate::kit::{Failure, fail};
use crate::limits;

/// Tags of tags that are followed.
const DEPTH: usize = 10;

/// The commit that `rev` names.
pub(super) fn find(repo: &Repository, rev: &str) -> Result<Oid, Failure> {
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
    let error = match found {
        Ok(commit) => return Ok(commit.id()),
        Err(error) => error,
    };
    // libgit2 gives no commit that is malformed, and none that is behind one.
    let odb = repo.odb().map_err(|error| failure(&error))?;
    if let Some(id) = step_by_step(repo, &odb, rev) {
        return Ok(id);
    }
    Err(match error.code() {
        ErrorCode::NotFound => fail::not_found(format!("the repository has no revision `{shown}`")),
        _ => fail::invalid("rev", format!("`{shown}`: {}", error.message())),
    })
}

fn step_by_step(repo: &Repository, odb: &Odb<'_>, rev: &str) -> Option<Oid> {
    let (name, mut steps) = rev.split_at(rev.find(['~', '^']).unwrap_or(rev.len()));
    let named = repo.resolve_reference_from_short_name(name).and_then(|found| found.resolve());
    let start = match named {
        Ok(found) => found.target()?,
        Err(_) => by_id(odb, name)?,
    };
    let (mut id, kind) = peel(odb, start)?;
    if kind != ObjectType::Commit {
        return None;
    }
    while let Some(step) = steps.chars().next() {
        let rest = steps.get(1..)?;
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let count: usize = rest
            .get(..digits)
            .filter(|text| !text.is_empty())
            .map_or(Some(1), |n| n.parse().ok())?;
        steps = rest.get(digits..)?;
        let parent = |id: Oid, number: usize| Record::read(odb, id).parents.get(number).copied();
        match (step, count) {
            (_, 0) => {}
            ('~', count) => {
                for _ in 0..count.min(limits::GIT_WALK) {
                    id = parent(id, 0)?;
                }
            }
            ('^', count) => id = parent(id, count - 1)?,
            _ => return None,
        }
    }
    Some(id)
}

fn by_id(odb: &Odb<'_>, name: &str) -> Option<Oid> {
    let hex = name.len() >= 4 && name.len() <= 40 && name.bytes().all(|b| b.is_ascii_hexdigit());
    let short = Oid::from_str(hex.then_some(name)?).ok()?;
    odb.exists_prefix(short, name.len()).ok()
}

/// What an object is, or what a tag names at last.
pub(super) fn peel(odb: &Odb<'_>, mut id: Oid) -> Option<(Oid, ObjectType)> {
    for _ in 0..DEPTH {
        let (_, kind) = odb.read_header(id).ok()?;
        if kind != ObjectType::Tag {
            return Some((id, kind));
        }
        let object = odb.read(id).ok()?;
        let line = object.data().strip_prefix(b"object ")?;
        id = record::oid(line.get(..40)?)?;
    }
    None
}
