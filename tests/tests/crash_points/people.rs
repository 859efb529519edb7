//! The second task: people decide, steer, pause and cancel while the orchestrator dies.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

use remit_client::{
    Asks, Client, Code, Does, Error, Fact, GrantSpec, Input, Missed, Question, RefSpec, Settlement,
    TaskFilter, TaskHandle, TaskSpec, Trigger, Value, When,
};
use remit_faults::crash::Step;
use remit_tests::following::{until, whole};
use remit_tests::looking::look_for;
use remit_tests::mesh::{Mesh, now_ms};

use crate::{Row, Who, create, row};

/// The actions of people, each named for the first event that it records, and the steps at which
/// the orchestrator dies. The other steps are the same for all events.
pub(crate) const ROWS: [Row; 22] = [
    row(Who::Orchestrator, Step::Decided, "approval-requested", &[1]),
    row(Who::Orchestrator, Step::Flushed, "approval-requested", &[1]),
    row(Who::Orchestrator, Step::Decided, "approval-decided", &[1]),
    row(Who::Orchestrator, Step::Flushed, "approval-decided", &[1]),
    row(Who::Orchestrator, Step::Appended, "call-unknown", &[1]),
    row(Who::Orchestrator, Step::Decided, "settlement-requested", &[1]),
    row(Who::Orchestrator, Step::Flushed, "settlement-requested", &[1]),
    row(Who::Orchestrator, Step::Decided, "settlement-decided", &[1]),
    row(Who::Orchestrator, Step::Flushed, "settlement-decided", &[1]),
    row(Who::Orchestrator, Step::Appended, "steers-requested", &[1]),
    row(Who::Orchestrator, Step::Flushed, "steers-requested", &[1]),
    row(Who::Orchestrator, Step::Decided, "task-paused", &[1]),
    row(Who::Orchestrator, Step::Flushed, "task-paused", &[1]),
    row(Who::Orchestrator, Step::Appended, "task-resumed", &[1]),
    // The second `task-created` is that of the spawned task.
    row(Who::Orchestrator, Step::Decided, "task-created", &[2]),
    row(Who::Orchestrator, Step::Flushed, "task-created", &[2]),
    row(Who::Orchestrator, Step::Decided, "cancel-requested", &[1]),
    row(Who::Orchestrator, Step::Flushed, "cancel-requested", &[1]),
    row(Who::Orchestrator, Step::Received, "reference", &[1]),
    row(Who::Orchestrator, Step::Flushed, "reference", &[1]),
    row(Who::Orchestrator, Step::Received, "trigger", &[1]),
    row(Who::Orchestrator, Step::Flushed, "trigger", &[1]),
];

const SCRIPT: &str = r#"
export default async function (remit, row) {
    await remit.asked.append(`${row} approved`);
    const seen = [await remit.lost.die()];
    const { probe } = remit;
    seen.push(await remit.spawn({ export: "helper", name: `${row} helper`, input: row, grants: { probe } }).result());
    seen.push(await remit.steers({ wait: true }));
    seen.push(await remit.input());
    return seen;
}
export async function helper(remit, row) {
    await remit.probe.append(`${row} helped`);
    return "helped";
}"#;

/// The observations of the tasks from outside.
struct Seen {
    task: TaskHandle,
    ended: TaskHandle,
    result: Value,
}

/// Runs one task. The orchestrator dies at one crash point; the tool node dies in a call of `die`.
pub(crate) async fn pass(mesh: &mut Mesh, row: &Row, passage: u64) {
    let point = format!("{}:{}:{passage}", row.step.name(), row.what);
    mesh.orchestrator.kill();
    mesh.restart_orchestrator_armed(Some(&point));
    mesh.until_nodes_are_there().await;
    let mut driving = tokio::spawn(drive(mesh.client.clone(), point.clone()));
    let mut died = 0;
    let all = async {
        loop {
            tokio::select! {
                biased;
                end = mesh.orchestrator.ended() => {
                    assert_eq!(end.signal(), Some(9), "{point}");
                    died += 1;
                    mesh.restart_orchestrator();
                }
                _ = mesh.tools.ended() => mesh.restart_tools().await,
                seen = &mut driving => break seen.unwrap(),
            }
        }
    };
    let seen = tokio::time::timeout(Duration::from_secs(90), all).await;
    let seen = seen.unwrap_or_else(|_| panic!("{point}: the task did not end"));
    assert_eq!(died, 1, "{point} was never reached");
    check(mesh, &point, &seen).await;
}

