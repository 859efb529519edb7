//! Members as people type of them: narrowed, expelled, and back again.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says clearly enough what it expected")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use remit_tests::binary;
use remit_tests::mesh::Mesh;
use remit_tests::typed::Typed;
use serde_json::Value as Json;

#[tokio::test(flavor = "multi_thread")]
async fn narrowed_member_is_listed_with_its_caveats_and_creates_no_other_task() {
    let mesh = Mesh::start(1).await;
    let admin = Typed::new(&mesh).await;
    let narrowed = ["--caveat", "create.arg.tools.*?=oneOf:fs", "--caveat", "until=1h"];
    let bob = Typed::with(&mesh, "bob", remit_client::Facets::MEMBER).await;
    let set = [&["members", "authorize", "bob", "create,own"][..], &narrowed].concat();
    admin.run(&set).await;
    let (listed, _) = admin.run(&["members", "--json"]).await;
    let members = listed.lines().map(|line| serde_json::from_str::<Json>(line).unwrap());
    let named = |member: &Json| member["identity"].as_str().unwrap().ends_with("/bob");
    let listed = members.into_iter().find(named).unwrap();
    assert_eq!(listed["caveats"][0], "create.arg.tools.*?=oneOf:fs");
    assert_eq!(listed["caveats"].as_array().unwrap().len(), 2);
    let (shown, _) = admin.run(&["members"]).await;
    assert!(shown.contains("create.arg.tools"), "{shown}");
    let script = mesh.dir().join("one.ts");
    std::fs::write(&script, "export default () => 1").unwrap();
    let script = script.to_str().unwrap();
    let refused = bob.fail(&["run", script, "--grant", "tool=probe"]).await;
    assert!(refused.contains("narrowed by `create.arg.tools.*?=oneOf:fs`"), "{refused}");
    assert_eq!(bob.run(&["run", script]).await.0, "1");
    let refused = bob.fail(&["members"]).await;
    assert!(refused.contains("takes `members`, and you were given create,own"), "{refused}");
    let mistyped = ["invite", "--role", "client", "--name", "eve", "--caveat", "untl=1h"];
    assert!(admin.fail(&mistyped).await.contains("is no caveat"));
}

/// The mesh of a folder, run by a process of its own until this is dropped.
struct Up(Child);

impl Up {
    fn start(home: &Path) -> Self {
        let mut command = Command::new(binary::remit());
        command.arg("--home").arg(home).arg("up").stdin(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let ready = lines.map_while(Result::ok).find(|line| line.contains(" runs at "));
        assert!(ready.is_some(), "it ended before it was ready");
        Self(child)
    }

    /// Ends it, and waits until it has ended.
    fn stop(mut self) {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

fn remit(home: &Path, args: &[&str]) -> Output {
    Command::new(binary::remit()).arg("--home").arg(home).args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap().trim().to_owned()
}

#[test]
fn client_of_a_folder_that_was_expelled_is_told_so_and_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let (home, boss) = (dir.path().join("home"), dir.path().join("boss"));
    let up = Up::start(&home);
    let invite = ["invite", "--role", "client", "--name", "boss", "--may", "admin"];
    let line = text(&remit(&home, &invite).stdout);
    let joined = remit(&boss, &["join", &line]);
    assert!(joined.status.success(), "{joined:?}");
    let told = text(&joined.stderr);
    let address = told.split("--mesh ").nth(1).unwrap().split(' ').next().unwrap();
    let expelled = remit(&boss, &["--mesh", address, "expel", "local", "--reason", "left"]);
    // A client and two nodes have the name.
    let told = text(&expelled.stderr);
    assert!(told.contains("say which one"), "{told}");
    let local = "spiffe://home/default/client/local";
    let expelled = remit(&boss, &["--mesh", address, "expel", local, "--reason", "left"]);
    assert!(expelled.status.success(), "{expelled:?}");
    for command in [&["ps"][..], &["invite", "--role", "client", "--name", "eve"]] {
        let refused = remit(&home, command);
        let told = text(&refused.stderr);
        assert!(!refused.status.success() && told.contains("was expelled"), "{command:?}: {told}");
        let way_back = format!("remove {}", home.join("client").display());
        assert!(told.contains(&way_back), "{command:?}: {told}");
    }
    up.stop();
    // Also where the command itself would run the mesh.
    let told = text(&remit(&home, &["ps"]).stderr);
    assert!(told.contains("was expelled"), "{told}");
    std::fs::remove_dir_all(home.join("client")).unwrap();
    let back = remit(&home, &["members"]);
    assert!(back.status.success(), "{back:?}");
    assert!(text(&back.stdout).contains("client/local"), "{back:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn peer_that_is_cut_off_is_in_the_audit() {
    let mesh = Mesh::start(1).await;
    let admin = Typed::new(&mesh).await;
    let folder = mesh.dir().join("client");
    let local = tokio::task::LocalSet::new();
    let attack = remit_tests::attacks::clients::give_too_many_objects(mesh.address(), &folder);
    let why = local.run_until(attack).await;
    assert!(why.contains("4097 objects"), "{why}");
    let recorded = async || {
        let (audit, _) = admin.run(&["audit", "--decision", "cut-off", "--json"]).await;
        audit.contains("spiffe://home/default/client/") && audit.contains("4097 objects")
    };
    remit_tests::looking::look_until("the audit has it", recorded).await;
    let doctor = admin.output(&["doctor"]).await;
    assert!(String::from_utf8_lossy(&doctor.stdout).contains("1 connection ended over a bound"));
}
