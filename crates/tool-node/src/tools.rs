//! The tools that come with Remit, each confined to what its operator configured.
//!
//! Each has one file with the same two things: `Config`, its section of the node's configuration,
//! and `tool`, which makes the [`Tool`](crate::kit::Tool) from it or says, in a sentence for the
//! operator, why it cannot. Relative paths in a section are taken from the folder `base`.

pub mod confiner;
#[cfg(test)]
mod documented;
mod folders;
pub mod fs;
pub mod git;
pub mod http;
pub mod mcp;
mod places;
mod process;
pub mod shell;
mod web;

use std::path::Path;

pub(crate) use folders::{Folders, Hold};

/// `folder`, seen from `root`, if it is below it; if it is a link, what that leads to, too. Neither
/// needs to exist: what does not exist yet is seen from the nearest folder above it that does.
pub(crate) fn places_below(root: &Path, folder: &Path) -> Vec<String> {
    let real = |path: &Path| {
        let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let real = whole.ancestors().find_map(|above| {
            Some(above.canonicalize().ok()?.join(whole.strip_prefix(above).ok()?))
        });
        real.unwrap_or(whole)
    };
    let root = real(root);
    let itself =
        folder.parent().zip(folder.file_name()).map(|(above, name)| real(above).join(name));
    let mut places: Vec<String> = [itself, Some(real(folder))]
        .iter()
        .flatten()
        .filter_map(|place| place.strip_prefix(&root).ok()?.to_str().map(str::to_owned))
        .filter(|below| !below.is_empty())
        .collect();
    places.dedup();
    places
}
