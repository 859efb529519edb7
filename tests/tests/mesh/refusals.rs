//! What must be refused is refused, on a mesh of real processes.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says clearly enough what it expected")]

use remit_client::{Code, Error, Fact, Value, value_to_json};
use remit_tests::following::until;
use remit_tests::looking::look_until;
use remit_tests::mesh::Mesh;

/// Runs a script that holds `probe` with these caveats, and gives its result as JSON.
async fn run(mesh: &Mesh, script: &str, caveats: &str) -> serde_json::Value {
    let result = mesh.task(script, caveats).await.result().await;
    value_to_json(&result.unwrap())
}

/// A script that makes one call and tells how it was refused.
fn attempt(call: &str) -> String {
    format!(
        "export default async (remit) => {{
            try {{ await {call}; return 'allowed'; }}
            catch (e) {{ return {{ code: e.code, caveat: e.caveat ?? null, method: e.method }}; }}
        }}"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn caveats_refuse_what_they_do_not_allow() {
    let mesh = Mesh::start(1).await;
    for (call, caveats, code, caveat) in [
        ("remit.probe.append('x')", "?methods=readOnly", "denied", "methods=readOnly"),
        ("remit.probe.append('x')", "?methods=look,put", "denied", "methods=look,put"),
        ("remit.probe.look()", "?calls=0", "denied", "calls=0"),
        ("remit.probe.look()", "?moon=full", "denied", "moon=full"),
        ("remit.probe.look()", "?path=src", "denied", "path=src"),
    ] {
        let said = run(&mesh, &attempt(call), caveats).await;
        assert_eq!((said["code"].as_str(), said["caveat"].as_str()), (Some(code), Some(caveat)));
    }
    let said = run(&mesh, &attempt("remit.probe.look()"), "?until=1970-01-01T00:00:00.000Z").await;
    assert_eq!(said["code"], "denied");
    assert!(mesh.appended().is_empty(), "no refused call reached the tool");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spent_budget_is_spent_for_every_object_obtained() {
    let mesh = Mesh::start(1).await;
    let script = "export default async (remit) => {
        const calls = [];
        for (let n = 0; n < 10; n++) calls.push(remit.probe.next().look().then(() => 1, (e) => e.code));
        return await Promise.all(calls);
    }";
    let said = run(&mesh, script, "?calls=10").await;
    let allowed = said.as_array().unwrap().iter().filter(|one| **one == 1).count();
    assert_eq!(allowed, 5, "ten calls are five pairs: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_grant_cannot_be_used_and_its_call_in_flight_is_cancelled() {
    let mesh = Mesh::start(1).await;
    let script = "export default async (remit) => {
        const first = await remit.probe.wait(600000).catch((e) => e.code);
        const second = await remit.probe.look().catch((e) => e.code);
        return [first, second];
    }";
    let task = mesh.task(script, "").await;
    until(&task, |fact| matches!(fact, Fact::CallRequested(_))).await;
    let grant = task.grants().await.unwrap()[0].grant;
    task.revoke(grant, "no longer trusted").await.unwrap();
    let said = value_to_json(&task.result().await.unwrap());
    assert_eq!(said, serde_json::json!(["revoked", "revoked"]));
    assert!(task.grants().await.unwrap()[0].revoked);
    look_until("the tool is told to stop", async || mesh.appended() == ["cancelled"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_task_stays_cancelled() {
    let mesh = Mesh::start(1).await;
    let task = mesh.task("export default (remit) => remit.input()", "").await;
    until(&task, |fact| matches!(fact, Fact::InputRequested { .. })).await;
    task.cancel("changed my mind").await.unwrap();
    let Err(Error::Failed(failure)) = task.result().await else { panic!("it has no result") };
    assert_eq!(failure.code, Code::Cancelled);
    assert!(failure.message.contains("changed my mind"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_never_waits_is_killed_and_others_go_on() {
    let mesh = Mesh::start(1).await;
    let loops = mesh.task("export default () => { while (true) {} }", "").await;
    let stuck = mesh.task("export default () => (new Array(1e9) + '').length", "").await;
    let good = mesh.task("export default (remit) => remit.probe.echo('fine')", "").await;
    assert_eq!(good.result().await.unwrap(), Value::Text("fine".into()));
    for task in [loops, stuck] {
        let Err(Error::Failed(failure)) = task.result().await else { panic!("it has no result") };
        assert!(
            failure.message.starts_with("deadline") || failure.code == Code::Limit,
            "{failure}"
        );
    }
    let good = mesh.task("export default (remit) => remit.probe.echo('still')", "").await;
    assert_eq!(good.result().await.unwrap(), Value::Text("still".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn input_and_sleep_are_durable_and_in_order() {
    let mesh = Mesh::start(1).await;
    let script = "export default async (remit) => {
        const first = await remit.input();
        const before = remit.now();
        await remit.sleep(30);
        return [first, await remit.input(), remit.now() - before >= 30];
    }";
    let task = mesh.task(script, "").await;
    task.send(Value::Text("one".into())).await.unwrap();
    task.send(Value::Text("two".into())).await.unwrap();
    let said = value_to_json(&task.result().await.unwrap());
    assert_eq!(said, serde_json::json!(["one", "two", true]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_orchestrator_on_one_folder_is_refused() {
    let mesh = Mesh::start(0).await;
    let data = mesh.dir().join("orchestrator");
    let args = ["orchestrator", "--listen", "127.0.0.1:0", "--data", data.to_str().unwrap()];
    let second = std::process::Command::new(remit_tests::binary::remit())
        .args(args)
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    assert!(!second.status.success());
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(said.contains("another process"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_nobody_can_run_waits_and_says_why() {
    let mesh = Mesh::start(0).await;
    let task = mesh.task("export default () => 1", "").await;
    look_until("the task says what is missing", async || {
        task.info().await.unwrap().detail.contains("none is connected")
    })
    .await;
}
