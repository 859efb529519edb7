//! `git`: a repository, read and changed without running anything that it brings along.
//!
//! All work is done by libgit2, which knows no hooks and runs no filters, with the repository's own
//! configuration put aside.

mod change;
mod clone;
mod commit;
mod history;
mod place;
mod remote;
mod tree;
mod unsafe_settings;

use std::path::{Path, PathBuf};
use std::rc::Rc;

use change::{Changes, DiffArgs, Status};
use clone::{CloneArgs, Clones};
use commit::{CheckoutArgs, CommitArgs, Committed, Identity};
use history::{Branch, Commit, LogArgs, RevArgs, Shown, Tag};
use place::Place;
use schemars::JsonSchema;
use serde::Deserialize;
use tree::{Entry, FileArgs, ListArgs};

use crate::kit::{Content, Failure, Interface, Method, NoArgs, RelPath, Tool, fail};
use crate::limits;

/// A `[[git]]` section.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The tool's name.
    #[serde(default = "default_name")]
    pub name: String,
    /// The repository: the directory that has its `.git`, or a bare one.
    pub root: PathBuf,
    /// Whether anything may be changed.
    #[serde(default)]
    pub writable: bool,
    /// Who commits, as `Name <address>`.
    #[serde(default = "default_author")]
    pub author: String,
    /// The directory below which clones are made; without it none can be.
    pub clone_root: Option<PathBuf>,
    /// What may be cloned: directories of this machine and beginnings of https URLs.
    #[serde(default)]
    pub clone_from: Vec<String>,
    /// The program that clones over https.
    #[serde(default = "default_program")]
    pub program: PathBuf,
}

fn default_name() -> String {
    "git".into()
}

fn default_author() -> String {
    "Remit agent <agent@remit.invalid>".into()
}

fn default_program() -> PathBuf {
    "/usr/bin/git".into()
}

/// Makes the tool that `config` describes; relative paths in it are below `base`.
///
/// # Errors
/// There is no repository, or a setting cannot be, in words.
pub fn tool(config: &Config, base: &Path) -> Result<Tool, String> {
    unsafe_settings::isolate().map_err(|error| format!("{}: {error}", config.name))?;
    let directory = base.join(&config.root);
    let place = Place::of_operator(&directory).map_err(|why| {
        format!("the repository `{}` of {}: {why}", directory.display(), config.name)
    })?;
    let author = Identity::parse(&config.author)
        .map_err(|why| format!("author of {}: {why}", config.name))?;
    let clones = Clones::new(
        config.clone_root.as_ref().map(|root| base.join(root)),
        &config.clone_from,
        base.join(&config.program),
        base,
    )
    .map_err(|why| format!("{}: {why}", config.name))?;
    let shared = Rc::new(Shared { author, clones, writable: config.writable });
    let description = "Reads and changes a git repository; nothing in it is ever run.";
    Ok(Tool::new(&config.name, env!("CARGO_PKG_VERSION"), description)
        .interface(interface())
        .root(Rc::new(Repo { place, shared })))
}

/// A repository.
struct Repo {
    place: Place,
    shared: Rc<Shared>,
}

struct Shared {
    author: Identity,
    clones: Clones,
    writable: bool,
}

fn interface() -> Interface<Repo> {
    let about =
        "A git repository. A revision is a branch, a tag, an id, HEAD, or HEAD~2 and the like.";
    readers(Interface::new("Repo", about))
        .method(
            "commit",
            Method::effect("Commits the given paths, or all changes of tracked files."),
            |repo: Rc<Repo>, args: CommitArgs, _| async move { repo.commit(args).await },
        )
        .method(
            "checkout",
            Method::idempotent("Switches to a branch. Refuses where local changes would be lost."),
            |repo: Rc<Repo>, args: CheckoutArgs, _| async move {
                repo.check_writable()?;
                repo.with(move |repo| commit::checkout(repo, &args)).await
            },
        )
        .opens(
            "clone",
            Method::effect(
                "Clones an allowed repository into a new directory and opens the clone.",
            )
            .timeout(limits::CLONE_TIME),
            |repo: Rc<Repo>, args: CloneArgs, call| async move {
                repo.check_writable()?;
                let place = repo.shared.clones.clone(args, &call).await?;
                Ok(Rc::new(Repo { place, shared: Rc::clone(&repo.shared) }))
            },
        )
        .opens(
            "open",
            Method::read_only("Opens a clone that was made earlier."),
            |repo: Rc<Repo>, OpenArgs { path }: OpenArgs, _| async move {
                let place = repo.shared.clones.open(&path)?;
                Ok(Rc::new(Repo { place, shared: Rc::clone(&repo.shared) }))
            },
        )
}

