//! Lock files, as the `git` program takes them: `X.lock` is made where there is none, filled, and
//! renamed to `X`.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::kit::{Failure, fail};

/// The lock of one file of a repository, held until it is published or dropped.
#[derive(Debug)]
pub(super) struct Lock {
    target: PathBuf,
    path: PathBuf,
}

impl Lock {
    /// Takes the lock of `target`; it holds `content` then.
    ///
    /// # Errors
    /// `failed`: another process holds it, or left it behind; nothing was changed.
    pub(super) fn take(target: &Path, content: &[u8]) -> Result<Self, Failure> {
        let mut path = target.as_os_str().to_owned();
        path.push(".lock");
        let path = PathBuf::from(path);
        let made = OpenOptions::new().write(true).create_new(true).open(&path);
        let mut file = made.map_err(|error| taken(&path, &error))?;
        let lock = Self { target: target.to_owned(), path };
        let filled = file.write_all(content).and_then(|()| file.sync_all());
        filled.map_err(|error| {
            fail::failed(format!("`{}` cannot be written: {error}", lock.path.display()))
        })?;
        Ok(lock)
    }

    /// The lock file itself.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Puts the lock's content in the place of what it locked. If that fails, the lock is released
    /// and its target is as it was.
    pub(super) fn publish(self) -> io::Result<()> {
        #[cfg(test)]
        faults::check(&self.target)?;
        std::fs::rename(&self.path, &self.target)?;
        // The name is gone, and may be another process's by now.
        std::mem::forget(self);
        Ok(())
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(lock = %self.path.display(), %error, "removing a lock of git failed");
        }
    }
}

fn taken(path: &Path, error: &io::Error) -> Failure {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if error.kind() == io::ErrorKind::AlreadyExists {
        return fail::failed(format!(
            "the repository is locked, and nothing was changed: its `{name}` is there. Another git process works in it: try again. If none does, one ended without removing the file: its operator must"
        ));
    }
    fail::failed(format!("`{name}` cannot be made, and nothing was changed: {error}"))
}

/// Locks whose content a test keeps from its place.
#[cfg(test)]
pub(super) mod faults {
    use std::io;
    use std::path::{Path, PathBuf};
    use std::sync::{Mutex, PoisonError};

    static KEPT: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

    /// From now on nothing takes the place of `target`.
    pub(in super::super) fn keep(target: PathBuf) {
        KEPT.lock().unwrap_or_else(PoisonError::into_inner).push(target);
    }

    pub(super) fn check(target: &Path) -> io::Result<()> {
        let kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.iter().any(|one| one == target) {
            return Err(io::Error::other("as a test wants it"));
        }
        Ok(())
    }
}
