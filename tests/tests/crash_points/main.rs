//! A process may die at any step between receiving a request and replying: acknowledged work is
//! kept, each effect happens once, and the task completes.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says clearly enough what it expected")]

mod people;
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

use remit_client::{
    Client, Code, Error, Event, Fact, GrantSpec, TaskFilter, TaskHandle, TaskSpec, Value,
};
use remit_core::Outcome;
use remit_faults::crash::Step;
use remit_tests::following::whole;
use remit_tests::looking::look_for;
use remit_tests::mesh::{Mesh, now_ms};

/// Takes four inputs with an effect after each, sleeps, and has one more effect. After a fifth
/// input it tries a grant that has been revoked.
const SCRIPT: &str = r#"
export default async function (remit, row) {
    const lines = () => remit.probe.lines().catch((error) => {
        if (error.code !== "unknown") throw error;
        return lines();
    });
    const once = async (line) => {
        for (;;) {
            try {
                return await remit.probe.append(`${row} ${line}`);
            } catch (error) {
                if (error.code !== "unknown") throw error;
                console.warn(`nobody knows about ${line}`);
                if ((await lines()).includes(`${row} ${line}`)) return;
            }
        }
    };
    const seen = [];
    for (let n = 0; n < 4; n++) {
        seen.push(await remit.input());
        await once(`line ${n}`);
    }
    await remit.sleep(20);
    await once("line 4");
    seen.push(await remit.input());
    try {
        await remit.spare.append(`${row} forbidden`);
    } catch (error) {
        seen.push(error.code);
    }
    return seen;
}"#;

/// The process that dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Orchestrator,
    AgentNode,
    ToolNode,
}

/// A crash point, and the numbers of the passages at which the process dies there.
#[derive(Clone, Copy)]
struct Row {
    who: Who,
    step: Step,
    what: &'static str,
    passages: &'static [u64],
}

const fn row(who: Who, step: Step, what: &'static str, passages: &'static [u64]) -> Row {
    Row { who, step, what, passages }
}

/// The commands of an owner, each named for the first event that it records. Each passes three
/// crash points.
const RECORDED: [(&str, &[u64]); 10] = [
    ("attempt-started", &[1]),
    ("input-accepted", &[1, 3]),
    ("input-requested", &[1]),
    ("call-requested", &[1, 4]),
    ("call-completed", &[1, 4]),
    ("timer-set", &[1]),
    ("timer-fired", &[1]),
    ("grant-revoked", &[1]),
    ("call-denied", &[1]),
    // The end of the task follows immediately.
    ("attempt-ended", &[1]),
];

/// All other crash points.
const ROWS: [Row; 24] = [
    row(Who::Orchestrator, Step::Received, "task", &[1]),
    row(Who::Orchestrator, Step::Decided, "task-created", &[1]),
    row(Who::Orchestrator, Step::Appended, "task-created", &[1]),
    row(Who::Orchestrator, Step::Flushed, "task-created", &[1]),
    row(Who::Orchestrator, Step::Replied, "task", &[1]),
    row(Who::Orchestrator, Step::Received, "command", &[1, 4]),
    row(Who::Orchestrator, Step::Replied, "command", &[1, 4]),
    row(Who::Orchestrator, Step::Received, "call", &[1, 3]),
    row(Who::Orchestrator, Step::Forwarded, "call", &[1, 3]),
    row(Who::Orchestrator, Step::Received, "outcome", &[1, 3]),
    row(Who::Orchestrator, Step::Replied, "call", &[1, 3]),
    row(Who::Orchestrator, Step::Received, "result", &[1]),
    row(Who::Orchestrator, Step::Replied, "result", &[1]),
    row(Who::Orchestrator, Step::Applied, "batch", &[8, 20]),
    row(Who::Orchestrator, Step::Written, "batch", &[9, 21]),
    row(Who::Orchestrator, Step::Synced, "batch", &[10, 22]),
    row(Who::AgentNode, Step::Received, "attempt", &[1]),
    row(Who::AgentNode, Step::Replied, "attempt", &[1]),
    row(Who::ToolNode, Step::Received, "request", &[1, 3]),
    row(Who::ToolNode, Step::Begun, "effect", &[1, 3]),
    row(Who::ToolNode, Step::Done, "effect", &[1, 3]),
    row(Who::ToolNode, Step::Recorded, "effect", &[1, 3]),
    row(Who::ToolNode, Step::Replied, "request", &[1, 3]),
    row(Who::ToolNode, Step::Written, "batch", &[1, 2, 6]),
];

