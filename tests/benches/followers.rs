//! A thousand followers of one task, one follower of a thousand tasks, and a single follower as the
//! floor.
//!
//! Run it with `cargo bench -p remit-tests --bench followers`.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says clearly enough what it expected")]

use std::time::{Duration, Instant};

use remit_client::{Client, EventNumber, Events, Fact, Followed, TaskHandle, TaskSpec, Value};
use remit_tests::figures::{is_quick, ratio, resident};
use remit_tests::mesh::Mesh;
use tokio::sync::mpsc;

/// Connections among which the followers of one task are spread.
const CLIENTS: usize = 10;

/// The arrival of an input at a follower.
struct Seen {
    input: u64,
    at: Instant,
}

fn main() {
    let quick = is_quick();
    let (many, inputs) = if quick { (20, 5) } else { (1_000, 50) };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mesh = Mesh::start(1).await;
        let alone = of_one(&mesh, 1, inputs).await;
        let all = of_one(&mesh, many, inputs).await;
        println!("  {many} followers / one                           {:.1}", ratio(all, alone));
        of_many(&mesh, many).await;
    });
}

/// Sends inputs to one task, one at a time. Measures from each `send` until the last of `followers`
/// has seen the input.
async fn of_one(mesh: &Mesh, followers: usize, inputs: u64) -> Duration {
    let task = idle(&mesh.client, "followed by many").await;
    let before = resident(mesh.orchestrator.id());
    let (seen, mut told) = mpsc::channel(1 << 16);
    let mut clients = Vec::new();
    for _ in 0..CLIENTS.min(followers) {
        let folder = mesh.dir().join("client");
        clients.push(Client::connect(mesh.address(), folder).await.unwrap());
    }
    let mut following = tokio::task::JoinSet::new();
    for number in 0..followers {
        let events = clients[number % clients.len()].task(task.id());
        let events = caught_up(&events).await;
        following.spawn(watch(events, seen.clone()));
    }
    let each = resident(mesh.orchestrator.id()).saturating_sub(before) / followers as u64;
    let mut times = Vec::new();
    for number in 1..=inputs {
        let began = Instant::now();
        task.send(Value::Integer(number.cast_signed())).await.unwrap();
        let mut last = began;
        for _ in 0..followers {
            let one: Seen = told.recv().await.unwrap();
            assert_eq!(one.input, number, "each sees each input once, in order");
            last = last.max(one.at);
        }
        times.push(last - began);
    }
    times.sort();
    let (median, slow) = (times[times.len() / 2], times[times.len() * 99 / 100]);
    println!("input sent until {followers} of one task saw it: p50 {median:.1?}  p99 {slow:.1?}");
    println!("  orchestrator memory per follower                    {each} bytes");
    task.cancel("the bench is over").await.unwrap();
    median
}

/// Sends an input to each of many tasks, which one connection follows. Measures until the last
/// input has been seen.
async fn of_many(mesh: &Mesh, tasks: usize) {
    let mut followed = Vec::new();
    for number in 0..tasks {
        followed.push(idle(&mesh.client, &format!("one of many {number}")).await);
    }
    let client = Client::connect(mesh.address(), mesh.dir().join("client")).await.unwrap();
    let (seen, mut told) = mpsc::channel(1 << 16);
    let began = Instant::now();
    let mut following = tokio::task::JoinSet::new();
    for task in &followed {
        let events = caught_up(&client.task(task.id())).await;
        following.spawn(watch(events, seen.clone()));
    }
    println!("one follower of {tasks} tasks has caught up after {:.0?}", began.elapsed());
    let began = Instant::now();
    let mut sending = tokio::task::JoinSet::new();
    for task in followed {
        if sending.len() >= 64 {
            sending.join_next().await;
        }
        sending.spawn(async move { task.send(Value::Null).await.unwrap() });
    }
    for _ in 0..tasks {
        assert_eq!(told.recv().await.unwrap().input, 1);
    }
    let all = began.elapsed();
    let rate = tasks as f64 / all.as_secs_f64();
    println!("  one input to each, 64 at once, all seen after {all:.0?}: {rate:.0}/s");
}

/// A task that waits for a label that no node has.
async fn idle(client: &Client, name: &str) -> TaskHandle {
    let mut spec = TaskSpec::script(name, "export default () => 1");
    spec.labels = vec!["nowhere".into()];
    client.create_task(spec).await.unwrap()
}

/// Follows a task, and reads past its existing events.
async fn caught_up(task: &TaskHandle) -> Events {
    let mut events = task.events(EventNumber(0)).await.unwrap();
    while !matches!(events.next().await.unwrap().unwrap(), Followed::CaughtUp(_)) {}
    events
}

/// Reports the arrival of each input.
async fn watch(mut events: Events, seen: mpsc::Sender<Seen>) {
    while let Some(Ok(followed)) = events.next().await {
        if let Followed::Event(event) = followed
            && let Fact::InputAccepted { input, .. } = event.fact
        {
            let _ = seen.send(Seen { input: input.0, at: Instant::now() }).await;
        }
    }
}
