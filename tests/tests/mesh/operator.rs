//! What operators do with tasks: see whose they are, remove them, and mend their programs.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says clearly enough what it expected")]

use remit_client::{Fact, GrantSpec, TaskHandle, TaskSpec};
use remit_tests::following::{AT_MOST, result, until};
use remit_tests::looking::look_until;
use remit_tests::mesh::{Mesh, Via, now_ms};
use remit_tests::terminal::{COLUMNS, Terminal};
use remit_tests::typed::Typed;
use serde_json::{Value as Json, json};

fn write(mesh: &Mesh, name: &str, text: &str) -> String {
    let path = mesh.dir().join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Waits for the end of a task that fails, and gives why.
async fn failure(task: &TaskHandle) -> String {
    tokio::time::timeout(AT_MOST, task.result()).await.unwrap().unwrap_err().to_string()
}

/// A task with two sub-tasks that has ended.
async fn family(mesh: &Mesh) -> TaskHandle {
    let script = "export default async (remit) => {
        const run = async (name) => await remit.spawn({ export: 'sub', name }).result();
        return [await run('下位のタスク一'), await run('second')];
    }
    export const sub = async () => 1;";
    let grant = GrantSpec::parse("tasks", "tasks", now_ms()).unwrap();
    let spec = TaskSpec::script("mine", script).grant(grant);
    let task = mesh.client.create_task(spec).await.unwrap();
    assert_eq!(result(&task).await, json!([1, 1]));
    task
}

