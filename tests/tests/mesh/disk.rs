//! What a mesh of real processes keeps: through a disk that fails, in a backup, under a check.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says clearly enough what it expected")]

use std::path::Path;
use std::process::{Command, Output};

use remit_client::{Fact, TaskFilter, Value};
use remit_store::Disk;
use remit_tests::binary;
use remit_tests::following::until;
use remit_tests::looking::look_for;
use remit_tests::mesh::Mesh;
use remit_tests::outage::{bulky, goes_on};

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_takes_no_more_refuses_work_and_goes_on_when_it_does() {
    let mesh = Mesh::start(1).await;
    let script = "export default async (remit) => {
        const first = await remit.probe.append('before');
        const input = await remit.input();
        await remit.probe.append('after');
        return input;
    }";
    let waiting = mesh.task(script, "").await;
    until(&waiting, |fact| matches!(fact, Fact::InputRequested { .. })).await;
    let mut acknowledged = vec![mesh.client.create_task(bulky(0, 200_000)).await.unwrap().id()];
    // Less than the head of a segment of the log.
    mesh.orchestrator.bound_files(Some(16));
    let why = loop {
        match mesh.client.create_task(bulky(acknowledged.len() as u64, 200_000)).await {
            Ok(task) => acknowledged.push(task.id()),
            Err(refused) => break refused.to_string(),
        }
        assert!(acknowledged.len() < 1_000, "the bound does not bind");
    };
    assert!(why.contains("mend the disk") || why.contains("being opened"), "{why}");
    let health = mesh.client.health().await.unwrap();
    assert_ne!(health.journal, "ok");
    let halted = TaskFilter { status: "halted".into(), after: None, limit: 9 };
    let halted = mesh.client.tasks(halted).await.unwrap();
    assert!(halted.iter().all(|task| task.detail.contains("journal")), "{halted:?}");
    let refused = waiting.send(Value::Text("lost".into())).await.unwrap_err().to_string();
    assert!(refused.contains("journal") || refused.contains("write"), "{refused}");

    mesh.orchestrator.bound_files(None);
    goes_on(&mesh, &waiting, &acknowledged).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_takes_no_more_ends_no_process() {
    let mut mesh = Mesh::start(1).await;
    mesh.orchestrator.kill();
    mesh.tools.kill();
    mesh.restart_logging_to(Path::new("/dev/full")).await;
    look_for("the tool is back", async || mesh.probe().await.filter(|tool| tool.available)).await;
    let task = mesh.task("export default (remit) => remit.probe.append('unlogged')", "").await;
    task.result().await.unwrap();
    assert_eq!(mesh.appended(), ["unlogged"]);
}

