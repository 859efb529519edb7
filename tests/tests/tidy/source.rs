//! The files of the project, and the report of those that break a rule.

use std::fs;
use std::path::{Path, PathBuf};

/// A file of the project: its path from the root, with `/` as the separator, and its text.
pub(super) struct File {
    pub(super) path: String,
    pub(super) text: String,
}

/// Folders without files of ours.
const NOT_OURS: [&str; 4] = ["target", ".git", ".remit", "node_modules"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// Every text file of the project.
pub(super) fn files() -> Vec<File> {
    fn walk(dir: &Path, root: &Path, found: &mut Vec<File>) {
        for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
            let (path, name) = (entry.path(), entry.file_name());
            if NOT_OURS.iter().any(|skip| *skip == name) {
                continue;
            }
            if entry.file_type().unwrap().is_dir() {
                walk(&path, root, found);
            } else if let Ok(text) = fs::read_to_string(&path) {
                let path = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
                found.push(File { path, text });
            }
        }
    }
    let (root, mut found) = (root(), Vec::new());
    walk(&root, &root, &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(found.len() > 50, "found only {} files below {}", found.len(), root.display());
    found
}

pub(super) fn rust_files() -> Vec<File> {
    files().into_iter().filter(|file| file.path.ends_with(".rs")).collect()
}

impl File {
    pub(super) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap()
    }

    pub(super) fn is_test(&self) -> bool {
        self.path.split('/').any(|part| ["tests", "tests.rs", "benches"].contains(&part))
    }

    /// Lines of code with their numbers, without blank lines and comments.
    pub(super) fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let is_code = |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with("//");
        self.text.lines().enumerate().map(|(at, l)| (at + 1, l)).filter(move |(_, l)| is_code(l))
    }
}

/// Whether `word` occurs in `line` and is not part of a longer name.
pub(super) fn has_word(line: &str, word: &str) -> bool {
    let in_name = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let open_end = word.ends_with(in_name) && line[at + word.len()..].starts_with(in_name);
        !line[..at].ends_with(in_name) && !open_end
    })
}

#[track_caller]
pub(super) fn check(violations: &[String], rule: &str) {
    assert!(
        violations.is_empty(),
        "{rule}\n{} found:\n  {}\n",
        violations.len(),
        violations.join("\n  ")
    );
}

/// Reports each line of code in `files` that contains one of `words`.
pub(super) fn check_words<'a>(files: impl Iterator<Item = &'a File>, words: &[&str], rule: &str) {
    let mut violations = Vec::new();
    for file in files {
        for (number, line) in file.code() {
            if let Some(word) = words.iter().find(|word| has_word(line, word)) {
                violations.push(format!("{}:{number}: `{word}` in: {}", file.path, line.trim()));
            }
        }
    }
    check(&violations, rule);
}
