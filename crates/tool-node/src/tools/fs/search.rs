//! Finding files by their names and lines by what they say.

use std::ffi::OsStr;
use std::io::Read;
use std::path::Path;

use cap_fs_ext::{FollowSymlinks, OpenOptionsFollowExt, OpenOptionsSyncExt};
use cap_std::fs::{Dir, OpenOptions};
use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use regex::{Regex, RegexBuilder};
use remit_core::Failure;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::pattern::Pattern;
use super::read::Kind;
use super::root::Root;
use super::walk::{Met, Visitor, below, folder, walk};
use super::work::Stop;
use crate::kit::{RelPath, Text, fail};
use crate::limits;

/// What a search found.
#[derive(Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct Found {
    matches: Vec<Line>,
    /// Whether there may be more than were asked for.
    truncated: bool,
    /// The last match that is given, if there may be more: given as `after` to the next search, that
    /// goes on behind it.
    next: Option<After>,
    /// How many files and folders could not be searched.
    skipped: u64,
    /// The first of them.
    unsearched: Vec<Unsearched>,
    /// How many files and folders `.gitignore` files leave out.
    ignored: u64,
    /// How many U+FFFD in the matches stand for bytes that are no UTF-8.
    replaced: u64,
}

/// One line that matches.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
struct Line {
    /// The file, seen from the folder that was asked.
    path: String,
    /// The line's number, from 1.
    line: u64,
    /// What it says.
    text: String,
    /// Whether it says more than `text`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    cut: bool,
}

/// A line of a file, after which a search goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(super) struct After {
    path: String,
    line: u64,
}

/// A file or a folder that could not be searched.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
struct Unsearched {
    path: String,
    why: Why,
}

/// Why something could not be searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Why {
    /// It has a zero byte in it, so it is no text.
    Binary,
    /// It is larger than 8 MiB.
    Large,
    /// The system does not let it be read.
    Unreadable,
    /// It is too many folders down.
    Deep,
}

