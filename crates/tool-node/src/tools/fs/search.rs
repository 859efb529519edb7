//! Finding files by their names and lines by what they say.

use std::io::Read;
use std::path::Path;

use cap_fs_ext::{FollowSymlinks, OpenOptionsFollowExt, OpenOptionsSyncExt};
use cap_std::fs::{Dir, OpenOptions};
use globset::{GlobBuilder, GlobMatcher};
use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use regex::{Regex, RegexBuilder};
use remit_core::Failure;
use schemars::JsonSchema;
use serde::Serialize;

use super::read::Kind;
use super::root::Root;
use super::walk::{Met, Visitor, below, folder, walk};
use super::work::Stop;
use crate::kit::{RelPath, fail};
use crate::limits;

/// What a search found.
#[derive(Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct Found {
    matches: Vec<Line>,
    /// Whether there may be more than were asked for.
    truncated: bool,
    /// How many files were too large to be searched.
    skipped: u32,
}

/// One line that matches.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
struct Line {
    /// The file, seen from the folder that was asked.
    path: String,
    /// The line's number, from 1.
    line: u64,
    /// What it says; a long line is cut off.
    text: String,
}

/// The paths below `dir` that match `pattern`, seen from there.
pub(super) fn glob(
    root: &Root,
    dir: &RelPath,
    pattern: &str,
    stop: &Stop,
) -> Result<Vec<String>, Failure> {
    let mut glob = Glob {
        pattern: matcher("pattern", pattern)?,
        git: pattern.starts_with(".git"),
        paths: Vec::new(),
    };
    let (handle, at) = folder(root, dir)?;
    walk(root, &handle, &at, stop, &mut glob)?;
    Ok(glob.paths)
}

/// The lines below `at` (a file or a folder, below `dir`) that match a regular expression.
pub(super) fn search(
    root: &Root,
    dir: &RelPath,
    at: &RelPath,
    asked: &super::SearchArgs,
    stop: &Stop,
) -> Result<Found, Failure> {
    let regex = RegexBuilder::new(&asked.pattern)
        .size_limit(limits::FS_PATTERN_BYTES)
        .dfa_size_limit(limits::FS_PATTERN_BYTES)
        .build()
        .map_err(|e| {
            fail::invalid("pattern", format!("`pattern` is no regular expression: {e}"))
        })?;
    let most = asked.max.unwrap_or(limits::FS_MATCHES);
    let whole = dir.join(at).map_err(|e| fail::invalid("path", e.to_string()))?;
    let mut search = Search {
        regex,
        glob: asked.glob.as_deref().map(|glob| matcher("glob", glob)).transpose()?,
        most: most.clamp(1, limits::FS_MATCHES_MOST),
        at: at.as_str().to_owned(),
        base: String::new(),
        ignored: Vec::new(),
        found: Found::default(),
    };
    let place = root.find(&whole, super::root::AtEnd::Follow)?;
    match (&place.name, &place.found) {
        (Some(name), Some(found)) if found.is_file() => {
            search.file(&place.parent, name, at.as_str());
        }
        _ => {
            let (handle, canonical) = folder(root, &whole)?;
            search.ignored = above(root, &canonical)?;
            search.base.clone_from(&canonical);
            walk(root, &handle, &canonical, stop, &mut search)?;
        }
    }
    Ok(search.found)
}

fn matcher(argument: &str, pattern: &str) -> Result<GlobMatcher, Failure> {
    let glob = GlobBuilder::new(pattern.trim_start_matches("./")).literal_separator(true).build();
    let glob = glob.map_err(|e| fail::invalid(argument, format!("`{pattern}` is no glob: {e}")))?;
    Ok(glob.compile_matcher())
}

struct Glob {
    pattern: GlobMatcher,
    /// Whether git's own folder is meant.
    git: bool,
    paths: Vec<String>,
}

impl Visitor for Glob {
    fn meet(&mut self, met: &Met<'_>) -> Result<bool, Failure> {
        if self.pattern.is_match(met.path) {
            if self.paths.len() == limits::FS_ENTRIES {
                let most = limits::FS_ENTRIES;
                return Err(fail::limit(format!(
                    "more than {most} paths match: narrow the pattern"
                )));
            }
            self.paths.push(met.path.to_owned());
        }
        Ok(self.git || met.name != ".git")
    }
}

