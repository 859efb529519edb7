//! Nodes die, stay away, come back and renew their certificates; tasks go on or are told.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says clearly enough what it expected")]

use std::io::{BufRead as _, BufReader};
use std::time::Duration;

use remit_client::manifest::{Interface, Method};
use remit_client::{
    Callback, Client, Event, EventNumber, Fact, Failure, Followed, GrantSpec, Manifest, OnUnknown,
    OwnObject, Role, TaskSpec, Value,
};
use remit_tests::binary;
use remit_tests::following::{AT_MOST, result, until};
use remit_tests::looking::look_until;
use remit_tests::mesh::{Mesh, Via, now_ms};
use remit_tests::typed::Typed;
use serde_json::json;

/// An effect, a long wait for input, and another effect.
const TWO_EFFECTS: &str = "export default async (remit) => {
    await remit.probe.append('one');
    const input = await remit.input();
    await remit.probe.append('two');
    return [input, await remit.probe.lines()];
}";

/// Effects for longer than it takes to notice that a node is silent.
const MANY_EFFECTS: &str = "export default async (remit) => {
    for (let n = 0; n < 60; n++) {
        await remit.probe.append(`line ${n}`);
        await remit.sleep(200);
    }
    return 'done';
}";

fn input_is_asked(fact: &Fact) -> bool {
    matches!(fact, Fact::InputRequested { .. })
}

/// On which nodes the attempts began, in order.
fn nodes_of(events: &[Event]) -> Vec<&str> {
    let facts = events.iter().map(|event| &event.fact);
    facts
        .filter_map(|fact| match fact {
            Fact::AttemptStarted { node, .. } => node.rsplit('/').next(),
            _ => None,
        })
        .collect()
}

fn number_of(node: &str) -> usize {
    node.strip_prefix("agents-").unwrap().parse().unwrap()
}

