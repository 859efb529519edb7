//! People steer tasks and nodes with commands: pause, cancel, fork, retry, upgrade, drain.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says clearly enough what it expected")]

use std::path::Path;

use remit_client::Fact;
use remit_tests::following::{AT_MOST, result, until};
use remit_tests::mesh::{Mesh, Via};
use remit_tests::typed::Typed;
use serde_json::json;

/// An effect, a long wait for input, and another effect.
const TWO_EFFECTS: &str = "export default async (remit) => {
    await remit.probe.append('one');
    const input = await remit.input();
    await remit.probe.append('two');
    return input;
}";

/// The same with another second effect.
const OTHER_SECOND: &str = "export default async (remit) => {
    await remit.probe.append('one');
    const input = await remit.input();
    await remit.probe.append('three');
    return input;
}";

/// Another first effect.
const OTHER_FIRST: &str = "export default async (remit) => {
    await remit.probe.append('zero');
    return 1;
}";

const fn input_is_asked(fact: &Fact) -> bool {
    matches!(fact, Fact::InputRequested { .. })
}

fn write(dir: &Path, name: &str, text: &str) -> String {
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_paused_task_stands_still_over_a_restart_and_goes_on_when_resumed() {
    let mut mesh = Mesh::start(1).await;
    let typed = Typed::new(&mesh).await;
    let task = mesh.task(TWO_EFFECTS, "").await;
    let id = task.id().to_string();
    until(&task, input_is_asked).await;
    typed.run(&["pause", &id, "--reason", "a look"]).await;
    mesh.orchestrator.kill();
    mesh.restart_orchestrator();
    task.send(remit_client::Value::Integer(7)).await.unwrap();
    let info = task.info().await.unwrap();
    assert_eq!(info.status, "paused");
    assert!(info.detail.contains("a look") && info.detail.contains("remit resume"), "{info:?}");
    assert_eq!(mesh.appended(), ["one"]);
    typed.run(&["resume", &id]).await;
    assert_eq!(result(&task).await, json!(7));
    assert_eq!(mesh.appended(), ["one", "two"]);
}

#[tokio::test]
async fn a_cancelled_task_hears_the_last_word_of_its_tool() {
    let mesh = Mesh::start(1).await;
    let typed = Typed::new(&mesh).await;
    let script = "export default (remit) => remit.probe.wait({ ms: 60000 })";
    let task = mesh.task(script, "").await;
    until(&task, |fact| matches!(fact, Fact::CallRequested(_))).await;
    let (_, said) = typed.run(&["cancel", &task.id().to_string()]).await;
    assert!(said.contains("cancelled"), "{said}");
    let events = until(&task, |fact| matches!(fact, Fact::TaskCancelled(_))).await;
    let names: Vec<&str> = events.iter().map(|event| event.fact.name()).collect();
    let at = |name: &str| names.iter().position(|known| *known == name).unwrap();
    assert!(at("cancel-requested") < at("call-completed"), "{names:?}");
    assert!(at("call-completed") < at("grant-revoked"), "{names:?}");
    assert!(at("grant-revoked") < at("task-cancelled"), "{names:?}");
}

#[tokio::test]
async fn a_fork_repeats_nothing_and_an_upgrade_takes_over_only_what_is_the_same() {
    let mesh = Mesh::start(2).await;
    let typed = Typed::new(&mesh).await;
    let task = mesh.task(TWO_EFFECTS, "").await;
    let id = task.id().to_string();
    until(&task, input_is_asked).await;

    let (forked, _) = typed.run(&["fork", &id]).await;
    let fork = mesh.client.task(forked.parse().unwrap());
    fork.send(remit_client::Value::Integer(1)).await.unwrap();
    assert_eq!(result(&fork).await, json!(1));
    assert_eq!(mesh.appended(), ["one", "two"], "the first effect is served from the past");

    let other = write(mesh.dir(), "other.ts", OTHER_FIRST);
    let said = typed.fail(&["upgrade", &id, &other]).await;
    assert!(said.contains("append"), "{said}");
    assert!(said.contains("one") && said.contains("zero"), "both calls are shown: {said}");
    let second = write(mesh.dir(), "second.ts", OTHER_SECOND);
    typed.run(&["upgrade", &id, &second, "--dry-run"]).await;
    typed.run(&["upgrade", &id, &second]).await;
    task.send(remit_client::Value::Integer(2)).await.unwrap();
    assert_eq!(result(&task).await, json!(2));
    assert_eq!(mesh.appended(), ["one", "two", "three"]);
}

#[tokio::test]
async fn a_failed_task_is_retried_from_the_call_that_failed() {
    let mesh = Mesh::start(1).await;
    let typed = Typed::new(&mesh).await;
    let script = "export default async (remit) => {
        await remit.probe.append('one');
        await remit.probe.echo(new Array(10));
        await remit.probe.nothing();
    }";
    let task = mesh.task(script, "").await;
    assert!(tokio::time::timeout(AT_MOST, task.result()).await.unwrap().is_err());
    let (retried, _) = typed.run(&["retry", &task.id().to_string()]).await;
    let retry = mesh.client.task(retried.parse().unwrap());
    assert!(tokio::time::timeout(AT_MOST, retry.result()).await.unwrap().is_err());
    assert_eq!(mesh.appended(), ["one"], "what went well is not done again");
}

