//! Files and directories as they were at a revision.

use git2::{ObjectType, Repository, Tree};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{failure, history};
use crate::kit::{Content, Failure, RelPath, fail};
use crate::limits;

#[derive(Deserialize, JsonSchema)]
pub(super) struct FileArgs {
    /// The revision.
    rev: String,
    /// The file.
    path: RelPath,
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct ListArgs {
    /// The revision.
    rev: String,
    /// The directory; the whole if it is not said.
    #[serde(default)]
    path: RelPath,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Entry {
    /// Its name.
    name: String,
    /// `file`, `dir`, `link` or `module`.
    kind: &'static str,
}

pub(super) fn file(repo: &Repository, args: &FileArgs) -> Result<Content, Failure> {
    let FileArgs { rev, path } = args;
    let tree = tree(repo, rev)?;
    let entry = tree.get_path(path.as_str().as_ref()).map_err(|_| missing(rev, path))?;
    if entry.kind() != Some(ObjectType::Blob) {
        let why = format!("`{path}` is no file at `{rev}`: `list` shows what is in it");
        return Err(fail::invalid("path", why));
    }
    let odb = repo.odb().map_err(|error| failure(&error))?;
    let (bytes, _) = odb.read_header(entry.id()).map_err(|error| failure(&error))?;
    if bytes > limits::MAX_RESULT_BYTES {
        let most = limits::MAX_RESULT_BYTES;
        return Err(fail::limit(format!(
            "`{path}` has {bytes} bytes; at most {most} may be returned"
        )));
    }
    let blob = repo.find_blob(entry.id()).map_err(|error| failure(&error))?;
    Ok(Content::from_bytes(blob.content().to_vec()))
}

pub(super) fn list(repo: &Repository, args: &ListArgs) -> Result<Vec<Entry>, Failure> {
    let ListArgs { rev, path } = args;
    let mut tree = tree(repo, rev)?;
    if !path.is_root() {
        let entry = tree.get_path(path.as_str().as_ref()).map_err(|_| missing(rev, path))?;
        let object = entry.to_object(repo).and_then(|object| object.peel_to_tree());
        tree = object.map_err(|_| fail::invalid("path", format!("`{path}` is no directory")))?;
    }
    let named = |entry: git2::TreeEntry<'_>| Entry {
        name: String::from_utf8_lossy(entry.name_bytes()).into_owned(),
        kind: match (entry.kind(), entry.filemode()) {
            (_, 0o120_000) => "link",
            (Some(ObjectType::Tree), _) => "dir",
            (Some(ObjectType::Blob), _) => "file",
            _ => "module",
        },
    };
    Ok(tree.iter().take(limits::GIT_ENTRIES).map(named).collect())
}

fn tree<'r>(repo: &'r Repository, rev: &str) -> Result<Tree<'r>, Failure> {
    history::find(repo, rev)?.tree().map_err(|error| failure(&error))
}

fn missing(rev: &str, path: &RelPath) -> Failure {
    fail::not_found(format!("there is no `{path}` at `{rev}`"))
}
