//! What else people type, end to end: triggers, forks and upgrades at a point, steers, cancelling a
//! family; and what the memo saves.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says clearly enough what it expected")]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use remit_client::{Event, Fact, GrantSpec, TaskFilter, TaskHandle, TaskSpec, Value};
use remit_core::Outcome;
use remit_tests::following::{AT_MOST, result, until};
use remit_tests::looking::{look_for, look_until};
use remit_tests::mesh::{Mesh, Via, now_ms};
use remit_tests::typed::Typed;
use serde_json::json;

/// Two effects, and then input.
const TWO_THEN_INPUT: &str = "export default async (remit) => {
    await remit.probe.append('one');
    await remit.probe.append('two');
    return await remit.input();
}";

fn write(mesh: &Mesh, name: &str, text: &str) -> String {
    let path = mesh.dir().join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

const fn input_is_asked(fact: &Fact) -> bool {
    matches!(fact, Fact::InputRequested { .. })
}

/// The number of the event that completed a call of this number.
fn completed(events: &[Event], number: u64) -> u64 {
    let is =
        |event: &&Event| matches!(event.fact, Fact::CallCompleted { call, .. } if call.0 == number);
    events.iter().find(is).unwrap().number.0
}

async fn named(mesh: &Mesh, name: &str) -> Option<TaskHandle> {
    let tasks =
        mesh.client.tasks(TaskFilter { limit: 100, ..TaskFilter::default() }).await.unwrap();
    let found = tasks.iter().find(|task| task.name == name)?;
    Some(mesh.client.task(found.id))
}

/// The task of this name, when it is there.
async fn come(mesh: &Mesh, name: &str) -> TaskHandle {
    look_for(name, async || named(mesh, name).await).await
}

/// Posts JSON to a webhook; the status line of the answer.
fn post(address: &str, name: &str, secret: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    write!(
        stream,
        "POST /hooks/{name} HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer {secret}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.lines().next().unwrap_or_default().to_owned()
}

/// An address where nobody listens yet.
fn free_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn triggers_are_put_listed_set_off_and_removed() {
    let hooks = free_address();
    let mesh = Mesh::start_with(1, Via::default(), &format!("webhooks = \"{hooks}\"")).await;
    let typed = Typed::new(&mesh).await;
    let (none, note) = typed.run(&["trigger", "list"]).await;
    assert!(none.is_empty() && note.contains("no triggers"), "{none} {note}");

    let script = write(&mesh, "tick.ts", "export default (remit, input) => input");
    let input = ["--input", "\"ticked\"", "--name", "tick"];
    typed.run(&[&["trigger", "put", "often", "--every", "1s", &script][..], &input].concat()).await;
    assert_eq!(result(&come(&mesh, "tick").await).await, json!("ticked"));

    let waiting = mesh.task("export default (remit) => remit.input()", "").await;
    let id = waiting.id().to_string();
    let (secret, _) = typed.run(&["trigger", "put", "door", "--webhook", "--send", &id]).await;
    let refused = post(&hooks, "door", "guess", "1");
    assert!(refused.contains(" 404 ") || refused.contains(" 401 "), "{refused}");
    let taken = post(&hooks, "door", &secret, r#"{"knock":2}"#);
    assert!(taken.contains(" 20"), "{taken}");
    assert_eq!(result(&waiting).await, json!({ "knock": 2 }));

    let (listed, _) = typed.run(&["trigger", "list"]).await;
    assert!(listed.contains("every 1") && listed.contains("creates tick"), "{listed}");
    assert!(listed.contains("webhook") && listed.contains(&id), "{listed}");
    assert!(!listed.contains(&secret), "a secret is shown once: {listed}");
    typed.run(&["trigger", "remove", "often"]).await;
    typed.run(&["trigger", "remove", "door"]).await;
    let missing = typed.fail(&["trigger", "remove", "door"]).await;
    assert!(missing.contains("no trigger `door`"), "{missing}");
    let gone = post(&hooks, "door", &secret, "3");
    assert!(gone.contains(" 404 ") || gone.contains(" 401 "), "{gone}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_at_an_event_does_anew_what_came_after_it() {
    let mesh = Mesh::start(2).await;
    let typed = Typed::new(&mesh).await;
    let task = mesh.task(TWO_THEN_INPUT, "").await;
    let events = until(&task, input_is_asked).await;
    let first = completed(&events, 1).to_string();
    let (forked, _) = typed.run(&["fork", &task.id().to_string(), "--at", &first]).await;
    let fork = mesh.client.task(forked.parse().unwrap());
    fork.send(Value::Integer(1)).await.unwrap();
    assert_eq!(result(&fork).await, json!(1));
    assert_eq!(mesh.appended(), ["one", "two", "two"]);
    let beyond = typed.fail(&["fork", &task.id().to_string(), "--at", "999"]).await;
    assert!(beyond.contains("999"), "{beyond}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_at_an_event_repeats_an_effect_only_when_it_is_named() {
    let mesh = Mesh::start(2).await;
    let typed = Typed::new(&mesh).await;
    let task = mesh.task(TWO_THEN_INPUT, "").await;
    let events = until(&task, input_is_asked).await;
    let (id, first) = (task.id().to_string(), completed(&events, 1).to_string());
    let other = write(&mesh, "other.ts", &TWO_THEN_INPUT.replace("two", "three"));
    let at = ["upgrade", &id, &other, "--at", &first];
    let refused = typed.fail(&at).await;
    assert!(refused.contains("--again") || refused.contains("again"), "{refused}");
    assert_eq!(mesh.appended(), ["one", "two"], "nothing is done by a refusal");
    typed.run(&[&at[..], &["--again", "2"]].concat()).await;
    task.send(Value::Integer(2)).await.unwrap();
    assert_eq!(result(&task).await, json!(2));
    assert_eq!(mesh.appended(), ["one", "two", "three"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_repeats_what_may_not_be_done_twice_only_when_it_is_named() {
    let mesh = Mesh::start(1).await;
    let typed = Typed::new(&mesh).await;
    // The failure is recorded while an effect that comes after it in time is on its way.
    let script = "export default async (remit) => {
        const failing = remit.probe.nothing().catch((error) => error);
        await failing;
        await remit.probe.append('after');
        throw await failing;
    }";
    let task = mesh.task(script, "").await;
    assert!(tokio::time::timeout(AT_MOST, task.result()).await.unwrap().is_err());
    let id = task.id().to_string();
    let refused = typed.fail(&["retry", &id]).await;
    assert!(refused.contains("append") || refused.contains("again"), "{refused}");
    assert_eq!(mesh.appended(), ["after"]);
    let (retried, _) = typed.run(&["retry", &id, "--again", "2"]).await;
    let retry = mesh.client.task(retried.parse().unwrap());
    assert!(tokio::time::timeout(AT_MOST, retry.result()).await.unwrap().is_err());
    assert_eq!(mesh.appended(), ["after", "after"]);
    assert_eq!(task.info().await.unwrap().status, "failed", "an end is an end");
}

#[tokio::test(flavor = "multi_thread")]
async fn steers_are_handed_over_together_and_leave_the_queue_alone() {
    let mut mesh = Mesh::start(1).await;
    let typed = Typed::new(&mesh).await;
    let script = "export default async (remit) => {
        await remit.probe.append('held');
        const steers = await remit.steers();
        const none = await remit.steers();
        return { queued: await remit.input(), steers, none };
    }";
    let task = mesh.task(script, "?requiresApproval=append").await;
    let id = task.id().to_string();
    until(&task, |fact| matches!(fact, Fact::ApprovalRequested(_))).await;
    for steer in ["\"left\"", "\"right\""] {
        typed.run(&["send", &id, steer, "--steer"]).await;
    }
    // The same once more: it is one input.
    for _ in 0..2 {
        typed.run(&["send", &id, "\"on\"", "--steer", "--key", "mine"]).await;
    }
    mesh.orchestrator.kill();
    mesh.restart_orchestrator();
    typed.run(&["send", &id, "7"]).await;
    typed.run(&["approve", &id, "1"]).await;
    let expected = json!({ "queued": 7, "steers": ["left", "right", "on"], "none": [] });
    assert_eq!(result(&task).await, expected);
    let events = until(&task, |fact| matches!(fact, Fact::TaskCompleted(_))).await;
    let handed = events.iter().filter_map(|event| match &event.fact {
        Fact::SteersDelivered { inputs, .. } => Some(inputs.len()),
        _ => None,
    });
    assert_eq!(handed.collect::<Vec<_>>(), [3, 0], "together, and once");
}

/// A parent with a call in flight, and its child with one that takes so long to end.
async fn family(mesh: &Mesh, linger_ms: u64) -> TaskHandle {
    let script = format!(
        "export default async (remit) => {{
            const {{ probe }} = remit;
            const child = remit.spawn({{ export: 'leaf', name: 'leaf', grants: {{ probe }} }});
            await Promise.all([child.result(), probe.wait({{ ms: 60000 }})]);
        }}
        export async function leaf(remit) {{
            await remit.probe.linger({{ ms: {linger_ms} }});
        }}"
    );
    let grant = |name, text: &str| GrantSpec::parse(name, text, now_ms()).unwrap();
    let spec = TaskSpec::script("parent", script).grant(grant("probe", "probe"));
    let task = mesh.client.create_task(spec.grant(grant("tasks", "tasks"))).await.unwrap();
    come(mesh, "leaf").await;
    until_loaded(mesh).await;
    task
}

/// Waits until the tool node works on both calls.
async fn until_loaded(mesh: &Mesh) {
    look_until("the tool node works on both", async || {
        let nodes = mesh.client.nodes().await.unwrap();
        nodes.iter().any(|node| node.role == "tool-node" && node.load > 1)
    })
    .await;
}

/// When a task was asked to end, and when it was cancelled, in milliseconds.
async fn ended(mesh: &Mesh, name: &str) -> (u64, u64, Vec<Event>) {
    let task = named(mesh, name).await.unwrap();
    let events = until(&task, |fact| matches!(fact, Fact::TaskCancelled(_))).await;
    let asked = events.iter().find(|event| matches!(event.fact, Fact::CancelRequested(_)));
    (asked.unwrap().time_ms, events.last().unwrap().time_ms, events)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_family_is_cancelled_leaf_first() {
    let mesh = Mesh::start(3).await;
    let typed = Typed::new(&mesh).await;
    let parent = family(&mesh, 700).await;
    typed.run(&["cancel", &parent.id().to_string()]).await;
    let (asked, last, parent) = ended(&mesh, "parent").await;
    let (leaf_asked, leaf, events) = ended(&mesh, "leaf").await;
    assert!(asked <= leaf_asked, "it reaches down");
    assert!(leaf >= leaf_asked + 700, "the tool's answer is awaited");
    assert!(leaf <= last, "{leaf} {last}: the leaf ends first");
    let own = parent.iter().find(|event| {
        matches!(&event.fact, Fact::CallCompleted { outcome: Outcome::Value { .. }, .. })
            && event.time_ms >= asked
    });
    assert!(own.unwrap().time_ms >= leaf, "then come the parent's own calls: {own:?}");
    let said = events.iter().find_map(|event| match &event.fact {
        Fact::CallCompleted { outcome: Outcome::Failure(failure), .. } => Some(failure),
        _ => None,
    });
    assert!(said.unwrap().message.contains("it took its time"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_that_does_not_answer_holds_up_a_cancelled_family_for_the_grace_time_only() {
    let mesh = Mesh::start_with(3, Via::default(), "cancel_grace_ms = 400").await;
    let typed = Typed::new(&mesh).await;
    let parent = family(&mesh, 60_000).await;
    typed.run(&["cancel", &parent.id().to_string()]).await;
    let (_, last, _) = ended(&mesh, "parent").await;
    let (asked, leaf, events) = ended(&mesh, "leaf").await;
    assert!(leaf >= asked + 400 && leaf <= last, "{asked} {leaf} {last}");
    let at = |is: &dyn Fn(&Fact) -> bool| events.iter().position(|event| is(&event.fact)).unwrap();
    let unanswered = at(&|fact| {
        matches!(fact, Fact::CallCompleted { outcome: Outcome::Failure(failure), .. }
            if failure.message.contains("did not answer within 0.4 s"))
    });
    assert!(unanswered < at(&|fact| matches!(fact, Fact::GrantRevoked { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pure_method_reaches_its_tool_once_even_over_a_restart() {
    let mut mesh = Mesh::start(1).await;
    let script = "export default async (remit) => {
        const said = [await remit.probe.turned('abc'), await remit.probe.turned('abc')];
        await remit.input();
        said.push(await remit.probe.turned('abc'), await remit.probe.turned('xyz'));
        return said;
    }";
    let task = mesh.task(script, "").await;
    until(&task, input_is_asked).await;
    assert_eq!(mesh.appended(), ["abc"], "the second comes from the memo");
    mesh.orchestrator.kill();
    mesh.agents[0].kill();
    mesh.restart_orchestrator();
    mesh.restart_agent(0).await;
    task.send(Value::Null).await.unwrap();
    assert_eq!(result(&task).await, json!(["cba", "cba", "cba", "zyx"]));
    assert_eq!(mesh.appended(), ["abc", "xyz"], "the memo is in the journal");
    let events = until(&task, |fact| matches!(fact, Fact::TaskCompleted(_))).await;
    let recalled = events.iter().filter_map(|event| match event.fact {
        Fact::CallRecalled { call, from } => Some((call.0, from.0)),
        _ => None,
    });
    assert_eq!(recalled.collect::<Vec<_>>(), [(2, 1), (4, 1)], "and shown as such");
}