struct Search {
    regex: Regex,
    glob: Option<GlobMatcher>,
    most: usize,
    /// Where the walk began, seen from the folder that was asked.
    at: String,
    /// Where the walk began, seen from the root.
    base: String,
    /// The rules of the folders from the root to where the walk is.
    ignored: Vec<Rules>,
    found: Found,
}

/// The rules of one folder's `.gitignore`.
struct Rules {
    /// The folder, seen from the root.
    at: String,
    rules: Gitignore,
}

impl Visitor for Search {
    fn enter(&mut self, dir: &Dir, path: &str) -> Result<(), Failure> {
        let at = if path.is_empty() { self.base.clone() } else { below(&self.base, path) };
        self.ignored.retain(|rules| remit_core::grant::path::is_within(&at, &rules.at));
        self.ignored.extend(rules(dir, &at));
        Ok(())
    }

    fn meet(&mut self, met: &Met<'_>) -> Result<bool, Failure> {
        let folder = met.kind == Kind::Folder;
        if met.name == ".git" || self.found.truncated || self.is_ignored(met.path, met.kind) {
            return Ok(false);
        }
        if met.kind == Kind::File && self.glob.as_ref().is_none_or(|glob| fits(glob, met)) {
            let shown = below(&self.at, met.path);
            self.file(met.parent, met.name, &shown);
        }
        Ok(folder)
    }
}

/// A pattern without `/` is for names, as in `.gitignore`; another is for paths.
fn fits(glob: &GlobMatcher, met: &Met<'_>) -> bool {
    let for_names = !glob.glob().glob().contains('/');
    glob.is_match(if for_names { met.name } else { met.path })
}

impl Search {
    /// The deepest folder that has a rule for it decides.
    fn is_ignored(&self, path: &str, kind: Kind) -> bool {
        let at = below(&self.base, path);
        for rules in self.ignored.iter().rev() {
            match rules.rules.matched(Path::new(&at), kind == Kind::Folder) {
                Match::Ignore(_) => return true,
                Match::Whitelist(_) => return false,
                Match::None => {}
            }
        }
        false
    }

    /// Searches one file. One that cannot be read, or is not text, has no matches.
    fn file(&mut self, parent: &Dir, name: &str, shown: &str) {
        let mut options = OpenOptions::new();
        options.read(true).follow(FollowSymlinks::No).nonblock(true);
        let Ok(file) = parent.open_with(name, &options) else { return };
        let Ok(found) = file.metadata() else { return };
        if !found.is_file() {
            return;
        }
        if found.len() > limits::FS_SEARCH_FILE_BYTES {
            self.found.skipped += 1;
            return;
        }
        let mut bytes = Vec::new();
        if file.take(limits::FS_SEARCH_FILE_BYTES).read_to_end(&mut bytes).is_err()
            || bytes.contains(&0)
        {
            return;
        }
        let text = String::from_utf8_lossy(&bytes);
        for (number, line) in (1..).zip(text.lines()) {
            if !self.regex.is_match(line) {
                continue;
            }
            if self.found.matches.len() == self.most {
                self.found.truncated = true;
                return;
            }
            let text = cut(line).to_owned();
            self.found.matches.push(Line { path: shown.to_owned(), line: number, text });
        }
    }
}

fn cut(line: &str) -> &str {
    let mut at = line.len().min(limits::FS_LINE_BYTES);
    while !line.is_char_boundary(at) {
        at -= 1;
    }
    &line[..at]
}

/// The rules of all folders above the one at `path`.
fn above(root: &Root, path: &str) -> Result<Vec<Rules>, Failure> {
    let mut all = Vec::new();
    let mut at = String::new();
    for part in path.split('/').filter(|part| !part.is_empty()) {
        let here = RelPath::new(&at).map_err(|e| fail::failed(e.to_string()))?;
        all.extend(rules(&folder(root, &here)?.0, &at));
        at = below(&at, part);
    }
    Ok(all)
}

/// The rules of the folder at `at`, if it has any.
fn rules(dir: &Dir, at: &str) -> Option<Rules> {
    let mut options = OpenOptions::new();
    options.read(true).follow(FollowSymlinks::No).nonblock(true);
    let file = dir.open_with(".gitignore", &options).ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(limits::FS_IGNORE_BYTES).read_to_end(&mut bytes).ok()?;
    let mut builder = GitignoreBuilder::new(at);
    for line in String::from_utf8_lossy(&bytes).lines() {
        // A line that is no pattern hides nothing, as git has it.
        let _ = builder.add_line(None, line);
    }
    Some(Rules { at: at.to_owned(), rules: builder.build().ok()? })
}
