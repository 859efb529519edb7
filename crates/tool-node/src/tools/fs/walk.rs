//! Walking a tree on directory handles, in the order of names.

use std::ffi::{OsStr, OsString};
use std::io;

use cap_fs_ext::DirExt;
use cap_std::fs::Dir;
use remit_core::Failure;

use super::read::Kind;
use super::root::{AtEnd, Root, failed, failed_at, missing};
use super::work::Stop;
use crate::kit::{RelPath, fail};
use crate::limits;

/// Something that was met on a walk.
pub(super) struct Met<'a> {
    /// The folder that it is in.
    pub(super) parent: &'a Dir,
    /// Its name as the system has it, which may be no text.
    pub(super) name: &'a OsStr,
    /// Seen from where the walk began, with U+FFFD for what is no text.
    pub(super) path: &'a str,
    pub(super) kind: Kind,
}

/// What a walk asks of its visitor.
pub(super) trait Visitor {
    /// A folder begins. `path` is seen from where the walk began; empty: that folder itself.
    fn enter(&mut self, _dir: &Dir, _path: &str) -> Result<(), Failure> {
        Ok(())
    }

    /// Something was met. For a folder: whether to walk it.
    fn meet(&mut self, met: &Met<'_>) -> Result<bool, Failure>;

    /// A folder has ended.
    fn leave(&mut self, _met: &Met<'_>) -> Result<(), Failure> {
        Ok(())
    }

    /// A folder cannot be looked into. By default that ends the walk.
    fn unreadable(&mut self, _path: &str, why: Failure) -> Result<(), Failure> {
        Err(why)
    }
}

/// The open folder at `path`, and its place without symbolic links.
pub(super) fn folder(root: &Root, path: &RelPath) -> Result<(Dir, String), Failure> {
    let place = root.find(path, AtEnd::Follow)?;
    let Some(name) = &place.name else { return Ok((place.parent, place.path)) };
    match &place.found {
        None => return Err(missing(path)),
        Some(found) if !found.is_dir() => {
            return Err(fail::failed(format!("`{path}` is not a folder")));
        }
        Some(_) => {}
    }
    let dir = place.parent.open_dir_nofollow(name).map_err(|e| failed(path, &e))?;
    let opened = dir.dir_metadata().map_err(|e| failed(path, &e))?;
    root.check_seen(path, &place.path, Some(&opened))?;
    Ok((dir, place.path))
}

/// `name` in the folder `at`.
pub(super) fn below(at: &str, name: &str) -> String {
    if at.is_empty() { name.to_owned() } else { format!("{at}/{name}") }
}

/// Walks the tree below `dir`, which stands at `at` seen from the root. Hidden places are not met
/// and symbolic links are met but not followed.
pub(super) fn walk(
    root: &Root,
    dir: &Dir,
    at: &str,
    stop: &Stop,
    visitor: &mut impl Visitor,
) -> Result<(), Failure> {
    let mut visits = Visits { root, base: at, stop, left: limits::FS_VISITS };
    visits.folder(dir, "", limits::FS_DEPTH, visitor)
}

struct Visits<'a> {
    root: &'a Root,
    base: &'a str,
    stop: &'a Stop,
    left: usize,
}

impl Visits<'_> {
    fn folder(
        &mut self,
        dir: &Dir,
        path: &str,
        depth: usize,
        visitor: &mut impl Visitor,
    ) -> Result<(), Failure> {
        let Some(depth) = depth.checked_sub(1) else {
            let most = limits::FS_DEPTH;
            let why = fail::limit(format!("`{path}` is more than {most} folders deep"));
            return visitor.unreadable(path, why);
        };
        let entries = match self.entries(dir, path)? {
            Ok(entries) => entries,
            Err(error) => return visitor.unreadable(path, failed_at(path, &error)),
        };
        visitor.enter(dir, path)?;
        for (name, kind) in entries {
            let path = below(path, &name.to_string_lossy());
            let met = Met { parent: dir, name: &name, path: &path, kind };
            if !visitor.meet(&met)? || kind != Kind::Folder {
                continue;
            }
            let next = match dir.open_dir_nofollow(&name) {
                Ok(next) => next,
                Err(error) if was_replaced(&error) => continue,
                Err(error) => {
                    visitor.unreadable(&path, failed_at(&path, &error))?;
                    continue;
                }
            };
            let opened = next.dir_metadata().ok();
            if self.root.is_hidden(&below(self.base, &path), opened.as_ref()) {
                continue;
            }
            self.folder(&next, &path, depth, visitor)?;
            visitor.leave(&met)?;
        }
        Ok(())
    }

    /// What is in a folder, in the order of names. The inner error is of this folder alone.
    fn entries(
        &mut self,
        dir: &Dir,
        path: &str,
    ) -> Result<io::Result<Vec<(OsString, Kind)>>, Failure> {
        self.stop.check()?;
        let found = match dir.entries() {
            Ok(found) => found,
            Err(error) => return Ok(Err(error)),
        };
        let mut entries = Vec::new();
        for entry in found {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => return Ok(Err(error)),
            };
            self.left = self.left.checked_sub(1).ok_or_else(|| {
                let most = limits::FS_VISITS;
                fail::limit(format!("there are more than {most} entries: begin further down"))
            })?;
            let name = entry.file_name();
            let at = below(self.base, &below(path, &name.to_string_lossy()));
            if !self.root.is_hidden(&at, None) {
                entries.push((name, entry.file_type().map_or(Kind::Other, Kind::of)));
            }
        }
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(Ok(entries))
    }
}

/// Whether a folder that was listed is gone, or is another thing by now.
fn was_replaced(error: &io::Error) -> bool {
    use rustix::io::Errno;
    matches!(Errno::from_io_error(error), Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP))
}