fn readers(interface: Interface<Repo>) -> Interface<Repo> {
    interface
        .method(
            "log",
            Method::read_only("Lists commits, newest first."),
            |repo: Rc<Repo>, args: LogArgs, _| async move {
                repo.with::<Vec<Commit>>(move |repo| history::log(repo, &args)).await
            },
        )
        .method(
            "show",
            Method::read_only("Gives a commit with what it changed."),
            |repo: Rc<Repo>, RevArgs { rev }: RevArgs, _| async move {
                repo.with::<Shown>(move |repo| history::show(repo, &rev)).await
            },
        )
        .method(
            "diff",
            Method::read_only(
                "Gives the changes between two revisions, or from one to the working directory.",
            ),
            |repo: Rc<Repo>, args: DiffArgs, _| async move {
                repo.with::<Changes>(move |repo| change::diff(repo, &args)).await
            },
        )
        .method(
            "status",
            Method::read_only("Gives the branch and the files that differ from its last commit."),
            |repo: Rc<Repo>, NoArgs {}, _| async move {
                repo.with::<Status>(change::status).await
            },
        )
        .method(
            "branches",
            Method::read_only("Lists the branches."),
            |repo: Rc<Repo>, NoArgs {}, _| async move {
                repo.with::<Vec<Branch>>(history::branches).await
            },
        )
        .method(
            "tags",
            Method::read_only("Lists the tags."),
            |repo: Rc<Repo>, NoArgs {}, _| async move {
                repo.with::<Vec<Tag>>(history::tags).await
            },
        )
        .method(
            "file",
            Method::read_only("Gives the content of a file at a revision."),
            |repo: Rc<Repo>, args: FileArgs, _| async move {
                repo.with::<Content>(move |repo| tree::file(repo, &args)).await
            },
        )
        .method(
            "list",
            Method::read_only("Lists a directory at a revision."),
            |repo: Rc<Repo>, args: ListArgs, _| async move {
                repo.with::<Vec<Entry>>(move |repo| tree::list(repo, &args)).await
            },
        )
}

#[derive(Deserialize, JsonSchema)]
struct OpenArgs {
    /// Where the clone is.
    path: RelPath,
}

impl Repo {
    /// Runs `work` on the repository, away from the event loop.
    async fn with<R: Send + 'static>(
        &self,
        work: impl FnOnce(&git2::Repository) -> Result<R, Failure> + Send + 'static,
    ) -> Result<R, Failure> {
        let place = self.place.clone();
        crate::offload(move || work(&place.open()?))
            .await
            .map_err(|error| fail::failed(format!("git could not be run: {error}")))?
    }

    async fn commit(&self, args: CommitArgs) -> Result<Committed, Failure> {
        self.check_writable()?;
        let committer = self.shared.author.clone();
        self.with(move |repo| commit::commit(repo, args, &committer)).await
    }

    fn check_writable(&self) -> Result<(), Failure> {
        if !self.shared.writable {
            return Err(fail::denied(
                "the operator lets nobody change this repository",
                "writable",
            ));
        }
        Ok(())
    }
}

/// What libgit2 says, as a failure.
fn failure(error: &git2::Error) -> Failure {
    match error.code() {
        git2::ErrorCode::NotFound => fail::not_found(error.message()),
        _ => fail::failed(error.message()),
    }
}

#[cfg(test)]
mod tests;
