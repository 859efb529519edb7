//! The rules of style that a machine can check: each test names the file, what it found there, and
//! what to do about it.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says what it expected")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A file of the project: its path from the root, with `/` between the parts, and its text.
struct File {
    path: String,
    text: String,
}

/// Folders that hold nothing of ours.
const NOT_OURS: [&str; 4] = ["target", ".git", ".remit", "node_modules"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// Every text file of the project.
fn files() -> Vec<File> {
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

fn rust_files() -> Vec<File> {
    files().into_iter().filter(|file| file.path.ends_with(".rs")).collect()
}

impl File {
    fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap()
    }

    fn is_test(&self) -> bool {
        self.path.split('/').any(|part| ["tests", "tests.rs", "benches"].contains(&part))
    }

    /// Lines of code with their numbers: neither blank nor only a comment.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let is_code = |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with("//");
        self.text.lines().enumerate().map(|(at, l)| (at + 1, l)).filter(move |(_, l)| is_code(l))
    }
}

/// Whether `word` stands in `line` and is not the end of a longer name.
fn has_word(line: &str, word: &str) -> bool {
    let in_name = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let open_end = word.ends_with(in_name) && line[at + word.len()..].starts_with(in_name);
        !line[..at].ends_with(in_name) && !open_end
    })
}

#[track_caller]
fn check(violations: &[String], rule: &str) {
    assert!(
        violations.is_empty(),
        "{rule}\n{} found:\n  {}\n",
        violations.len(),
        violations.join("\n  ")
    );
}

/// Complains of each line of code in `files` that has one of `words`.
fn check_words<'a>(files: impl Iterator<Item = &'a File>, words: &[&str], rule: &str) {
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

/// Who may depend on whom. A new edge is a change of the design and is argued as one.
const EDGES: [(&str, &[&str]); 10] = [
    ("remit-schema", &[]),
    ("remit-core", &[]),
    ("remit-vat", &["remit-schema", "remit-core"]),
    ("remit-orchestrator", &["remit-schema", "remit-core", "remit-vat"]),
    ("remit-agent-node", &["remit-schema", "remit-core", "remit-vat"]),
    ("remit-tool-node", &["remit-schema", "remit-core", "remit-vat"]),
    ("remit-client", &["remit-schema", "remit-core", "remit-vat"]),
    (
        "remit-cli",
        &[
            "remit-core",
            "remit-vat",
            "remit-orchestrator",
            "remit-agent-node",
            "remit-tool-node",
            "remit-client",
        ],
    ),
    (
        "remit-tests",
        &[
            "remit-schema",
            "remit-core",
            "remit-vat",
            "remit-orchestrator",
            "remit-agent-node",
            "remit-tool-node",
            "remit-client",
            "remit-cli",
        ],
    ),
    ("tool-node-weather", &["remit-tool-node"]),
];

/// What the pure core may use beside the standard library.
const CORE_USES: [&str; 12] = [
    "base64",
    "cel",
    "globset",
    "hmac",
    "regex",
    "serde",
    "serde_bytes",
    "sha2",
    "subtle",
    "thiserror",
    "uuid",
    "zeroize",
];

/// Each of our packages with everything it depends on, for building, running or testing.
fn dependencies() -> BTreeMap<String, Vec<String>> {
    let mut all = BTreeMap::new();
    for file in files().iter().filter(|f| f.name() == "Cargo.toml" && f.path != "Cargo.toml") {
        let manifest: toml::Table = file.text.parse().unwrap();
        let name = manifest["package"]["name"].as_str().unwrap().to_owned();
        let mut uses = Vec::new();
        let targets = manifest.get("target").and_then(|t| t.as_table());
        let platforms = targets.into_iter().flat_map(|t| t.values()).filter_map(|t| t.as_table());
        for table in std::iter::once(&manifest).chain(platforms) {
            for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
                let listed = table.get(kind).and_then(|list| list.as_table());
                uses.extend(listed.into_iter().flat_map(|list| list.keys().cloned()));
            }
        }
        all.insert(name, uses);
    }
    all
}

#[test]
fn crates_depend_only_downwards() {
    let edges = BTreeMap::from(EDGES);
    let mut violations = Vec::new();
    for (package, uses) in dependencies() {
        let Some(allowed) = edges.get(package.as_str()) else {
            violations.push(format!("{package} is not in the table"));
            continue;
        };
        let ours = uses.iter().filter(|used| edges.contains_key(used.as_str()));
        for used in ours.filter(|used| !allowed.contains(&used.as_str())) {
            violations.push(format!("{package} depends on {used}"));
        }
    }
    check(
        &violations,
        "Crates depend only downwards, siblings never on each other: move what both need into \
         remit-core or remit-vat, or argue a new edge in ARCHITECTURE.md and add it to EDGES.",
    );
}

