//! Paths of a repository that its operator hides: they are neither shown nor committed.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use cap_std::fs::{Dir, Metadata, MetadataExt as _};
use git2::Tree;
use remit_core::grant::path;

/// The hidden places, seen from the root of the repository.
#[derive(Debug, Clone, Default)]
pub(super) struct Hidden {
    places: Vec<String>,
}

impl Hidden {
    pub(super) fn new(places: &[String]) -> Result<Self, String> {
        let clean = |place: &String| match path::join("", place) {
            Ok(clean) if !clean.is_empty() => Ok(clean),
            Ok(_) => Err("the root itself cannot be hidden".to_owned()),
            Err(error) => Err(format!("hidden: {error}")),
        };
        let mut places: Vec<_> = places.iter().map(clean).collect::<Result<_, _>>()?;
        places.sort();
        places.dedup();
        Ok(Self { places })
    }

    /// Whether `path` is hidden, or below what is.
    pub(super) fn hides(&self, path: &[u8]) -> bool {
        let path = path.strip_suffix(b"/").unwrap_or(path);
        self.places.iter().any(|place| {
            let rest = path.strip_prefix(place.as_bytes());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
        })
    }

    /// Whether a file is the same as a hidden one under another name.
    pub(super) fn is_file(&self, root: &Dir, found: &Metadata) -> bool {
        let same = |place: &String| {
            root.metadata(place).is_ok_and(|m| m.dev() == found.dev() && m.ino() == found.ino())
        };
        self.places.iter().any(same)
    }

    /// Whether `tree` has something at a hidden place.
    pub(super) fn is_in(&self, tree: &Tree<'_>) -> bool {
        self.places.iter().any(|place| tree.get_path(Path::new(place)).is_ok())
    }
}

/// A path of git as the system takes it.
pub(super) fn os_path(path: &[u8]) -> &Path {
    Path::new(std::ffi::OsStr::from_bytes(path))
}
