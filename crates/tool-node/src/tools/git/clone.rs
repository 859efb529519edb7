//! Clones: what may be cloned, and into where.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use git2::build::{CheckoutBuilder, CloneLocal, RepoBuilder};
use git2::{FetchOptions, RemoteCallbacks, Repository};
use schemars::JsonSchema;
use serde::Deserialize;

use super::place::Place;
use super::work::{self, Stop};
use super::{failure, remote, text};
use crate::kit::{CallContext, Failure, RelPath, fail};
use crate::limits;
use crate::tools::confiner::Confiner;
use crate::tools::web::Prefix;

#[derive(Deserialize, JsonSchema)]
pub(super) struct CloneArgs {
    /// What to clone: an https URL or a directory, that the operator allows.
    url: String,
    /// Where to put it, below the operator's directory for clones.
    path: RelPath,
}

/// What may be cloned, and into where.
pub(super) struct Clones {
    root: Option<PathBuf>,
    directories: Vec<PathBuf>,
    prefixes: Vec<Prefix>,
    program: PathBuf,
    confiner: Option<Rc<Confiner>>,
}

impl Clones {
    pub(super) fn new(
        root: Option<PathBuf>,
        from: &[String],
        (program, confiner): (PathBuf, Option<Rc<Confiner>>),
        base: &Path,
    ) -> Result<Self, String> {
        let (urls, directories): (Vec<&String>, Vec<&String>) =
            from.iter().partition(|from| from.contains("://"));
        let real = |path: &Path| {
            path.canonicalize().map_err(|error| format!("`{}`: {error}", path.display()))
        };
        let prefixes: Vec<Prefix> =
            urls.into_iter().map(|url| Prefix::parse(url)).collect::<Result<_, _>>()?;
        if let Some(other) = prefixes.iter().find(|prefix| prefix.scheme() != "https") {
            return Err(format!("clone_from: `{other}`: only https is cloned from"));
        }
        if root.is_none() && !from.is_empty() {
            return Err("clone_from needs a clone_root, the directory for clones".into());
        }
        Ok(Self {
            root: root.as_deref().map(real).transpose()?,
            directories: directories
                .into_iter()
                .map(|path| real(&base.join(path)))
                .collect::<Result<_, _>>()?,
            prefixes,
            program,
            confiner,
        })
    }

    /// Opens a clone that was made earlier.
    pub(super) fn open(&self, path: &RelPath) -> Result<Place, Failure> {
        let at = self.root()?.join(path.as_str());
        match at.canonicalize() {
            Ok(real) if real == at => Place::of_clone(&at),
            _ => Err(fail::not_found(format!("there is no clone at `{path}`"))),
        }
    }

    /// Makes a clone, whole or not at all.
    pub(super) async fn clone(
        &self,
        CloneArgs { url, path }: CloneArgs,
        call: &CallContext,
    ) -> Result<Place, Failure> {
        let source = self.source(&url)?;
        let root = self.root()?.to_owned();
        let draft = Draft::new(&root, &path)?;
        match source {
            Source::Directory(directory) => {
                let into = draft.directory();
                let cloned = work::away(move |stop| copy(&directory, &into, stop)).await;
                cloned.map_err(|error| fail::failed(error.to_string()))??;
            }
            Source::Url(url) => {
                let into = draft.directory();
                let confiner = self.confiner.as_deref().ok_or_else(|| {
                    fail::unavailable("this node starts no programs, and clones no URLs")
                })?;
                remote::fetch(&self.program, &url, &into, confiner, call).await?;
                let into = draft.directory();
                let filled = work::away(move |stop| fill(&into, stop)).await;
                filled.map_err(|error| fail::failed(error.to_string()))??;
            }
        }
        draft.keep()?;
        self.open(&path).map_err(|failure| {
            fail::unknown(format!(
                "the clone was made at `{path}`, and cannot be opened: {}",
                failure.message
            ))
        })
    }

    fn root(&self) -> Result<&Path, Failure> {
        self.root.as_deref().ok_or_else(|| {
            fail::denied(
                "the operator of this repository set up no directory for clones",
                "clone_root",
            )
        })
    }

    fn source(&self, url: &str) -> Result<Source, Failure> {
        let shown: String = url.chars().take(120).collect();
        let denied = || {
            let why = format!("`{shown}` is not among what the operator lets be cloned");
            fail::denied(why, "clone_from")
        };
        if url.contains("://") {
            let parsed = crate::tools::web::parse(url).map_err(|why| fail::invalid("url", why))?;
            let allowed = self.prefixes.iter().any(|prefix| prefix.allows(&parsed));
            return if allowed { Ok(Source::Url(parsed.into())) } else { Err(denied()) };
        }
        let real = Path::new(url).canonicalize().map_err(|_| denied())?;
        let allowed = self.directories.iter().any(|directory| real.starts_with(directory));
        if allowed { Ok(Source::Directory(real)) } else { Err(denied()) }
    }
}

enum Source {
    Directory(PathBuf),
    Url(String),
}

/// A clone that is being made beside its final place, and removed again if it is not kept.
struct Draft {
    root: Dir,
    /// Directories above it that were made for it, outermost first.
    made: Vec<String>,
    parent: Dir,
    parent_path: PathBuf,
    name: String,
    part: String,
    /// Whether the directory `part` is this clone's.
    begun: bool,
}

