//! Calls whose end a tool node does not know, and calls that wait: what people and scripts are told,
//! whatever dies meanwhile.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says clearly enough what it expected")]

use remit_client::{
    CallNumber, EventNumber, Fact, GrantSpec, Settlement, TaskHandle, TaskSpec, Value,
};
use remit_tests::following::{result, until};
use remit_tests::looking::look_until;
use remit_tests::mesh::{Mesh, now_ms};
use serde_json::json;

fn is_named(name: &'static str) -> impl Fn(&Fact) -> bool {
    move |fact| fact.name() == name
}

/// How many calls have begun to wait in the tool.
fn waiting(mesh: &Mesh) -> u64 {
    let file = mesh.effects().with_file_name("waiting.txt");
    std::fs::metadata(file).map_or(0, |file| file.len())
}

/// A task whose one call waits in the tool for so many milliseconds.
async fn in_a_call(mesh: &Mesh, ms: u64, caveats: &str) -> TaskHandle {
    let before = waiting(mesh);
    let script = format!(
        "export default async (remit) =>
            remit.probe.wait({ms}).then(() => 'done', (e) => e.code)"
    );
    let task = mesh.task(&script, caveats).await;
    look_until("the call has begun", async || waiting(mesh) != before).await;
    task
}

async fn settle(task: &TaskHandle, settlement: Settlement) {
    until(task, is_named("settlement-requested")).await;
    task.settle(CallNumber(1), EventNumber(0), settlement).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_asked_about_a_call_whose_end_the_ledger_never_took() {
    let mesh = Mesh::start(1).await;
    let task = in_a_call(&mesh, 1_500, "").await;
    mesh.tools.bound_files(Some(1));
    let events = until(&task, is_named("call-unknown")).await;
    mesh.tools.bound_files(None);
    let Some(Fact::CallUnknown { reason, .. }) = events.last().map(|event| &event.fact) else {
        panic!("{events:?}");
    };
    assert!(reason.contains("the call succeeded") && reason.contains("mend the disk"), "{reason}");
    settle(&task, Settlement::Outcome(Value::Null)).await;
    assert_eq!(result(&task).await, json!("done"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_asked_about_a_call_in_the_middle_of_which_the_node_stopped() {
    let mut mesh = Mesh::start(1).await;
    let task = in_a_call(&mesh, 600_000, "").await;
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
