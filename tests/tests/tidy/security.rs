//! Every claim of `docs/security.md` names a test that exists.

use std::collections::BTreeSet;

use super::source::{check, files, rust_files};

/// The columns that contain names of tests.
const HEADS: [&str; 2] = ["test", "tests"];

/// The names of all functions of the sources.
fn functions() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for file in rust_files() {
        for (_, line) in file.code() {
            let Some((_, name)) = line.split_once("fn ") else { continue };
            let name: String =
                name.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            found.insert(name);
        }
    }
    found
}

/// The cells of a row of a table. `None` for any other line.
fn cells(line: &str) -> Option<Vec<&str>> {
    let inner = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    Some(inner.split('|').map(str::trim).collect())
}

/// The names between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The lines of a page with a claim that no test checks, and the number of claims.
fn violations(page: &str, known: &BTreeSet<String>) -> (Vec<String>, usize) {
    let (mut found, mut claims, mut tests_at) = (Vec::new(), 0, None);
    let mut before = None;
    for (at, line) in page.lines().enumerate() {
        let row = cells(line);
        if before.is_none()
            && let Some(head) = &row
        {
            tests_at = head.iter().position(|name| HEADS.contains(name));
        } else if let (Some(row), Some(column)) = (&row, tests_at)
            && !line.contains("---")
        {
            claims += 1;
            let names: Vec<&str> = quoted(row.get(column).copied().unwrap_or_default()).collect();
            if names.is_empty() {
                found.push(format!("line {}: it names no test", at + 1));
            }
            let missing = names.iter().filter(|name| !known.contains(**name));
            found.extend(missing.map(|name| format!("line {}: there is no test `{name}`", at + 1)));
        }
        before = row;
    }
    (found, claims)
}

#[test]
fn every_claim_of_the_security_page_names_a_test_that_exists() {
    let pages = files();
    let page = pages.iter().find(|file| file.path == "docs/security.md").unwrap();
    let (found, claims) = violations(&page.text, &functions());
    assert!(claims > 40, "found only {claims} claims: has the form of the page changed?");
    check(&found, "A line of docs/security.md is true as long as its test passes: name one.");
}

#[test]
fn claim_without_a_test_is_found() {
    let known = BTreeSet::from(["one".to_owned()]);
    let page = "| who | test |\n| --- | --- |\n| a | `one` |\n| b | `two` |\n| c | a word |\n\n| x |\n| y |";
    let (found, claims) = violations(page, &known);
    assert_eq!(claims, 3);
    assert_eq!(found, ["line 4: there is no test `two`", "line 5: it names no test"]);
}