fn remit(mesh: &Mesh, args: &[&str]) -> Output {
    let home = mesh.dir().join("home");
    Command::new(binary::remit()).arg("--home").arg(home).args(args).output().unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_is_backed_up_restored_and_checked_from_the_command_line() {
    let mut mesh = Mesh::start(1).await;
    let done = mesh.task("export default (remit) => remit.probe.append('once')", "").await;
    done.result().await.unwrap();
    mesh.client.create_task(bulky(1, 200_000)).await.unwrap();
    // Live, through a mesh that works.
    let (sender, mut pieces) = tokio::sync::mpsc::channel(2);
    let (live, kept) = tokio::join!(
        async {
            let mut all = Vec::new();
            while let Some(piece) = pieces.recv().await {
                all.extend(piece);
            }
            all
        },
        mesh.client.backup(sender)
    );
    let kept = kept.unwrap();
    // The large value, and the manifest of the tool that both tasks hold.
    assert_eq!((kept.tasks, kept.bodies), (2, 2));
    let (checked, damaged) = mesh.client.verify().await.unwrap();
    assert_eq!((checked, damaged), (kept, Vec::new()));

    mesh.orchestrator.kill();
    let (data, file) = (mesh.dir().join("orchestrator"), mesh.dir().join("all.backup"));
    let backed_up = remit(&mesh, &["backup", text(&file), "--data", text(&data)]);
    assert!(backed_up.status.success(), "{backed_up:?}");
    assert!(std::fs::read(&file).unwrap() == live, "nothing happened in between");
    let again = remit(&mesh, &["backup", text(&file), "--data", text(&data)]);
    assert_eq!(again.status.code(), Some(2), "it does not overwrite: {again:?}");
    let refused = remit(&mesh, &["restore", text(&file), "--data", text(&data)]);
    assert_eq!(refused.status.code(), Some(1), "there is a journal: {refused:?}");

    let other = mesh.dir().join("other");
    let restored = remit(&mesh, &["restore", text(&file), "--data", text(&other)]);
    assert!(restored.status.success(), "{restored:?}");
    let whole = remit(&mesh, &["verify", "--data", text(&other)]);
    assert!(whole.status.success(), "{whole:?}");
    assert!(String::from_utf8_lossy(&whole.stdout).contains("ok: 2 tasks"), "{whole:?}");
    {
        let disk = Disk::open(&other.join("journal"), 8 << 20).unwrap();
        let (key, _) = disk.scan(b"e", b"e", 1).unwrap().remove(0);
        disk.commit(vec![(key, None)]).await.unwrap();
    }
    let spoilt = remit(&mesh, &["verify", "--data", text(&other)]);
    assert_eq!(spoilt.status.code(), Some(1));
    let said = String::from_utf8_lossy(&spoilt.stdout);
    assert!(said.contains("DAMAGED") && said.contains("missing"), "{said}");

    // In the place of the old journal, the mesh goes on with it.
    std::fs::rename(data.join("journal"), data.join("old")).unwrap();
    let restored = remit(&mesh, &["restore", text(&file), "--data", text(&data)]);
    assert!(restored.status.success(), "{restored:?}");
    mesh.restart_orchestrator();
    look_for("the mesh is back", async || mesh.client.health().await.ok()).await;
    assert!(done.result().await.is_ok());
    assert_eq!(mesh.appended(), ["once"]);
}

/// The last segment of a store's log.
fn last_segment(journal: &Path) -> std::path::PathBuf {
    let segments = std::fs::read_dir(journal.join("log")).unwrap();
    segments.map(|entry| entry.unwrap().path()).max().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_lost_its_last_write_is_not_used_until_a_person_says_so() {
    let mut mesh = Mesh::start(1).await;
    let done = mesh.task("export default (remit) => remit.probe.append('once')", "").await;
    done.result().await.unwrap();
    mesh.orchestrator.kill();
    let data = mesh.dir().join("orchestrator");
    let segment = last_segment(&data.join("journal"));
    let bytes = std::fs::read(&segment).unwrap();
    std::fs::write(&segment, &bytes[..bytes.len() - 1]).unwrap();

    let said = |output: &Output| {
        let (out, err) = (&output.stdout, &output.stderr);
        format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(err))
    };
    let refused = remit(&mesh, &["backup", text(&mesh.dir().join("b")), "--data", text(&data)]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(said(&refused).contains("damaged"), "{refused:?}");
    // Looking changes nothing.
    for _ in 0..2 {
        let found = remit(&mesh, &["verify", "--data", text(&data)]);
        assert_eq!(found.status.code(), Some(1), "{found:?}");
        let found = said(&found);
        assert!(found.contains("DAMAGED") && found.contains("1 tasks"), "it looked: {found}");
        assert!(found.contains("the last ones, are missing"), "{found}");
        assert!(found.contains("--accept-loss") && found.contains("remit restore"), "{found}");
    }
    let accepted = remit(&mesh, &["verify", "--data", text(&data), "--accept-loss"]);
    assert!(accepted.status.success(), "{accepted:?}");
    let whole = remit(&mesh, &["verify", "--data", text(&data)]);
    assert!(whole.status.success(), "{whole:?}");
    let compacted = remit(&mesh, &["compact", "--data", text(&data)]);
    assert!(said(&compacted).contains("KiB after"), "{compacted:?}");
    let whole = remit(&mesh, &["verify", "--data", text(&data)]);
    assert!(whole.status.success(), "{whole:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_commit_stops_the_task_that_it_was_about_and_no_other() {
    let mut mesh = Mesh::start(1).await;
    let script = "export default (remit) => remit.input()";
    let (hit, other) = (mesh.task(script, "").await, mesh.task(script, "").await);
    for task in [&hit, &other] {
        until(task, |fact| matches!(fact, Fact::InputRequested { .. })).await;
    }
    hit.send(Value::Text("one".into())).await.unwrap();
    hit.result().await.unwrap();
    mesh.orchestrator.kill();
    let data = mesh.dir().join("orchestrator");
    let segment = last_segment(&data.join("journal"));
    let bytes = std::fs::read(&segment).unwrap();
    std::fs::write(&segment, &bytes[..bytes.len() - 1]).unwrap();

    mesh.restart_orchestrator();
    let halted = look_for("the task is halted", async || {
        let filter = TaskFilter { status: "halted".into(), after: None, limit: 9 };
        mesh.client.tasks(filter).await.ok()?.into_iter().find(|task| task.id == hit.id())
    })
    .await;
    assert!(halted.detail.contains("the journal lost"), "{halted:?}");
    let health = mesh.client.health().await.unwrap();
    assert!(health.damage[0].contains(&hit.id().to_string()), "{:?}", health.damage);
    let refused = hit.send(Value::Text("two".into())).await.unwrap_err().to_string();
    assert!(refused.contains("--accept-loss"), "{refused}");
    mesh.until_nodes_are_there().await;
    other.send(Value::Text("two".into())).await.unwrap();
    assert_eq!(other.result().await.unwrap(), Value::Text("two".into()));

    mesh.orchestrator.kill();
    let accepted = remit(&mesh, &["verify", "--data", text(&data), "--accept-loss"]);
    let said = String::from_utf8_lossy(&accepted.stderr);
    assert!(accepted.status.success() && said.contains(&hit.id().to_string()), "{accepted:?}");
    mesh.restart_orchestrator();
    look_for("the mesh is back", async || mesh.client.health().await.ok()).await;
    assert_eq!(mesh.client.health().await.unwrap().damage, Vec::<String>::new());
    hit.result().await.unwrap();
}
