//! Budgets of cost on a mesh of real processes: whatever runs side by side, and whoever dies, the tool
//! never does more than was paid for, and what it did is paid once.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says clearly enough what it expected")]

use std::time::Duration;

use remit_client::{GrantId, TaskHandle, Value};
use remit_tests::mesh::Mesh;

/// The budget of all, and that of each of the two who share it.
const ALL: u64 = 100;
const EACH: u64 = 70;
/// The most that one call costs, which is reserved for it.
const MOST: u64 = 10;

/// Two hold a part each of one budget, and call side by side, far more often than it lasts, until
/// neither is allowed a call any more. Gives how many calls were made.
const RACE: &str = r#"
export default async function (remit) {
    const holders = ["a", "b"].map((who) => [who, remit.probe.attenuate({ cost: 70 })]);
    let made = 0;
    for (let allowed = 1; allowed > 0; made += allowed) {
        const round = [];
        for (let n = 0; n < 12; n++) {
            for (const [who, object] of holders) {
                const units = 1 + Math.floor(Math.random() * 10);
                const ms = Math.floor(Math.random() * 20);
                round.push(object.burn({ who, units, ms }).then(() => 1, (e) => {
                    if (e.code !== "denied") throw e;
                    return 0;
                }));
            }
        }
        allowed = (await Promise.all(round)).reduce((sum, one) => sum + one, 0);
    }
    return made;
}"#;

/// What the tool did, by whom: what each of them burnt.
fn burnt(mesh: &Mesh) -> (Vec<(String, u64)>, u64) {
    let line = |line: String| {
        let (who, units) = line.split_once(' ').unwrap();
        (who.to_owned(), units.parse().unwrap())
    };
    let lines: Vec<(String, u64)> = mesh.appended().into_iter().map(line).collect();
    let all = lines.iter().map(|(_, units)| units).sum();
    (lines, all)
}

async fn spent(task: &TaskHandle) -> Vec<(GrantId, u64)> {
    let grants = task.grants().await.unwrap();
    grants.iter().map(|grant| (grant.grant, grant.spent.cost)).collect()
}

/// What must hold when neither may call any more, if the outcome of every call is known.
async fn check(mesh: &Mesh, task: &TaskHandle, made: Value) {
    let (lines, all) = burnt(mesh);
    assert_eq!(made, Value::Integer(i64::try_from(lines.len()).unwrap()), "each was done once");
    assert!(all <= ALL, "{all} of {ALL} were burnt");
    let by = |name: &str| lines.iter().filter(|(who, _)| who == name).map(|(_, u)| u).sum::<u64>();
    let (a, b) = (by("a"), by("b"));
    assert!(a <= EACH && b <= EACH, "{a} and {b} of {EACH} each");
    assert!(all > ALL - MOST, "no call was refused for which there was enough: {all}");
    // What was reserved and not used is back, at every level.
    let spent = spent(task).await;
    assert_eq!(spent, [(GrantId(1), all), (GrantId(2), a), (GrantId(3), b)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn racing_calls_never_cost_more_than_the_budget() {
    let mesh = Mesh::start(1).await;
    let task = mesh.task(RACE, &format!("?cost={ALL}")).await;
    let made = task.result().await.unwrap();
    check(&mesh, &task, made).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_orchestrator_forgets_no_cost_and_charges_none_twice() {
    let mut mesh = Mesh::start(1).await;
    let task = mesh.task(RACE, &format!("?cost={ALL}")).await;
    // In the middle of calls, each time later.
    for seen in [1, 6, 11] {
        while mesh.appended().len() < seen {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        mesh.orchestrator.kill();
        assert!(burnt(&mesh).1 <= ALL);
        mesh.restart_orchestrator();
    }
    let made = task.result().await.unwrap();
    check(&mesh, &task, made).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_tool_node_gives_back_nothing_that_may_have_been_spent() {
    let mut mesh = Mesh::start(1).await;
    let script = r#"export default async (remit) => {
        const codes = [];
        for (let n = 0; n < 4; n++) {
            codes.push(await remit.probe.burn({ who: "a", units: 1, ms: 600_000 * (n === 0) })
                .then(() => "done", (e) => e.code));
        }
        return codes;
    }"#;
    let task = mesh.task(script, "?cost=30&onUnknown=fail").await;
    while !mesh.effects().with_file_name("waiting.txt").exists() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(spent(&task).await, [(GrantId(1), MOST)], "reserved before it is sent");
    mesh.tools.kill();
    mesh.restart_tools().await;
    let codes = remit_client::value_to_json(&task.result().await.unwrap());
    assert_eq!(codes, serde_json::json!(["unknown", "done", "done", "done"]));
    assert_eq!(spent(&task).await, [(GrantId(1), MOST + 3)]);
}