#[tokio::test]
async fn a_drained_agent_node_hands_its_attempts_on() {
    let mesh = Mesh::start(2).await;
    let typed = Typed::new(&mesh).await;
    let task = mesh.task(TWO_EFFECTS, "").await;
    until(&task, input_is_asked).await;
    let node = task.info().await.unwrap().node;
    let (_, said) = typed.run(&["drain", &node, "--timeout", "100ms"]).await;
    assert!(said.contains("1 attempt moved"), "{said}");
    let (nodes, _) = typed.run(&["nodes"]).await;
    assert!(nodes.contains("draining"), "{nodes}");
    let moved =
        |fact: &Fact| matches!(fact, Fact::AttemptStarted { attempt, .. } if attempt.0 == 2);
    until(&task, moved).await;
    assert_ne!(task.info().await.unwrap().node, node);
    typed.run(&["drain", &node, "--undo"]).await;
    task.send(remit_client::Value::Integer(3)).await.unwrap();
    assert_eq!(result(&task).await, json!(3));
    assert_eq!(mesh.appended(), ["one", "two"]);
}

#[tokio::test]
async fn nodes_that_are_told_to_end_take_nothing_with_them() {
    let mut mesh = Mesh::start_with(2, Via::default(), "").await;
    let task = mesh.task(TWO_EFFECTS, "").await;
    until(&task, input_is_asked).await;
    let node = task.info().await.unwrap().node;
    let number = usize::from(node.ends_with("agents-1"));
    mesh.agents[number].terminate().await;
    let moved =
        |fact: &Fact| matches!(fact, Fact::AttemptStarted { attempt, .. } if attempt.0 == 2);
    let events = until(&task, moved).await;
    let said = events.iter().any(|event| {
        matches!(&event.fact, Fact::AttemptEnded { reason, .. } if reason.contains("drained"))
    });
    assert!(said, "{events:#?}");
    mesh.orchestrator.terminate().await;
    mesh.restart_orchestrator();
    task.send(remit_client::Value::Integer(4)).await.unwrap();
    assert_eq!(result(&task).await, json!(4));
    assert_eq!(mesh.appended(), ["one", "two"]);
}

#[tokio::test]
async fn what_takes_too_long_is_timed_out() {
    let mesh = Mesh::start(1).await;
    let mut spec = remit_client::TaskSpec::script(
        "slow",
        "export default async (remit) => { await remit.input() }",
    );
    spec.limits.task_ms = 1_500;
    let task = mesh.client.create_task(spec).await.unwrap();
    let failed = tokio::time::timeout(AT_MOST, task.result()).await.unwrap().unwrap_err();
    assert!(failed.to_string().contains("timed-out"), "{failed}");
}
