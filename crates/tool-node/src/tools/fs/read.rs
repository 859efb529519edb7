//! Looking at one file or folder: read, stat, list.

use std::io::{Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt as _;

use cap_fs_ext::{FollowSymlinks, OpenOptionsFollowExt, OpenOptionsSyncExt};
use cap_std::fs::{File, FileType, Metadata, OpenOptions};
use remit_core::Failure;
use schemars::JsonSchema;
use serde::Serialize;

use super::root::{AtEnd, Place, Root, failed, missing};
use crate::kit::{Content, Encoding, RelPath, Text, fail};
use crate::limits;

/// Bytes that are looked at before and after a part of a text, for characters that its ends cut.
const AROUND: u64 = 3;

/// What is read of a file, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Part {
    pub(super) offset: u64,
    pub(super) length: Option<u64>,
}

/// How a text is given that has bytes in it which are no UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Odd {
    /// With U+FFFD for them.
    Replace,
    /// Not at all.
    Refuse,
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
    /// Its name, with U+FFFD for bytes that are no UTF-8.
    pub(super) name: String,
    pub(super) kind: Kind,
    /// Its size in bytes.
    pub(super) size: u64,
    /// The bytes of a name that is no text. No path leads to such an entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) raw: Option<Content>,
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

/// A part of a file as it is asked for.
pub(super) fn read(
    root: &Root,
    path: &RelPath,
    part: Part,
    (encoding, odd): (Encoding, Odd),
) -> Result<Content, Failure> {
    if encoding == Encoding::Data {
        return bytes(root, path, part).map(Content::Data);
    }
    let Text { text, replaced } = text(root, path, part)?;
    if replaced > 0 && odd == Odd::Refuse {
        return Err(fail::failed(format!(
            "`{path}` is no UTF-8 text in {replaced} places: read it with encoding `data`, or \
             without `strict` to have U+FFFD in those places"
        )));
    }
    let most = root.max_read_bytes;
    if text.len() as u64 > most {
        return Err(fail::limit(format!(
            "`{path}` has {replaced} places that are no UTF-8, and with U+FFFD in them is {} bytes \
             long; one read gives at most {most}: read smaller parts, or with encoding `data`",
            text.len()
        )));
    }
    Ok(Content::Text(text))
}

/// The bytes of a part of a file.
pub(super) fn bytes(root: &Root, path: &RelPath, part: Part) -> Result<Vec<u8>, Failure> {
    let (_, bytes) = around(root, path, part, 0)?;
    Ok(bytes)
}

/// The characters that begin in a part of a file.
fn text(root: &Root, path: &RelPath, part: Part) -> Result<Text, Failure> {
    let (before, bytes) = around(root, path, part, AROUND)?;
    let length = part.length.and_then(|length| usize::try_from(length).ok());
    Ok(Text::within(&bytes, before, length.unwrap_or(usize::MAX)))
}

/// The bytes of a part of a file with up to `around` more on each side, and how many before it.
fn around(
    root: &Root,
    path: &RelPath,
    part: Part,
    around: u64,
) -> Result<(usize, Vec<u8>), Failure> {
    let place = root.find(path, AtEnd::Follow)?;
    let (mut file, found) = open(root, path, &place, OpenOptions::new().read(true))?;
    let most = root.max_read_bytes;
    let too_large = |size: u64| {
        fail::limit(format!(
            "`{path}` has {size} bytes, and one read gives at most {most}: read it in parts with \
             `offset` and `length`, or by lines with `readLines`"
        ))
    };
    let rest = found.len().saturating_sub(part.offset);
    if part.length.map_or(rest, |length| length.min(rest)) > most {
        return Err(too_large(found.len()));
    }
    let before = part.offset.min(around);
    file.seek(SeekFrom::Start(part.offset - before)).map_err(|e| failed(path, &e))?;
    // The file may be growing, and files of the system say that they are empty: `most` holds
    // whatever the size was.
    let wanted = part.length.unwrap_or(most + 1).min(most + 1);
    let mut bytes = Vec::new();
    file.take(before + wanted + around).read_to_end(&mut bytes).map_err(|e| failed(path, &e))?;
    let got = (bytes.len() as u64).saturating_sub(before);
    if part.length.is_none_or(|length| length > most) && got > most {
        return Err(too_large(part.offset + got));
    }
    Ok((usize::try_from(before).unwrap_or_default().min(bytes.len()), bytes))
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
        let name = entry.file_name();
        let shown = name.to_string_lossy().into_owned();
        let found = match entry.metadata() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            found => found.ok(),
        };
        if root.is_hidden(&super::walk::below(&at, &shown), found.as_ref()) {
            continue;
        }
        if entries.len() == limits::FS_ENTRIES {
            let most = limits::FS_ENTRIES;
            return Err(fail::limit(format!(
                "`{path}` has more than {most} entries: use `glob` with a pattern"
            )));
        }
        let kind = found.as_ref().map(Metadata::file_type).or_else(|| entry.file_type().ok());
        let raw = name.to_str().is_none().then(|| Content::Data(name.as_bytes().to_vec()));
        entries.push(Entry {
            name: shown,
            kind: kind.map_or(Kind::Other, Kind::of),
            size: found.map_or(0, |found| found.len()),
            raw,
        });
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}
