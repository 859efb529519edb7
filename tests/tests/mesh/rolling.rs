//! Every process of a busy mesh is told to end and started again, one after the other: nothing is
//! lost and nothing is done twice.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says clearly enough what it expected")]

use std::collections::BTreeMap;

use remit_client::{Code, Event, Fact, Value};
use remit_core::Outcome;
use remit_tests::following::whole;
use remit_tests::looking::look_until;
use remit_tests::mesh::Mesh;

/// Appends lines until it is told that this is enough.
const SCRIPT: &str = r#"
export default async function (remit) {
    let enough = false;
    remit.input().then(() => (enough = true));
    let lines = 0;
    for (; !enough; lines++) {
        await remit.probe.append(`${remit.task} ${lines}`);
        await remit.sleep(5);
    }
    return lines;
}"#;

const TASKS: usize = 6;

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_of_a_busy_mesh_loses_nothing() {
    let mut mesh = Mesh::start(2).await;
    let mut tasks = Vec::new();
    for number in 0..TASKS {
        tasks.push(mesh.task(&SCRIPT.replace("${remit.task}", &number.to_string()), "").await);
    }
    for round in 0..2 {
        for agent in 0..2 {
            assert!(mesh.agents[agent].terminate().await.success());
            mesh.restart_agent(agent).await;
            progress(&mesh).await;
        }
        assert!(mesh.tools.terminate().await.success());
        mesh.restart_tools().await;
        progress(&mesh).await;
        assert!(mesh.orchestrator.terminate().await.success());
        mesh.restart_orchestrator();
        progress(&mesh).await;
        println!("round {round}: {} effects so far", mesh.appended().len());
    }

    let mut effects: BTreeMap<String, usize> = BTreeMap::new();
    let mut told = Vec::new();
    for task in &tasks {
        task.send(Value::Bool(true)).await.unwrap();
        told.push(task.result().await.unwrap());
    }
    for line in mesh.appended() {
        *effects.entry(line).or_default() += 1;
    }
    for (number, told) in told.into_iter().enumerate() {
        let Value::Integer(lines) = told else { panic!("task {number}: {told:?}") };
        for line in 0..lines {
            assert_eq!(effects.remove(&format!("{number} {line}")), Some(1), "{number} {line}");
        }
    }
    assert!(effects.is_empty(), "nobody was told of {effects:?}");
    for task in &tasks {
        assert_eq!(unknown(task).await, 0, "a node that is told to end finishes what it does");
    }
}

/// Waits until every task has had an effect once more.
async fn progress(mesh: &Mesh) {
    let seen = mesh.appended().len();
    let enough = |lines: &[String]| {
        let mut counts = [0; TASKS];
        for line in &lines[seen..] {
            counts[line.split(' ').next().unwrap().parse::<usize>().unwrap()] += 1;
        }
        counts.iter().all(|count| *count > 2)
    };
    look_until("every task goes on", async || enough(&mesh.appended())).await;
}

/// How often nobody knew what had become of a call.
async fn unknown(task: &remit_client::TaskHandle) -> usize {
    let is_unknown = |event: &Event| {
        matches!(&event.fact,
            Fact::CallCompleted { outcome: Outcome::Failure(failure), .. }
                if failure.code == Code::Unknown)
    };
    whole(task).await.into_iter().filter(is_unknown).count()
}
