//! Who holds what, what was done with it, and taking it back: by command, on a mesh.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says clearly enough what it expected")]

use remit_client::{Fact, GrantSpec, RefSpec, TaskFilter, TaskHandle, TaskSpec, Value};
use remit_store::Disk;
use remit_tests::following::{result, until};
use remit_tests::looking::{look_for, look_until};
use remit_tests::mesh::{Mesh, now_ms};
use remit_tests::typed::Typed;
use serde_json::{Value as Json, json};

/// Uses all that it holds, and again when it is told to, with what came of it.
const USES: &str = "export default async (remit) => {
    const tell = (call) => call.then(() => 'ok', (e) => e.code);
    const part = await remit.probe.attenuate({ methods: ['look'], calls: 7 });
    const long = tell(remit.probe.wait(600000));
    const use = async () => [
        await tell(remit.probe.look()), await tell(part.look()), await tell(remit.other.look()),
    ];
    console.log(JSON.stringify(await use()));
    await remit.input();
    return { used: await use(), long: await tell(remit.other.look()) && await long };
}";

/// Tells what it can still do with its tool and with tasks, when it is told to.
const TWO_TOOLS: &str = "export default async (remit) => {
    const tell = (call) => call.then(() => 'ok', (e) => e.code);
    await remit.input();
    return [await tell(remit.probe.look()), await tell(remit.spawn({ export: 'help' }))];
}
export const help = () => 1;";

async fn create(mesh: &Mesh, script: &str, grants: &[(&str, &str)]) -> TaskHandle {
    let spec = grants.iter().fold(TaskSpec::script("holder", script), |spec, (name, text)| {
        spec.grant(GrantSpec::parse(name, text, now_ms()).unwrap())
    });
    let task = mesh.client.create_task(spec).await.unwrap();
    until(&task, |fact| matches!(fact, Fact::InputRequested { .. })).await;
    task
}

async fn told(task: &TaskHandle) -> Json {
    task.send(Value::Null).await.unwrap();
    result(task).await
}

