//! Patterns for paths: what `*`, `?`, `[...]`, `{...}` and `\` mean in `glob` and `search`.

use std::fmt::Write as _;

use regex::{Regex, RegexBuilder};
use remit_core::Failure;

use crate::kit::fail;
use crate::limits;

/// A compiled pattern.
///
/// `?` stands for one character and `*` for any number of them, but not for `/`. `**` as a whole part
/// of the path stands for any number of parts, and at the end for all that is below. `[a-z]` stands
/// for one of these characters, `[!a-z]` or `[^a-z]` for one that is none of them nor `/`. `{a,b}`
/// stands for one of these, which may hold patterns. A `\` takes its meaning from the character
/// after it.
pub(super) struct Pattern {
    regex: Regex,
    /// The parts with which every path begins that can match, one list for each choice of braces.
    begins: Vec<Vec<String>>,
    has_folders: bool,
}

impl Pattern {
    /// Reads the argument `argument`.
    pub(super) fn new(argument: &str, pattern: &str) -> Result<Self, Failure> {
        let wrong = |why: String| {
            fail::invalid(argument, format!("`{pattern}` is no pattern for paths: {why}"))
        };
        let trimmed = pattern.strip_prefix("./").unwrap_or(pattern);
        let choices = choices(trimmed).map_err(wrong)?;
        let mut regex = String::from("^(?:");
        let mut begins = Vec::new();
        for (at, choice) in choices.iter().enumerate() {
            let choice = choice.strip_suffix('/').unwrap_or(choice);
            regex.push_str(if at == 0 { "" } else { "|" });
            path(choice, &mut regex).map_err(wrong)?;
            let plain = |part: &&str| !part.contains(['*', '?', '[', '\\']);
            begins.push(choice.split('/').take_while(plain).map(str::to_owned).collect());
        }
        regex.push_str(")$");
        let regex = RegexBuilder::new(&regex)
            .size_limit(limits::FS_PATTERN_BYTES)
            .dfa_size_limit(limits::FS_PATTERN_BYTES)
            .dot_matches_new_line(true)
            .build()
            .map_err(|_| wrong("it is too large".into()))?;
        Ok(Self { regex, begins, has_folders: trimmed.contains('/') })
    }

    pub(super) fn matches(&self, path: &str) -> bool {
        self.regex.is_match(path)
    }

    /// Whether it is for whole paths, and not only for names.
    pub(super) const fn has_folders(&self) -> bool {
        self.has_folders
    }

    /// Whether a path below the folder at `path` can match.
    pub(super) fn may_match_below(&self, path: &str) -> bool {
        self.begins.iter().any(|begin| {
            let mut parts = path.split('/').zip(begin);
            parts.all(|(part, expected)| part == expected)
        })
    }
}

/// The patterns without braces that a pattern with braces stands for.
fn choices(pattern: &str) -> Result<Vec<String>, String> {
    let mut all = vec![String::new()];
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        if c == '{' {
            let (inner, after) = braces(rest)?;
            let mut alternatives = Vec::new();
            for one in inner {
                alternatives.extend(choices(one)?);
            }
            if all.len().saturating_mul(alternatives.len()) > limits::FS_GLOB_CHOICES {
                let most = limits::FS_GLOB_CHOICES;
                return Err(format!("its braces stand for more than {most} patterns"));
            }
            all = all
                .iter()
                .flat_map(|before| alternatives.iter().map(move |one| format!("{before}{one}")))
                .collect();
            rest = after;
            continue;
        }
        let (token, after) = rest.split_at(token_len(rest)?);
        all.iter_mut().for_each(|one| one.push_str(token));
        rest = after;
    }
    Ok(all)
}

/// How long the first token of `rest` is: a class and an escaped character are one.
fn token_len(rest: &str) -> Result<usize, String> {
    let mut chars = rest.char_indices();
    let Some((_, first)) = chars.next() else { return Ok(0) };
    match first {
        '\\' => match chars.next() {
            Some((at, escaped)) => Ok(at + escaped.len_utf8()),
            None => Err("nothing follows the last `\\`".into()),
        },
        '[' => class_end(rest),
        other => Ok(other.len_utf8()),
    }
}