impl Draft {
    fn new(root: &Path, path: &RelPath) -> Result<Self, Failure> {
        let disk = |error: std::io::Error| fail::failed(format!("`{path}`: {error}"));
        let Some(name) = path.parts().next_back() else {
            return Err(fail::invalid("path", "say where to put the clone"));
        };
        let above = path.as_str().strip_suffix(name).unwrap_or_default().trim_end_matches('/');
        let root_dir = Dir::open_ambient_dir(root, ambient_authority()).map_err(disk)?;
        let missing = |end: usize| root_dir.symlink_metadata(above.get(..end)?).err().map(|_| end);
        let ends = above.match_indices('/').map(|(at, _)| at).chain([above.len()]);
        let made = ends.filter_map(missing).filter_map(|end| above.get(..end));
        let made: Vec<String> = made.filter(|made| !made.is_empty()).map(str::to_owned).collect();
        let mut draft = Self {
            parent: root_dir.try_clone().map_err(disk)?,
            parent_path: root.to_owned(),
            root: root_dir,
            made,
            name: name.to_owned(),
            part: format!(".{name}.part"),
            begun: false,
        };
        if !above.is_empty() {
            draft.root.create_dir_all(above).map_err(disk)?;
            draft.parent = draft.root.open_dir(above).map_err(disk)?;
            draft.parent_path = root.join(above);
        }
        draft.begin(path)?;
        Ok(draft)
    }

    /// Makes the directory of the clone, if none is under way.
    fn begin(&mut self, path: &RelPath) -> Result<(), Failure> {
        let disk = |error: std::io::Error| fail::failed(format!("`{path}`: {error}"));
        let Self { parent, parent_path, name, part, .. } = self;
        // A link on the way would make another place of it than what was asked for.
        if parent_path.canonicalize().map_err(disk)? != *parent_path {
            return Err(fail::failed(format!("`{path}` is behind a link")));
        }
        if parent.symlink_metadata(name).is_ok() {
            return Err(fail::failed(format!("there is something at `{path}` already")));
        }
        parent.create_dir(part.as_str()).map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => {
                let parent = parent_path.display();
                fail::failed(format!(
                    "`{path}` is being cloned to already: `{part}` is there. If no clone is under way, one was cut short: its operator must remove it in {parent}"
                ))
            }
            _ => disk(error),
        })?;
        self.begun = true;
        Ok(())
    }

    fn directory(&self) -> PathBuf {
        self.parent_path.join(&self.part)
    }

    fn keep(mut self) -> Result<(), Failure> {
        self.parent
            .rename(&self.part, &self.parent, &self.name)
            .map_err(|error| fail::failed(format!("`{}`: {error}", self.name)))?;
        self.begun = false;
        self.made.clear();
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if self.begun
            && let Err(error) = self.parent.remove_dir_all(&self.part)
        {
            let part = self.directory();
            tracing::warn!(part = %part.display(), %error, "removing an unfinished clone failed");
        }
        for made in self.made.iter().rev() {
            // Another clone may be in it by now.
            let _in_use = self.root.remove_dir(made);
        }
    }
}

/// Clones a repository of this machine, object by object: nothing is shared with the original.
fn copy(from: &Path, into: &Path, stop: &Stop) -> Result<(), Failure> {
    let until = Instant::now() + limits::CLONE_TIME;
    let mut callbacks = RemoteCallbacks::new();
    let given_up = stop.given_up();
    callbacks.transfer_progress(move |progress| {
        progress.received_bytes() < limits::CLONE_BYTES
            && Instant::now() < until
            && !given_up.load(Ordering::Relaxed)
    });
    let mut fetch = FetchOptions::new();
    fetch.remote_callbacks(callbacks);
    // The files come later, when it can be seen what they need.
    let mut nothing = CheckoutBuilder::new();
    nothing.dry_run();
    let cloned = RepoBuilder::new()
        .clone_local(CloneLocal::None)
        .fetch_options(fetch)
        .with_checkout(nothing)
        .clone(&from.display().to_string(), into);
    cloned.map_err(|error| failure(&error))?;
    fill(into, stop)
}

/// Fills the working directory of a clone that was made without one. No filter that a program
/// would do is applied: a file that has one is as it is in the repository.
fn fill(into: &Path, stop: &Stop) -> Result<(), Failure> {
    let git = |error: git2::Error| failure(&error);
    stop.check()?;
    let repo = Repository::open_bare(into.join(".git")).map_err(git)?;
    repo.set_config(&git2::Config::new().map_err(git)?).map_err(git)?;
    repo.set_workdir(into, false).map_err(git)?;
    if repo.is_empty().map_err(git)? || repo.refname_to_id("HEAD").is_err() {
        return Ok(());
    }
    let tree = repo.head().and_then(|head| head.peel_to_tree()).map_err(git)?;
    let mut recoded = None;
    let walked = tree.walk(git2::TreeWalkMode::PreOrder, |above, entry| {
        if entry.name_bytes() == b".gitattributes"
            && let Ok(blob) = repo.find_blob(entry.id())
            && text::lossy(blob.content()).contains("working-tree-encoding")
        {
            recoded = Some(format!("{above}.gitattributes"));
        }
        i32::from(recoded.is_some())
    });
    if let Some(path) = recoded {
        return Err(fail::failed(format!(
            "the clone is refused, and nothing was changed: `{path}` declares a working-tree-encoding, which is not done here. Clone it with git"
        )));
    }
    walked.map_err(git)?;
    // The attributes count from the first file on, which is written before they are.
    let mut index = repo.index().map_err(git)?;
    index.read_tree(&tree).and_then(|()| index.write()).map_err(git)?;
    let mut checkout = CheckoutBuilder::new();
    checkout.force();
    repo.checkout_head(Some(&mut checkout)).map_err(git)
}
