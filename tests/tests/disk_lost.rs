//! A disk that becomes read-only or inaccessible: no acknowledged work is lost, new work is refused
//! with the reason, and the orchestrator recovers without a restart.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says clearly enough what it expected")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use remit_client::{Fact, Value};
use remit_tests::following::{AT_MOST, until};
use remit_tests::looking::look_for;
use remit_tests::mesh::Mesh;
use remit_tests::outage::{bulky, goes_on};
use remit_tests::process::without_privileges;

/// Has an effect, waits for input, and has another effect.
const SCRIPT: &str = "export default async (remit) => {
    await remit.probe.append('before');
    const input = await remit.input();
    await remit.probe.append('after');
    return input;
}";

/// A folder that its owner cannot enter. Dropping this opens it again.
struct Barred(PathBuf);

impl Barred {
    fn bar(dir: &Path) -> Self {
        set_mode(dir, 0o000);
        Self(dir.to_owned())
    }
}

impl Drop for Barred {
    fn drop(&mut self) {
        set_mode(&self.0, 0o700);
    }
}

fn set_mode(dir: &Path, mode: u32) {
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// A folder mounted read-only. Dropping this unmounts it.
struct ReadOnly(PathBuf);

impl ReadOnly {
    /// Returns `None`, and prints so, where this process is not permitted to mount.
    fn mount(dir: &Path) -> Option<Self> {
        for options in ["bind", "remount,bind,ro"] {
            let mounted = Command::new("mount").args(["-o", options]).args([dir, dir]).output();
            if !mounted.as_ref().is_ok_and(|output| output.status.success()) {
                eprintln!("skipped: mounting a folder read-only is not permitted ({mounted:?})");
                return None;
            }
        }
        Some(Self(dir.to_owned()))
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "unmounting {:?}", self.0);
    }
}

/// The size of a program that is large enough to be stored in a file of its own.
const LARGE: u64 = 400_000;

/// `cause` makes the journal fail until its result is dropped. The orchestrator must refuse work
/// with a message that contains `why`, and recover after the drop.
async fn orchestrator_outlives<C>(cause: impl FnOnce(&Path) -> Option<C>, why: &str) {
    without_privileges();
    let mesh = Mesh::start(1).await;
    let waiting = mesh.task(SCRIPT, "").await;
    until(&waiting, |fact| matches!(fact, Fact::InputRequested { .. })).await;
    let acknowledged = mesh.client.create_task(bulky(1, LARGE)).await.unwrap().id();

    let Some(cause) = cause(&mesh.dir().join("orchestrator/journal")) else { return };
    let refused = mesh.client.create_task(bulky(2, LARGE)).await.unwrap_err().to_string();
    assert!(refused.contains(why), "{refused}");
    assert!(refused.contains("mend the disk"), "{refused}");
    let health = mesh.client.health().await.unwrap();
    assert!(health.journal.contains(why), "{}", health.journal);
    // Small and large work, on existing and on new tasks.
    let refused = waiting.send(Value::Text("lost".into())).await.unwrap_err().to_string();
    assert!(refused.contains("journal") || refused.contains("write"), "{refused}");

    drop(cause);
    goes_on(&mesh, &waiting, &[acknowledged]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orchestrator_outlives_a_disk_that_may_only_be_read() {
    orchestrator_outlives(ReadOnly::mount, "Read-only file system").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orchestrator_outlives_a_folder_that_it_may_not_enter() {
    orchestrator_outlives(|dir| Some(Barred::bar(dir)), "Permission denied").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_wait_for_a_ledger_that_cannot_be_written() {
    without_privileges();
    let mesh = Mesh::start(1).await;
    for method in ["append", "careful"] {
        let script = SCRIPT.replace("append('after", &format!("{method}('after"));
        let waiting = mesh.task(&script, "").await;
        until(&waiting, |fact| matches!(fact, Fact::InputRequested { .. })).await;
        let barred = Barred::bar(&mesh.dir().join("tools/ledger"));
        waiting.send(Value::Text("here".into())).await.unwrap();
        let seen = until(&waiting, |fact| matches!(fact, Fact::CallUnknown { .. })).await;
        let unknown = seen.last().map(|event| &event.fact);
        let Some(Fact::CallUnknown { reason, .. }) = unknown else { panic!("{unknown:?}") };
        assert!(reason.contains("ledger") && reason.contains("Permission denied"), "{reason}");
        let before = mesh.appended();
        assert_eq!(before.last().map(String::as_str), Some("before"), "{method}: nothing was done");

        drop(barred);
        let result = tokio::time::timeout(AT_MOST, waiting.result()).await;
        assert_eq!(result.unwrap().unwrap(), Value::Text("here".into()), "{method}");
        assert_eq!(mesh.appended().last().map(String::as_str), Some("after"), "{method}");
        assert_eq!(mesh.appended().len(), before.len() + 1, "{method}: once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_waits_for_a_ledger_that_cannot_be_written() {
    without_privileges();
    let mesh = Mesh::start(1).await;
    let task = mesh.task("export default (remit) => remit.probe.wait(2000)", "").await;
    until(&task, |fact| matches!(fact, Fact::CallRequested(_))).await;
    look_for("the call has begun", async || {
        let nodes = mesh.client.nodes().await.unwrap();
        nodes.into_iter().find(|node| node.role == "tool-node" && node.load == 1)
    })
    .await;
    let barred = Barred::bar(&mesh.dir().join("tools/ledger"));
    let log = mesh.dir().join("tools.log");
    look_for("its outcome waits", async || {
        std::fs::read_to_string(&log).unwrap().contains("waits for the ledger").then_some(())
    })
    .await;
    drop(barred);
    let result = tokio::time::timeout(AT_MOST, task.result()).await;
    assert_eq!(result.unwrap().unwrap(), Value::Null);
}