/// Where the class ends that `rest` begins with.
fn class_end(rest: &str) -> Result<usize, String> {
    let mut chars = rest.char_indices().skip(1).peekable();
    chars.next_if(|(_, c)| matches!(c, '!' | '^'));
    let mut first = true;
    while let Some((at, c)) = chars.next() {
        match c {
            ']' if !first => return Ok(at + 1),
            '\\' => {
                chars.next();
            }
            _ => {}
        }
        first = false;
    }
    Err("a `[` has no `]`; write `\\[` for the character itself".into())
}

/// The alternatives of the braces that `rest` begins with, and what follows them.
fn braces(rest: &str) -> Result<(Vec<&str>, &str), String> {
    let (mut depth, mut at, mut from) = (0_usize, 0, 1);
    let mut alternatives = Vec::new();
    while at < rest.len() {
        let len = token_len(&rest[at..])?;
        match &rest[at..at + len] {
            "{" => {
                depth += 1;
                if depth > 8 {
                    return Err("its braces are nested more than 8 deep".into());
                }
            }
            "}" if depth == 1 => {
                alternatives.push(&rest[from..at]);
                return Ok((alternatives, &rest[at + 1..]));
            }
            "}" => depth -= 1,
            "," if depth == 1 => {
                alternatives.push(&rest[from..at]);
                from = at + 1;
            }
            _ => {}
        }
        at += len;
    }
    Err("a `{` has no `}`; write `\\{` for the character itself".into())
}

/// Writes a pattern without braces as a regular expression.
fn path(pattern: &str, regex: &mut String) -> Result<(), String> {
    if pattern.starts_with('/') {
        return Err("paths are relative: leave the first `/` out".into());
    }
    let parts: Vec<&str> = pattern.split('/').collect();
    for (at, part) in parts.iter().enumerate() {
        let last = at + 1 == parts.len();
        match (*part, last) {
            ("**", true) => regex.push_str(".+"),
            ("**", false) => regex.push_str("(?:[^/]+/)*"),
            (part, last) => {
                name(part, regex)?;
                regex.push_str(if last { "" } else { "/" });
            }
        }
    }
    Ok(())
}

/// Writes one part of a path.
fn name(part: &str, regex: &mut String) -> Result<(), String> {
    let mut rest = part;
    while !rest.is_empty() {
        let (token, after) = rest.split_at(token_len(rest)?);
        match token {
            "?" => regex.push_str("[^/]"),
            "*" => regex.push_str("[^/]*"),
            token if token.starts_with('[') => class(token, regex)?,
            token => {
                let literal = token.strip_prefix('\\').filter(|rest| !rest.is_empty());
                regex.push_str(&regex::escape(literal.unwrap_or(token)));
            }
        }
        rest = after;
    }
    Ok(())
}