async fn tasks(typed: &Typed) -> Vec<Json> {
    let (shown, _) = typed.run(&["ps", "--json"]).await;
    shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn ended_task_is_removed_and_a_running_one_is_refused() {
    let mut mesh = Mesh::start(1).await;
    let typed = Typed::new(&mesh).await;
    let text = "x".repeat(200_000);
    let ended = mesh.task(&format!("export default () => '{text}'"), "").await;
    result(&ended).await;
    let open = mesh.task("export default (remit) => remit.input()", "").await;
    let (ended, open) = (ended.id().to_string(), open.id().to_string());
    let refused = typed.fail(&["rm", &open, &ended]).await;
    assert!(refused.contains(&format!("remit cancel {open}")), "{refused}");
    assert!(refused.contains(&format!("removed the task {ended} (test)")), "{refused}");
    let gone = typed.fail(&["result", &ended]).await;
    assert!(gone.contains("there is no task"), "{gone}");
    assert_eq!(gone.matches("remit ps").count(), 1, "said once: {gone}");
    assert_eq!(tasks(&typed).await.len(), 1);
    let again = typed.fail(&["rm", &ended]).await;
    assert!(again.contains("there is no task"), "{again}");

    let (records, _) = typed.run(&["audit", "--decision", "removed", "--json"]).await;
    let record: Json = serde_json::from_str(&records).unwrap();
    assert_eq!(record["who"], typed.identity());
    assert_eq!(record["subject"], format!("task:{ended}"));
    // Its body went with it, and nothing of it comes back.
    mesh.orchestrator.kill();
    mesh.restart_orchestrator();
    let (checked, _) = typed.run(&["verify"]).await;
    assert!(checked.contains("0 bodies") || !checked.contains("damaged"), "{checked}");
    assert_eq!(tasks(&typed).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn task_whose_grant_a_sub_task_holds_is_not_removed() {
    let mesh = Mesh::start(2).await;
    let typed = Typed::new(&mesh).await;
    let script = "export default async (remit) => {
        const grants = { probe: remit.probe };
        await remit.spawn({ export: 'sub', name: 'sub', detached: true, grants });
        return 1;
    }
    export const sub = (remit) => remit.input();";
    let grant = |name, text: &str| GrantSpec::parse(name, text, now_ms()).unwrap();
    let spec = TaskSpec::script("parent", script).grant(grant("probe", "probe"));
    let spec = spec.grant(grant("tasks", "tasks:detached"));
    let task = mesh.client.create_task(spec).await.unwrap();
    assert_eq!(result(&task).await, json!(1));
    let refused = typed.fail(&["rm", &task.id().to_string()]).await;
    assert!(refused.contains("others still hold") && refused.contains("remit grants"), "{refused}");
    typed.run(&["cancel", "sub"]).await;
    look_until("what it held is given back", async || {
        typed.output(&["rm", &task.id().to_string()]).await.status.success()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sub_tasks_are_shown_below_their_parent_in_80_columns() {
    let mesh = Mesh::start(3).await;
    let typed = Typed::new(&mesh).await;
    let parent = family(&mesh).await.id().to_string();
    let listed = tasks(&typed).await;
    let subs: Vec<&Json> = listed.iter().filter(|task| task["parent"] == *parent).collect();
    assert_eq!(subs.len(), 2, "{listed:?}");

    let (tree, _) = typed.run(&["ps", "--tree"]).await;
    let rows: Vec<&str> = tree.lines().skip(1).collect();
    assert!(rows[0].contains("mine") && rows[0].starts_with(&parent), "{tree}");
    assert!(rows[1].contains("├─ 下位のタスク一") && rows[2].contains("└─ second"), "{tree}");
    let (shown, status) = Terminal::start(&typed.command(&["ps", "--tree"])).ended();
    assert!(status.success(), "{shown}");
    let widths: Vec<usize> = shown.lines().map(cells).collect();
    assert!(widths.iter().all(|width| *width <= usize::from(COLUMNS)), "{widths:?} {shown}");
    assert!(shown.contains(&parent[24..]) && shown.contains("└─ second"), "{shown}");
}

/// The cells of a line: those of the scripts used here are two wide.
fn cells(line: &str) -> usize {
    line.trim_end().chars().map(|c| if c >= '\u{3000}' { 2 } else { 1 }).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_without_a_task_mean_the_newest_that_a_person_started() {
    let mesh = Mesh::start_with(3, Via::default(), "").await;
    let typed = Typed::new(&mesh).await;
    let parent = family(&mesh).await.id().to_string();
    let file = write(&mesh, "tick.ts", "export default () => 'ticked'");
    typed.run(&["trigger", "put", "often", "--every", "1s", &file, "--name", "tick"]).await;
    look_until("the trigger is set off", async || {
        tasks(&typed).await.iter().any(|task| task["trigger"] == "often")
    })
    .await;
    let (shown, _) = typed.run(&["result"]).await;
    assert_eq!(serde_json::from_str::<Json>(&shown).unwrap(), json!([1, 1]));
    let (log, _) = typed.run(&["log", "--json"]).await;
    assert!(log.lines().next().unwrap().contains("\"name\":\"mine\""), "{log}");
    let (grants, _) = typed.run(&["grants", "--json"]).await;
    assert!(grants.contains("\"tasks\""), "the grants of {parent}: {grants}");
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_task_is_retried_with_a_mended_program() {
    let mesh = Mesh::start(1).await;
    let typed = Typed::new(&mesh).await;
    let broken = "export default async (remit) => {
        await remit.probe.append('once');
        return null.x;
    }";
    let task = mesh.task(broken, "").await;
    assert!(failure(&task).await.contains("null"));
    let id = task.id().to_string();
    let mended = write(&mesh, "mended.ts", &broken.replace("null.x", "7"));
    let (retried, _) = typed.run(&["retry", &id, "--program", &mended]).await;
    let retry = mesh.client.task(retried.parse().unwrap());
    assert_eq!(result(&retry).await, json!(7));
    assert_eq!(mesh.appended(), ["once"], "what was recorded is not done again");
    until(&retry, |fact| matches!(fact, Fact::TaskUpgraded(_))).await;
    assert_eq!(task.info().await.unwrap().status, "failed", "an end is an end");

    let other = write(&mesh, "other.ts", &broken.replace("once", "twice"));
    let (retried, _) = typed.run(&["retry", &id, "--program", &other]).await;
    let why = failure(&mesh.client.task(retried.parse().unwrap())).await;
    assert!(why.contains("the program that the task was given does not repeat"), "{why}");
    assert!(why.contains("once") && why.contains("remit fork TASK --at EVENT"), "{why}");
    let (forked, _) = typed.run(&["fork", &id, "--at", "3", "--program", &other]).await;
    assert!(failure(&mesh.client.task(forked.parse().unwrap())).await.contains("null"));
    assert_eq!(mesh.appended(), ["once", "twice"]);
}
