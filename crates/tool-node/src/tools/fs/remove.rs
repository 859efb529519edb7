//! Removing a file, a link, or a tree.

use cap_std::fs::Dir;
use remit_core::Failure;
use rustix::fs::{Access, AtFlags, accessat};
use schemars::JsonSchema;
use serde::Serialize;

use super::read::Kind;
use super::root::{AtEnd, Root, failed, failed_at, missing};
use super::walk::{Met, Visitor, below, folder, walk};
use super::work::Stop;
use super::write::{sync, uncertain};
use crate::kit::{RelPath, fail};

/// Whether what is in a folder goes with it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// Only if it is empty.
    Itself,
    /// With all that it holds.
    Tree,
}

/// What was removed.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct Removed {
    /// How many files, links and folders.
    entries: u64,
}

pub(super) fn remove(
    root: &Root,
    path: &RelPath,
    depth: Depth,
    stop: &Stop,
) -> Result<Removed, Failure> {
    root.check_writable()?;
    let place = root.find(path, AtEnd::Take)?;
    let Some(name) = &place.name else {
        return Err(fail::denied("the root itself cannot be removed", "root"));
    };
    let Some(found) = &place.found else { return Err(missing(path)) };
    if root.holds_hidden(&place.path) {
        return Err(fail::denied(format!("`{path}` holds what the operator hides"), "hidden"));
    }
    let mut removed = 1;
    if !found.is_dir() {
        place.parent.remove_file(name).map_err(|e| failed(path, &e))?;
    } else {
        if depth == Depth::Tree {
            removed += empty(root, path, &place.parent, stop)?;
        }
        place.parent.remove_dir(name).map_err(|e| match e.kind() {
            std::io::ErrorKind::DirectoryNotEmpty if depth == Depth::Tree => {
                partly(path, removed - 1, &fail::failed("something was put into it meanwhile"))
            }
            std::io::ErrorKind::DirectoryNotEmpty => fail::failed(format!(
                "`{path}` is not empty: set `recursive` to remove it with all that it holds"
            )),
            _ => failed(path, &e),
        })?;
    }
    sync(&place.parent).map_err(|e| uncertain(path, "removed", &e))?;
    Ok(Removed { entries: removed })
}

/// Removes all that is in the folder at `path`; gives how many entries. Looks first whether it may,
/// so that a tree which cannot be removed stays whole.
fn empty(root: &Root, path: &RelPath, parent: &Dir, stop: &Stop) -> Result<u64, Failure> {
    let (dir, at) = folder(root, path)?;
    let mut check = Check { path, unchecked: true };
    check.may_change(parent, path.as_str())?;
    walk(root, &dir, &at, stop, &mut check)?;
    let mut remover = Remover { path, removed: 0, left: None };
    let walked = walk(root, &dir, &at, stop, &mut remover);
    match remover.left.or(walked.err()) {
        None => Ok(remover.removed),
        Some(why) => Err(partly(path, remover.removed, &why)),
    }
}

fn partly(path: &RelPath, removed: u64, why: &Failure) -> Failure {
    if removed == 0 {
        return Failure::new(why.code, format!("nothing of `{path}` was removed: {}", why.message));
    }
    Failure::new(
        why.code,
        format!(
            "`{path}` was removed in part, {removed} entries of it: {}. List it to see what is left",
            why.message
        ),
    )
}

/// Looks whether every folder that holds something may be changed. Removes nothing.
struct Check<'a> {
    path: &'a RelPath,
    /// Whether the folder that is being walked was not looked at yet.
    unchecked: bool,
}

impl Check<'_> {
    /// `holds` is one of the entries of `folder`, as a message shows it.
    fn may_change(&self, folder: &Dir, holds: &str) -> Result<(), Failure> {
        let may = accessat(folder, ".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::empty());
        may.map_err(|error| partly(self.path, 0, &failed_at(holds, &error.into())))
    }
}

impl Visitor for Check<'_> {
    fn enter(&mut self, _: &Dir, _: &str) -> Result<(), Failure> {
        self.unchecked = true;
        Ok(())
    }

    fn meet(&mut self, met: &Met<'_>) -> Result<bool, Failure> {
        if self.unchecked {
            self.may_change(met.parent, &whole(self.path, met.path))?;
            self.unchecked = false;
        }
        Ok(true)
    }

    fn unreadable(&mut self, _: &str, why: Failure) -> Result<(), Failure> {
        Err(partly(self.path, 0, &why))
    }
}

/// Removes what it meets. What cannot be removed does not keep the rest from going.
struct Remover<'a> {
    path: &'a RelPath,
    removed: u64,
    /// Of the first entry that could not be removed.
    left: Option<Failure>,
}

impl Remover<'_> {
    fn note(&mut self, path: &str, removed: std::io::Result<()>) {
        match removed {
            Ok(()) => self.removed += 1,
            // Another program removed it meanwhile.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                let path = whole(self.path, path);
                self.left.get_or_insert_with(|| failed_at(&path, &error));
            }
        }
    }
}

impl Visitor for Remover<'_> {
    fn meet(&mut self, met: &Met<'_>) -> Result<bool, Failure> {
        if met.kind != Kind::Folder {
            self.note(met.path, met.parent.remove_file(met.name));
        }
        Ok(true)
    }

    fn leave(&mut self, met: &Met<'_>) -> Result<(), Failure> {
        self.note(met.path, met.parent.remove_dir(met.name));
        Ok(())
    }

    fn unreadable(&mut self, _: &str, why: Failure) -> Result<(), Failure> {
        self.left.get_or_insert(why);
        Ok(())
    }
}

/// A path of the walk, seen from where the removed folder is seen from.
fn whole(removed: &RelPath, path: &str) -> String {
    if path.is_empty() { removed.to_string() } else { below(removed.as_str(), path) }
}
