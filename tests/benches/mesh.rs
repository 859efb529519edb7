//! The speed of a mesh of real processes. One run measures every figure and its floor.
//!
//! Run it with `cargo bench -p remit-tests`.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says clearly enough what it expected")]

use std::time::{Duration, Instant};

use remit_client::{Client, GrantSpec, Role, TaskSpec, Value};
use remit_identity::membership::Member;
use remit_schema::peer_capnp::peer;
use remit_tests::figures::{commit, is_quick, ratio, report, resident, shown, time_of};
use remit_tests::mesh::{Mesh, now_ms};
use remit_vat::vat::Vat;

fn main() {
    let quick = is_quick();
    let scale = if quick { 50 } else { 1 };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mesh = Mesh::start(1).await;
        let echo = echo(&mesh, 5_000 / scale);
        let commit = commit(2_000 / scale).await;
        let floor = 2 * echo + 2 * commit;
        println!("floor of a journaled call (two echoes + two commits)  {}", shown(floor));
        let alone = alone(&mesh, 2_000 / scale).await;
        println!(
            "  call / floor                                        {:.2}",
            ratio(alone, floor)
        );
        side_by_side(&mesh, 100 / scale.min(10)).await;
        chain(&mesh, alone, 50 / scale.min(10)).await;
        tasks(&mesh.client, 400 / scale).await;
        idle(&mesh, 10_000 / scale).await;
    });
}

/// Empty calls to the orchestrator over TLS: the floor of every call.
fn echo(mesh: &Mesh, count: usize) -> Duration {
    let (dir, address) = (mesh.dir().join("client"), mesh.address().to_owned());
    let thread = std::thread::spawn(move || {
        Vat::run(async move {
            let member = Member::open(&dir, &address, None, Role::Client).await.unwrap();
            let (peer, connection) = member.connect::<peer::Client>().await.unwrap();
            let mut times = Vec::with_capacity(count);
            for _ in 0..count {
                let began = Instant::now();
                peer.ping_request().send().promise.await.unwrap();
                times.push(began.elapsed());
            }
            connection.abort("done");
            times
        })
        .unwrap()
    });
    report("echo over TLS", thread.join().unwrap()).median
}

/// Journaled calls of a script, one after the other.
async fn alone(mesh: &Mesh, count: usize) -> Duration {
    let script = format!(
        "export default async (remit) => {{
            const stamps = [];
            for (let n = 0; n < {count}; n++) stamps.push(await remit.probe.stamp());
            return stamps;
        }}"
    );
    let stamps = stamps(mesh, &script).await;
    let times = stamps.windows(2).map(|pair| pair[1] - pair[0]).collect();
    report("journaled call, script to tool and back, alone", times).median
}

/// Journaled calls of a script, 64 in flight.
async fn side_by_side(mesh: &Mesh, each: usize) {
    let script = format!(
        "export default async (remit) => {{
            const stamps = [];
            const one = async () => {{
                for (let n = 0; n < {each}; n++) stamps.push(await remit.probe.stamp());
            }};
            await Promise.all(Array.from({{ length: 64 }}, one));
            return stamps;
        }}"
    );
    let stamps = stamps(mesh, &script).await;
    let (first, last) = (stamps.iter().min().unwrap(), stamps.iter().max().unwrap());
    let rate = stamps.len() as f64 / (*last - *first).as_secs_f64();
    println!("journaled calls, 64 in flight                         {rate:.0}/s");
}

/// Ten dependent calls, pipelined.
async fn chain(mesh: &Mesh, call: Duration, count: usize) {
    let script = format!(
        "export default async (remit) => {{
            const stamps = [];
            for (let n = 0; n < {count}; n++) {{
                stamps.push(await remit.probe.stamp());
                let object = remit.probe;
                for (let m = 0; m < 9; m++) object = object.next();
                stamps.push(await object.stamp());
            }}
            return stamps;
        }}"
    );
    let stamps = stamps(mesh, &script).await;
    let times = stamps.chunks(2).map(|pair| pair[1] - pair[0]).collect();
    let chain = report("chain of ten dependent journaled calls", times).median;
    println!("  chain / call                                        {:.2}", ratio(chain, call));
}

/// Tasks from creation to result, 16 at once.
async fn tasks(client: &Client, count: usize) {
    let began = Instant::now();
    let mut running = tokio::task::JoinSet::new();
    for number in 0..count {
        if running.len() >= 16 {
            running.join_next().await;
        }
        let client = client.clone();
        running.spawn(async move {
            let spec = TaskSpec::script(format!("{number}"), "export default () => 1");
            client.create_task(spec).await.unwrap().result().await.unwrap()
        });
    }
    while running.join_next().await.is_some() {}
    let rate = count as f64 / began.elapsed().as_secs_f64();
    println!("tasks created and completed, 16 at once               {rate:.0}/s");
}

/// Memory of the orchestrator for tasks that wait for a node.
async fn idle(mesh: &Mesh, count: usize) {
    let before = resident(mesh.orchestrator.id());
    let began = Instant::now();
    let mut running = tokio::task::JoinSet::new();
    for number in 0..count {
        if running.len() >= 64 {
            running.join_next().await;
        }
        let client = mesh.client.clone();
        running.spawn(async move {
            let mut spec = TaskSpec::script(format!("{number}"), "export default () => 1");
            spec.labels = vec!["nowhere".into()];
            client.create_task(spec).await.unwrap();
        });
    }
    while running.join_next().await.is_some() {}
    let rate = count as f64 / began.elapsed().as_secs_f64();
    println!("tasks created, 64 at once                             {rate:.0}/s");
    let each = resident(mesh.orchestrator.id()).saturating_sub(before) / count as u64;
    println!("orchestrator memory per idle task, {count} of them      {each} bytes");
    assert!(each * 10_000 < 100 << 20, "10,000 idle tasks take 100 MiB or more");
}

/// The time stamps of the probe that a script collected.
async fn stamps(mesh: &Mesh, script: &str) -> Vec<Duration> {
    let grant = GrantSpec::parse("probe", "probe", now_ms()).unwrap();
    let task = mesh.client.create_task(TaskSpec::script("bench", script).grant(grant)).await;
    let Value::List(stamps) = task.unwrap().result().await.unwrap() else { panic!("no list") };
    stamps.iter().map(time_of).collect()
}
