//! `git`: a repository, read and changed without running anything that it brings along.
//!
//! All work is done by libgit2, which knows no hooks and runs no filters, with the repository's own
//! configuration put aside.

mod change;
mod checkout;
mod clone;
mod commit;
mod find;
mod hidden;
mod history;
mod lock;
mod module;
mod place;
mod record;
mod remote;
mod settings;
mod sparse;
mod stage;
mod state;
mod status;
mod text;
mod tree;
mod unsafe_settings;
mod walk;
mod work;

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use change::{Changes, DiffArgs};
use checkout::{CheckoutArgs, Switched};
use clone::{CloneArgs, Clones};
use commit::{CommitArgs, Committed, Identity};
use hidden::Hidden;
use history::{Branch, Commit, LogArgs, PageArgs, RevArgs, Shown, Tag};
use place::{Opened, Place};
use schemars::JsonSchema;
use serde::Deserialize;
use status::{Status, StatusArgs};
use tree::{Entry, FileArgs, ListArgs};
use work::Stop;

use crate::kit::{Content, Failure, Interface, Method, RelPath, Tool, fail};
use crate::limits;
use crate::tools::confiner::Confiner;

/// A `[[git]]` section.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The tool's name.
    #[serde(default = "default_name")]
    pub name: String,
    /// The repository: the directory that has its `.git`, or a bare one.
    pub root: PathBuf,
    /// Places of the repository, seen from its root, that are neither shown nor committed. What an
    /// `fs` tool of the same node hides below this root is hidden too.
    #[serde(default)]
    pub hidden: Vec<String>,
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

impl Config {
    /// Whether it clones with a program.
    pub(crate) fn starts_programs(&self) -> bool {
        self.clone_from.iter().any(|from| from.contains("://"))
    }
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

impl Config {
    /// Hides `folder` if it is below the root.
    pub(crate) fn hide(&mut self, folder: &Path, base: &Path) {
        self.hidden.extend(super::places_below(&base.join(&self.root), folder));
    }
}

/// Makes the tool that `config` describes; relative paths in it are below `base`. If the repository
/// cannot be opened, every call on the tool says why. Without a `confiner` nothing is
/// cloned over https.
///
/// # Errors
/// There is no such directory, or a setting cannot be, in words.
pub fn tool(config: &Config, base: &Path, confiner: Option<&Rc<Confiner>>) -> Result<Tool, String> {
    unsafe_settings::isolate().map_err(|error| format!("{}: {error}", config.name))?;
    let directory = base.join(&config.root);
    if !directory.is_dir() {
        let shown = directory.display();
        return Err(format!("the root `{shown}` of {} is no directory: name another", config.name));
    }
    let author = Identity::parse(&config.author)
        .map_err(|why| format!("author of {}: {why}", config.name))?;
    let clones = Clones::new(
        config.clone_root.as_ref().map(|root| base.join(root)),
        &config.clone_from,
        (base.join(&config.program), confiner.cloned()),
        base,
    )
    .map_err(|why| format!("{}: {why}", config.name))?;
    let hidden = Hidden::new(&config.hidden).map_err(|why| format!("{}: {why}", config.name))?;
    let place = Place::of_operator(&directory)
        .and_then(|place| place.open(&author).map(|_| place).map_err(|failure| failure.message));
    if let Err(why) = &place {
        tracing::warn!(tool = %config.name, root = %directory.display(), %why, "the repository cannot be opened: calls on this tool fail");
    }
    let shared = Rc::new(Shared {
        author,
        clones,
        hidden: Arc::new(hidden),
        writable: config.writable,
        changing: Arc::default(),
    });
    let description = "Reads and changes a git repository; nothing in it is ever run.";
    Ok(Tool::new(&config.name, env!("CARGO_PKG_VERSION"), description)
        .interface(interface())
        .root(Rc::new(Repo { place, shared })))
}

/// A repository.
struct Repo {
    /// Why it cannot be opened, if it could not when the node started. It stays so: by then others
    /// may have written what could be opened.
    place: Result<Place, String>,
    shared: Rc<Shared>,
}

struct Shared {
    author: Identity,
    clones: Clones,
    hidden: Arc<Hidden>,
    writable: bool,
    /// Held while something is changed: changes are made one after the other, in the order in which
    /// they were asked for.
    changing: Arc<tokio::sync::Mutex<()>>,
}

fn interface() -> Interface<Repo> {
    let about =
        "A git repository. A revision is a branch, a tag, an id, HEAD, or HEAD~2 and the like.";
    listers(readers(Interface::new("Repo", about)))
        .method(
            "commit",
            Method::effect("Commits the given paths, or all changes of tracked files."),
            |repo: Rc<Repo>, args: CommitArgs, _| async move {
                repo.change::<Committed>(move |repo, by| commit::commit(repo, &args, by)).await
            },
        )
        .method(
            "checkout",
            Method::idempotent("Switches to a branch. Refuses where local changes would be lost."),
            |repo: Rc<Repo>, args: CheckoutArgs, _| async move {
                repo.change::<Switched>(move |repo, by| checkout::checkout(repo, &args, by)).await
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
                Ok(Rc::new(Repo { place: Ok(place), shared: Rc::clone(&repo.shared) }))
            },
        )
        .opens(
            "open",
            Method::read_only("Opens a clone that was made earlier."),
            |repo: Rc<Repo>, OpenArgs { path }: OpenArgs, _| async move {
                let place = repo.shared.clones.open(&path)?;
                Ok(Rc::new(Repo { place: Ok(place), shared: Rc::clone(&repo.shared) }))
            },
        )
}

fn readers(interface: Interface<Repo>) -> Interface<Repo> {
    interface
        .method(
            "log",
            Method::read_only("Lists commits, newest first by the time of the committer."),
            |repo: Rc<Repo>, args: LogArgs, _| async move {
                repo.read::<Vec<Commit>>(move |repo, _, stop| history::log(repo, &args, stop)).await
            },
        )
        .method(
            "show",
            Method::read_only("Gives a commit with what it changed against its first parent."),
            |repo: Rc<Repo>, RevArgs { rev }: RevArgs, _| async move {
                repo.read::<Shown>(move |repo, hidden, _| history::show(repo, &rev, hidden)).await
            },
        )
        .method(
            "diff",
            Method::read_only(
                "Gives the changes between two revisions, or from one to the working directory.",
            ),
            |repo: Rc<Repo>, args: DiffArgs, _| async move {
                repo.read::<Changes>(move |repo, hidden, _| change::diff(repo, &args, hidden)).await
            },
        )
        .method(
            "status",
            Method::read_only("Gives the branch and the files that differ from its last commit."),
            |repo: Rc<Repo>, args: StatusArgs, _| async move {
                repo.read::<Status>(move |repo, hidden, _| status::status(repo, &args, hidden))
                    .await
            },
        )
        .method(
            "file",
            Method::read_only("Gives the content of a file at a revision."),
            |repo: Rc<Repo>, args: FileArgs, _| async move {
                repo.read::<Content>(move |repo, hidden, _| tree::file(&repo.repo, &args, hidden))
                    .await
            },
        )
}

fn listers(interface: Interface<Repo>) -> Interface<Repo> {
    interface
        .method(
            "branches",
            Method::read_only("Lists the branches."),
            |repo: Rc<Repo>, args: PageArgs, _| async move {
                repo.read::<Vec<Branch>>(move |repo, _, _| history::branches(repo, args)).await
            },
        )
        .method(
            "tags",
            Method::read_only("Lists the tags."),
            |repo: Rc<Repo>, args: PageArgs, _| async move {
                repo.read::<Vec<Tag>>(move |repo, _, _| history::tags(repo, args)).await
            },
        )
        .method(
            "list",
            Method::read_only("Lists a directory at a revision."),
            |repo: Rc<Repo>, args: ListArgs, _| async move {
                repo.read::<Vec<Entry>>(move |repo, hidden, _| {
                    tree::list(&repo.repo, &args, hidden)
                })
                .await
            },
        )
}

#[derive(Deserialize, JsonSchema)]
struct OpenArgs {
    /// Where the clone is.
    path: RelPath,
}

/// Who changes a repository, and which places are hidden.
struct By {
    author: Identity,
    hidden: Arc<Hidden>,
}

impl Repo {
    fn place(&self) -> Result<Place, Failure> {
        self.place.clone().map_err(|why| {
            fail::failed(format!(
                "the repository could not be opened when the node started: {why}. Its operator must mend it and restart the node"
            ))
        })
    }

