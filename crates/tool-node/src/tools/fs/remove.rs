//! Removing a file, a link, or a tree.

use cap_std::fs::Dir;
use remit_core::Failure;

use super::read::Kind;
use super::root::{AtEnd, Root, failed, missing};
use super::walk::{Met, Visitor, folder, walk};
use super::work::Stop;
use super::write::sync;
use crate::kit::{RelPath, fail};

/// Whether what is in a folder goes with it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// Only if it is empty.
    Itself,
    /// With all that it holds.
    Tree,
}

pub(super) fn remove(
    root: &Root,
    path: &RelPath,
    depth: Depth,
    stop: &Stop,
) -> Result<(), Failure> {
    root.check_writable()?;
    let place = root.find(path, AtEnd::Take)?;
    let Some(name) = &place.name else {
        return Err(fail::denied("the root itself cannot be removed", "root"));
    };
    let Some(found) = &place.found else { return Err(missing(path)) };
    if root.holds_hidden(&place.path) {
        return Err(fail::denied(format!("`{path}` holds what the operator hides"), "hidden"));
    }
    if !found.is_dir() {
        place.parent.remove_file(name).map_err(|e| failed(path, &e))?;
    } else {
        if depth == Depth::Tree {
            let (dir, at) = folder(root, path)?;
            walk(root, &dir, &at, stop, &mut Remover)?;
        }
        place.parent.remove_dir(name).map_err(|e| match e.kind() {
            std::io::ErrorKind::DirectoryNotEmpty => fail::failed(format!(
                "`{path}` is not empty: set `recursive` to remove it with all that it holds"
            )),
            _ => failed(path, &e),
        })?;
    }
    sync(&place.parent).map_err(|e| failed(path, &e))
}

struct Remover;

impl Visitor for Remover {
    fn meet(&mut self, met: &Met<'_>) -> Result<bool, Failure> {
        if met.kind != Kind::Folder {
            let gone = met.parent.remove_file(met.name);
            gone.map_err(|e| failed(&RelPath::new(met.path).unwrap_or_default(), &e))?;
        }
        Ok(true)
    }

    fn leave(&mut self, parent: Option<&Dir>, name: &str) -> Result<(), Failure> {
        let gone = parent.map_or(Ok(()), |parent| parent.remove_dir(name));
        gone.map_err(|e| failed(&RelPath::new(name).unwrap_or_default(), &e))
    }
}
