//! The shape of files and functions: their names, their first line, their length.

use super::source::{File, check, files, rust_files};

#[test]
fn every_file_opens_with_its_one_job() {
    let violations: Vec<_> = rust_files()
        .iter()
        .filter(|file| !file.text.starts_with("//! "))
        .map(|file| format!("{}: opens with {:?}", file.path, file.text.lines().next()))
        .collect();
    check(&violations, "The first line of a file is `//! ` and says its one job.");
}

#[test]
fn no_file_is_a_drawer() {
    let drawers = ["util", "utils", "common", "helper", "helpers", "misc"];
    let violations: Vec<_> = rust_files()
        .iter()
        .filter(|file| {
            let parts = file.path.split('/').map(|part| part.trim_end_matches(".rs"));
            file.name() == "mod.rs" || parts.clone().any(|part| drawers.contains(&part))
        })
        .map(|file| file.path.clone())
        .collect();
    check(
        &violations,
        "A file is named for the noun in it, and a module's file is foo.rs beside foo/: rename it.",
    );
}

/// Lines of a file: above the first number it is listed, above the second the test fails.
const LONG_FILE: usize = 400;
const TOO_LONG_FILE: usize = 500;

#[test]
fn files_are_short() {
    let mut violations = Vec::new();
    let kinds = [".rs", ".ts", ".js", ".capnp", ".sh"];
    for file in files().iter().filter(|file| kinds.iter().any(|kind| file.path.ends_with(kind))) {
        // Only the declarations of a schema count, since its comments are as long.
        let comment = if file.path.ends_with(".capnp") { "#" } else { "\0" };
        let counts = |line: &&str| !line.trim_start().starts_with(comment);
        let lines = file.text.lines().filter(counts).count();
        if lines > TOO_LONG_FILE {
            violations.push(format!("{}: {lines} lines", file.path));
        } else if lines > LONG_FILE {
            println!("{}: {lines} lines; {TOO_LONG_FILE} is the limit", file.path);
        }
    }
    check(&violations, "A file has at most 500 lines: find the second noun in it and move it out.");
}

/// Lines of code in one function, without blank lines and comments, as in clippy's
/// `too_many_lines`. Clippy does not see functions inside macros and `async` blocks.
const TOO_LONG_FUNCTION: usize = 70;

/// The functions of a file as rustfmt lays them out: name, line, and lines of code in the body.
fn functions(file: &File) -> Vec<(String, usize, usize)> {
    let lines: Vec<(usize, &str)> = file.code().collect();
    let mut found = Vec::new();
    for (at, (number, line)) in lines.iter().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let words: Vec<&str> = line.split_whitespace().take(6).collect();
        let Some(fn_at) = words.iter().position(|word| *word == "fn") else { continue };
        let qualifiers = ["pub", "async", "const", "unsafe", "extern", "pub(crate)", "pub(super)"];
        if !words[..fn_at].iter().all(|word| qualifiers.contains(word)) {
            continue;
        }
        let closes = |line: &str| line.len() == indent + 1 && line.ends_with('}');
        let opens = |line: &str| line.ends_with(['{', ';', '}']);
        let Some(open) = lines[at..].iter().position(|(_, line)| opens(line)) else { continue };
        if !lines[at + open].1.ends_with('{') {
            continue;
        }
        let body = &lines[at + open + 1..];
        let length = body.iter().position(|(_, line)| closes(line)).unwrap_or(body.len());
        let name = words.get(fn_at + 1).map_or("", |name| *name);
        found.push((name.split(['(', '<']).next().unwrap().to_owned(), *number, length));
    }
    found
}

#[test]
fn functions_fit_a_screen() {
    let mut violations = Vec::new();
    for file in &rust_files() {
        for (name, line, length) in functions(file) {
            if length > TOO_LONG_FUNCTION {
                violations.push(format!("{}:{line}: `{name}` has {length} lines", file.path));
            }
        }
    }
    check(
        &violations,
        "A function has at most 70 lines of code: give its parts names of their own.",
    );
}