/// Whether the second task covers this row.
fn is_of_people(row: &Row, passage: u64) -> bool {
    let same = |own: &Row| (own.step, own.what) == (row.step, row.what);
    people::ROWS.iter().any(|own| same(own) && own.passages.contains(&passage))
}

fn rows() -> Vec<Row> {
    let steps = [Step::Decided, Step::Appended, Step::Flushed];
    let recorded = RECORDED.iter().flat_map(|(what, passages)| {
        steps.map(|step| row(Who::Orchestrator, step, what, passages))
    });
    recorded.chain(ROWS).chain(people::ROWS).collect()
}

/// The observations of one task from outside, across lost connections.
struct Seen {
    task: TaskHandle,
    result: Value,
    /// The events that a follower saw, which subscribed at the start.
    followed: Vec<Event>,
}

/// Creates the task. A restarted orchestrator refuses it until the tool node has registered again.
async fn create(client: &Client, spec: &TaskSpec) -> TaskHandle {
    look_for(&spec.name, async || match client.create_task(spec.clone()).await {
        Ok(task) => Some(task),
        Err(Error::Failed(failure)) if failure.code == Code::NotFound => None,
        Err(error) => panic!("{}: {error}", spec.name),
    })
    .await
}

/// Runs a task to its end: creates it, sends its inputs, and revokes a grant.
async fn drive(client: Client, name: String) -> Seen {
    let grant = |name| GrantSpec::parse(name, "probe?onUnknown=fail", now_ms()).unwrap();
    let spec = TaskSpec::script(&name, SCRIPT).input(Value::Text(name.clone()));
    let spec = spec.grant(grant("probe")).grant(grant("spare"));
    let task = create(&client, &spec).await;
    let followed = task.clone();
    let following = tokio::spawn(async move { whole(&followed).await });
    for number in 0..4 {
        task.send(Value::Integer(number)).await.unwrap();
    }
    let spare = task.grants().await.unwrap();
    let spare = spare.iter().find(|grant| grant.name == "spare").unwrap().grant;
    task.revoke(spare, "the test").await.unwrap();
    task.send(Value::Integer(4)).await.unwrap();
    let result = task.result().await.unwrap();
    Seen { task, result, followed: following.await.unwrap() }
}

/// Waits until the process ends. Returns whether SIGKILL ended it.
async fn dies(mesh: &mut Mesh, who: Who) -> bool {
    let victim = match who {
        Who::Orchestrator => &mut mesh.orchestrator,
        Who::AgentNode => &mut mesh.agents[0],
        Who::ToolNode => &mut mesh.tools,
    };
    victim.ended().await.signal() == Some(9)
}

async fn restart(mesh: &mut Mesh, who: Who, crash: Option<&str>) {
    match who {
        Who::Orchestrator => mesh.restart_orchestrator_armed(crash),
        Who::AgentNode => mesh.restart_agent_armed(0, crash).await,
        Who::ToolNode => mesh.restart_tools_armed(crash).await,
    }
}

