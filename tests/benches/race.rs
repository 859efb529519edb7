//! The recovery race: processes are killed while fifty tasks run. Measures how soon the first task
//! resumes, how many finish with the right result, and how many effects are repeated.
//!
//! Run it with `cargo bench -p remit-tests --bench race`.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says clearly enough what it expected")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use remit_client::{GrantSpec, TaskHandle, TaskSpec, Value};
use remit_tests::figures::is_quick;
use remit_tests::mesh::{Mesh, now_ms};
use remit_tests::process::kill;

/// Appends its lines one after the other. After a call of unknown outcome it reads the lines before
/// it appends again.
const SCRIPT: &str = r#"
export default async function (remit, { name, steps }) {
    let unknown = 0;
    for (let step = 0; step < steps; step++) {
        const line = `${name} step ${step}`;
        for (;;) {
            try {
                await remit.probe.append(line);
                break;
            } catch (error) {
                if (error.code !== "unknown") throw error;
                unknown++;
                if ((await remit.view.lines()).includes(line)) break;
            }
        }
    }
    return unknown;
}"#;

/// The processes that are killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victims {
    Everyone,
    Orchestrator,
}

struct Size {
    tasks: usize,
    steps: usize,
}

fn main() {
    let quick = is_quick();
    let size = if quick { Size { tasks: 5, steps: 10 } } else { Size { tasks: 50, steps: 10 } };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    for victims in [Victims::Everyone, Victims::Orchestrator] {
        runtime.block_on(race(victims, &size));
    }
}

async fn race(victims: Victims, size: &Size) {
    let mut mesh = Mesh::start(1).await;
    let whole = size.tasks * size.steps;
    let tasks = start(&mesh, size).await;
    until(&mesh, whole * 2 / 5).await;
    let killed = Instant::now();
    kill_them(&mut mesh, victims);
    let before = mesh.appended().len();
    let resumed = first_new(mesh.effects(), before);
    let restarted = Instant::now();
    mesh.restart_orchestrator();
    if victims == Victims::Everyone {
        mesh.restart_agent(0).await;
        mesh.restart_tools().await;
    }
    let resumed = resumed.join().unwrap();
    let mut unknown = 0;
    for task in tasks {
        match task.result().await {
            Ok(Value::Integer(asked)) => unknown += asked,
            other => panic!("{other:?}"),
        }
    }
    let all = killed.elapsed();

    let mut effects: BTreeMap<String, usize> = BTreeMap::new();
    for line in mesh.appended() {
        *effects.entry(line).or_default() += 1;
    }
    let right = (0..size.tasks).filter(|task| {
        let mut lines = (0..size.steps).map(|step| format!("task {task} step {step}"));
        lines.all(|line| effects.contains_key(&line))
    });
    let right = right.count();
    let repeated: usize = effects.values().map(|count| count - 1).sum();
    let Size { tasks, steps } = size;
    println!(
        "killed with SIGKILL: {victims:?}, {tasks} tasks of {steps} steps, after {before} effects"
    );
    println!(
        "  restart to first resumed step          {:.0?} (target: under 500 ms)",
        resumed - restarted
    );
    println!("  death to last task's end               {all:.0?}");
    println!("  finished with the right result         {right} of {tasks}");
    println!("  effects repeated                       {repeated} of {whole}");
    println!("  outcomes that only looking could tell  {unknown}");
    assert_eq!((right, repeated), (size.tasks, 0));
    let target = Duration::from_millis(500);
    assert!(size.tasks < 50 || resumed - restarted < target, "it took longer than {target:?}");
}

async fn start(mesh: &Mesh, size: &Size) -> Vec<TaskHandle> {
    let mut tasks = Vec::new();
    for number in 0..size.tasks {
        let steps = i64::try_from(size.steps).unwrap();
        let input = Value::Fields(vec![
            ("name".into(), Value::Text(format!("task {number}"))),
            ("steps".into(), Value::Integer(steps)),
        ]);
        let grant = |name, text| GrantSpec::parse(name, text, now_ms()).unwrap();
        let (grant, view) =
            (grant("probe", "probe?onUnknown=fail"), grant("view", "probe?methods=readOnly"));
        let spec = TaskSpec::script(format!("race {number}"), SCRIPT)
            .input(input)
            .grant(grant)
            .grant(view);
        tasks.push(mesh.client.create_task(spec).await.unwrap());
    }
    tasks
}

/// Waits until at least `effects` effects have happened.
async fn until(mesh: &Mesh, effects: usize) {
    while mesh.appended().len() < effects {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn kill_them(mesh: &mut Mesh, victims: Victims) {
    if victims == Victims::Everyone {
        let workers = mesh.agents[0].children();
        mesh.agents[0].kill();
        workers.into_iter().for_each(kill);
        mesh.tools.kill();
    }
    mesh.orchestrator.kill();
}

/// The moment at which there are more than `before` effects.
#[expect(clippy::disallowed_methods, reason = "it watches a file from a thread of its own")]
fn first_new(effects: PathBuf, before: usize) -> std::thread::JoinHandle<Instant> {
    std::thread::spawn(move || {
        let count = || std::fs::read_to_string(&effects).unwrap_or_default().lines().count();
        while count() <= before {
            std::thread::sleep(Duration::from_millis(1));
        }
        Instant::now()
    })
}
