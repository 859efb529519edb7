//! Where a repository is, and how it is opened: always the same one, without its configuration.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};

use git2::{Repository, RepositoryOpenFlags};

use super::commit::Identity;
use super::failure;
use super::settings::Settings;
use crate::kit::{Failure, fail};

/// A repository on disk, with all that it may reach.
#[derive(Debug, Clone)]
pub(super) struct Place {
    workdir: Option<PathBuf>,
    git_dir: PathBuf,
    reach: Reach,
}

/// The places outside its own folder that a repository can point to. Whoever may write into that
/// folder could point them at another repository, so they must stay what they were at first.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Reach {
    git_dir: PathBuf,
    common_dir: PathBuf,
    objects: PathBuf,
    alternates: Option<Vec<u8>>,
    /// Links among the folders and packs of objects, with where they lead.
    links: Vec<(PathBuf, PathBuf)>,
}

impl Reach {
    fn of(git_dir: &Path) -> Result<Self, String> {
        let real = |path: &Path| {
            path.canonicalize().map_err(|error| format!("`{}`: {error}", path.display()))
        };
        let git_dir = real(git_dir)?;
        let common_dir = match std::fs::read_to_string(git_dir.join("commondir")) {
            Ok(path) => real(&git_dir.join(path.trim()))?,
            Err(_) => git_dir.clone(),
        };
        let objects = real(&common_dir.join("objects"))?;
        let alternates = std::fs::read(objects.join("info/alternates")).ok();
        let links = links(&objects);
        Ok(Self { git_dir, common_dir, objects, alternates, links })
    }
}

/// Links with which the objects of another repository would be taken for this one's. A single object
/// is not looked at: its name says what is in it, so that only who has it already can link to it.
fn links(objects: &Path) -> Vec<(PathBuf, PathBuf)> {
    let entries = |dir: &Path| std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut links: Vec<_> = entries(objects)
        .chain(entries(&objects.join("pack")))
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_symlink()))
        .map(|entry| (entry.path(), std::fs::read_link(entry.path()).unwrap_or_default()))
        .collect();
    links.sort();
    links
}

/// An open repository.
pub(super) struct Opened {
    pub(super) repo: Repository,
    pub(super) settings: Settings,
    /// Where the index and HEAD of this working directory are.
    pub(super) git_dir: PathBuf,
    /// Where the branches of all working directories are.
    pub(super) common_dir: PathBuf,
    /// What libgit2 reads the configuration from, for as long as it may.
    _config: Option<File>,
}

impl Place {
    /// The repository in `directory`, which its operator vouches for, wherever its parts are now.
    pub(super) fn of_operator(directory: &Path) -> Result<Self, String> {
        let directory =
            directory.canonicalize().map_err(|error| format!("it cannot be found: {error}"))?;
        let dot_git = directory.join(".git");
        let (workdir, git_dir) = if dot_git.is_dir() {
            (Some(directory), dot_git)
        } else if let Ok(link) = std::fs::read_to_string(&dot_git) {
            let target = link.trim().strip_prefix("gitdir:").ok_or("its .git is no link")?;
            let git_dir = directory.join(target.trim());
            (Some(directory), git_dir)
        } else if directory.join("HEAD").is_file() && directory.join("objects").is_dir() {
            (None, directory)
        } else {
            return Err("there is no .git in it: make one with `git init`".into());
        };
        let reach = Reach::of(&git_dir)?;
        Ok(Self { workdir, git_dir, reach })
    }

    /// The repository in `directory`, which nobody vouches for: all of it must be in there.
    pub(super) fn of_clone(directory: &Path) -> Result<Self, Failure> {
        let git_dir = directory.join(".git");
        let reach = Reach::of(&git_dir)
            .map_err(|_| fail::not_found(format!("no clone is in {}", directory.display())))?;
        let inside = reach.git_dir == git_dir
            && reach.common_dir == git_dir
            && reach.objects == git_dir.join("objects")
            && reach.alternates.is_none()
            && reach.links.is_empty();
        if !inside {
            return Err(fail::failed("a part of the clone is outside of its directory"));
        }
        Ok(Self { workdir: Some(directory.to_owned()), git_dir, reach })
    }

    /// Opens the repository with a configuration of known settings in place of its own. Changes to
    /// it are made by `who`.
    pub(super) fn open(&self, who: &Identity) -> Result<Opened, Failure> {
        let now = Reach::of(&self.git_dir).map_err(fail::failed)?;
        if now != self.reach {
            return Err(fail::failed(
                "the repository points to other places than when the node started: its operator must look at its .git",
            ));
        }
        let git = |error: git2::Error| failure(&error);
        let Reach { git_dir, common_dir, .. } = now;
        let settings = Settings::read(&git_dir, &common_dir).map_err(git)?;
        if let Some(why) = settings.unsupported() {
            return Err(fail::failed(format!("the repository cannot be opened: {why}")));
        }
        let config = settings.safe_config(who);
        let (config, file) = config
            .map_err(|error| fail::failed(format!("the settings cannot be passed on: {error}")))?;
        let open = || {
            // Opened as if bare: that reads the configuration for the format alone, and never
            // takes a working directory from it. (`open_bare` would not see where the history of
            // a shallow clone ends.)
            let flags = RepositoryOpenFlags::NO_SEARCH
                | RepositoryOpenFlags::NO_DOTGIT
                | RepositoryOpenFlags::BARE;
            let repo = Repository::open_ext(&self.git_dir, flags, &[] as &[&OsStr])?;
            repo.set_config(&config)?;
            if let Some(workdir) = &self.workdir {
                repo.set_workdir(workdir, false)?;
            }
            Ok(repo)
        };
        let repo = open().map_err(git)?;
        repo.find_reference("HEAD").map_err(|error| {
            fail::failed(format!("the HEAD of the repository cannot be read: {}", error.message()))
        })?;
        Ok(Opened { repo, settings, git_dir, common_dir, _config: file })
    }
}