/// The last line of the audit, as JSON.
async fn last(typed: &Typed, flags: &[&str]) -> Json {
    let (audit, _) = typed.run(&[&["audit", "--json"], flags].concat()).await;
    serde_json::from_str(audit.lines().last().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_that_is_taken_back_by_command_is_gone_with_all_below_it() {
    let mesh = Mesh::start(1).await;
    let typed = Typed::new(&mesh).await;
    let task = create(&mesh, USES, &[("probe", "probe"), ("other", "probe?label=spare")]).await;
    let id = task.id().to_string();
    let (grants, _) = typed.run(&["grants", &id]).await;
    let lines: Vec<&str> = grants.lines().collect();
    assert_eq!(lines.len(), 3, "{grants}");
    assert!(lines[0].starts_with("#1 probe = probe@1.0.0  3 calls, last used"), "{grants}");
    assert!(
        lines[1].starts_with("└─ #3 ") && lines[1].contains("?methods=look&calls=7"),
        "{grants}"
    );
    assert!(lines[1].contains("1 call, calls=6 left"), "{grants}");
    assert!(lines[2].starts_with("#2 other = probe@1.0.0?label=spare  1 call"), "{grants}");
    assert!(!grants.contains("revoked"), "{grants}");

    let refused = typed.fail(&["revoke", &id, "nosuch"]).await;
    assert!(refused.contains(&format!("remit grants {id}")), "{refused}");
    let (_, said) = typed.run(&["revoke", &id, "probe", "--reason", "enough of it"]).await;
    assert!(said.contains(&format!("grant #1 of {id} is taken back")), "{said}");
    let (grants, _) = typed.run(&["grants", &id]).await;
    let revoked: Vec<bool> = grants.lines().map(|line| line.ends_with("revoked")).collect();
    assert_eq!(revoked, [true, true, false], "{grants}");
    let all = json!({ "used": ["revoked", "revoked", "ok"], "long": "revoked" });
    assert_eq!(told(&task).await, all);
    look_until("the tool is told to stop", async || mesh.appended() == ["cancelled"]).await;
    let record = last(&typed, &["--task", &id, "--decision", "revoked"]).await;
    assert_eq!(
        (&record["who"], &record["reason"]),
        (&json!(typed.identity()), &json!("enough of it"))
    );
    // By its number, and again: it stays taken back.
    typed.run(&["revoke", &id, "#1"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn grants_are_taken_back_in_bulk_by_task_tool_manifest_and_holder() {
    let mesh = Mesh::start(1).await;
    let (typed, ann) = (Typed::new(&mesh).await, Typed::named(&mesh, "ann").await);
    assert!(typed.fail(&["revoke"]).await.contains("--holder"), "nothing is not all");
    assert!(typed.fail(&["revoke", "--manifest", "beef"]).await.contains("64 hexadecimal"));
    let both = [("probe", "probe"), ("tasks", "tasks?methods=spawn")];
    let two = async || create(&mesh, TWO_TOOLS, &both).await;
    let (first, second) = (two().await, two().await);

    let (lines, said) = typed.run(&["revoke", "--task", &first.id().to_string()]).await;
    assert_eq!(lines, format!("{0} #1\n{0} #2", first.id()));
    assert!(said.contains("2 grants are taken back"), "{said}");
    assert_eq!(told(&first).await, json!(["revoked", "revoked"]));

    let (lines, said) = typed.run(&["revoke", "--tool", "tasks"]).await;
    assert_eq!(lines, format!("{} #2", second.id()));
    assert!(said.contains("1 grant is taken back"), "{said}");
    assert_eq!(told(&second).await, json!(["ok", "revoked"]));

    let (third, record) =
        (two().await, last(&typed, &["--tool", "probe", "--decision", "accepted"]).await);
    let hash = record["subject"].as_str().unwrap().rsplit(' ').next().unwrap().to_owned();
    let (_, said) = typed.run(&["revoke", "--manifest", &"0".repeat(64)]).await;
    assert!(said.contains("0 grants are taken back"), "{said}");
    let (lines, _) = typed.run(&["revoke", "--manifest", &hash]).await;
    assert_eq!(lines, format!("{} #1", third.id()));
    assert_eq!(told(&third).await, json!(["revoked", "ok"]));

    let fourth = two().await;
    let grant = fourth.grants().await.unwrap()[0].grant;
    let spec = RefSpec { owner: ann.identity(), ..RefSpec::new("for ann") };
    let line = fourth.save_grant(grant, spec).await.unwrap().to_line();
    ann.run(&["refs", "keep", "probe", &line]).await;
    ann.run(&["call", "@probe", "look"]).await;
    let (held, _) = typed.run(&["who", "probe"]).await;
    assert!(held.contains(&format!("held by {}", ann.identity())), "{held}");
    let (lines, _) = typed.run(&["revoke", "--holder", "ann"]).await;
    assert_eq!(lines.lines().count(), 1, "{lines}");
    assert!(ann.fail(&["call", "@probe", "look"]).await.contains("revoked"));
    let (held, _) = typed.run(&["who", "probe"]).await;
    assert!(!held.contains("ann") && held.contains(&fourth.id().to_string()), "{held}");
    assert_eq!(told(&fourth).await, json!(["ok", "ok"]), "its own agent keeps what it held");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_is_shown_as_the_least_of_all_that_bounds_it() {
    let mesh = Mesh::start(1).await;
    let typed = Typed::new(&mesh).await;
    let script = "export default async (remit) => {
        await remit.probe.spend(25);
        const purse = await remit.probe.split({ calls: 4 });
        const narrow = await purse.attenuate({ cost: 90, bytesOut: 1000 });
        await narrow.look();
        const helper = remit.spawn({ export: 'help', name: 'helper', grants: { passed: narrow } });
        await helper.result();
        await remit.input();
    }
    export async function help(remit) {
        await remit.passed.look();
        await remit.input();
    }";
    let spec = [("probe", "probe?calls=10&cost=100"), ("tasks", "tasks")];
    let spec = spec.iter().fold(TaskSpec::script("main", script), |spec, (name, text)| {
        spec.grant(GrantSpec::parse(name, text, now_ms()).unwrap())
    });
    let task = mesh.client.create_task(spec).await.unwrap();
    let helper = look_for("the helper", async || {
        let tasks = mesh.client.tasks(TaskFilter::default()).await.unwrap();
        let helper = tasks.iter().find(|info| info.name == "helper")?;
        Some(mesh.client.task(helper.id))
    })
    .await;
    until(&helper, |fact| matches!(fact, Fact::InputRequested { .. })).await;
    let (grants, _) = typed.run(&["grants", &task.id().to_string()]).await;
    let shows = |number: &str, left: &str| {
        let line = grants.lines().find(|line| line.contains(number));
        assert!(line.is_some_and(|line| line.contains(left)), "{number}: {left}: {grants}");
    };
    // One call was made, and the purse took four.
    shows("#1 probe", "  5 calls, cost 25, calls=5 cost=75 left, ");
    shows("#3 ", "  2 calls, purse of calls=4, calls=2 cost=75 left, ");
    shows("#4 ", "  2 calls, calls=2 cost=75 bytesOut=968 left, ");
    let (grants, _) = typed.run(&["grants", &helper.id().to_string()]).await;
    let left = "1 call, calls=2 cost=75 bytesOut=968 left, ";
    assert!(grants.contains(left), "the limits of the other task hold: {grants}");
    let (who, _) = typed.run(&["who", "probe"]).await;
    assert!(who.contains("purse of calls=4, calls=2 cost=75 left"), "{who}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_is_filtered_by_who_tool_time_and_decision() {
    let mesh = Mesh::start(1).await;
    let typed = Typed::new(&mesh).await;
    let both = [("probe", "probe?methods=append"), ("tasks", "tasks?methods=spawn")];
    let task = create(&mesh, TWO_TOOLS, &both).await;
    let id = task.id().to_string();
    assert_eq!(told(&task).await, json!(["denied", "ok"]));
    typed.run(&["revoke", &id, "probe"]).await;
    let audit = async |flags: &[&str]| -> Vec<Json> {
        let (lines, _) = typed.run(&[&["audit", "--json"], flags].concat()).await;
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let agent = format!("task:{id}");
    let denied = audit(&["--who", &agent, "--tool", "probe", "--decision", "denied"]).await;
    assert_eq!(denied.len(), 1, "{denied:?}");
    assert_eq!(
        (&denied[0]["method"], &denied[0]["caveat"]),
        (&json!("look"), &json!("methods=append"))
    );
    let allowed = audit(&["--who", &agent, "--decision", "allowed"]).await;
    assert_eq!(allowed.len(), 1, "{allowed:?}");
    assert_eq!(allowed[0]["tool"], "tasks");
    let typists = audit(&["--who", "typist"]).await;
    assert!(typists.iter().all(|record| record["who"] == typed.identity()), "{typists:?}");
    let decisions: Vec<&str> = typists.iter().filter_map(|r| r["decision"].as_str()).collect();
    assert!(decisions.contains(&"joined") && decisions.contains(&"revoked"), "{decisions:?}");
    assert!(audit(&["--tool", "probe"]).await.iter().all(|record| record["tool"] == "probe"));
    assert_eq!(audit(&["--since", "1h"]).await.len(), audit(&[]).await.len());
    assert!(audit(&["--since", "1ms"]).await.is_empty());
    let (lines, _) = typed.run(&["audit", "--task", &id, "--decision", "denied"]).await;
    assert!(lines.contains("probe.look (probe)") && lines.contains("methods=append"), "{lines}");
    let refused = typed.fail(&["audit", "--decision", "shrugged"]).await;
    assert!(refused.contains("is no decision: allowed, denied"), "{refused}");
    let (_, said) = typed.run(&["who", "nosuch"]).await;
    assert!(said.contains("nobody holds nosuch"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_that_was_edited_is_told_by_command() {
    let mut mesh = Mesh::start(0).await;
    let typed = Typed::new(&mesh).await;
    let (_, said) = typed.run(&["audit", "verify"]).await;
    assert!(said.contains("records and events are what was written"), "{said}");
    mesh.orchestrator.terminate().await;
    let disk = Disk::open(&mesh.dir().join("orchestrator/journal"), 4 << 20).unwrap();
    let (key, mut record) = disk.scan(b"audit/r", b"audit/r", 1).unwrap().remove(0);
    // Somebody else was the first to join.
    let at = record.windows(6).position(|bytes| bytes == b"spiffe").unwrap();
    record[at] ^= 1;
    disk.commit(vec![(key, Some(record))]).await.unwrap();
    drop(disk);
    mesh.restart_orchestrator();
    let output = typed.output(&["audit", "verify"]).await;
    assert!(!output.status.success(), "{output:?}");
    let broken = String::from_utf8(output.stdout).unwrap();
    assert_eq!(broken.lines().count(), 1, "{broken}");
    assert!(broken.contains("record 1 of the mesh's audit log is damaged"), "{broken}");
}
