//! Changing one file or folder: write, append, edit, mkdir.

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use cap_fs_ext::{FollowSymlinks, OpenOptionsFollowExt};
use cap_std::fs::{Dir, OpenOptions};
use remit_core::Failure;
use schemars::JsonSchema;
use serde::Serialize;

use super::read::{self, Part};
use super::root::{AtEnd, Place, Root, failed, missing};
use crate::kit::{Content, RelPath, fail};

/// What was written.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct Written {
    /// How many bytes.
    bytes: u64,
}

/// What was edited.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct Edited {
    /// How many places were replaced.
    replaced: u64,
}

/// Which places an edit replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Places {
    /// The only one there is.
    One,
    /// All there are.
    All,
}

/// Replaces the whole file at once: a reader sees all of the old content or all of the new.
pub(super) fn write(root: &Root, path: &RelPath, content: &Content) -> Result<Written, Failure> {
    root.check_writable()?;
    let place = target(root, path)?;
    replace(path, &place, content.as_bytes())?;
    Ok(Written { bytes: content.as_bytes().len() as u64 })
}

pub(super) fn append(root: &Root, path: &RelPath, content: &Content) -> Result<Written, Failure> {
    root.check_writable()?;
    let place = target(root, path)?;
    let (mut file, _) =
        read::open(root, path, &place, OpenOptions::new().append(true).create(true))?;
    let written = file.write_all(content.as_bytes()).and_then(|()| file.sync_data());
    written.map_err(|e| failed(path, &e))?;
    Ok(Written { bytes: content.as_bytes().len() as u64 })
}

pub(super) fn edit(
    root: &Root,
    path: &RelPath,
    old: &str,
    new: &str,
    places: Places,
) -> Result<Edited, Failure> {
    root.check_writable()?;
    if old.is_empty() {
        return Err(fail::invalid("old", "`old` is empty: give the text that is to be replaced"));
    }
    let place = target(root, path)?;
    let Content::Text(text) = read::read(root, path, Part::default())? else {
        return Err(fail::failed(format!("`{path}` is not UTF-8 text, so it cannot be edited")));
    };
    let count = text.matches(old).count();
    match (count, places) {
        (0, _) => {
            return Err(fail::not_found(format!(
                "`{path}` does not contain the text that is to be replaced: read it again, it must match exactly"
            )));
        }
        (2.., Places::One) => {
            return Err(fail::invalid(
                "old",
                format!(
                    "`{path}` contains the text {count} times: give more of its surroundings, or set `all`"
                ),
            ));
        }
        _ => {}
    }
    replace(path, &place, text.replace(old, new).as_bytes())?;
    Ok(Edited { replaced: count as u64 })
}

/// Makes a folder and those above it.
pub(super) fn mkdir(root: &Root, path: &RelPath) -> Result<(), Failure> {
    root.check_writable()?;
    let mut so_far = RelPath::default();
    for part in path.parts() {
        let part = RelPath::new(part).map_err(|e| fail::invalid("path", e.to_string()))?;
        so_far = so_far.join(&part).map_err(|e| fail::invalid("path", e.to_string()))?;
        let place = root.find(&so_far, AtEnd::Follow)?;
        match (&place.found, &place.name) {
            (None, Some(name)) => {
                place.parent.create_dir(name).map_err(|e| failed(&so_far, &e))?;
                sync(&place.parent).map_err(|e| failed(&so_far, &e))?;
            }
            (Some(found), _) if !found.is_dir() => {
                return Err(fail::failed(format!("`{so_far}` is not a folder")));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Where a file may be written: something that is a file or nothing yet.
fn target(root: &Root, path: &RelPath) -> Result<Place, Failure> {
    let place = root.find(path, AtEnd::Follow).map_err(|failure| {
        let gone = failure == missing(path);
        if !gone {
            return failure;
        }
        let above = path.as_str().rsplit_once('/').map_or(".", |(above, _)| above);
        fail::not_found(format!(
            "there is no folder `{above}` to write `{path}` in: make it with `mkdir`"
        ))
    })?;
    if place.name.is_none() || place.found.as_ref().is_some_and(|found| !found.is_file()) {
        return Err(fail::failed(format!("`{path}` is not a file")));
    }
    Ok(place)
}

fn replace(path: &RelPath, place: &Place, bytes: &[u8]) -> Result<(), Failure> {
    static SERIAL: AtomicU64 = AtomicU64::new(0);
    let name = place.name.as_deref().unwrap_or_default();
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    let short: String = name.chars().take(60).collect();
    let temporary = format!(".{short}.{}-{serial}.tmp", std::process::id());
    let written = fill(place, &temporary, bytes)
        .and_then(|()| place.parent.rename(&temporary, &place.parent, name))
        .and_then(|()| sync(&place.parent));
    written.map_err(|e| {
        let _ = place.parent.remove_file(&temporary);
        failed(path, &e)
    })
}

fn fill(place: &Place, temporary: &str, bytes: &[u8]) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).follow(FollowSymlinks::No);
    let mut file = place.parent.open_with(temporary, &options)?;
    if let Some(found) = &place.found {
        file.set_permissions(found.permissions())?;
    }
    file.write_all(bytes)?;
    file.sync_all()
}

/// Makes a new name in a folder durable.
pub(super) fn sync(dir: &Dir) -> std::io::Result<()> {
    use rustix::fs::{Mode, OFlags, fsync, openat};
    // The handle itself only stands for a place and cannot be synced.
    let open =
        openat(dir, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    Ok(fsync(open)?)
}