async fn until_tool_is(mesh: &Mesh, available: bool) {
    let is_so = async || mesh.probe().await.is_some_and(|tool| tool.available) == available;
    look_until(&format!("the tool is available: {available}"), is_so).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_goes_on_elsewhere_when_its_agent_node_dies_for_good() {
    let mut mesh = Mesh::start(2).await;
    let task = mesh.task(TWO_EFFECTS, "").await;
    let before = until(&task, input_is_asked).await;
    let first = number_of(nodes_of(&before)[0]);
    mesh.agents[first].kill();
    let second =
        |fact: &Fact| matches!(fact, Fact::AttemptStarted { attempt, .. } if attempt.0 == 2);
    until(&task, second).await;
    task.send(Value::Text("go".into())).await.unwrap();
    assert_eq!(result(&task).await, json!(["go", ["one", "two"]]));
    let all = until(&task, |fact| matches!(fact, Fact::TaskCompleted(_))).await;
    let other = format!("agents-{}", 1 - first);
    assert_eq!(nodes_of(&all), [nodes_of(&before)[0], &other]);
    let requested = all.iter().filter(|event| matches!(event.fact, Fact::CallRequested(_)));
    assert_eq!(requested.count(), 3, "what was recorded is not called again");
    assert_eq!(mesh.appended(), ["one", "two"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_node_that_was_given_up_no_longer_acts_when_it_wakes() {
    let mesh = Mesh::start(2).await;
    let task = mesh.task(MANY_EFFECTS, "").await;
    let before = until(&task, |fact| matches!(fact, Fact::TimerSet { .. })).await;
    let first = number_of(nodes_of(&before)[0]);
    mesh.agents[first].stop();
    until(&task, |fact| matches!(fact, Fact::AttemptStarted { attempt, .. } if attempt.0 == 2))
        .await;
    mesh.agents[first].go_on();
    assert_eq!(result(&task).await, json!("done"));
    let all = until(&task, |fact| matches!(fact, Fact::TaskCompleted(_))).await;
    let mut acting = 0;
    for event in &all {
        match &event.fact {
            Fact::AttemptStarted { attempt, .. } => acting = attempt.0,
            Fact::CallRequested(asked) => assert_eq!(asked.attempt.0, acting, "{event:?}"),
            _ => {}
        }
    }
    let lines: Vec<String> = (0..60).map(|n| format!("line {n}")).collect();
    assert_eq!(mesh.appended(), lines);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_a_tool_that_stays_away_fail_and_succeed_when_it_is_back() {
    let mut mesh = Mesh::start_with(1, Via::default(), "tool_grace_ms = 300").await;
    let script = "export default async (remit) => {
        await remit.input();
        const away = await remit.probe.look().catch((e) => [e.code, e.message]);
        await remit.input();
        return [away, await remit.probe.look(), await remit.probe.append('back')];
    }";
    let task = mesh.task(script, "").await;
    until(&task, input_is_asked).await;
    mesh.tools.kill();
    until_tool_is(&mesh, false).await;
    task.send(Value::Null).await.unwrap();
    let twice =
        |fact: &Fact| matches!(fact, Fact::InputRequested { operation } if operation.0 == 3);
    until(&task, twice).await;
    mesh.restart_tools().await;
    until_tool_is(&mesh, true).await;
    let tools = mesh.client.tools().await.unwrap();
    assert_eq!(
        tools.iter().filter(|tool| tool.manifest.tool == "probe").count(),
        1,
        "it took its place"
    );
    assert_eq!(mesh.client.nodes().await.unwrap().len(), 2);
    task.send(Value::Null).await.unwrap();
    let said = result(&task).await;
    assert_eq!(said[0][0], "unavailable", "{said}");
    assert!(said[0][1].as_str().unwrap().contains("did not come back"), "{said}");
    assert_eq!(said[1], 1);
    assert_eq!(mesh.appended(), ["back"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_goes_where_its_labels_are() {
    let mesh = Mesh::start(2).await;
    for wanted in ["agents-1", "agents-0", "agents-1", "agents-1"] {
        let mut spec = TaskSpec::script("placed", "export default () => 'here'");
        spec.labels = vec![wanted.into()];
        let task = mesh.client.create_task(spec).await.unwrap();
        assert_eq!(result(&task).await, json!("here"));
        let all = until(&task, |fact| matches!(fact, Fact::TaskCompleted(_))).await;
        assert_eq!(nodes_of(&all), [wanted]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_outlives_the_certificates_of_all_nodes() {
    let mesh = Mesh::start_with(1, Via::default(), "certificate_seconds = 4").await;
    let script = "export default async (remit) => {
        const began = remit.now();
        let calls = 0;
        while (remit.now() - began < 12000) {
            await remit.probe.append(`line ${calls++}`);
            await remit.sleep(100);
        }
        return calls;
    }";
    let task = mesh.task(script, "").await;
    let calls = result(&task).await;
    assert_eq!(calls, mesh.appended().len());
    let all = until(&task, |fact| matches!(fact, Fact::TaskCompleted(_))).await;
    assert_eq!(nodes_of(&all).len(), 1, "one attempt: {all:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invite_works_once() {
    let mesh = Mesh::start(0).await;
    let line = mesh.client.invite(Role::Client, "second", Duration::from_secs(60)).await.unwrap();
    Client::join(&line, &mesh.dir().join("second")).await.unwrap();
    let refused = Client::join(&line, &mesh.dir().join("third")).await.unwrap_err().to_string();
    assert!(refused.contains("it was used") && refused.contains("Ask for another"), "{refused}");
    assert!(!mesh.dir().join("third").join("credential.pem").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invite_is_not_spent_on_a_tool_node_that_cannot_serve() {
    let mesh = Mesh::start(0).await;
    let line = mesh.client.invite(Role::ToolNode, "odd", Duration::from_secs(60)).await.unwrap();
    let config = mesh.dir().join("odd.toml");
    let (root, data) = (mesh.dir().display(), mesh.dir().join("odd"));
    for (sections, why) in [
        (format!("[[fs]]\nname = 'a b'\nroot = '{root}'"), "`a b` is not"),
        (format!("[[fs]]\nroot = '{root}'\n[[fs]]\nroot = '{root}'"), "another `name`"),
    ] {
        std::fs::write(&config, sections).unwrap();
        let mut command = std::process::Command::new(binary::remit());
        command.args(["tool-node", "--join", &line, "--config"]).arg(&config);
        command.arg("--data").arg(&data).stdin(std::process::Stdio::null());
        let ended = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(!ended.status.success() && said.contains(why), "{said}");
    }
    assert!(
        mesh.client.invites().await.unwrap().iter().any(|invite| invite.identity.ends_with("/odd"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_misses_nothing_and_sees_nothing_twice_across_a_restart() {
    let mut mesh = Mesh::start(1).await;
    let script = "export default async (remit) => {
        for (let n = 0; n < 100; n++) await remit.probe.put(`line ${n}`);
    }";
    let task = mesh.task(script, "").await;
    let mut events = task.events(EventNumber(0)).await.unwrap();
    let mut seen = Vec::new();
    let follow = async {
        while let Some(followed) = events.next().await {
            let Followed::Event(event) = followed.unwrap() else { continue };
            seen.push(event);
            if seen.len() == 60 {
                mesh.orchestrator.kill();
                mesh.restart_orchestrator();
            }
            if matches!(seen.last().map(|event| &event.fact), Some(Fact::TaskCompleted(_))) {
                return;
            }
        }
    };
    tokio::time::timeout(AT_MOST, follow).await.unwrap();
    let numbers: Vec<u64> = seen.iter().map(|event| event.number.0).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    assert!(matches!(seen.last().unwrap().fact, Fact::TaskCompleted(_)));
    let again = until(&task, |fact| matches!(fact, Fact::TaskCompleted(_))).await;
    assert_eq!(seen, again);
}

struct Asked;

impl Callback for Asked {
    async fn call(&self, method: String, _: Value) -> Result<Value, Failure> {
        Ok(Value::Text(method))
    }
}

fn asking() -> OwnObject {
    let method =
        |name: &str, read_only| Method { name: name.into(), read_only, ..Method::default() };
    let methods = vec![method("look", true), method("approve", false)];
    let root = Interface { name: "Asked".into(), methods, ..Interface::default() };
    let manifest = Manifest {
        tool: "asked".into(),
        version: "1.0.0".into(),
        root: "Asked".into(),
        interfaces: vec![root],
        ..Manifest::default()
    };
    OwnObject::new(manifest, Asked)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_of_a_client_serves_a_task_until_the_client_is_gone() {
    let mesh = Mesh::start_with(1, Via::default(), "tool_grace_ms = 300").await;
    let line = mesh.client.invite(Role::Client, "own", Duration::from_secs(60)).await.unwrap();
    let folder = mesh.dir().join("own");
    Client::join(&line, &folder).await.unwrap();
    let own = Client::connect(mesh.address(), folder).await.unwrap();
    let script = "export default async (remit) => {
        const there = [await remit.asked.look(), await remit.asked.approve()];
        await remit.input();
        const gone = [];
        for (const method of ['look', 'approve']) {
            gone.push(await remit.asked[method]().catch((e) => e.code));
        }
        return [there, gone, await remit.probe.look()];
    }";
    let mut asked = GrantSpec::own("asked", asking());
    asked.on_unknown = OnUnknown::Fail;
    let spec = TaskSpec::script("own", script)
        .grant(asked)
        .grant(GrantSpec::parse("probe", "probe", now_ms()).unwrap());
    let id = own.create_task(spec).await.unwrap().id();
    let task = mesh.client.task(id);
    until(&task, input_is_asked).await;
    drop(own);
    task.send(Value::Null).await.unwrap();
    let said = result(&task).await;
    assert_eq!(said[0], json!(["look", "approve"]));
    // Either it was not sent at all, or nobody knows.
    for code in [&said[1][0], &said[1][1]] {
        assert!(code == "unavailable" || code == "unknown", "{said}");
    }
    assert_eq!(said[2], 1, "other grants are untouched");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_waits_for_the_tool_node_that_it_needs_and_says_so() {
    let mut mesh = Mesh::start(1).await;
    let typed = Typed::new(&mesh).await;
    let script = mesh.dir().join("lines.ts");
    std::fs::write(&script, "export default (remit) => remit.probe.lines();").unwrap();
    mesh.tools.kill();
    until_tool_is(&mesh, false).await;
    let mut run = typed.start(&["run", script.to_str().unwrap(), "--grant", "probe=probe"]);
    let told = BufReader::new(run.stderr.take().unwrap());
    let waits = tokio::task::spawn_blocking(move || {
        let mut lines = told.lines().map(Result::unwrap);
        (lines.find(|line| line.contains("waits for the tool `probe`")), lines)
    });
    let (said, rest) = waits.await.unwrap();
    assert!(said.is_some(), "it ended without a word: {:?}", rest.collect::<Vec<_>>());
    mesh.restart_tools().await;
    let ended = tokio::task::spawn_blocking(move || {
        let said: Vec<String> = rest.collect();
        (run.wait().unwrap(), said)
    });
    let (status, said) = ended.await.unwrap();
    assert!(status.success(), "{said:?}");
}