/// The paths below `dir` that match `pattern`, seen from there.
pub(super) fn glob(
    root: &Root,
    dir: &RelPath,
    pattern: &str,
    stop: &Stop,
) -> Result<Vec<String>, Failure> {
    let mut glob = Glob {
        pattern: Pattern::new("pattern", pattern)?,
        git: pattern.trim_start_matches("./").starts_with(".git"),
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
    asked: super::SearchArgs,
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
    let at = asked.path;
    let whole = dir.join(&at).map_err(|e| fail::invalid("path", e.to_string()))?;
    let mut search = Search {
        regex,
        glob: asked.glob.as_deref().map(|glob| Pattern::new("glob", glob)).transpose()?,
        most: most.clamp(1, limits::FS_MATCHES_MOST),
        after: asked.after,
        at: at.as_str().to_owned(),
        base: String::new(),
        ignored: Vec::new(),
        found: Found::default(),
    };
    let place = root.find(&whole, super::root::AtEnd::Follow)?;
    match (&place.name, &place.found) {
        (Some(name), Some(found)) if found.is_file() => {
            search.file(&place.parent, OsStr::new(name), at.as_str());
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

struct Glob {
    pattern: Pattern,
    /// Whether git's own folder is meant.
    git: bool,
    paths: Vec<String>,
}

impl Visitor for Glob {
    fn meet(&mut self, met: &Met<'_>) -> Result<bool, Failure> {
        if self.pattern.matches(met.path) {
            if self.paths.len() == limits::FS_ENTRIES {
                let most = limits::FS_ENTRIES;
                return Err(fail::limit(format!(
                    "more than {most} paths match: narrow the pattern"
                )));
            }
            self.paths.push(met.path.to_owned());
        }
        Ok((self.git || met.name != ".git") && self.pattern.may_match_below(met.path))
    }
}

struct Search {
    regex: Regex,
    glob: Option<Pattern>,
    most: usize,
    /// Where an earlier search stopped.
    after: Option<After>,
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
        if met.name == ".git" || self.found.truncated {
            return Ok(false);
        }
        let shown = below(&self.at, met.path);
        if self.is_behind(&shown, met.kind) {
            return Ok(false);
        }
        if self.is_ignored(met.path, met.kind) {
            self.found.ignored += 1;
            return Ok(false);
        }
        if met.kind == Kind::File && self.glob.as_ref().is_none_or(|glob| fits(glob, met)) {
            self.file(met.parent, met.name, &shown);
        }
        Ok(folder)
    }

    fn unreadable(&mut self, path: &str, why: Failure) -> Result<(), Failure> {
        let why = if why.code == remit_core::Code::Limit { Why::Deep } else { Why::Unreadable };
        if path.is_empty() && why == Why::Unreadable {
            // Nothing at all could be searched.
            return Err(fail::failed(format!("`{}` cannot be read", self.at)));
        }
        self.skip(&below(&self.at, path), why);
        Ok(())
    }
}

/// A pattern without `/` is for names, as in `.gitignore`; another is for paths.
fn fits(glob: &Pattern, met: &Met<'_>) -> bool {
    match glob.has_folders() {
        true => glob.matches(met.path),
        false => glob.matches(&met.name.to_string_lossy()),
    }
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

    /// Whether an earlier search is done with a file, or with all of a folder.
    fn is_behind(&self, shown: &str, kind: Kind) -> bool {
        let Some(after) = &self.after else { return false };
        if kind == Kind::Folder && remit_core::grant::path::is_within(&after.path, shown) {
            return false;
        }
        // The order of the walk is that of the parts.
        shown.split('/').lt(after.path.split('/'))
    }

    fn skip(&mut self, shown: &str, why: Why) {
        self.found.skipped += 1;
        if self.found.unsearched.len() < limits::FS_UNSEARCHED {
            self.found.unsearched.push(Unsearched { path: shown.to_owned(), why });
        }
    }

    /// Searches one file, or notes why it cannot be searched.
    fn file(&mut self, parent: &Dir, name: &OsStr, shown: &str) {
        match content(parent, name) {
            Ok(bytes) => self.lines(&bytes, shown),
            Err(Some(why)) => self.skip(shown, why),
            Err(None) => {}
        }
    }

    fn lines(&mut self, bytes: &[u8], shown: &str) {
        let bytes = without_mark(bytes);
        let text = String::from_utf8_lossy(bytes);
        let behind = match &self.after {
            Some(after) if after.path == shown => after.line,
            _ => 0,
        };
        let exact = bytes.split(|byte| *byte == b'\n');
        for ((number, line), exact) in (1..).zip(text.lines()).zip(exact) {
            if number <= behind || !self.regex.is_match(line) {
                continue;
            }
            if self.found.matches.len() == self.most {
                self.found.truncated = true;
                let last = self.found.matches.last();
                self.found.next =
                    last.map(|last| After { path: last.path.clone(), line: last.line });
                return;
            }
            let kept = cut(line);
            self.found.replaced += Text::within(exact, 0, kept.len()).replaced;
            self.found.matches.push(Line {
                path: shown.to_owned(),
                line: number,
                text: kept.to_owned(),
                cut: kept.len() < line.len(),
            });
        }
    }
}

/// The bytes of a text file; else why it cannot be searched, unless it is gone or no file any more.
fn content(parent: &Dir, name: &OsStr) -> Result<Vec<u8>, Option<Why>> {
    let mut options = OpenOptions::new();
    options.read(true).follow(FollowSymlinks::No).nonblock(true);
    let unreadable = |error: std::io::Error| {
        (error.kind() != std::io::ErrorKind::NotFound).then_some(Why::Unreadable)
    };
    let file = parent.open_with(name, &options).map_err(unreadable)?;
    let found = file.metadata().map_err(unreadable)?;
    if !found.is_file() {
        return Err(None);
    }
    let mut bytes = Vec::new();
    let most = limits::FS_SEARCH_FILE_BYTES;
    file.take(most + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    match bytes.len() as u64 > most {
        true => Err(Some(Why::Large)),
        false if bytes.contains(&0) => Err(Some(Why::Binary)),
        false => Ok(bytes),
    }
}

/// The same without a byte-order mark, which is no part of the first line.
fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

fn cut(line: &str) -> &str {
    &line[..line.floor_char_boundary(limits::FS_LINE_BYTES)]
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
    for line in String::from_utf8_lossy(without_mark(&bytes)).lines() {
        // A line that is no pattern hides nothing, as git has it.
        let _ = builder.add_line(None, line);
    }
    Some(Rules { at: at.to_owned(), rules: builder.build().ok()? })
}
