//! The programs under test, built from this tree.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// The `remit` program, in the profile of this test.
pub fn remit() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| build("remit-cli", "remit")).clone()
}

/// The tool node whose tools these tests use.
pub fn probe() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| build("remit-tests", "probe-tools")).clone()
}

/// Builds a program and returns its path. Cargo does nothing if it is up to date.
fn build(package: &str, program: &str) -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--package", package, "--bin", program]);
    // These variables of this test would make build scripts run again, in this build and the next.
    for (name, _) in std::env::vars_os() {
        let told = name.to_string_lossy();
        if told.starts_with("CARGO_PKG_") || told.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(&name);
        }
    }
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    if profile == "release" {
        cargo.arg("--release");
    }
    let status = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().expect("cargo runs");
    assert!(status.success(), "{program} could not be built");
    // This test's own executable is in target/<profile>/deps.
    let own = std::env::current_exe().expect("a program has a file");
    let target = own.ancestors().find(|dir| dir.ends_with(profile)).expect("a target folder");
    target.join(program)
}