/// Writes a class. What it stands for is never `/`.
fn class(token: &str, regex: &mut String) -> Result<(), String> {
    let inner = &token[1..token.len() - 1];
    let (negated, inner) = match inner.strip_prefix(['!', '^']) {
        Some(rest) => (true, rest),
        None => (false, inner),
    };
    let mut chars = inner.chars().peekable();
    regex.push_str(if negated { "[^/" } else { "[[" });
    while let Some(c) = chars.next() {
        let from = if c == '\\' { chars.next().unwrap_or(c) } else { c };
        let mut ahead = chars.clone();
        // A `-` at the end is one of the characters.
        let to = match (ahead.next(), ahead.next()) {
            (Some('-'), Some(mut to)) => {
                if to == '\\' {
                    to = ahead.next().unwrap_or(to);
                }
                chars = ahead;
                to
            }
            _ => from,
        };
        if from > to {
            return Err(format!("the range `{from}-{to}` is the wrong way round"));
        }
        let _ = write!(regex, r"\x{{{:x}}}-\x{{{:x}}}", u32::from(from), u32::from(to));
    }
    regex.push_str(if negated { "]" } else { "]&&[^/]]" });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, matching: &[&str], others: &[&str]) {
        let pattern = Pattern::new("pattern", pattern).unwrap();
        for path in matching {
            assert!(pattern.matches(path), "{path} matches {}", pattern.regex);
            for (at, _) in path.match_indices('/') {
                assert!(pattern.may_match_below(&path[..at]), "{path} is below {}", &path[..at]);
            }
        }
        for path in others {
            assert!(!pattern.matches(path), "{path} does not match {}", pattern.regex);
        }
    }

    #[test]
    fn stars_and_question_marks_stand_for_characters_and_parts() {
        check("*.rs", &["a.rs", ".rs", "ä.rs", ".hidden.rs"], &["src/a.rs", "a.rs/b", "a.rs2"]);
        check("./a/*", &["a/b", "a/.b"], &["a", "a/b/c"]);
        check("caf?.txt", &["café.txt", "cafe.txt", "caf🚀.txt"], &["caf/.txt", "caf.txt"]);
        check("**/*.rs", &["a.rs", "x/y/a.rs"], &["a.rs/b"]);
        check("a/**/b", &["a/b", "a/x/b", "a/x/y/b"], &["ab", "a/xb", "b"]);
        check("src/**", &["src/a", "src/a/b"], &["src", "other/src/a"]);
        check("**", &["a", "a/b"], &[""]);
        check("a**b", &["ab", "axxb"], &["a/b"]);
        check("docs/", &["docs"], &["docs/a"]);
        check("a+(b).txt", &["a+(b).txt"], &["aab.txt"]);
    }

    #[test]
    fn classes_stand_for_one_character_that_is_no_slash() {
        check("[abc-]", &["a", "-"], &["d", "", "ab"]);
        check("caf[éè]", &["café", "cafè"], &["cafe", "caf"]);
        check("x[!a]y", &["xby", "xéy"], &["xay", "x/y"]);
        check("x[^a]y", &["x^y"], &["xay", "x/y"]);
        check("x[.-0]y", &["x.y", "x0y"], &["x/y"]);
        check("[]]", &["]"], &["[", ""]);
        check("[!]]", &["a"], &["]"]);
        check("[a-c\\]]", &["b", "]"], &["\\"]);
    }

    #[test]
    fn braces_stand_for_one_of_their_parts() {
        check("*.{ts,js}", &["a.ts", "a.js"], &["a.rs"]);
        check("{src,lib/{a,b}}/*.c", &["src/x.c", "lib/a/x.c", "lib/b/x.c"], &["lib/x.c"]);
        check("a{,.bak}", &["a", "a.bak"], &["a."]);
        check("{**/x,y}", &["x", "a/x", "y"], &["a/y"]);
        check("[{]a", &["{a"], &["a"]);
    }

    #[test]
    fn escaped_characters_stand_for_themselves() {
        check(r"a\*b", &["a*b"], &["axb"]);
        check(r"\[id\].ts", &["[id].ts"], &["i.ts"]);
        check(r"\{a,b\}", &["{a,b}"], &["a"]);
        check(r"a\\b", &[r"a\b"], &["ab"]);
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        let deep = "{".repeat(9);
        let many = "{a,b}".repeat(9);
        for wrong in ["[a", "{a", "a\\", "/a", "[z-a]", &deep, &many] {
            let refused = Pattern::new("pattern", wrong).map(|_| ()).unwrap_err();
            assert_eq!(refused.detail, "pattern", "{wrong}: {refused}");
        }
    }

    #[test]
    fn only_folders_that_can_hold_a_match_are_walked() {
        let pattern = Pattern::new("pattern", "src/{a,b}/*.rs").unwrap();
        for (path, walked) in [("src", true), ("src/a", true), ("src/c", false), ("docs", false)] {
            assert_eq!(pattern.may_match_below(path), walked, "{path}");
        }
    }
}
