//! A tool that comes back changed is not called, and does not speak, until a person accepts it.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says clearly enough what it expected")]

use remit_client::{
    Code, Error, Event, Fact, GrantSpec, RefSpec, TaskHandle, TaskSpec, ToolInfo, Value,
};
use remit_tests::following::{result, until};
use remit_tests::looking::look_until;
use remit_tests::mesh::{CHANGED, Mesh, now_ms};
use remit_tests::typed::Typed;
use serde_json::{Value as Json, json};

/// Calls before the change, when it is there, and when it was accepted, all that it can, and tells
/// what came of each call.
const CALLS: &str = "export default async (remit) => {
    const said = [];
    const tell = async (call) => {
        said.push(await call.then(() => 'ok', (e) => [e.code, `${e.message} ${e.detail} ${e.stack}`]));
    };
    const opened = await remit.probe.next();
    for (let round = 0; round < 3; round++) {
        await tell(remit.probe.look());
        await tell(opened.look());
        await tell(remit.probe.put('x'));
        await tell(remit.probe.snoop());
        await remit.input();
    }
    return said;
}";

/// Waits until the script has asked for so much input, and gives all events until then.
async fn until_asked(task: &TaskHandle, times: usize) -> Vec<Event> {
    let asked = std::cell::Cell::new(0);
    let is_asked = |fact: &Fact| {
        asked.set(asked.get() + usize::from(matches!(fact, Fact::InputRequested { .. })));
        asked.get() == times
    };
    until(task, is_asked).await
}

/// Waits until the tool is there again, changed.
async fn until_it_changed(mesh: &Mesh) {
    let changed = |tool: ToolInfo| tool.available && tool.accepted.is_some();
    look_until("the tool is changed", async || mesh.probe().await.is_some_and(changed)).await;
}

fn code(said: &Json) -> &str {
    said.as_str().or_else(|| said[0].as_str()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_that_changed_is_refused_until_a_person_accepts_it_by_command() {
    let mut mesh = Mesh::start(1).await;
    let typed = Typed::new(&mesh).await;
    let task = mesh.task(CALLS, "").await;
    until_asked(&task, 1).await;
    mesh.tools.kill();
    mesh.restart_tools_changed().await;
    until_it_changed(&mesh).await;
    task.send(Value::Null).await.unwrap();
    until_asked(&task, 2).await;
    // The orchestrator remembers what it was.
    mesh.orchestrator.kill();
    mesh.restart_orchestrator();
    until_it_changed(&mesh).await;

    let spec = TaskSpec::script("late", "export default () => 1");
    let spec = spec.grant(GrantSpec::parse("probe", "probe", now_ms()).unwrap());
    let refused = mesh.client.create_task(spec).await.unwrap_err();
    assert!(matches!(refused, Error::Failed(failure) if failure.code == Code::InterfaceChanged));
    let (tools, _) = typed.run(&["tools"]).await;
    assert!(tools.contains("changed, not accepted"), "{tools}");
    assert!(
        tools.contains(CHANGED) && tools.contains("+ Probe.snoop()"),
        "a judge sees it: {tools}"
    );
    let asked = typed.fail(&["tools", "accept", "probe"]).await;
    assert!(asked.contains("--yes"), "{asked}");
    let (judged, told) = typed.run(&["tools", "accept", "probe", "--yes"]).await;
    assert!(judged.contains(CHANGED), "{judged}");
    assert!(judged.contains("~ Probe.put, annotations: \"idempotent\" -> "), "{judged}");
    assert!(told.contains("is accepted"), "{told}");
    assert!(typed.fail(&["tools", "accept", "probe"]).await.contains("accepted as it is"));
    let (tools, _) = typed.run(&["tools"]).await;
    assert!(!tools.contains("not accepted") && tools.contains("snoop()"), "{tools}");

    for _ in 0..2 {
        task.send(Value::Null).await.unwrap();
    }
    let said = result(&task).await;
    let said: Vec<&Json> = said.as_array().unwrap().iter().collect();
    let codes: Vec<&str> = said.iter().map(|said| code(said)).collect();
    assert_eq!(codes[..4], ["ok", "ok", "ok", "not-found"]);
    assert_eq!(codes[4..8], ["interface-changed"; 4]);
    // What the old tool had opened went with it. `put` is annotated otherwise, and `snoop` was never
    // granted.
    assert_eq!(codes[8..], ["ok", "object-lost", "interface-changed", "not-found"]);
    for refused in &said[4..8] {
        let why = refused[1].as_str().unwrap();
        assert!(why.contains("remit tools accept probe"), "{why}");
        assert!(why.contains("~ Probe.look, description changed"), "{why}");
    }
    let (audit, _) = typed.run(&["audit", "--tool", "probe", "--decision", "accepted"]).await;
    assert!(audit.contains("typist"), "{audit}");
    let (audit, _) = typed.run(&["audit", "--tool", "probe", "--decision", "changed"]).await;
    assert!(audit.contains("probe@1.0.0"), "{audit}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_accepted_is_in_nothing_that_an_agent_sees() {
    let mut mesh = Mesh::start(1).await;
    let task = mesh.task(CALLS, "").await;
    until_asked(&task, 1).await;
    let grant = task.grants().await.unwrap()[0].grant;
    let saved = task.save_grant(grant, RefSpec::new("its probe")).await.unwrap();
    let probe = mesh.client.restore(&saved).await.unwrap().into_object().unwrap();
    let (before, interface) = probe.describe().await.unwrap();
    assert!(!format!("{before:?}").contains(CHANGED));
    mesh.tools.kill();
    mesh.restart_tools_changed().await;
    until_it_changed(&mesh).await;
    assert_eq!(probe.describe().await.unwrap(), (before, interface), "as it was accepted");
    let refused = probe.call("look", Value::List(Vec::new())).await.unwrap_err();
    let grants = task.grants().await.unwrap();
    task.send(Value::Null).await.unwrap();
    let events = until_asked(&task, 2).await;
    task.send(Value::Null).await.unwrap();
    task.send(Value::Null).await.unwrap();
    let said = result(&task).await;
    assert_eq!(code(&said[4]), "interface-changed", "{said}");
    let seen = format!("{refused:?} {grants:?} {events:?} {said}");
    for new in ["evil.example", "Puts, and breaks", "Looks further"] {
        assert!(!seen.contains(new), "{new}: {seen}");
    }
    // The script named `snoop` itself; nobody told it that there is one.
    assert_eq!(code(&said[7]), "interface-changed");
    assert_eq!(said[3], json!(["not-found", said[3][1]]));
    // A person is told: that is how anybody can judge it.
    let offered = mesh.probe().await.unwrap();
    assert!(format!("{:?}", offered.manifest).contains(CHANGED));
}
