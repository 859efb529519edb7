//! Looking at one file or folder: read, stat, list.

use std::io::{Read, Seek, SeekFrom};

use cap_fs_ext::{FollowSymlinks, OpenOptionsFollowExt, OpenOptionsSyncExt};
use cap_std::fs::{File, FileType, Metadata, OpenOptions};
use remit_core::Failure;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::root::{AtEnd, Place, Root, failed, missing};
use crate::kit::{Content, RelPath, fail};
use crate::limits;

/// What is read of a file.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Part {
    pub(super) offset: u64,
    pub(super) length: Option<u64>,
    pub(super) encoding: Encoding,
}

/// How bytes are given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Encoding {
    /// As text if they are UTF-8, else as bytes.
    #[default]
    Auto,
    /// As text; fails if they are not UTF-8.
    Text,
    /// As bytes.
    Data,
}

/// What is known of a file or folder.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct Stat {
    kind: Kind,
    /// Its size in bytes.
    size: u64,
    /// When it was last changed, in milliseconds since 1970.
    modified_ms: u64,
}

/// What something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    File,
    Folder,
    Link,
    Other,
}

/// One entry of a folder.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// Its size in bytes.
    pub(super) size: u64,
}

impl Kind {
    pub(super) fn of(kind: FileType) -> Self {
        match kind {
            kind if kind.is_file() => Self::File,
            kind if kind.is_dir() => Self::Folder,
            kind if kind.is_symlink() => Self::Link,
            _ => Self::Other,
        }
    }
}

pub(super) fn read(root: &Root, path: &RelPath, part: Part) -> Result<Content, Failure> {
    let place = root.find(path, AtEnd::Follow)?;
    let (mut file, found) = open(root, path, &place, OpenOptions::new().read(true))?;
    let rest = found.len().saturating_sub(part.offset);
    let wanted = part.length.map_or(rest, |length| length.min(rest));
    let most = root.max_read_bytes;
    if wanted > most {
        return Err(fail::limit(format!(
            "`{path}` has {} bytes, and one read gives at most {most}: read it in parts with `offset` and `length`",
            found.len()
        )));
    }
    file.seek(SeekFrom::Start(part.offset)).map_err(|e| failed(path, &e))?;
    // The file may be growing: `most` holds whatever its size was, and files of the system that
    // say they are empty are read all the same.
    let limit = if part.length.is_none() && found.len() == 0 { most } else { wanted };
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes).map_err(|e| failed(path, &e))?;
    match part.encoding {
        Encoding::Auto => Ok(Content::from_bytes(bytes)),
        Encoding::Data => Ok(Content::Data(bytes)),
        Encoding::Text => String::from_utf8(bytes).map(Content::Text).map_err(|_| {
            fail::failed(format!("`{path}` is not UTF-8 text there: read it with encoding `data`"))
        }),
    }
}

/// Opens the regular file at `place`, and nothing else.
pub(super) fn open(
    root: &Root,
    path: &RelPath,
    place: &Place,
    options: &mut OpenOptions,
) -> Result<(File, Metadata), Failure> {
    let Some(name) = &place.name else { return Err(no_file(path)) };
    match &place.found {
        Some(found) if !found.is_file() => return Err(no_file(path)),
        _ => {}
    }
    // Without `nonblock`, opening what was just replaced by a pipe would wait for ever.
    options.follow(FollowSymlinks::No).nonblock(true);
    let file = place.parent.open_with(name, options).map_err(|e| failed(path, &e))?;
    let found = file.metadata().map_err(|e| failed(path, &e))?;
    root.check_seen(path, &place.path, Some(&found))?;
    if !found.is_file() {
        return Err(no_file(path));
    }
    Ok((file, found))
}

fn no_file(path: &RelPath) -> Failure {
    fail::failed(format!("`{path}` is not a file"))
}

pub(super) fn stat(root: &Root, path: &RelPath) -> Result<Stat, Failure> {
    let found = root.find(path, AtEnd::Follow)?.found.ok_or_else(|| missing(path))?;
    let modified = found.modified().ok().and_then(|time| {
        let since = time.into_std().duration_since(std::time::UNIX_EPOCH).ok()?;
        u64::try_from(since.as_millis()).ok()
    });
    Ok(Stat {
        kind: Kind::of(found.file_type()),
        size: found.len(),
        modified_ms: modified.unwrap_or_default(),
    })
}

pub(super) fn list(root: &Root, path: &RelPath) -> Result<Vec<Entry>, Failure> {
    let (dir, at) = super::walk::folder(root, path)?;
    let mut entries = Vec::new();
    for entry in dir.entries().map_err(|e| failed(path, &e))? {
        let entry = entry.map_err(|e| failed(path, &e))?;
        // An entry that went away, or whose name is not text, cannot be asked for.
        let (Ok(name), Ok(found)) = (entry.file_name().into_string(), entry.metadata()) else {
            continue;
        };
        if root.is_hidden(&super::walk::below(&at, &name), Some(&found)) {
            continue;
        }
        if entries.len() == limits::FS_ENTRIES {
            let most = limits::FS_ENTRIES;
            return Err(fail::limit(format!(
                "`{path}` has more than {most} entries: use `glob` with a pattern"
            )));
        }
        entries.push(Entry { name, kind: Kind::of(found.file_type()), size: found.len() });
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}
