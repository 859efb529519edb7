//! From the working directory into an index.

use std::io::{ErrorKind, Read as _, Write as _};
use std::path::Path;

use cap_std::ambient_authority;
use cap_std::fs::{Dir, Metadata, MetadataExt as _};
use git2::{Index, IndexEntry, IndexTime, Oid};

use super::hidden::{Hidden, os_path};
use super::module::{self, Module};
use super::place::Opened;
use super::state::MODULE;
use super::status::Skipped;
use super::{failure, text};
use crate::kit::{Failure, RelPath, fail};
use crate::limits;

const LINK: u32 = 0o120_000;
const FILE: u32 = 0o100_644;
const PROGRAM: u32 = 0o100_755;

/// What becomes of one path.
pub(super) enum Staged {
    Holds(IndexEntry),
    Gone(Vec<u8>),
}

/// The working directory, with what is read from it.
pub(super) struct Stage<'a> {
    open: &'a Opened,
    dir: Dir,
    hidden: &'a Hidden,
    pub(super) staged: Vec<Staged>,
    pub(super) skipped: Vec<Skipped>,
}

impl<'a> Stage<'a> {
    pub(super) fn new(open: &'a Opened, hidden: &'a Hidden) -> Result<Self, Failure> {
        let workdir = open
            .repo
            .workdir()
            .ok_or_else(|| fail::failed("a bare repository has no working directory to commit"))?;
        let dir = Dir::open_ambient_dir(workdir, ambient_authority())
            .map_err(|error| fail::failed(format!("the working directory: {error}")))?;
        Ok(Self { open, dir, hidden, staged: Vec::new(), skipped: Vec::new() })
    }

    pub(super) const fn open(&self) -> &Opened {
        self.open
    }

    /// Fails if `at`, which is to be committed, names nothing that git could commit.
    pub(super) fn check_known(
        &self,
        at: &RelPath,
        differs: bool,
        index: &Index,
    ) -> Result<(), Failure> {
        let tracked = || {
            let below = format!("{at}/");
            index.get_path(Path::new(at.as_str()), 0).is_some()
                || index.find_prefix(below.as_str()).is_ok()
        };
        let is_hidden = self.hidden.hides(at.as_str().as_bytes());
        if !is_hidden && (differs || tracked()) {
            return Ok(());
        }
        if is_hidden || self.dir.symlink_metadata(at.as_str()).is_err() {
            return Err(fail::not_found(format!(
                "the commit is refused, and nothing was changed: there is no `{at}`"
            )));
        }
        Err(fail::failed(format!(
            "the commit is refused, and nothing was changed: there is nothing to commit at `{at}`. It is an empty directory, or .gitignore leaves it out"
        )))
    }

    /// Takes what `index` holds at `path`, without a look at the working directory.
    pub(super) fn add_staged(&mut self, path: &[u8], index: &Index) {
        self.staged.push(match index.get_path(os_path(path), 0) {
            Some(entry) => Staged::Holds(entry),
            None => Staged::Gone(path.to_vec()),
        });
    }

    /// Adds a file that is marked as unchanged and was asked for by its path, as git does.
    pub(super) fn add_if_changed(&mut self, path: &[u8], index: &Index) -> Result<(), Failure> {
        if self.hidden.hides(path) {
            return Ok(());
        }
        let before = self.staged.len();
        self.add(path, index)?;
        let was = index.get_path(os_path(path), 0);
        let unchanged = match (self.staged.last(), &was) {
            (Some(Staged::Holds(now)), Some(was)) => (now.id, now.mode) == (was.id, was.mode),
            _ => false,
        };
        if unchanged {
            self.staged.truncate(before);
        }
        Ok(())
    }

