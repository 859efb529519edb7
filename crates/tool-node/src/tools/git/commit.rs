//! Changes to a repository: commits, and switching between branches.

use std::io::Read as _;

use cap_std::ambient_authority;
use cap_std::fs::{Dir, MetadataExt as _};
use git2::build::CheckoutBuilder;
use git2::{
    BranchType, Index, IndexEntry, IndexTime, Repository, Signature, Status, StatusOptions,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{change, failure, history};
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
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct CheckoutArgs {
    /// The branch.
    branch: String,
    /// Whether to make it, at the last commit.
    #[serde(default)]
    create: bool,
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
        let odd = |part: &str| part.is_empty() || part.contains(['<', '>', '\n', '\0']);
        if odd(name.trim()) || odd(address) || text.len() > limits::GIT_REV_BYTES {
            return Err(wrong());
        }
        Ok(Self { name: name.trim().to_owned(), address: address.to_owned() })
    }

    fn sign(&self) -> Result<Signature<'static>, Failure> {
        Signature::now(&self.name, &self.address).map_err(|error| failure(&error))
    }
}

/// What becomes of one path.
enum Staged {
    Holds(IndexEntry),
    Gone(String),
}

pub(super) fn commit(
    repo: &Repository,
    args: CommitArgs,
    committer: &Identity,
) -> Result<Committed, Failure> {
    let git = |error: git2::Error| failure(&error);
    let author = match &args.author {
        Some(text) => Identity::parse(text).map_err(|why| fail::invalid("author", why))?,
        None => committer.clone(),
    };
    if args.message.trim().is_empty() {
        return Err(fail::invalid("message", "a commit needs a message"));
    }
    let mut index = repo.index().map_err(git)?;
    if index.has_conflicts() {
        return Err(fail::failed("there are conflicts: they must be resolved before a commit"));
    }
    let staged = stage(repo, &changed(repo, args.paths.as_deref())?)?;
    apply(&mut index, &staged)?;
    let head = change::head_tree(repo)?;
    let tree = match &args.paths {
        None => index.write_tree().map_err(git)?,
        // Only what was named, whatever else was staged by others.
        Some(_) => {
            let mut only = Index::new().map_err(git)?;
            if let Some(head) = &head {
                only.read_tree(head).map_err(git)?;
            }
            apply(&mut only, &staged)?;
            only.write_tree_to(repo).map_err(git)?
        }
    };
    if head.is_some_and(|head| head.id() == tree) {
        return Err(fail::failed(
            "there is nothing to commit: no file differs from the last commit",
        ));
    }
    let parent = repo.head().ok().map(|head| head.peel_to_commit()).transpose().map_err(git)?;
    let tree = repo.find_tree(tree).map_err(git)?;
    let parents: Vec<_> = parent.iter().collect();
    let (author, committer) = (author.sign()?, committer.sign()?);
    let id = repo
        .commit(Some("HEAD"), &author, &committer, &args.message, &tree, &parents)
        .map_err(git)?;
    index.write().map_err(git)?;
    let id = id.to_string();
    Ok(Committed { short: history::short(&id), id })
}

/// The paths that differ from the last commit: tracked ones, or all below `paths`.
fn changed(repo: &Repository, paths: Option<&[RelPath]>) -> Result<Vec<String>, Failure> {
    let mut options = StatusOptions::new();
    let untracked = paths.is_some();
    options.include_untracked(untracked).recurse_untracked_dirs(untracked).exclude_submodules(true);
    let found = repo.statuses(Some(&mut options)).map_err(|error| failure(&error))?;
    let mut changed = Vec::new();
    for entry in found.iter().filter(|entry| !entry.status().contains(Status::IGNORED)) {
        let path = String::from_utf8(entry.path_bytes().to_vec())
            .map_err(|_| fail::failed("a path that is not Unicode cannot be committed"))?;
        let below = |at: &RelPath| remit_core::grant::path::is_within(&path, at.as_str());
        if paths.is_none_or(|paths| paths.iter().any(below)) {
            changed.push(path);
        }
    }
    Ok(changed)
}

/// What is in the working directory at these paths, with its content kept in the repository.
fn stage(repo: &Repository, paths: &[String]) -> Result<Vec<Staged>, Failure> {
    let workdir = repo
        .workdir()
        .ok_or_else(|| fail::failed("a bare repository has no working directory to commit"))?;
    let dir = Dir::open_ambient_dir(workdir, ambient_authority())
        .map_err(|error| fail::failed(format!("the working directory: {error}")))?;
    paths.iter().map(|path| stage_one(repo, &dir, path)).collect()
}