/// Runs one task while one process dies at one crash point.
async fn pass(mesh: &mut Mesh, row: &Row, passage: u64) {
    let point = format!("{}:{}:{passage}", row.step.name(), row.what);
    let name = format!("{:?} {point}", row.who);
    match row.who {
        Who::Orchestrator => mesh.orchestrator.kill(),
        Who::AgentNode => mesh.agents[0].kill(),
        Who::ToolNode => mesh.tools.kill(),
    }
    restart(mesh, row.who, Some(&point)).await;
    mesh.until_nodes_are_there().await;
    let driving = tokio::spawn(drive(mesh.client.clone(), name.clone()));
    let died = tokio::time::timeout(Duration::from_secs(20), dies(mesh, row.who)).await;
    assert!(matches!(died, Ok(true)), "{name} was never reached: {died:?}");
    restart(mesh, row.who, None).await;
    let seen = tokio::time::timeout(Duration::from_secs(60), driving).await;
    let seen = seen.unwrap_or_else(|_| panic!("{name}: the task did not end")).unwrap();
    check(mesh, row, &name, seen).await;
}

async fn check(mesh: &Mesh, row: &Row, name: &str, seen: Seen) {
    let numbers = (0..5).map(Value::Integer);
    let expected = numbers.chain([Value::Text("revoked".into())]).collect();
    assert_eq!(seen.result, Value::List(expected), "{name}");

    let mut effects: BTreeMap<String, usize> = BTreeMap::new();
    for line in mesh.appended().iter().filter_map(|line| line.strip_prefix(name)) {
        *effects.entry(line.to_owned()).or_default() += 1;
    }
    let once: BTreeMap<_, _> = (0..5).map(|n| (format!(" line {n}"), 1)).collect();
    assert_eq!(effects, once, "{name}");

    let journal = whole(&seen.task).await;
    assert_eq!(seen.followed, journal, "{name}: the follower saw something else");
    let numbers: Vec<u64> = journal.iter().map(|event| event.number.0).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>(), "{name}");
    let count =
        |which: &dyn Fn(&Fact) -> bool| journal.iter().filter(|event| which(&event.fact)).count();
    assert_eq!(count(&|fact| matches!(fact, Fact::InputAccepted { .. })), 5, "{name}");
    assert_eq!(count(&|fact| matches!(fact, Fact::GrantRevoked { .. })), 1, "{name}");
    let unknown = count(
        &|fact| matches!(fact, Fact::CallCompleted { outcome: Outcome::Failure(f), .. } if f.code == Code::Unknown),
    );
    // Only a tool node that dies between the begin and the end of a call leaves the outcome
    // unknown.
    let open =
        row.who == Who::ToolNode && matches!(row.step, Step::Begun | Step::Done | Step::Written);
    assert!(unknown <= usize::from(open), "{name}: the ledger knew");

    let filter = TaskFilter::default();
    let tasks = mesh.client.tasks(filter).await.unwrap();
    assert_eq!(tasks.iter().filter(|task| task.name == name).count(), 1, "{name}");
}

#[test]
fn a_process_may_die_at_every_step() {
    let rows = rows();
    let listed: BTreeSet<&str> = rows.iter().map(|row| row.step.name()).collect();
    assert_eq!(listed, Step::ALL.map(Step::name).into(), "each step has a row");
    source::check(&rows);
    let deaths: usize = std::thread::scope(|threads| {
        let pass = |share| {
            let own: Vec<Row> = rows.iter().copied().skip(share).step_by(MESHES).collect();
            threads.spawn(move || {
                let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
                runtime.unwrap().block_on(pass_all(&own))
            })
        };
        let passing: Vec<_> = (0..MESHES).map(pass).collect();
        passing.into_iter().map(|share| share.join().unwrap()).sum()
    });
    println!("{deaths} deaths at {} crash points, every effect once", rows.len());
}

/// Meshes among which the rows are divided: a row spends most of its time waiting for a restart.
const MESHES: usize = 6;

/// Runs all rows in one mesh, one death after the other.
async fn pass_all(rows: &[Row]) -> usize {
    let mut mesh = Mesh::start(1).await;
    let mut deaths = 0;
    for row in rows {
        for passage in row.passages {
            if is_of_people(row, *passage) {
                people::pass(&mut mesh, row, *passage).await;
            } else {
                pass(&mut mesh, row, *passage).await;
            }
            deaths += 1;
        }
    }
    deaths
}