    /// Reads what is at `path`, and keeps its content in the repository. `index` knows what was
    /// there. A file is read through a handle that no link leads out of: libgit2 would follow one.
    pub(super) fn add(&mut self, path: &[u8], index: &Index) -> Result<(), Failure> {
        let shown = text::lossy(path);
        let disk = |error: std::io::Error| fail::failed(format!("`{shown}`: {error}"));
        // What is behind a link is not in the repository: git sees the link alone.
        if self.is_behind_a_link(os_path(path)) {
            self.staged.push(Staged::Gone(path.to_vec()));
            return Ok(());
        }
        let meta = match self.dir.symlink_metadata(os_path(path)) {
            Ok(meta) if meta.is_dir() => {
                self.add_directory(path, index);
                return Ok(());
            }
            Ok(meta) => meta,
            // A part of it may have become a file.
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                self.staged.push(Staged::Gone(path.to_vec()));
                return Ok(());
            }
            Err(error) => return Err(disk(error)),
        };
        if self.hidden.is_file(&self.dir, &meta) {
            self.skipped.push(Skipped::new(path, "it is another name of a hidden file"));
            return Ok(());
        }
        let bytes = self.read(path, &meta)?;
        let id = if meta.is_symlink() {
            self.open.repo.blob(&bytes).map_err(|error| failure(&error))?
        } else {
            self.keep(path, &bytes)?
        };
        let was = index.get_path(os_path(path), 0).map(|entry| entry.mode);
        let mode = match (meta.is_symlink(), self.open.settings.file_mode()) {
            (true, _) => LINK,
            (false, true) if meta.mode() & 0o111 != 0 => PROGRAM,
            (false, true) => FILE,
            (false, false) => was.filter(|mode| *mode == PROGRAM).unwrap_or(FILE),
        };
        self.staged.push(Staged::Holds(entry(path, id, mode, bytes.len())));
        Ok(())
    }

    /// A directory is either a submodule or has taken the place of a file.
    fn add_directory(&mut self, path: &[u8], index: &Index) {
        let is_module = index.get_path(os_path(path), 0).is_some_and(|was| was.mode == MODULE);
        if path.ends_with(b"/") {
            let why = "it is a repository of its own, and no submodule of this one";
            self.skipped.push(Skipped::new(path, why));
        } else if !is_module {
            self.staged.push(Staged::Gone(path.to_vec()));
        } else if let Module::At(id) = module::look(self.open, path) {
            self.staged.push(Staged::Holds(entry(path, id, MODULE, 0)));
        }
    }

    fn is_behind_a_link(&self, path: &Path) -> bool {
        path.ancestors()
            .skip(1)
            .filter(|above| !above.as_os_str().is_empty())
            .any(|above| self.dir.symlink_metadata(above).is_ok_and(|meta| meta.is_symlink()))
    }

    fn read(&self, path: &[u8], meta: &Metadata) -> Result<Vec<u8>, Failure> {
        let shown = text::lossy(path);
        let disk = |error: std::io::Error| fail::failed(format!("`{shown}`: {error}"));
        if meta.is_symlink() {
            let target = self.dir.read_link_contents(os_path(path)).map_err(disk)?;
            return Ok(target.as_os_str().as_encoded_bytes().to_vec());
        }
        if !meta.is_file() {
            return Err(fail::failed(format!("`{shown}` is neither a file nor a link")));
        }
        let mut bytes = Vec::new();
        let file = self.dir.open(os_path(path)).map_err(disk)?;
        file.take(limits::GIT_COMMIT_FILE + 1).read_to_end(&mut bytes).map_err(disk)?;
        if bytes.len() as u64 > limits::GIT_COMMIT_FILE {
            let most = limits::GIT_COMMIT_FILE;
            return Err(fail::limit(format!(
                "`{shown}` has more than the {most} bytes that may be committed"
            )));
        }
        Ok(bytes)
    }

    /// Keeps the content of a file, with the ends of its lines as its attributes say.
    fn keep(&self, path: &[u8], bytes: &[u8]) -> Result<Oid, Failure> {
        let mut writer =
            self.open.repo.blob_writer(Some(os_path(path))).map_err(|error| failure(&error))?;
        writer.write_all(bytes).map_err(|error| fail::failed(format!("the content: {error}")))?;
        writer.commit().map_err(|error| failure(&error))
    }
}

/// An entry without times: git compares the content when it looks the next time.
pub(super) fn entry(path: &[u8], id: Oid, mode: u32, size: usize) -> IndexEntry {
    IndexEntry {
        ctime: IndexTime::new(0, 0),
        mtime: IndexTime::new(0, 0),
        dev: 0,
        ino: 0,
        mode,
        uid: 0,
        gid: 0,
        file_size: u32::try_from(size).unwrap_or(u32::MAX),
        id,
        flags: 0,
        flags_extended: 0,
        path: path.to_vec(),
    }
}

/// Puts `staged` into `index`: what is gone first, so that a directory can take a file's place.
pub(super) fn apply(index: &mut Index, staged: &[Staged]) -> Result<(), Failure> {
    let git = |error: git2::Error| failure(&error);
    for one in staged {
        if let Staged::Gone(path) = one {
            match index.remove(os_path(path), 0) {
                Err(error) if error.code() == git2::ErrorCode::NotFound => {}
                removed => removed.map_err(git)?,
            }
        }
    }
    for one in staged {
        if let Staged::Holds(entry) = one {
            index.add(entry).map_err(git)?;
        }
    }
    Ok(())
}
