//! The root of an fs tool, and the one way from a path to a place below it.
//!
//! A path is walked part by part on directory handles, never by the kernel as a whole, so that
//! neither `..`, nor a symbolic link, nor a swap during the walk leads anywhere else. A symbolic link
//! is followed only to its own folder or below: whoever was given a folder cannot leave it by a link.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::Arc;

use cap_fs_ext::{DirExt, MetadataExt};
use cap_std::fs::{Dir, Metadata};
use remit_core::Failure;
use remit_core::grant::path;

use super::Config;
use crate::kit::{RelPath, fail};
use crate::limits;

/// The folder that a tool serves.
pub(crate) struct Root {
    dir: Dir,
    hidden: Vec<String>,
    writable: bool,
    pub(super) max_read_bytes: u64,
    /// Held while something is changed, so that no change is made to what was just read. Whoever asks
    /// first gets it first.
    pub(super) changing: Arc<tokio::sync::Mutex<()>>,
}

/// Where a path leads: an open folder and, unless it is that folder itself, a name in it which was
/// no symbolic link a moment ago.
pub(super) struct Place {
    pub(super) parent: Dir,
    pub(super) name: Option<String>,
    /// Without symbolic links, seen from the root.
    pub(super) path: String,
    /// What stands there; `None`: nothing.
    pub(super) found: Option<Metadata>,
}

/// What to do with a symbolic link at the end of a path.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum AtEnd {
    /// Go where it leads.
    Follow,
    /// Take the link itself.
    Take,
}

impl Root {
    /// Opens the folder of `config`; a relative one is below `base`.
    pub(super) fn open(config: &Config, base: &Path) -> Result<Self, String> {
        let whole = base.join(&config.root);
        let shown = whole.display();
        let dir = Dir::open_ambient_dir(&whole, cap_std::ambient_authority()).map_err(|e| {
            format!("the root `{shown}` cannot be opened: {e}. Make the folder, or name another")
        })?;
        if config.hidden.len() > limits::FS_HIDDEN {
            return Err(format!("at most {} places can be hidden", limits::FS_HIDDEN));
        }
        let clean = |place: &String| match path::join("", place) {
            Ok(clean) if !clean.is_empty() => Ok(clean),
            Ok(_) => Err("the root itself cannot be hidden".to_owned()),
            Err(e) => Err(format!("hidden: {e}")),
        };
        let hidden = config.hidden.iter().map(clean).collect::<Result<_, _>>()?;
        let max_read_bytes =
            config.max_read_bytes.unwrap_or(limits::FS_READ_BYTES).min(limits::FS_READ_BYTES);
        let changing = Arc::default();
        Ok(Self { dir, hidden, writable: config.writable, max_read_bytes, changing })
    }

    /// Fails unless the operator allows changes.
    pub(super) fn check_writable(&self) -> Result<(), Failure> {
        if self.writable {
            return Ok(());
        }
        Err(fail::denied("the operator serves this folder read-only", "writable = false"))
    }

    /// Where `path` leads.
    pub(super) fn find(&self, path: &RelPath, at_end: AtEnd) -> Result<Place, Failure> {
        let mut walk = Walk {
            root: self,
            here: self.dir.try_clone().map_err(|e| failed(path, &e))?,
            done: Vec::new(),
            todo: path.parts().map(str::to_owned).collect(),
            links: 0,
        };
        while let Some(name) = walk.todo.pop_front() {
            if let Some(place) = walk.step(path, name, at_end)? {
                return Ok(place);
            }
        }
        let found = Some(walk.here.dir_metadata().map_err(|e| failed(path, &e))?);
        Ok(Place { parent: walk.here, name: None, path: walk.done.join("/"), found })
    }

    /// Fails if a place, or what stands there, is hidden. To whoever asks, it does not exist.
    pub(super) fn check_seen(
        &self,
        asked: &RelPath,
        path: &str,
        found: Option<&Metadata>,
    ) -> Result<(), Failure> {
        match self.is_hidden(path, found) {
            true => Err(missing(asked)),
            false => Ok(()),
        }
    }

