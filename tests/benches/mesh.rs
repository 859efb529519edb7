//! How fast a mesh of real processes is, every figure beside its floor, all in one run.
//!
//! Run it with `cargo bench -p remit-tests`.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says clearly enough what it expected")]

use std::time::{Duration, Instant};

use remit_client::{Client, GrantSpec, TaskSpec, Value};
use remit_schema::peer_capnp::peer;
use remit_tests::mesh::{Mesh, now_ms};
use remit_vat::disk::Disk;
use remit_vat::membership::Member;
use remit_vat::vat::Vat;

fn main() {
    // `cargo test --benches` runs this as well: it must be quick there.
    let quick = !std::env::args().any(|arg| arg == "--bench");
    let scale = if quick { 50 } else { 1 };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mesh = Mesh::start(1).await;
        println!("profile: {}", if cfg!(debug_assertions) { "debug" } else { "release" });
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

/// Empty calls to the orchestrator over the transport that everything uses.
fn echo(mesh: &Mesh, count: usize) -> Duration {
    let (dir, address) = (mesh.dir().join("client"), mesh.address().to_owned());
    let thread = std::thread::spawn(move || {
        Vat::run(async move {
            let member = Member::open(&dir, &address, None).await.unwrap();
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
    report("echo over TLS", thread.join().unwrap())
}

/// Lone durable writes of 300 bytes.
async fn commit(count: usize) -> Duration {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::open(dir.path(), 16 << 20).unwrap();
    let mut times = Vec::with_capacity(count);
    for number in 0..count {
        let began = Instant::now();
        disk.commit(vec![(number.to_be_bytes().to_vec(), Some(vec![7; 300]))]).await.unwrap();
        times.push(began.elapsed());
    }
    report("commit, 300 bytes, flushed and synced", times)
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
    report("journaled call, script to tool and back, alone", times)
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
    let chain = report("chain of ten dependent journaled calls", times);
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

/// What the probe's clock said, as the script collected it.
async fn stamps(mesh: &Mesh, script: &str) -> Vec<Duration> {
    let grant = GrantSpec::parse("probe", "probe", now_ms()).unwrap();
    let task = mesh.client.create_task(TaskSpec::script("bench", script).grant(grant)).await;
    let Value::List(stamps) = task.unwrap().result().await.unwrap() else { panic!("no list") };
    let nanos = |stamp: Value| match stamp {
        Value::Integer(nanos) => Duration::from_nanos(u64::try_from(nanos).unwrap()),
        other => panic!("{other:?}"),
    };
    stamps.into_iter().map(nanos).collect()
}

/// Resident memory of a process, in bytes.
fn resident(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// Prints median and 99th percentile, and gives the median.
fn report(what: &str, mut times: Vec<Duration>) -> Duration {
    times.sort();
    let (median, slow) = (times[times.len() / 2], times[times.len() * 99 / 100]);
    println!("{what:<53} p50 {}  p99 {}", shown(median), shown(slow));
    median
}

fn shown(time: Duration) -> String {
    format!("{:.0} us", time.as_secs_f64() * 1e6)
}

fn ratio(one: Duration, other: Duration) -> f64 {
    one.as_secs_f64() / other.as_secs_f64()
}
