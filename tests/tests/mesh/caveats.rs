//! Caveats hold on a mesh of real processes, and what a tool charges is charged.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says clearly enough what it expected")]

use remit_client::{Event, EventNumber, Fact, Followed, GrantSpec, TaskSpec, value_to_json};
use remit_tests::mesh::{Mesh, now_ms};
use serde_json::json;

/// Runs a script that holds `probe` with these caveats, and gives its result as JSON.
async fn run(mesh: &Mesh, script: &str, caveats: &str) -> serde_json::Value {
    let result = mesh.task(script, caveats).await.result().await;
    value_to_json(&result.unwrap())
}

/// A script that makes calls one after the other and tells how each was refused.
fn attempts(calls: &[&str]) -> String {
    let each = calls.iter().map(|call| {
        format!("said.push(await {call}.then(() => 'ok', (e) => e.caveat ?? e.code));")
    });
    format!(
        "export default async (remit) => {{ const said = []; {} return said; }}",
        each.collect::<String>()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_caveat_refuses_what_it_does_not_allow() {
    let mesh = Mesh::start(1).await;
    for (caveats, calls, said) in [
        (
            "?arg.text?=prefix:ok/",
            &["remit.probe.put('ok/x')", "remit.probe.put({ text: 'no' })", "remit.probe.look()"][..],
            json!(["ok", "arg.text?=prefix:ok/", "ok"]),
        ),
        (
            "?cel=method!='put'",
            &["remit.probe.look()", "remit.probe.put('x')"],
            json!(["ok", "cel=method!='put'"]),
        ),
        (
            "?resultBytes=20",
            &["remit.probe.echo('1234')", "remit.probe.echo('12345')"],
            json!(["ok", "resultBytes=20"]),
        ),
        ("?noObjects=true", &["remit.probe.next()"], json!(["noObjects=true"])),
        ("?rate=1/h", &["remit.probe.look()", "remit.probe.look()"], json!(["ok", "rate=1/h"])),
        (
            "?audience=spiffe://m/t/client/ann",
            &["remit.probe.look()"],
            json!(["audience=spiffe://m/t/client/ann"]),
        ),
        ("?requiresApproval=put", &["remit.probe.look()"], json!(["ok"])),
    ] {
        assert_eq!(run(&mesh, &attempts(calls), caveats).await, said, "{caveats}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_tool_charges_is_charged_to_the_grant() {
    let mesh = Mesh::start(1).await;
    let calls = ["remit.probe.spend(60)", "remit.probe.spend(60)", "remit.probe.spend(1)"];
    let task = mesh.task(&attempts(&calls), "?cost=100").await;
    let said = value_to_json(&task.result().await.unwrap());
    assert_eq!(said, json!(["ok", "ok", "cost=100"]), "what it costs is known when it has ended");
    let mut events = task.events(EventNumber(0)).await.unwrap();
    let mut costs = Vec::new();
    while let Some(followed) = events.next().await {
        match followed.unwrap() {
            Followed::Event(Event { fact: Fact::CallCompleted { cost, .. }, .. }) => {
                costs.push(cost);
            }
            Followed::CaughtUp(_) => break,
            _ => {}
        }
    }
    assert_eq!(costs, [60, 60]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_splits_its_budget() {
    let mesh = Mesh::start(1).await;
    let script = "export default async (remit) => {
        const part = await remit.probe.split({ calls: 3, methods: ['look'] });
        const said = [];
        for (let n = 0; n < 4; n++) said.push(await part.look().then(() => 1, (e) => e.caveat));
        said.push(await part.put('x').then(() => 1, (e) => e.caveat));
        for (let n = 0; n < 3; n++) said.push(await remit.probe.look().then(() => 1, (e) => e.caveat));
        said.push(await remit.probe.attenuate({ calls: 9 }).then(() => 1, (e) => e.caveat));
        return said;
    }";
    let said = run(&mesh, script, "?calls=5").await;
    let expected = json!([1, 1, 1, "purse.calls=3", "methods=look", 1, 1, "calls=5", "calls=9"]);
    assert_eq!(said, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn depth_and_budget_go_with_what_is_passed_on() {
    let mesh = Mesh::start(1).await;
    let script = "export default async (remit) => {
        const part = remit.probe.split({ calls: 3 });
        const helper = remit.spawn({ export: 'help', grants: { probe: part } });
        const said = await helper.result();
        said.push(await remit.probe.look().then(() => 1, (e) => e.caveat));
        return said;
    }
    export async function help(remit) {
        const said = [await remit.probe.attenuate({ calls: 1 }).then(() => 1, (e) => e.caveat)];
        for (let n = 0; n < 4; n++) said.push(await remit.probe.look().then(() => 1, (e) => e.caveat));
        return said;
    }";
    let grants = [("probe", "probe?delegationDepth=2&calls=4"), ("tasks", "tasks")];
    let spec = grants.iter().fold(TaskSpec::script("test", script), |spec, (name, text)| {
        spec.grant(GrantSpec::parse(name, text, now_ms()).unwrap())
    });
    let task = mesh.client.create_task(spec).await.unwrap();
    let said = value_to_json(&task.result().await.unwrap());
    assert_eq!(said, json!(["delegationDepth=0", 1, 1, 1, "purse.calls=3", 1]));
}
