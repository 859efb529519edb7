//! The edges between crates, and the names that each crate may use.

use std::collections::BTreeMap;

use super::source::{File, check, check_words, files, rust_files};

/// The crates that each crate may depend on, also for tests. A new edge is a change of the design
/// and is argued in ARCHITECTURE.md.
const EDGES: [(&str, &[&str]); 16] = [
    ("remit-schema", &[]),
    ("remit-core", &[]),
    ("remit-confine", &[]),
    ("remit-faults", &[]),
    ("remit-store", &["remit-faults"]),
    ("remit-vat", &["remit-schema", "remit-core"]),
    ("remit-identity", &["remit-schema", "remit-core", "remit-vat"]),
    ("remit-authority", &["remit-schema", "remit-core", "remit-vat", "remit-identity"]),
    ("remit-journal", &["remit-core", "remit-vat", "remit-store"]),
    (
        "remit-orchestrator",
        &[
            "remit-schema",
            "remit-core",
            "remit-faults",
            "remit-store",
            "remit-vat",
            "remit-identity",
            "remit-authority",
            "remit-journal",
        ],
    ),
    (
        "remit-agent-node",
        &[
            "remit-schema",
            "remit-core",
            "remit-faults",
            "remit-vat",
            "remit-identity",
            "remit-authority",
        ],
    ),
    (
        "remit-tool-node",
        &[
            "remit-schema",
            "remit-core",
            "remit-confine",
            "remit-faults",
            "remit-store",
            "remit-vat",
            "remit-identity",
            "remit-authority",
        ],
    ),
    (
        "remit-client",
        &["remit-schema", "remit-core", "remit-vat", "remit-identity", "remit-authority"],
    ),
    ("remit-cli", &OURS),
    ("remit-tests", &OURS),
    ("tool-node-weather", &["remit-tool-node"]),
];

/// The dependencies of the program and of the tests across crates: every crate of ours.
const OURS: [&str; 14] = [
    "remit-schema",
    "remit-core",
    "remit-confine",
    "remit-faults",
    "remit-store",
    "remit-vat",
    "remit-identity",
    "remit-authority",
    "remit-journal",
    "remit-orchestrator",
    "remit-agent-node",
    "remit-tool-node",
    "remit-client",
    "remit-cli",
];

/// The dependencies of the pure core, beside the standard library.
const CORE_USES: [&str; 14] = [
    "base64",
    "cel",
    "globset",
    "hex",
    "hmac",
    "regex",
    "serde",
    "serde_bytes",
    "serde_json",
    "sha2",
    "subtle",
    "thiserror",
    "uuid",
    "zeroize",
];

const ORCHESTRATOR: &str = "crates/orchestrator/src/";

/// Files of the orchestrator outside of `serve/` that speak Cap'n Proto: a membrane is an object and
/// holds objects, and calls leave through `outgoing.rs`.
const ORCHESTRATOR_RIM: [&str; 7] = [
    "runtime/introduce.rs",
    "runtime/membrane.rs",
    "runtime/membrane/caller_capabilities.rs",
    "runtime/outgoing.rs",
    "runtime/task_context.rs",
    "scheduler/registry/link.rs",
    "tasks/tool/object.rs",
];

/// The dependencies of each of our packages: normal, for tests and for build scripts.
fn dependencies() -> BTreeMap<String, Vec<String>> {
    listed(&["dependencies", "dev-dependencies", "build-dependencies"])
}

/// The entries of these tables in the manifest of each of our packages.
fn listed(kinds: &[&str]) -> BTreeMap<String, Vec<String>> {
    let mut all = BTreeMap::new();
    for file in files().iter().filter(|f| f.name() == "Cargo.toml" && f.path != "Cargo.toml") {
        let manifest: toml::Table = file.text.parse().unwrap();
        let name = manifest["package"]["name"].as_str().unwrap().to_owned();
        let mut uses = Vec::new();
        let targets = manifest.get("target").and_then(|t| t.as_table());
        let platforms = targets.into_iter().flat_map(|t| t.values()).filter_map(|t| t.as_table());
        for table in std::iter::once(&manifest).chain(platforms) {
            for kind in kinds {
                let listed = table.get(*kind).and_then(|list| list.as_table());
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
fn a_client_is_built_without_a_store_and_an_authority() {
    let uses = listed(&["dependencies"]);
    let mut reached = vec!["remit-client".to_owned()];
    let mut next = 0;
    while let Some(package) = reached.get(next) {
        for used in uses.get(package).into_iter().flatten().cloned().collect::<Vec<_>>() {
            if !reached.contains(&used) {
                reached.push(used);
            }
        }
        next += 1;
    }
    assert!(reached.contains(&"remit-identity".to_owned()), "{reached:?}");
    for heavy in ["sled", "rcgen", "remit-store", "remit-authority"] {
        assert!(!reached.contains(&heavy.to_owned()), "remit-client depends on {heavy}");
    }
}

#[test]
fn only_the_store_depends_on_sled() {
    let uses = dependencies();
    let users = uses.iter().filter(|(_, uses)| uses.contains(&"sled".to_owned()));
    assert_eq!(users.map(|(package, _)| package.as_str()).collect::<Vec<_>>(), ["remit-store"]);
}

#[test]
fn what_is_kept_is_kept_behind_ports() {
    let above: Vec<_> = rust_files()
        .into_iter()
        .filter(|f| f.path.starts_with(ORCHESTRATOR) || f.path.starts_with("crates/cli/src/"))
        .filter(|f| !f.is_test())
        .collect();
    check_words(
        above.iter(),
        &["remit_store::Disk", "remit_store::{", "DiskError", "remit_store::View"],
        "Records are kept behind remit_journal's ports (Journal, meta::Meta): use those, so that \
         another store can take the place of this one.",
    );
}

#[test]
fn the_core_is_pure() {
    let uses = &dependencies()["remit-core"];
    let foreign: Vec<_> = uses
        .iter()
        .filter(|used| !CORE_USES.contains(&used.as_str()))
        // Used in tests only.
        .filter(|used| !["proptest", "rmp-serde"].contains(&used.as_str()))
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
fn a_command_prints_through_one_door() {
    let elsewhere: Vec<_> = rust_files()
        .into_iter()
        .filter(|f| f.path.starts_with("crates/cli/src/") && f.path != "crates/cli/src/show/out.rs")
        .collect();
    let writers =
        ["println!", "print!", "eprintln!", "eprint!", "dbg!", "stdout().lock", "stderr().lock"];
    check_words(
        elsewhere.iter(),
        &writers,
        "show/out.rs spells out what a terminal would obey or hide: print through it.",
    );
    let json = ["out::line(&json", "out::line(&serde_json", "out::line(&value_to_json"];
    check_words(elsewhere.iter(), &json, "out::json leaves characters to the escapes of JSON.");
}

#[test]
fn capnp_stops_at_the_rim() {
    let inside = |file: &&File| {
        file.path.starts_with("schema/")
            || file.path.starts_with("crates/vat/")
            || file.path.starts_with("crates/identity/")
            || file.path.contains("/src/serve/")
            || file.name() == "serve.rs"
            || ORCHESTRATOR_RIM.iter().any(|rim| file.path.strip_prefix(ORCHESTRATOR) == Some(rim))
            || file.is_test()
    };
    check_words(
        rust_files().iter().filter(|file| !inside(file)),
        &["capnp::", "capnp_rpc::", "use capnp", "use capnp_rpc"],
        "capnp and capnp_rpc appear only in schema/, crates/vat, crates/identity, files below \
         serve/ and the rim of the orchestrator's runtime: let remit_vat wrap it, or move the code there.",
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