    /// Whether a place is hidden, by its path or by what stands there.
    pub(super) fn is_hidden(&self, at: &str, found: Option<&Metadata>) -> bool {
        self.hidden.iter().any(|hidden| {
            path::is_within(at, hidden)
                || found.is_some_and(|found| {
                    // Asked anew each time: it may have been made, or replaced, since.
                    let same = |m: Metadata| m.dev() == found.dev() && m.ino() == found.ino();
                    self.dir.metadata(hidden).is_ok_and(same)
                        || self.dir.symlink_metadata(hidden).is_ok_and(same)
                })
        })
    }

    /// Whether something hidden is at or below a place.
    pub(super) fn holds_hidden(&self, at: &str) -> bool {
        self.hidden.iter().any(|hidden| path::is_within(hidden, at))
    }
}

struct Walk<'a> {
    root: &'a Root,
    here: Dir,
    done: Vec<String>,
    todo: VecDeque<String>,
    links: usize,
}

impl Walk<'_> {
    /// Takes one part of the path. Gives the place if this was the last.
    fn step(
        &mut self,
        asked: &RelPath,
        name: String,
        at_end: AtEnd,
    ) -> Result<Option<Place>, Failure> {
        let last = self.todo.is_empty();
        self.done.push(name.clone());
        let at = self.done.join("/");
        let found = match self.here.symlink_metadata(&name) {
            Ok(found) => Some(found),
            Err(e) if last && e.kind() == io::ErrorKind::NotFound => None,
            Err(e) => return Err(failed(asked, &e)),
        };
        self.root.check_seen(asked, &at, found.as_ref())?;
        match found {
            Some(link) if link.is_symlink() && !(last && at_end == AtEnd::Take) => {
                self.done.pop();
                self.follow(asked, &name)?;
                Ok(None)
            }
            found if last => {
                let parent = self.here.try_clone().map_err(|e| failed(asked, &e))?;
                Ok(Some(Place { parent, name: Some(name), path: at, found }))
            }
            _ => {
                let next = self.here.open_dir_nofollow(&name).map_err(|e| failed(asked, &e))?;
                let opened = next.dir_metadata().map_err(|e| failed(asked, &e))?;
                self.root.check_seen(asked, &at, Some(&opened))?;
                self.here = next;
                Ok(None)
            }
        }
    }

    fn follow(&mut self, asked: &RelPath, name: &str) -> Result<(), Failure> {
        self.links += 1;
        if self.links > limits::FS_LINKS {
            return Err(fail::failed(format!("`{asked}` leads through too many symbolic links")));
        }
        let target = self.here.read_link_contents(name).map_err(|e| failed(asked, &e))?;
        let clean = target.to_str().and_then(|target| RelPath::new(target).ok());
        let Some(clean) = clean else {
            let link = format!("{}/{name}", self.done.join("/"));
            let link = link.trim_start_matches('/');
            return Err(fail::denied(
                format!(
                    "`{asked}` leads through the symbolic link `{link}`, which leaves its own folder (to `{}`): ask for that place itself",
                    target.display()
                ),
                "symbolic link",
            ));
        };
        for part in clean.parts().rev() {
            self.todo.push_front(part.to_owned());
        }
        Ok(())
    }
}

/// The failure of something that is not there.
pub(super) fn missing(path: &RelPath) -> Failure {
    fail::not_found(format!("there is no `{path}`"))
}

/// The failure of an operation on `path` that the system refused.
pub(super) fn failed(path: &RelPath, error: &io::Error) -> Failure {
    failed_at(&path.to_string(), error)
}

/// The same for a path as it is shown, which may hold names that are no text.
pub(super) fn failed_at(path: &str, error: &io::Error) -> Failure {
    use rustix::io::Errno;
    let errno = Errno::from_io_error(error);
    match error.kind() {
        io::ErrorKind::NotFound => fail::not_found(format!("there is no `{path}`")),
        _ if errno == Some(Errno::LOOP) => {
            fail::failed(format!("`{path}` was replaced while it was being opened: try again"))
        }
        io::ErrorKind::NotADirectory => {
            fail::not_found(format!("a part of `{path}` is a file, so nothing is below it"))
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            fail::limit(format!("`{path}`: the disk is full"))
        }
        _ => fail::failed(format!("`{path}`: {error}")),
    }
}
