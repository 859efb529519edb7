//! Walking a tree on directory handles, in the order of names.

use cap_fs_ext::DirExt;
use cap_std::fs::Dir;
use remit_core::Failure;

use super::read::Kind;
use super::root::{AtEnd, Root, failed, missing};
use super::work::Stop;
use crate::kit::{RelPath, fail};
use crate::limits;

/// Something that was met on a walk.
pub(super) struct Met<'a> {
    /// The folder that it is in.
    pub(super) parent: &'a Dir,
    pub(super) name: &'a str,
    /// Seen from where the walk began.
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
    fn leave(&mut self, _parent: Option<&Dir>, _name: &str) -> Result<(), Failure> {
        Ok(())
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
            return Err(fail::limit(format!("`{path}` is more than {most} folders deep")));
        };
        visitor.enter(dir, path)?;
        for (name, kind) in self.entries(dir, path)? {
            let path = below(path, &name);
            let met = Met { parent: dir, name: &name, path: &path, kind };
            if !visitor.meet(&met)? || kind != Kind::Folder {
                continue;
            }
            // What was removed or replaced since it was listed is not walked.
            let Ok(next) = dir.open_dir_nofollow(&name) else { continue };
            let opened = next.dir_metadata().ok();
            if self.root.is_hidden(&below(self.base, &path), opened.as_ref()) {
                continue;
            }
            self.folder(&next, &path, depth, visitor)?;
            visitor.leave(Some(dir), &name)?;
        }
        Ok(())
    }

    fn entries(&mut self, dir: &Dir, path: &str) -> Result<Vec<(String, Kind)>, Failure> {
        self.stop.check()?;
        let here = || RelPath::new(path).unwrap_or_default();
        let mut entries = Vec::new();
        for entry in dir.entries().map_err(|e| failed(&here(), &e))? {
            let entry = entry.map_err(|e| failed(&here(), &e))?;
            self.left = self.left.checked_sub(1).ok_or_else(|| {
                let most = limits::FS_VISITS;
                fail::limit(format!("there are more than {most} entries: begin further down"))
            })?;
            let (Ok(name), Ok(kind)) = (entry.file_name().into_string(), entry.file_type()) else {
                continue;
            };
            let kind = Kind::of(kind);
            let at = below(self.base, &below(path, &name));
            if !self.root.is_hidden(&at, None) {
                entries.push((name, kind));
            }
        }
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(entries)
    }
}
