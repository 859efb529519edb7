//! Calls whose end a tool node does not know, and calls that wait: what people and scripts are told,
//! whatever dies meanwhile.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says clearly enough what it expected")]

use std::time::Duration;

use remit_client::{
    CallNumber, EventNumber, Fact, GrantSpec, Settlement, TaskHandle, TaskSpec, Value,
};
use remit_tests::following::{result, until};
use remit_tests::mesh::{Mesh, now_ms};
use serde_json::json;

fn is_named(name: &'static str) -> impl Fn(&Fact) -> bool {
    move |fact| fact.name() == name
}

/// Waits until the tool node is in the middle of a call.
async fn until_called(mesh: &Mesh, task: &TaskHandle) {
    until(task, is_named("call-requested")).await;
    let busy = |nodes: Vec<remit_client::NodeInfo>| nodes.iter().any(|node| node.load > 0);
    while !busy(mesh.client.nodes().await.unwrap()) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A task with a call whose end the tool node cannot write down.
async fn with_failing_ledger(mesh: &Mesh, policy: &str) -> TaskHandle {
    let script = "export default async (remit) =>
        remit.probe.wait(1500).then(() => 'done', (e) => e.code)";
    let task = mesh.task(script, policy).await;
    until_called(mesh, &task).await;
    mesh.tools.bound_files(Some(1));
    until(&task, is_named("call-unknown")).await;
    mesh.tools.bound_files(None);
    task
}

async fn settle(task: &TaskHandle, settlement: Settlement) {
    until(task, is_named("settlement-requested")).await;
    task.settle(CallNumber(1), EventNumber(0), settlement).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_end_the_ledger_did_not_take_is_settled_as_its_grant_says() {
    let mesh = Mesh::start(1).await;
    let task = with_failing_ledger(&mesh, "").await;
    settle(&task, Settlement::Outcome(Value::Null)).await;
    assert_eq!(result(&task).await, json!("done"));
    let task = with_failing_ledger(&mesh, "?onUnknown=fail").await;
    assert_eq!(result(&task).await, json!("unknown"));
    let task = with_failing_ledger(&mesh, "?onUnknown=retry").await;
    assert_eq!(result(&task).await, json!("done"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_asked_about_a_call_in_the_middle_of_which_the_node_stopped() {
    let mut mesh = Mesh::start(1).await;
    let script = "export default async (remit) =>
        remit.probe.wait(600000).then(() => 'done', (e) => e.code)";
    let task = mesh.task(script, "").await;
    until_called(&mesh, &task).await;
    // It waits for its calls, but not for as long as this one takes.
    mesh.tools.terminate().await;
    until(&task, is_named("call-unknown")).await;
    mesh.restart_tools().await;
    settle(&task, Settlement::Abandon).await;
    assert_eq!(result(&task).await, json!("unknown"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loop_over_inputs_gets_each_once_whatever_dies() {
    let mut mesh = Mesh::start(1).await;
    let script = "export default async (remit) => {
        const got = [];
        for await (const message of remit.inputs()) {
            if (message === 'enough') break;
            got.push(message);
            await remit.probe.append(message);
        }
        return [got, await remit.input()];
    }";
    let task = mesh.task(script, "?onUnknown=retry").await;
    let send = async |text: &str| task.send(Value::Text(text.into())).await.unwrap();
    send("one").await;
    until(&task, is_named("call-completed")).await;
    mesh.agents[0].kill();
    send("two").await;
    send("three").await;
    mesh.restart_agent(0).await;
    mesh.orchestrator.kill();
    mesh.restart_orchestrator();
    send("enough").await;
    send("and more").await;
    assert_eq!(result(&task).await, json!([["one", "two", "three"], "and more"]));
    assert_eq!(mesh.appended(), ["one", "two", "three"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parent_hears_of_each_event_of_its_helper_without_looking_in_vain() {
    let mut mesh = Mesh::start(1).await;
    let script = "export default async (remit) => {
        const helper = remit.spawn({ export: 'helper' });
        const seen = [];
        let empty = 0;
        for (let after = 0, some; ; after = some.at(-1).number) {
            some = await helper.events(after);
            if (some.length === 0) { empty++; break; }
            seen.push(...some.map((e) => e.number));
        }
        const inOrder = seen.every((number, at) => number === at + 1);
        return [inOrder, empty, await helper.result()];
    }
    export async function helper(remit) { return remit.input(); }";
    let tasks = GrantSpec::parse("tasks", "tasks", now_ms()).unwrap();
    let spec = TaskSpec::script("parent", script).grant(tasks);
    let task = mesh.client.create_task(spec).await.unwrap();
    let helper = loop {
        let filter = remit_client::TaskFilter { status: String::new(), after: None, limit: 9 };
        let all = mesh.client.tasks(filter).await.unwrap();
        if let Some(helper) = all.into_iter().find(|other| other.id != task.id()) {
            break mesh.client.task(helper.id);
        }
    };
    until(&helper, is_named("input-requested")).await;
    mesh.orchestrator.kill();
    mesh.restart_orchestrator();
    helper.send(Value::Text("go".into())).await.unwrap();
    assert_eq!(result(&task).await, json!([true, 1, "go"]));
    let calls = until(&task, is_named("task-completed")).await;
    let calls = calls.iter().filter(|event| event.fact.name() == "call-requested").count();
    assert!(calls < 30, "it asked {calls} times");
}
