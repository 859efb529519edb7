//! What scripts rely on: exit codes, which stream says what, and errors that say what to do.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::path::Path;
use std::process::{Command, Output, Stdio};

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(name), text).unwrap();
    }

    fn remit(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_remit"));
        command.args(args).current_dir(self.path()).stdin(Stdio::null());
        command.env("XDG_STATE_HOME", self.path().join("state"));
        command.env_remove("REMIT_HOME").env_remove("REMIT_MESH").env_remove("REMIT_LOG");
        command
    }

    #[track_caller]
    fn check(&self, args: &[&str], code: i32, said: &str) -> Output {
        let output = self.remit(args).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {text}");
        assert!(text.contains(said), "{args:?} said: {text}");
        output
    }
}

#[test]
fn what_makes_no_sense_exits_2_and_starts_nothing() {
    let folder = Folder::new();
    folder.write("a.ts", "export default () => 1");
    folder.write("imports.ts", "import './gone'");
    folder.write("bad.ts", "");
    folder.write("bad.grants.toml", "src = 'fs'");
    for (args, said) in [
        (&["frobnicate"][..], "frobnicate"),
        (&["run"], "FILE"),
        (&["run", "none.ts"], "none.ts"),
        (&["run", "imports.ts"], "./gone"),
        (&["run", "bad.ts"], "bad.grants.toml"),
        (&["run", "a.ts", "--grant", "fs"], "name=tool"),
        (&["run", "a.ts", "--grant", "x=fs?calls=many"], "calls=many"),
        (&["run", "a.ts", "--input", "{"], "--input"),
        (&["run", "a.ts", "--grants", "none.toml"], "none.toml"),
        (&["invite", "--role", "king", "--name", "x"], "king"),
        (&["invite", "--role", "client", "--name", "x", "--ttl", "soon"], "10m"),
        (&["up", "--mesh", "elsewhere:1"], "--mesh"),
    ] {
        folder.check(args, 2, said);
    }
    assert!(!folder.path().join("state").exists(), "nothing was started");
}

#[test]
fn without_a_mesh_what_needs_one_says_how_to_start_it() {
    let folder = Folder::new();
    folder.check(&["nodes"], 1, "remit up");
    folder.check(&["invite", "--role", "client", "--name", "x"], 1, "remit up");
}

#[test]
fn a_mesh_elsewhere_must_be_joined_first() {
    let folder = Folder::new();
    folder.check(&["ps", "--mesh", "127.0.0.1:1"], 1, "remit join");
    folder.check(&["join", "nonsense"], 1, "remit:");
}

#[test]
fn a_node_without_a_credential_says_how_to_get_one() {
    let folder = Folder::new();
    folder.check(&["tool-node", "--here", "--orchestrator", "127.0.0.1:1"], 1, "remit invite");
    folder.check(&["tool-node"], 2, "--config");
}

#[test]
fn completions_and_help_go_to_standard_output() {
    let folder = Folder::new();
    for shell in ["bash", "zsh", "fish"] {
        let output = folder.check(&["completions", shell], 0, "");
        assert!(String::from_utf8_lossy(&output.stdout).contains("remit"));
    }
    let help = folder.check(&["--help"], 0, "");
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    assert!(help.contains("attach") && !help.contains("agent-worker"), "{help}");
}

#[test]
fn a_reader_that_has_gone_away_is_no_error() {
    let folder = Folder::new();
    let mut child = folder
        .remit(&["completions", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert!(output.status.success());
}
