//! Changing one file or folder: write, append, edit, mkdir.

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use cap_fs_ext::{FollowSymlinks, OpenOptionsFollowExt};
use cap_std::fs::{Dir, OpenOptions};
use remit_core::{Code, Failure};
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
    let before = file.metadata().map_err(|e| failed(path, &e))?.len();
    let bytes = content.as_bytes();
    file.write_all(bytes).map_err(|e| {
        // What was written of it is taken back, unless another program has added to the file.
        let grown = file.metadata().map_or(u64::MAX, |now| now.len().saturating_sub(before));
        let undone = grown <= bytes.len() as u64 && file.set_len(before).is_ok();
        if undone { failed(path, &e) } else { uncertain(path, "written in part", &e) }
    })?;
    file.sync_data().map_err(|e| uncertain(path, "written", &e))?;
    Ok(Written { bytes: bytes.len() as u64 })
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
    // Byte by byte, so that bytes which are no UTF-8 stay as they are.
    let each_byte = |bytes: &[u8]| bytes.iter().map(|byte| char::from(*byte)).collect::<String>();
    let text = each_byte(&read::bytes(root, path, Part::default())?);
    let (old, new) = (each_byte(old.as_bytes()), each_byte(new.as_bytes()));
    let count = text.matches(&old).count();
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
    let edited: Vec<u8> =
        text.replace(&old, &new).chars().filter_map(|c| u8::try_from(c).ok()).collect();
    replace(path, &place, &edited)?;
    Ok(Edited { replaced: count as u64 })
}

/// Makes a folder and those above it. Those that were made go again if one cannot be made.
pub(super) fn mkdir(root: &Root, path: &RelPath) -> Result<(), Failure> {
    root.check_writable()?;
    let mut made = Vec::new();
    let result = make_each(root, path, &mut made);
    if result.as_ref().is_err_and(|failure| failure.code != Code::Unknown) {
        for place in made.iter().rev() {
            // One into which something was put meanwhile stays.
            let _ = place.parent.remove_dir(place.name.as_deref().unwrap_or_default());
        }
    }
    result
}

fn make_each(root: &Root, path: &RelPath, made: &mut Vec<Place>) -> Result<(), Failure> {
    let mut so_far = RelPath::default();
    for part in path.parts() {
        let part = RelPath::new(part).map_err(|e| fail::invalid("path", e.to_string()))?;
        so_far = so_far.join(&part).map_err(|e| fail::invalid("path", e.to_string()))?;
        let place = root.find(&so_far, AtEnd::Follow)?;
        match (&place.found, &place.name) {
            (None, Some(name)) => {
                place.parent.create_dir(name).map_err(|e| failed(&so_far, &e))?;
                sync(&place.parent).map_err(|e| uncertain(&so_far, "made", &e))?;
                made.push(place);
            }
            (Some(found), _) if !found.is_dir() => {
                return Err(fail::failed(format!("`{so_far}` is not a folder")));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The failure to make durable what has been done to `path`.
pub(super) fn uncertain(path: &RelPath, done: &str, error: &std::io::Error) -> Failure {
    fail::unknown(format!(
        "`{path}` is {done}, and the disk did not confirm it: {error}. Read it to see what is there"
    ))
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
    let replaced = fill(place, &temporary, bytes)
        .and_then(|()| place.parent.rename(&temporary, &place.parent, name));
    replaced.map_err(|e| {
        let _ = place.parent.remove_file(&temporary);
        failed(path, &e)
    })?;
    sync(&place.parent).map_err(|e| uncertain(path, "written", &e))
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
