//! Which files a sparse checkout has in the working directory.

use std::io::Read as _;

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::hidden::os_path;
use super::place::Opened;
use super::text;
use crate::kit::{Failure, fail};
use crate::limits;

/// The patterns of a sparse checkout.
#[derive(Debug)]
pub(super) struct Sparse(Gitignore);

impl Sparse {
    /// Reads the patterns; `None`: the checkout is not sparse.
    pub(super) fn read(open: &Opened) -> Result<Option<Self>, Failure> {
        if !open.settings.sparse() {
            return Ok(None);
        }
        let unreadable = |why: String| {
            fail::failed(format!("the patterns of the sparse checkout cannot be read: {why}"))
        };
        let Ok(file) = std::fs::File::open(open.git_dir.join("info/sparse-checkout")) else {
            // As git has it, all is there then.
            return Ok(None);
        };
        let mut patterns = Vec::new();
        let most = limits::FS_IGNORE_BYTES;
        file.take(most + 1)
            .read_to_end(&mut patterns)
            .map_err(|error| unreadable(error.to_string()))?;
        if patterns.len() as u64 > most {
            return Err(unreadable(format!("they have more than {most} bytes")));
        }
        let mut builder = GitignoreBuilder::new("");
        for line in text::lossy(&patterns).lines() {
            builder.add_line(None, line).map_err(|error| unreadable(error.to_string()))?;
        }
        Ok(Some(Self(builder.build().map_err(|error| unreadable(error.to_string()))?)))
    }

    /// Whether the file at `path` belongs into the working directory: the last pattern counts, and
    /// if there is none, what counts for the directory above.
    pub(super) fn holds(&self, path: &[u8]) -> bool {
        self.0.matched_path_or_any_parents(os_path(path), false).is_ignore()
    }
}
