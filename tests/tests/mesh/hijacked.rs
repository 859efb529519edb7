//! A hijacked agent gets no further than what was granted: the example that tries thirty ways out
//! leaves thirty refusals in the audit, and nothing else behind.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says clearly enough what it expected")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use remit_tests::binary;
use serde_json::Value as Json;

/// What `remit` prints, run in this folder.
fn remit(dir: &Path, args: &[&str]) -> String {
    let mut command = Command::new(binary::remit());
    let output = command.current_dir(dir).arg("--home").arg(".remit").args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The paths and contents of all files below a folder.
fn contents(dir: &Path, found: &mut BTreeSet<(String, Vec<u8>)>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            contents(&path, found);
        } else {
            found.insert((path.to_str().unwrap().to_owned(), fs::read(&path).unwrap()));
        }
    }
}

#[test]
fn thirty_ways_out_are_thirty_refusals_in_the_audit() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("examples/lib")).unwrap();
    for file in [
        "remit.tools.toml",
        "examples/hello.ts",
        "examples/hijacked.ts",
        "examples/hijacked.grants.toml",
        "examples/lib/markdown.ts",
    ] {
        fs::copy(project.join(file), dir.path().join(file)).unwrap();
    }
    git2::Repository::init(dir.path()).unwrap();
    let mut before = BTreeSet::new();
    contents(&dir.path().join("examples"), &mut before);

    let result = remit(dir.path(), &["run", "examples/hijacked.ts"]);
    let result: Json = serde_json::from_str(&result).unwrap();
    assert_eq!(result["refused"], 30);

    let audit =
        remit(dir.path(), &["audit", "--task", "hijacked", "--decision", "denied", "--json"]);
    let records: Vec<Json> =
        audit.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(records.len(), 30, "{audit}");
    let calls: BTreeSet<u64> =
        records.iter().map(|record| record["number"].as_u64().unwrap()).collect();
    assert_eq!(calls.len(), 30, "each is an event of its own");
    assert!(records.iter().all(|record| record["decision"] == "denied"), "{audit}");
    remit(dir.path(), &["audit", "verify"]);

    let mut after = BTreeSet::new();
    contents(&dir.path().join("examples"), &mut after);
    assert_eq!(after, before, "nothing was changed");
}
