//! CI runs the documented commands, and its last results belong to this tree.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that unwraps says what it expected"
)]

use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The commands in the first code block of the README.
fn readme_commands() -> Vec<String> {
    let readme = read("README.md");
    let block = readme.split("```").nth(1).expect("README.md has a block of code");
    let lines = block.lines().skip(1).map(|line| line.split('#').next().unwrap_or("").trim());
    lines.filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[test]
fn the_two_commands_of_the_readme_are_the_ones_that_are_run() {
    let commands = readme_commands();
    assert_eq!(commands.len(), 2, "README.md opens with two commands, found {commands:?}");
    let run = read(".ci/run");
    for command in commands {
        assert!(command.starts_with("cargo "), "a fresh clone needs cargo alone, found {command}");
        assert!(
            run.lines()
                .any(|line| line.trim_start().starts_with("step ") && line.ends_with(&command)),
            "README.md says `{command}` and .ci/run has no step that does exactly this: \
             change one of them"
        );
    }
}

/// The lines of a function's body in the script.
fn body(run: &str, name: &str) -> Vec<String> {
    let (_, rest) = run
        .split_once(&format!("\n{name}() {{\n"))
        .unwrap_or_else(|| panic!(".ci/run has no step called {name}"));
    let body = rest.split_once("\n}\n").map_or(rest, |(body, _)| body);
    body.lines().map(|line| line.trim().to_owned()).collect()
}

#[test]
fn the_night_tries_a_million_cases_a_hundred_thousand_worlds_and_an_hour_of_chaos() {
    let run = read(".ci/run");
    let parts = body(&run, "nightly");
    assert_eq!(parts, ["properties", "laws", "worlds", "chaos_hour"]);
    for (part, says) in parts.iter().zip([
        "REMIT_CASES=1000000 cargo test --release -p remit-core",
        "REMIT_CASES=1000000 cargo test --release -p remit-orchestrator --lib laws",
        "REMIT_SEEDS=10000 cargo test --release -p remit-tests --test sim",
        "--bin chaos -- --minutes 60",
    ]) {
        let lines = body(&run, part);
        assert!(lines.iter().any(|line| line.ends_with(says)), "{part}: {lines:?}");
    }
    let ten_times = "for first in $(seq 0 10000 90000); do";
    assert!(
        body(&run, "worlds").iter().any(|line| line == ten_times),
        "the worlds of ten processes"
    );
    let listed = |list: &str| {
        let line = run.lines().find(|line| line.starts_with(&format!("{list}=("))).unwrap();
        line.split(['(', ')']).nth(1).unwrap().split(' ').map(str::to_owned).collect::<Vec<_>>()
    };
    let (daily, long) = (listed("daily"), listed("long"));
    assert!(daily.iter().chain(&long).all(|step| !body(&run, step).is_empty()));
    assert!(parts.iter().all(|part| long.contains(part) && !daily.contains(part)));
}

#[test]
fn the_dependencies_are_the_ones_that_were_checked() {
    let input = read("Cargo.lock") + &read("deny.toml");
    let found: String = Sha256::digest(input).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        read(".ci/deny.passed").trim(),
        found,
        "Cargo.lock or deny.toml differ from those whose licences, bans and sources were checked \
         last (left): run `bash .ci/run deny` and commit .ci/deny.passed"
    );
}
