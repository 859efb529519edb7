//! Every script that the documentation shows runs, and what goes in as JSON comes out as it was.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// A script of the documentation, and where it stands.
struct Shown {
    place: String,
    text: String,
    /// What the fence says beside the language.
    remark: String,
}

/// The scripts of a page of documentation.
fn shown(page: &Path) -> Vec<Shown> {
    let text = std::fs::read_to_string(page).unwrap();
    let mut scripts = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        let Some(remark) = line.trim().strip_prefix("```ts") else { continue };
        let block: Vec<&str> =
            lines.by_ref().map(|(_, line)| line).take_while(|line| line.trim() != "```").collect();
        let name = page.file_name().unwrap().to_string_lossy();
        scripts.push(Shown {
            place: format!("{name}:{}", at + 1),
            text: block.join("\n"),
            remark: remark.trim().to_owned(),
        });
    }
    scripts
}

fn pages() -> Vec<PathBuf> {
    let mut pages = vec![project().join("README.md")];
    let docs = std::fs::read_dir(project().join("docs")).unwrap();
    pages.extend(docs.map(|entry| entry.unwrap().path()));
    pages.retain(|page| page.extension().is_some_and(|ending| ending == "md"));
    pages.sort();
    pages
}

/// A folder with what the scripts of the documentation read.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = |path: &str| folder.path().join(path);
    for below in ["src", "lib", "notes"] {
        std::fs::create_dir(at(below)).unwrap();
        for file in ["a.rs", "b.rs"] {
            std::fs::write(at(below).join(file), "fn a() {}\n").unwrap();
        }
    }
    std::fs::write(at("server.log"), "started\nERROR one\n").unwrap();
    let git = |args: &[&str]| {
        let who = ["-c", "user.name=a", "-c", "user.email=a@example.org"];
        let done = Command::new("git").args(who).args(args).current_dir(&folder).output().unwrap();
        assert!(done.status.success(), "{done:?}");
    };
    git(&["init", "--quiet"]);
    git(&["add", "src"]);
    git(&["commit", "--quiet", "--message", "one"]);
    folder
}

fn run(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_remit"));
    command.arg("run").args(args).current_dir(folder).stdin(Stdio::null());
    command.env("XDG_STATE_HOME", folder.join("state"));
    command.env_remove("REMIT_HOME").env_remove("REMIT_MESH").env_remove("REMIT_LOG");
    command.output().unwrap()
}

#[test]
fn every_script_of_the_documentation_runs() {
    let folder = folder();
    let (mut ran, mut waiting) = (0, 0);
    for script in pages().iter().flat_map(|page| shown(page)) {
        // One that asks a person is run by the tests of what people decide.
        if script.remark == "asks-a-person" {
            waiting += 1;
            continue;
        }
        // What it shows is that the timer survives, and not that it takes a minute.
        let text = script.text.replace("60_000", "10");
        std::fs::write(folder.path().join("shown.ts"), text).unwrap();
        let grants = ["files=fs", "src=fs", "repo=git", "tasks=tasks"];
        let mut args = vec!["shown.ts"];
        args.extend(grants.iter().flat_map(|grant| ["--grant", grant]));
        let output = run(folder.path(), &args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {said}", script.place);
        ran += 1;
    }
    assert!(ran >= 8 && waiting <= 2, "{ran} ran, {waiting} wait for a person");
}

#[test]
fn json_comes_out_as_it_went_in() {
    let folder = tempfile::tempdir().unwrap();
    let script = "import data from './data.json';
        export default (remit, input) => ({ input, data, stored: JSON.stringify(input) });";
    std::fs::write(folder.path().join("a.ts"), script).unwrap();
    let json = r#"{"id":1234567890123456789,"top":18446744073709551615,"least":-9223372036854775808,"zero":-0.0,"none":{"$float":"NaN"},"raw":{"$data":"AP8="},"__proto__":{"x":1}}"#;
    std::fs::write(folder.path().join("data.json"), r#"{"id":9007199254740993}"#).unwrap();
    let output = run(folder.path(), &["a.ts", "--input", json]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let printed = String::from_utf8_lossy(&output.stdout);
    let compact: String = printed.chars().filter(|c| !c.is_whitespace()).collect();
    assert!(compact.contains(&format!("\"input\":{json}")), "{printed}");
    assert!(compact.contains(r#""data":{"id":9007199254740993}"#), "{printed}");
    assert!(compact.contains(r#"{\"id\":1234567890123456789,"#), "{printed}");
    let output = run(folder.path(), &["a.ts", "--input", "{\"id\": 18446744073709551616}"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("64 bits"));
}
