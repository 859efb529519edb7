//! The folder in which a mesh for one machine lives, `.remit`, and where things are in it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::fault::{Fault, doing};
use crate::limits;

/// The folder when none is named.
pub(crate) const USUAL: &str = ".remit";

/// The folder of one mesh.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    dir: PathBuf,
}

/// What `mesh.toml` says: where the mesh of this folder was last seen.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The orchestrator's address, host:port.
    pub(crate) address: String,
}

impl Home {
    pub(crate) fn new(dir: &Path) -> Self {
        let dir = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
        Self { dir }
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether it is the one that is used when none is named.
    pub(crate) fn is_usual(&self) -> bool {
        std::path::absolute(USUAL).is_ok_and(|usual| usual == self.dir)
    }

    /// Makes the folder, for its owner alone, and keeps it out of version control.
    pub(crate) fn make(&self) -> Result<(), Fault> {
        use std::os::unix::fs::DirBuilderExt as _;
        let made = || {
            let mut builder = fs::DirBuilder::new();
            builder.recursive(true).mode(0o700).create(&self.dir)?;
            builder.create(self.dir.join("log"))?;
            let ignore = self.dir.join(".gitignore");
            if ignore.exists() { Ok(()) } else { fs::write(ignore, "*\n") }
        };
        made().map_err(doing::<io::Error>(format_args!(
            "the folder {} cannot be made (choose another with --home)",
            self.dir.display()
        )))
    }

    /// The credential with which commands reach the mesh of this folder.
    pub(crate) fn client(&self) -> PathBuf {
        self.dir.join("client")
    }

    /// The credential with which commands reach a mesh elsewhere, got by `remit join`.
    pub(crate) fn joined(&self, address: &str) -> PathBuf {
        let safe = |c: char| if c.is_ascii_alphanumeric() || ".-".contains(c) { c } else { '_' };
        self.dir.join("joined").join(address.chars().map(safe).collect::<String>())
    }

    /// What a node of the embedded mesh keeps: `orchestrator`, `agent-node` or `tool-node`.
    pub(crate) fn node(&self, role: &str) -> PathBuf {
        self.dir.join(role)
    }

    /// The log of a node of the embedded mesh.
    pub(crate) fn log(&self, role: &str) -> PathBuf {
        self.dir.join("log").join(format!("{role}.log"))
    }

    /// A node's log, open at its end. What an earlier run left is set aside when it is long.
    pub(crate) fn open_log(&self, role: &str) -> io::Result<File> {
        let path = self.log(role);
        if fs::metadata(&path).is_ok_and(|log| log.len() > limits::LOG_BYTES) {
            fs::rename(&path, path.with_extension("log.old"))?;
        }
        File::options().create(true).append(true).open(path)
    }

    /// Where the mesh was last seen, if anywhere.
    pub(crate) fn seen(&self) -> Option<Seen> {
        toml::from_str(&fs::read_to_string(self.dir.join("mesh.toml")).ok()?).ok()
    }

    /// Writes down where the mesh is now, all of it or nothing.
    pub(crate) fn see(&self, seen: &Seen) -> Result<(), Fault> {
        let text = toml::to_string(seen).map_err(doing("mesh.toml cannot be written"))?;
        let (path, part) = (self.dir.join("mesh.toml"), self.dir.join("mesh.toml.part"));
        fs::write(&part, text)
            .and_then(|()| fs::rename(&part, &path))
            .map_err(doing(format_args!("{} cannot be written", path.display())))
    }

    /// The right to run this folder's mesh. `None`: another process has it. It ends with the file.
    pub(crate) fn claim(&self) -> Result<Option<File>, Fault> {
        let path = self.dir.join("lock");
        let refused = || doing(format!("the lock {} cannot be taken", path.display()));
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(refused())?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(error)) => Err(refused()(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_process_may_run_a_folders_mesh() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(dir.path());
        let claim = home.claim().unwrap();
        assert!(claim.is_some());
        assert!(home.claim().unwrap().is_none());
        drop(claim);
        assert!(home.claim().unwrap().is_some());
    }

    #[test]
    fn what_was_seen_reads_back() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(&dir.path().join("new"));
        home.make().unwrap();
        assert_eq!(home.seen(), None);
        let seen = Seen { address: "127.0.0.1:4000".into() };
        home.see(&seen).unwrap();
        assert_eq!(home.seen(), Some(seen));
    }
}
