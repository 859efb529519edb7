//! Submodules: which commit one is at.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use git2::{Oid, Repository, RepositoryOpenFlags};

use super::hidden::os_path;
use super::place::Opened;

/// What is found where a submodule belongs.
pub(super) enum Module {
    /// It was not fetched, so it does not differ.
    Absent,
    /// Its directory is gone, or something else is there.
    Gone,
    /// It is at this commit.
    At(Oid),
    /// Its commit cannot be told, and why.
    Unknown(String),
}

/// Looks at the submodule at `path`. Its own working directory is not looked at.
pub(super) fn look(open: &Opened, path: &[u8]) -> Module {
    let Some(workdir) = open.repo.workdir().and_then(|path| path.canonicalize().ok()) else {
        return Module::Absent;
    };
    let at = workdir.join(os_path(path));
    if !at.symlink_metadata().is_ok_and(|meta| meta.is_dir()) {
        return Module::Gone;
    }
    let dot_git = at.join(".git");
    let Ok(found) = dot_git.symlink_metadata() else { return Module::Absent };
    let git_dir = match found.is_file() {
        true => linked(&at, &dot_git),
        false => Some(dot_git),
    };
    let real = git_dir.and_then(|path| path.canonicalize().ok());
    // Otherwise an agent that may write in the working directory could point to any repository.
    let inside = real.filter(|real| {
        let below = at.canonicalize().is_ok_and(|real_at| real_at == at) && real.starts_with(&at);
        below || real.starts_with(open.common_dir.join("modules"))
    });
    let Some(git_dir) = inside else {
        return Module::Unknown("its repository is outside of this one".into());
    };
    match head(&git_dir) {
        Ok(id) => Module::At(id),
        Err(error) => Module::Unknown(error.message().to_owned()),
    }
}

fn linked(at: &Path, dot_git: &Path) -> Option<PathBuf> {
    // A link to a repository is a short line.
    let short = dot_git.symlink_metadata().is_ok_and(|meta| meta.len() < 8_192);
    let text = short.then(|| std::fs::read_to_string(dot_git).ok()).flatten()?;
    Some(at.join(text.trim().strip_prefix("gitdir:")?.trim()))
}

fn head(git_dir: &Path) -> Result<Oid, git2::Error> {
    let flags =
        RepositoryOpenFlags::NO_SEARCH | RepositoryOpenFlags::NO_DOTGIT | RepositoryOpenFlags::BARE;
    let repo = Repository::open_ext(git_dir, flags, &[] as &[&OsStr])?;
    repo.refname_to_id("HEAD")
}
