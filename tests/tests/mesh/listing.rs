//! What programs read of a mesh: lists and results as JSON; and what people are told while they
//! follow a task and the mesh is away.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says clearly enough what it expected")]

use std::io::{BufRead as _, BufReader};

use remit_client::{Fact, Value};
use remit_tests::binary;
use remit_tests::following::{AT_MOST, until};
use remit_tests::mesh::{Mesh, Via};
use remit_tests::typed::Typed;
use serde_json::{Value as Json, json};

/// A list, one object a line.
async fn list(typed: &Typed, command: &[&str]) -> Vec<Json> {
    let (shown, _) = typed.run(&[command, &["--json"]].concat()).await;
    shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_list_is_read_by_programs() {
    let mesh = Mesh::start(1).await;
    let typed = Typed::new(&mesh).await;
    let file = mesh.dir().join("double.ts");
    std::fs::write(&file, "export default async (remit, x) => x.map((n) => 2 * n)").unwrap();
    let input = mesh.dir().join("input.json");
    std::fs::write(&input, "[1, 20]").unwrap();
    let (file, input) = (file.to_str().unwrap(), format!("--input=@{}", input.display()));
    let (result, _) = typed.run(&["run", file, &input, "--grant", "p=probe?calls=3"]).await;
    assert_eq!(serde_json::from_str::<Json>(&result).unwrap(), json!([2, 40]));
    typed.run(&["trigger", "put", "nightly", "--cron", "@daily", file]).await;
    typed.run(&["save", "double", "--label", "kept"]).await;

    let task = &list(&typed, &["ps"]).await[0];
    assert_eq!((&task["name"], &task["status"]), (&json!("double"), &json!("completed")));
    let grant = &list(&typed, &["grants", "double"]).await[0];
    assert_eq!((&grant["tool"], &grant["caveats"]), (&json!("probe"), &json!(["calls=3"])));
    let nodes = list(&typed, &["nodes"]).await;
    assert!(nodes.iter().any(|node| node["role"] == "tool-node"), "{nodes:?}");
    let tools = list(&typed, &["tools"]).await;
    assert!(tools.iter().any(|tool| tool["manifest"]["tool"] == "probe"), "{tools:?}");
    assert!(list(&typed, &["who", "probe"]).await.is_empty(), "the task has ended");
    assert_eq!(list(&typed, &["trigger", "list"]).await[0]["when"]["cron"], "@daily");
    assert_eq!(list(&typed, &["refs", "list"]).await[0]["label"], "kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn grants_are_declared_for_an_editor() {
    let mesh = Mesh::start(1).await;
    let typed = Typed::new(&mesh).await;
    let dir = mesh.dir().join("made");
    let dir = dir.to_str().unwrap();
    typed.run(&["init", dir, "--grant", "p=probe?methods=readOnly"]).await;
    let types = std::fs::read_to_string(format!("{dir}/remit.d.ts")).unwrap();
    assert!(types.contains("readonly p: Grants.p."), "{types}");
    // The prelude above it has methods of these names too, such as `URLSearchParams.append`.
    let granted = types.split_once("declare namespace Grants.p").expect("a namespace for p").1;
    assert!(granted.contains("  look(") && !granted.contains("  append("), "{granted}");
    let (again, _) = typed.run(&["types", &format!("{dir}/main.ts")]).await;
    assert_eq!(again.trim_end(), types.trim_end());
    let (result, _) = typed.run(&["run", &format!("{dir}/main.ts"), "--input=7"]).await;
    assert_eq!(serde_json::from_str::<Json>(&result).unwrap(), json!({ "input": 7 }));
    let (shown, _) = typed.run(&["tools", "show", "probe"]).await;
    assert!(shown.contains("await remit.probe.look("), "{shown}");
    let (shown, _) = typed.run(&["tools", "show", "probe", "--types"]).await;
    assert!(shown.contains("declare namespace Grants.probe"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_is_printed_again_and_a_failure_with_its_exit_code() {
    let mesh = Mesh::start(1).await;
    let typed = Typed::new(&mesh).await;
    for (name, script) in [
        ("good", "export default () => ({ done: true })"),
        ("bad", "export default () => { throw new Error('no luck'); }"),
        ("open", "export default (remit) => remit.input()"),
    ] {
        let file = mesh.dir().join(format!("{name}.ts"));
        std::fs::write(&file, script).unwrap();
        typed.output(&["run", file.to_str().unwrap(), "--follow=false"]).await;
    }
    for (name, status) in [("good", "completed"), ("bad", "failed")] {
        let ended = async || {
            let tasks = list(&typed, &["ps"]).await;
            tasks.iter().any(|task| task["name"] == name && task["status"] == status)
        };
        remit_tests::looking::look_until(status, ended).await;
    }
    let (good, _) = typed.run(&["result", "good"]).await;
    assert_eq!(serde_json::from_str::<Json>(&good).unwrap(), json!({ "done": true }));
    assert!(typed.fail(&["result", "bad"]).await.contains("no luck"));
    assert!(typed.fail(&["result", "open"]).await.contains("remit attach"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_that_nothing_sets_off_is_said_to_be_so() {
    let mesh = Mesh::start_with(1, Via::default(), "").await;
    let typed = Typed::new(&mesh).await;
    let file = mesh.dir().join("x.ts");
    std::fs::write(&file, "export default () => 1").unwrap();
    let file = file.to_str().unwrap();
    let (_, note) = typed.run(&["trigger", "put", "door", "--webhook", file]).await;
    assert!(note.contains("takes no posts") && note.contains("REMIT_WEBHOOKS"), "{note}");
    let never = typed.fail(&["trigger", "put", "never", "--cron", "0 0 30 2 *", file]).await;
    assert!(never.contains("never comes"), "{never}");

    let home = mesh.dir().join("nothing-runs-here");
    let put = ["trigger", "put", "often", "--every", "10s", file];
    let mut command = std::process::Command::new(binary::remit());
    command.arg("--home").arg(&home).args(put).env_remove("REMIT_MESH");
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let note = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && note.contains("remit up"), "{note}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_is_told_when_the_mesh_is_away_and_when_it_is_back() {
    let mut mesh = Mesh::start(1).await;
    let typed = Typed::new(&mesh).await;
    let task = mesh.task("export default (remit) => remit.input()", "").await;
    until(&task, |fact| matches!(fact, Fact::InputRequested { .. })).await;
    let mut child = typed.start(&["attach", &task.id().to_string()]);
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let mut say = async |wanted: &'static str| {
        let found = tokio::task::block_in_place(|| lines.by_ref().find(|l| l.contains(wanted)));
        assert!(found.is_some(), "never said: {wanted}");
    };
    say("waits for input").await;
    mesh.orchestrator.kill();
    say("connection to the mesh is lost").await;
    mesh.restart_orchestrator();
    say("connected to the mesh again").await;
    tokio::time::timeout(AT_MOST, task.send(Value::Integer(7))).await.unwrap().unwrap();
    let output = tokio::task::block_in_place(|| child.wait_with_output()).unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), "7");
}

#[test]
fn lines_of_a_log_name_the_task_the_call_and_the_peer() {
    let dir = tempfile::tempdir().unwrap();
    let script = "export default async (remit) => await remit.f.list()";
    std::fs::write(dir.path().join("x.ts"), script).unwrap();
    let mut command = std::process::Command::new(binary::remit());
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    command.arg("--home").arg(home);
    command.args(["run", "x.ts", "--grant", "f=fs"]).current_dir(dir.path());
    command.env("REMIT_LOG_FORMAT", "json").env("REMIT_LOG", "info,remit_orchestrator=debug");
    command.env_remove("REMIT_MESH").env_remove("REMIT_HOME");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let log = std::fs::read_to_string(home.join("log/orchestrator.log")).unwrap();
    let lines: Vec<Json> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let about = |message: &str, span: &str| {
        let line = lines.iter().find(|line| line["message"] == message);
        let line = line.unwrap_or_else(|| panic!("no line says: {message}"));
        let spans = line["spans"].as_array().unwrap();
        spans.iter().find(|found| found["name"] == span).unwrap_or_else(|| panic!("{line}")).clone()
    };
    let task = about("task ended", "task")["task"].clone();
    let call = about("call ended", "call");
    assert_eq!((&call["task"], &call["call"], &call["method"]), (&task, &json!(1), &json!("list")));
    let peer = about("task created", "connection")["peer"].clone();
    assert!(peer.as_str().unwrap().ends_with("/client/local"), "{peer}");
}