#[test]
fn the_core_is_pure() {
    let uses = &dependencies()["remit-core"];
    let foreign: Vec<_> = uses
        .iter()
        .filter(|used| !CORE_USES.contains(&used.as_str()))
        // For tests only.
        .filter(|used| !["proptest", "rmp-serde", "serde_json"].contains(&used.as_str()))
        .map(|used| format!("crates/core/Cargo.toml: {used}"))
        .collect();
    check(&foreign, "remit-core decides and does nothing: it needs no such crate.");
    let impure = [
        "std::fs",
        "std::net",
        "std::process",
        "std::thread",
        "std::env",
        "SystemTime",
        "Instant",
        "async",
        "now_v7",
        "new_v4",
        "println!",
        "eprintln!",
    ];
    let core: Vec<_> = rust_files()
        .into_iter()
        .filter(|f| f.path.starts_with("crates/core/src/") && !f.is_test())
        .collect();
    check_words(
        core.iter(),
        &impure,
        "remit-core has no I/O, clock or chance: let the caller hand in what it needs.",
    );
}

#[test]
fn capnp_stops_at_the_rim() {
    let inside = |file: &&File| {
        file.path.starts_with("schema/")
            || file.path.starts_with("crates/vat/")
            || file.path.contains("/src/serve/")
            || file.name() == "serve.rs"
            || file.is_test()
    };
    check_words(
        rust_files().iter().filter(|file| !inside(file)),
        &["capnp::", "capnp_rpc::", "use capnp", "use capnp_rpc"],
        "capnp and capnp_rpc appear only in schema/, crates/vat and files below serve/: let \
         remit_vat wrap it, or move the code to the rim.",
    );
}

#[test]
fn only_vats_run_vats() {
    check_words(
        rust_files().iter().filter(|f| !f.path.starts_with("crates/vat/") && !f.is_test()),
        &["RpcSystem", "LocalSet"],
        "RpcSystem and LocalSet live in crates/vat alone: use remit_vat::vat and \
         remit_vat::connection.",
    );
}

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

/// Lines of a file at which it needs a second thought, and at which it fails.
const LONG_FILE: usize = 400;
const TOO_LONG_FILE: usize = 500;

#[test]
fn files_are_short() {
    let mut violations = Vec::new();
    let kinds = [".rs", ".ts", ".js", ".capnp", ".sh"];
    for file in files().iter().filter(|file| kinds.iter().any(|kind| file.path.ends_with(kind))) {
        let lines = file.text.lines().count();
        if lines > TOO_LONG_FILE {
            violations.push(format!("{}: {lines} lines", file.path));
        } else if lines > LONG_FILE {
            println!("{}: {lines} lines; {TOO_LONG_FILE} is the limit", file.path);
        }
    }
    check(&violations, "A file has at most 500 lines: find the second noun in it and move it out.");
}

/// Lines of code in one function, blank lines and comments aside, as clippy's `too_many_lines`
/// counts them. Clippy leaves out what macros and `async` blocks hide from it.
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

#[test]
fn nothing_is_left_to_do() {
    let marks = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("XX", "X"),
        concat!("to", "do!("),
        concat!("un", "implemented!("),
    ];
    let mut violations = Vec::new();
    for file in &files() {
        for (at, line) in file.text.lines().enumerate() {
            if let Some(mark) = marks.iter().find(|mark| has_word(line, mark)) {
                violations.push(format!("{}:{}: `{mark}` in: {}", file.path, at + 1, line.trim()));
            }
        }
    }
    check(&violations, "Nothing is left to be done later: do it, or take the mark out.");
}

#[test]
fn only_main_and_config_read_the_environment() {
    let may = |file: &&File| {
        ["main.rs", "config.rs", "build.rs"].contains(&file.name()) || file.is_test()
    };
    check_words(
        rust_files().iter().filter(|file| !may(file)),
        &["env::var", "env::var_os", "env::vars", "env::vars_os", "set_var", "remove_var"],
        "Only main.rs and config.rs read the environment: pass the value in from there.",
    );
}

#[test]
fn no_file_knows_the_machine_it_was_written_on() {
    // In two halves, so that this list does not find itself.
    let machines = [("/wo", "rk/"), ("/ho", "me/"), ("/ro", "ot/"), ("/Us", "ers/")];
    let hosts = [
        ("sparse", "+http"),
        ("index.crates", ".io"),
        ("static.crates", ".io"),
        ("registry.npmjs", ".org"),
        ("pypi", ".org"),
        ("deb.debian", ".org"),
    ];
    let words: Vec<String> =
        machines.iter().chain(&hosts).map(|(one, two)| format!("{one}{two}")).collect();
    let mut violations = Vec::new();
    for file in files().iter().filter(|file| file.path != "Cargo.lock") {
        for (at, line) in file.text.lines().enumerate() {
            let starts_path = |word: &str| {
                line.match_indices(word).any(|(at, _)| {
                    let before = line[..at].chars().next_back();
                    !before.is_some_and(|c| c.is_alphanumeric() || "._-~*}/".contains(c))
                })
            };
            if let Some(word) = words.iter().find(|word| starts_path(word)) {
                violations.push(format!("{}:{}: `{word}` in: {}", file.path, at + 1, line.trim()));
            }
        }
    }
    check(&violations, "Paths of one machine and hosts of registries stay out of the project.");
}
