//! The schemas: the committed request is up to date, and every contract is written down.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says what it expected")]

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("schema")
}

/// The name and text of every schema file, in the order in which `compile.sh` hashes them.
fn schemas() -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "capnp"))
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect();
    found.sort();
    assert!(found.len() > 5, "found only {} schema files", found.len());
    found
}

#[test]
fn the_compiled_request_is_not_stale() {
    let mut hash = Sha256::new();
    for (_, text) in schemas() {
        hash.update(text);
    }
    let found = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let made_from = fs::read_to_string(folder().join("remit.sha256")).unwrap();
    assert_eq!(
        made_from.trim(),
        found,
        "schema/remit.cgr was made from other .capnp files than these (left: the hash beside it, \
         right: theirs): run schema/compile.sh and commit remit.cgr and remit.sha256"
    );
}

#[test]
fn every_schema_module_is_generated() {
    let library = fs::read_to_string(folder().join("src/lib.rs")).unwrap();
    for (name, _) in schemas() {
        let module = name.replace(".capnp", "_capnp").replace('-', "_");
        assert!(
            library.contains(&module),
            "schema/{name} has no module: add {module} to the list in schema/src/lib.rs"
        );
    }
}

#[test]
fn every_schema_says_who_speaks_it_to_whom() {
    for (name, text) in schemas() {
        let mut lines = text.lines();
        let id = lines.next().unwrap_or_default();
        assert!(
            id.starts_with("@0x"),
            "schema/{name}: the first line is an explicit id, not {id:?}"
        );
        let audience = lines.next().unwrap_or_default();
        assert!(
            audience.starts_with("# "),
            "schema/{name}: the second line says who speaks it to whom, not {audience:?}"
        );
    }
}

/// A declaration that needs a comment: its line, its name, and the line after it.
struct Declaration {
    line: usize,
    name: String,
    commented: bool,
}

/// Whether this line of a schema declares an interface, or a struct that is in no other.
fn is_type(line: &str) -> bool {
    line.starts_with("interface ") || line.starts_with("struct ")
}

/// Whether it declares a method: a name, an ordinal, and parameters in parentheses.
fn is_method(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let named = words.next().is_some_and(|name| name.starts_with(char::is_lowercase));
    let numbered = words.next().is_some_and(|ordinal| ordinal.starts_with('@'));
    named && numbered && words.next().is_some_and(|rest| rest.starts_with('('))
}

/// The types and methods of a schema. Methods in a row without a blank line between share
/// the comment that follows the last of them.
fn declarations(text: &str) -> Vec<Declaration> {
    let whole: Vec<&str> = text.lines().collect();
    let lines: Vec<&str> = whole.iter().map(|line| line.trim()).collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        if !is_type(whole[at]) && !is_method(line) {
            continue;
        }
        let end = lines[at..].iter().position(|l| l.ends_with(['{', ';'])).map_or(at, |n| at + n);
        let mut after = lines[end + 1..].iter().skip_while(|l| is_method(l));
        let commented = after.next().is_some_and(|l| l.starts_with("# "));
        let name = line.split(" @").next().unwrap_or(line).to_owned();
        found.push(Declaration { line: at + 1, name, commented });
    }
    found
}

#[test]
fn every_type_and_method_says_its_contract() {
    let mut missing = Vec::new();
    let mut seen = 0;
    for (file, text) in schemas() {
        for declaration in declarations(&text) {
            seen += 1;
            if !declaration.commented {
                missing.push(format!("schema/{file}:{}: {}", declaration.line, declaration.name));
            }
        }
    }
    assert!(seen > 30, "found only {seen} declarations: has the layout of the schemas changed?");
    assert!(
        missing.is_empty(),
        "a comment after each of these says its contract, lifetime, idempotence, and what dropping \
         or a disconnect means:\n  {}",
        missing.join("\n  ")
    );
}
