//! A shell completes the names of tasks and tools, starts nothing for it, and waits for no mesh.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says clearly enough what it expected")]

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use remit_client::TaskSpec;
use remit_tests::binary;
use remit_tests::mesh::Mesh;
use remit_tests::typed::Typed;

/// What a shell is made to offer for the last of its arguments.
const COMPLETE: &str = r#"
source <(remit completions bash)
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_TYPE=9
_clap_complete_remit remit "${COMP_WORDS[COMP_CWORD]}" ""
IFS=$'\n'
echo "${COMPREPLY[*]}" | tr '\013' '\n'
"#;

/// What bash offers for the last of these words, and how long that took.
fn offered(dir: &Path, words: &[&str]) -> (Vec<String>, Duration) {
    let programs = binary::remit().parent().unwrap().to_owned();
    let path = format!("{}:/usr/bin:/bin", programs.display());
    let mut shell = Command::new("bash");
    shell
        .args(["-c", COMPLETE, "bash"])
        .args(words)
        .current_dir(dir)
        .env("PATH", path)
        .env("HOME", dir);
    let began = Instant::now();
    let output = shell
        .env_remove("REMIT_HOME")
        .env_remove("REMIT_MESH")
        .env_remove("XDG_STATE_HOME")
        .output()
        .unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    (shown.lines().map(str::to_owned).collect(), began.elapsed())
}

#[tokio::test(flavor = "multi_thread")]
async fn shell_offers_tasks_tools_and_nodes_by_name() {
    let mesh = Mesh::start(1).await;
    let typed = Typed::new(&mesh).await;
    let named = |name: &str| TaskSpec {
        name: name.into(),
        ..TaskSpec::script("x", "export default () => 1")
    };
    let task = mesh.client.create_task(named("nightly-report")).await.unwrap();
    mesh.client.create_task(named("$(touch made)")).await.unwrap();
    let before = ["remit", "--home", typed.home().to_str().unwrap(), "--mesh", mesh.address()];
    let offer = |words: &[&str]| {
        tokio::task::block_in_place(|| offered(mesh.dir(), &[&before[..], words].concat()).0)
    };
    assert_eq!(offer(&["cancel", "nigh"]), ["nightly-report"]);
    let all = offer(&["log", ""]);
    let id = task.id().to_string();
    assert!(all.iter().any(|offered| *offered == id[24..]), "{all:?}");
    assert!(all.iter().all(|offered| !offered.contains('$')), "a shell would obey it: {all:?}");
    assert_eq!(offer(&["who", "pro"]), ["probe"]);
    assert_eq!(offer(&["run", "x.ts", "--grant", "p=pro"]), ["p=probe"]);
    assert_eq!(offer(&["drain", "agents"]), ["agents-0"]);
    assert!(!mesh.dir().join("made").exists());

    // One that takes connections and never says a word.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = listener.local_addr().unwrap().to_string();
    let joined = |address: &str| typed.home().join("joined").join(address.replace(':', "_"));
    std::fs::create_dir(joined(&silent)).unwrap();
    for file in std::fs::read_dir(joined(mesh.address())).unwrap().map(Result::unwrap) {
        std::fs::copy(file.path(), joined(&silent).join(file.file_name())).unwrap();
    }
    let words = [&before[..3], &["--mesh", &silent, "cancel", "n"]].concat();
    let (none, took) = tokio::task::block_in_place(|| offered(mesh.dir(), &words));
    assert!(none.iter().all(String::is_empty), "{none:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn shell_waits_for_no_mesh_and_starts_none() {
    let dir = tempfile::tempdir().unwrap();
    let (none, took) = offered(dir.path(), &["remit", "cancel", "x"]);
    assert!(none.iter().all(String::is_empty), "{none:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
    let left = std::fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(left, 0, "nothing is started or written");
    let (commands, _) = offered(dir.path(), &["remit", "canc"]);
    assert_eq!(commands, ["cancel"]);
}