    /// Runs `work` on the repository, away from the event loop.
    async fn read<R: Send + 'static>(
        &self,
        work: impl FnOnce(&Opened, &Hidden, &Stop) -> Result<R, Failure> + Send + 'static,
    ) -> Result<R, Failure> {
        let (place, author) = (self.place()?, self.shared.author.clone());
        let hidden = Arc::clone(&self.shared.hidden);
        work::away(move |stop| work(&place.open(&author)?, &hidden, stop))
            .await
            .map_err(|error| fail::failed(format!("git could not be run: {error}")))?
    }

    /// Runs `work`, which changes the repository, after all changes that were asked for before.
    async fn change<R: Send + 'static>(
        &self,
        work: impl FnOnce(&Opened, &By) -> Result<R, Failure> + Send + 'static,
    ) -> Result<R, Failure> {
        self.check_writable()?;
        let place = self.place()?;
        let by = By { author: self.shared.author.clone(), hidden: Arc::clone(&self.shared.hidden) };
        let held = Arc::clone(&self.shared.changing).lock_owned().await;
        // Held until the work has ended, and not only until its caller gave up on it.
        let work = move |stop: &Stop| {
            let _held = held;
            stop.check()?;
            work(&place.open(&by.author)?, &by)
        };
        work::away(work).await.map_err(|error| {
            fail::unknown(format!("git ended on its way, look at the log: {error}"))
        })?
    }

    fn check_writable(&self) -> Result<(), Failure> {
        if !self.shared.writable {
            return Err(fail::denied(
                "the operator lets no caller change this repository",
                "writable",
            ));
        }
        Ok(())
    }
}

/// What libgit2 says, as a failure.
fn failure(error: &git2::Error) -> Failure {
    let message = error.message();
    match error.code() {
        // An object that another one names is missing.
        git2::ErrorCode::NotFound if error.class() == git2::ErrorClass::Odb => fail::failed(
            format!("the repository is damaged: {message}. `git fsck` says what is missing"),
        ),
        git2::ErrorCode::NotFound => fail::not_found(message),
        _ if message.contains("mandatory extension") => fail::failed(format!(
            "the index is split or sparse, which cannot be read ({message}): `git update-index --no-split-index` or `git sparse-checkout reapply --no-sparse-index` makes a plain one"
        )),
        _ => fail::failed(message),
    }
}

#[cfg(test)]
mod tests;