async fn drive(client: Client, name: String) -> Seen {
    let grant = |name, text: &str| GrantSpec::parse(name, text, now_ms()).unwrap();
    let spec = TaskSpec::script(&name, SCRIPT)
        .input(Value::Text(name.clone()))
        .grant(grant("probe", "probe?onUnknown=fail"))
        .grant(grant("asked", "probe?requiresApproval=append"))
        .grant(grant("lost", "probe?methods=die"))
        .grant(grant("tasks", "tasks"));
    let task = create(&client, &spec).await;
    let held = question(&task).await;
    let operation = held.operation;
    let Asks::Approval { digest, .. } = held.asks else { panic!("{held:?}") };
    task.approve(operation, digest).await.unwrap();
    let lost = loop {
        let question = question(&task).await;
        if matches!(question.asks, Asks::Settlement { .. }) {
            break question;
        }
    };
    let dead = Settlement::Outcome(Value::Text("dead".into()));
    task.settle(lost.operation, lost.event, dead).await.unwrap();
    until(&task, |fact| matches!(fact, Fact::SteersRequested { .. })).await;
    let mut steer = Input::new(Value::Text("left".into()));
    steer.steer = true;
    task.send_input(steer).await.unwrap();
    // If the answer with the reference was lost, another reference is saved.
    while task.save(RefSpec::new(&name)).await.is_err() {}
    set_off(&client, &task).await;
    let result = task.result().await.unwrap();
    // This task has no attempt, whose end would be recorded before the cancellation.
    let script = "export default (remit) => remit.input()";
    let mut waits = TaskSpec::script(format!("{name} waits"), script);
    waits.labels = vec!["nowhere".into()];
    let ended = create(&client, &waits).await;
    ended.pause("a look").await.unwrap();
    ended.resume().await.unwrap();
    ended.cancel("enough").await.unwrap();
    assert!(ended.result().await.is_err());
    Seen { task, ended, result }
}

/// Puts a trigger that sends the task its input, waits for the input, and removes the trigger.
async fn set_off(client: &Client, task: &TaskHandle) {
    let does = Does::Send { task: task.id(), value: Value::Integer(1), steer: false };
    let name = "soon".to_owned();
    let trigger = Trigger { name, when: When::Every(1_000), missed: Missed::Once, does };
    while client.put_trigger(trigger.clone()).await.is_err() {}
    until(task, |fact| matches!(fact, Fact::InputDelivered { .. })).await;
    match client.remove_trigger("soon").await {
        Ok(()) => {}
        // It was removed, and the answer was lost.
        Err(Error::Failed(failure)) if failure.code == Code::NotFound => {}
        Err(error) => panic!("{error}"),
    }
}

/// Waits for a question to a person.
async fn question(task: &TaskHandle) -> Question {
    look_for("a question", async || task.questions().await.unwrap().pop()).await
}

async fn check(mesh: &Mesh, name: &str, seen: &Seen) {
    let text = |text: &str| Value::Text(text.into());
    let steers = Value::List(vec![text("left")]);
    let expected = [text("dead"), text("helped"), steers, Value::Integer(1)];
    assert_eq!(seen.result, Value::List(expected.into()), "{name}");
    let mut effects: BTreeMap<String, usize> = BTreeMap::new();
    for line in mesh.appended().iter().filter_map(|line| line.strip_prefix(name)) {
        *effects.entry(line.to_owned()).or_default() += 1;
    }
    let once = [(" approved".to_owned(), 1), (" helped".to_owned(), 1)];
    assert_eq!(effects, BTreeMap::from(once), "{name}");

    let events = whole(&seen.task).await;
    let count = |name: &str| events.iter().filter(|event| event.fact.name() == name).count();
    for once in [
        "approval-requested",
        "approval-decided",
        "settlement-requested",
        "settlement-decided",
        "steers-delivered",
    ] {
        assert_eq!(count(once), 1, "{name}: {once}");
    }
    let ended = whole(&seen.ended).await;
    for once in ["task-paused", "task-resumed", "cancel-requested", "task-cancelled"] {
        let times = ended.iter().filter(|event| event.fact.name() == once).count();
        assert_eq!(times, 1, "{name}: {once}");
    }
    let tasks = TaskFilter { limit: 1_000, ..TaskFilter::default() };
    let tasks = mesh.client.tasks(tasks).await.unwrap();
    for own in [name.to_owned(), format!("{name} helper"), format!("{name} waits")] {
        assert_eq!(tasks.iter().filter(|task| task.name == own).count(), 1, "{own}");
    }
}
