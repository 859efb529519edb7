//! Clones: what may be cloned, and into where.

use std::path::{Path, PathBuf};
use std::time::Instant;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use git2::build::{CheckoutBuilder, CloneLocal, RepoBuilder};
use git2::{FetchOptions, RemoteCallbacks, Repository};
use schemars::JsonSchema;
use serde::Deserialize;

use super::place::Place;
use super::{failure, remote};
use crate::kit::{CallContext, Failure, RelPath, fail};
use crate::limits;
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
}

impl Clones {
    pub(super) fn new(
        root: Option<PathBuf>,
        from: &[String],
        program: PathBuf,
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
                let cloned = crate::offload(move || copy(&directory, &into)).await;
                cloned.map_err(|error| fail::failed(error.to_string()))??;
            }
            Source::Url(url) => {
                remote::fetch(&self.program, &url, &root, &draft.directory(), call).await?;
                let into = draft.directory();
                let filled = crate::offload(move || fill(&into)).await;
                filled.map_err(|error| fail::failed(error.to_string()))??;
            }
        }
        draft.keep()?;
        self.open(&path)
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
    parent: Dir,
    parent_path: PathBuf,
    name: String,
    part: String,
}

impl Draft {
    fn new(root: &Path, path: &RelPath) -> Result<Self, Failure> {
        let disk = |error: std::io::Error| fail::failed(format!("`{path}`: {error}"));
        let Some(name) = path.parts().next_back() else {
            return Err(fail::invalid("path", "say where to put the clone"));
        };
        let above = path.as_str().strip_suffix(name).unwrap_or_default().trim_end_matches('/');
        let root_dir = Dir::open_ambient_dir(root, ambient_authority()).map_err(disk)?;
        let (parent, parent_path) = if above.is_empty() {
            (root_dir, root.to_owned())
        } else {
            root_dir.create_dir_all(above).map_err(disk)?;
            (root_dir.open_dir(above).map_err(disk)?, root.join(above))
        };
        // A link on the way would make another place of it than what was asked for.
        if parent_path.canonicalize().map_err(disk)? != parent_path {
            return Err(fail::failed(format!("`{path}` is behind a link")));
        }
        if parent.symlink_metadata(name).is_ok() {
            return Err(fail::failed(format!("there is something at `{path}` already")));
        }
        let part = format!(".{name}.part");
        parent.create_dir(&part).map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => {
                fail::failed(format!("`{path}` is being cloned to already"))
            }
            _ => disk(error),
        })?;
        Ok(Self { parent, parent_path, name: name.to_owned(), part })
    }

    fn directory(&self) -> PathBuf {
        self.parent_path.join(&self.part)
    }

    fn keep(self) -> Result<(), Failure> {
        self.parent
            .rename(&self.part, &self.parent, &self.name)
            .map_err(|error| fail::failed(format!("`{}`: {error}", self.name)))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Gone already if it was kept.
        let _ = self.parent.remove_dir_all(&self.part);
    }
}

/// Clones a repository of this machine, object by object: nothing is shared with the original.
fn copy(from: &Path, into: &Path) -> Result<(), Failure> {
    let until = Instant::now() + limits::CLONE_TIME;
    let mut callbacks = RemoteCallbacks::new();
    callbacks.transfer_progress(move |progress| {
        progress.received_bytes() < limits::CLONE_BYTES && Instant::now() < until
    });
    let mut fetch = FetchOptions::new();
    fetch.remote_callbacks(callbacks);
    let cloned = RepoBuilder::new()
        .clone_local(CloneLocal::None)
        .fetch_options(fetch)
        .with_checkout(plain())
        .clone(&from.display().to_string(), into);
    cloned.map(|_| ()).map_err(|error| failure(&error))
}

/// Fills the working directory of a clone that was made without one.
fn fill(into: &Path) -> Result<(), Failure> {
    let filled = || {
        let repo = Repository::open_bare(into.join(".git"))?;
        repo.set_config(&git2::Config::new()?)?;
        repo.set_workdir(into, false)?;
        if repo.is_empty()? { Ok(()) } else { repo.checkout_head(Some(&mut plain())) }
    };
    filled().map_err(|error: git2::Error| failure(&error))
}

fn plain<'a>() -> CheckoutBuilder<'a> {
    let mut checkout = CheckoutBuilder::new();
    checkout.force().disable_filters(true);
    checkout
}