/// Reads a file through a handle that no link leads out of. libgit2 would follow one.
fn stage_one(repo: &Repository, dir: &Dir, path: &str) -> Result<Staged, Failure> {
    let disk = |error: std::io::Error| fail::failed(format!("`{path}`: {error}"));
    // What is behind a link is not in the repository: git sees the link alone.
    let behind_a_link = std::path::Path::new(path)
        .ancestors()
        .skip(1)
        .filter(|above| !above.as_os_str().is_empty())
        .any(|above| dir.symlink_metadata(above).is_ok_and(|meta| meta.is_symlink()));
    if behind_a_link {
        return Ok(Staged::Gone(path.to_owned()));
    }
    let meta = match dir.symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => return Ok(Staged::Gone(path.to_owned())),
        Ok(meta) => meta,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(Staged::Gone(path.to_owned()));
        }
        Err(error) => return Err(disk(error)),
    };
    let mut bytes = Vec::new();
    if meta.is_symlink() {
        let target = dir.read_link_contents(path).map_err(disk)?;
        bytes.extend_from_slice(target.as_os_str().as_encoded_bytes());
    } else if meta.is_file() {
        let file = dir.open(path).map_err(disk)?;
        file.take(limits::GIT_COMMIT_FILE + 1).read_to_end(&mut bytes).map_err(disk)?;
        if bytes.len() as u64 > limits::GIT_COMMIT_FILE {
            let most = limits::GIT_COMMIT_FILE;
            return Err(fail::limit(format!(
                "`{path}` has more than the {most} bytes that may be committed"
            )));
        }
    } else {
        return Err(fail::failed(format!("`{path}` is neither a file nor a link")));
    }
    let id = repo.blob(&bytes).map_err(|error| failure(&error))?;
    let mode = match (meta.is_symlink(), meta.mode() & 0o111) {
        (true, _) => 0o120_000,
        (false, 0) => 0o100_644,
        (false, _) => 0o100_755,
    };
    Ok(Staged::Holds(IndexEntry {
        ctime: IndexTime::new(0, 0),
        mtime: IndexTime::new(0, 0),
        dev: 0,
        ino: 0,
        mode,
        uid: 0,
        gid: 0,
        file_size: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
        id,
        flags: 0,
        flags_extended: 0,
        path: path.as_bytes().to_vec(),
    }))
}

fn apply(index: &mut Index, staged: &[Staged]) -> Result<(), Failure> {
    for one in staged {
        let applied = match one {
            Staged::Holds(entry) => index.add(entry),
            Staged::Gone(path) => match index.remove(path.as_ref(), 0) {
                Err(error) if error.code() == git2::ErrorCode::NotFound => Ok(()),
                removed => removed,
            },
        };
        applied.map_err(|error| failure(&error))?;
    }
    Ok(())
}

pub(super) fn checkout(repo: &Repository, args: &CheckoutArgs) -> Result<(), Failure> {
    let git = |error: git2::Error| failure(&error);
    let name = &args.branch;
    if name.len() > limits::GIT_REV_BYTES || !git2::Branch::name_is_valid(name).unwrap_or(false) {
        let shown: String = name.chars().take(80).collect();
        return Err(fail::invalid("branch", format!("`{shown}` is no name for a branch")));
    }
    let found = repo.find_branch(name, BranchType::Local);
    let branch = match (found, args.create) {
        (Ok(branch), _) => branch,
        (Err(_), true) => repo.branch(name, &history::find(repo, "HEAD")?, false).map_err(git)?,
        (Err(_), false) => {
            let why = format!("there is no branch `{name}`: `create` makes it");
            return Err(fail::not_found(why));
        }
    };
    let target = branch.get().peel_to_commit().map_err(git)?;
    let mut conflicts = Vec::new();
    let mut options = CheckoutBuilder::new();
    options.safe().disable_filters(true).notify_on(git2::CheckoutNotificationType::CONFLICT);
    options.notify(|_, path, _, _, _| {
        conflicts.extend(path.map(|path| path.display().to_string()));
        true
    });
    let switched = repo.checkout_tree(target.as_object(), Some(&mut options));
    drop(options);
    if let Err(error) = switched {
        if conflicts.is_empty() {
            return Err(failure(&error));
        }
        conflicts.truncate(10);
        return Err(fail::failed(format!(
            "local changes would be lost: commit or undo {} first",
            conflicts.join(", ")
        )));
    }
    repo.set_head(&format!("refs/heads/{name}")).map_err(git)
}
