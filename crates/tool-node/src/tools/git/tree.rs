//! Files and directories as they were at a revision.

use git2::{ObjectType, Repository, Tree};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::change::tree_at;
use super::hidden::Hidden;
use super::history::{PageArgs, page};
use super::{failure, text};
use crate::kit::{Content, Failure, RelPath, Text, fail};
use crate::limits;

#[derive(Deserialize, JsonSchema)]
pub(super) struct FileArgs {
    /// The revision.
    rev: String,
    /// The file.
    path: RelPath,
    #[serde(default)]
    encoding: Encoding,
    /// Whether to fail if a text has bytes in it that are no UTF-8.
    #[serde(default)]
    strict: bool,
}

/// How bytes are given. What is asked for decides, and not what the bytes are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Encoding {
    /// As text.
    #[default]
    Text,
    /// As bytes.
    Data,
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct ListArgs {
    /// The revision.
    rev: String,
    /// The directory; the whole if it is not said.
    #[serde(default)]
    path: RelPath,
    /// How many entries at most, up to 10,000. Without it a longer list is refused.
    max: Option<usize>,
    /// How many to pass over, to go on with a list.
    #[serde(default)]
    skip: usize,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entry {
    /// Its name.
    name: String,
    /// The same as bytes, if it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    raw: Option<Content>,
    /// `file`, `dir`, `link` or `module`.
    kind: &'static str,
}

pub(super) fn file(
    repo: &Repository,
    args: &FileArgs,
    hidden: &Hidden,
) -> Result<Content, Failure> {
    let FileArgs { rev, path, encoding, strict } = args;
    let tree = tree_at(repo, rev)?;
    let entry = at(&tree, rev, path, hidden)?;
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
    if *encoding == Encoding::Data {
        return Ok(Content::Data(blob.content().to_vec()));
    }
    let Text { text, replaced } = Text::of(blob.content());
    if *strict && replaced > 0 {
        return Err(fail::failed(format!(
            "`{path}` is no UTF-8 text in {replaced} places: read it with encoding `data`, or without `strict` to have U+FFFD in those places"
        )));
    }
    Ok(Content::Text(text))
}

pub(super) fn list(
    repo: &Repository,
    args: &ListArgs,
    hidden: &Hidden,
) -> Result<Vec<Entry>, Failure> {
    let ListArgs { rev, path, max, skip } = args;
    let mut tree = tree_at(repo, rev)?;
    if !path.is_root() {
        let entry = at(&tree, rev, path, hidden)?;
        let object = entry.to_object(repo).and_then(|object| object.peel_to_tree());
        tree = object.map_err(|_| fail::invalid("path", format!("`{path}` is no directory")))?;
    }
    let shown = |entry: &git2::TreeEntry<'_>| {
        let above = if path.is_root() { String::new() } else { format!("{path}/") };
        !hidden.hides(&[above.as_bytes(), entry.name_bytes()].concat())
    };
    let named = |entry: git2::TreeEntry<'_>| Entry {
        name: text::lossy(entry.name_bytes()),
        raw: text::raw(entry.name_bytes()),
        kind: match (entry.kind(), entry.filemode()) {
            (_, 0o120_000) => "link",
            (Some(ObjectType::Tree), _) => "dir",
            (Some(ObjectType::Blob), _) => "file",
            _ => "module",
        },
    };
    let part = PageArgs { max: *max, skip: *skip };
    page(tree.iter().filter(shown).map(named).collect(), part, "entries")
}

/// What is at `path`. A hidden place is reported as missing.
fn at(
    tree: &Tree<'_>,
    rev: &str,
    path: &RelPath,
    hidden: &Hidden,
) -> Result<git2::TreeEntry<'static>, Failure> {
    let missing = || fail::not_found(format!("there is no `{path}` at `{rev}`"));
    if hidden.hides(path.as_str().as_bytes()) {
        return Err(missing());
    }
    tree.get_path(path.as_str().as_ref()).map_err(|_| missing())
}
