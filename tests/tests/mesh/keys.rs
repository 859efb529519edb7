//! No key of a mesh is within reach of what its nodes start, and nodes keep no privilege that they do
//! not use.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says clearly enough what it expected")]

use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use remit_tests::binary;
use remit_tests::mesh::Mesh;
use serde_json::Value as Json;

/// A user who owns nothing but what is given to it.
const NOBODY: u32 = 65_534;

/// What a program of an agent tries, with the network of this machine and with a `read` that is as wide
/// as an operator can make it. Each success prints a line that begins with `GOT`.
const TRY: &str = r#"
    cat "$STATE"/remit/*/client/credential.pem "$STATE"/remit/*/*/identity/credential.pem && echo GOT a key
    find / -name credential.pem -readable 2>/dev/null | sed 's/^/GOT the name /'
    grep -l SECRET_OF_PERSON /proc/[0-9]*/environ 2>/dev/null | grep -v self | sed 's/^/GOT the environment /'
    for home in "$STATE"/remit/* "$STATE/remit/none"; do
        "$REMIT" --home "$home" ps && echo GOT the mesh by "$home"
    done
    XDG_STATE_HOME="$STATE" "$REMIT" tools && echo GOT the mesh
    cat remit.tools.toml && echo GOT the configuration
    echo '[[shell]]' >> remit.tools.toml && echo GOT to widen the configuration
    echo tried
"#;

/// Runs a task as `user`, whose program tries to get at the keys; gives what the program printed.
fn tried_as(user: Option<u32>) -> String {
    let dir = tempfile::tempdir().unwrap();
    let (work, state) = (dir.path().join("work"), dir.path().join("state"));
    for folder in [&work, &state] {
        fs::create_dir(folder).unwrap();
    }
    let binary = binary::remit();
    let tools = format!(
        "[[shell]]\nroot = '.'\nnetwork = 'host'\nread = [{:?}, {:?}]\n\
         env = {{ STATE = {state:?}, REMIT = {binary:?} }}\n[[shell.program]]\nname = 'sh'\n",
        dir.path(),
        binary.parent().unwrap(),
    );
    fs::write(work.join("remit.tools.toml"), tools).unwrap();
    let script = format!(
        "export default async (remit) => (await remit.sh.run('sh', ['-c', {}])).stdout;",
        serde_json::to_string(TRY).unwrap()
    );
    fs::write(work.join("try.ts"), script).unwrap();
    for place in [dir.path(), &work, &state, &work.join("remit.tools.toml")] {
        chown(place, user, user).unwrap();
    }
    let mut command = Command::new(binary);
    command.args(["run", "try.ts", "--grant", "sh=shell"]).current_dir(&work);
    command.env("XDG_STATE_HOME", &state).env("SECRET_OF_PERSON", "x");
    command.env_remove("REMIT_HOME").env_remove("REMIT_MESH");
    if let Some(user) = user {
        command.uid(user).gid(user);
    }
    let ran = command.output().unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    if said.contains("cannot be hidden from programs") {
        // Without mount namespaces such a configuration is refused.
        return "tried\n".to_owned();
    }
    assert!(ran.status.success(), "{said}");
    assert!(!holds_a_key(&work), "a key in the folder that is worked in");
    assert!(holds_a_key(&state), "the keys are where they were looked for");
    serde_json::from_slice::<Json>(&ran.stdout).unwrap().as_str().unwrap().to_owned()
}

fn holds_a_key(dir: &Path) -> bool {
    fs::read_dir(dir).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        path.ends_with("credential.pem") || path.is_dir() && holds_a_key(&path)
    })
}

#[test]
fn keys_are_out_of_reach_of_programs_that_a_node_starts() {
    let root = rustix::process::geteuid().is_root();
    for user in [Some(None), root.then_some(Some(NOBODY))].into_iter().flatten() {
        assert_eq!(tried_as(user), "tried\n", "as {user:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_keep_no_privilege_that_they_do_not_use() {
    let mesh = Mesh::start(1).await;
    let line = |id: u32, name: &str| {
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        let value = |line: &str| Some(line.strip_prefix(name)?.trim().to_owned());
        status.lines().find_map(value).unwrap()
    };
    let worker = *mesh.agents[0].children().first().unwrap();
    // Of an orchestrator: ports below 1024. Of a tool node: folders of others, and launchers.
    for (id, kept, new_privileges) in [
        (mesh.orchestrator.id(), 1 << 10, "0"),
        (mesh.agents[0].id(), 0, "1"),
        (worker, 0, "1"),
        (mesh.tools.id(), 1 << 1 | 1 << 3 | 1 << 6 | 1 << 8 | 1 << 21 | 1 << 31, "1"),
    ] {
        for set in ["CapPrm:", "CapEff:", "CapInh:"] {
            let held = u64::from_str_radix(&line(id, set), 16).unwrap();
            assert_eq!(held & !kept, 0_u64, "{set} of {id}");
        }
        assert_eq!(line(id, "NoNewPrivs:"), new_privileges);
        // The kernel gives what can be looked at in a process that is closed to others to root.
        assert_eq!(fs::metadata(format!("/proc/{id}/environ")).unwrap().uid(), 0);
    }
}
