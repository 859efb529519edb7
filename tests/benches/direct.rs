//! Large results through the owner and on a direct path: their latency, and the bytes that pass
//! through the owner.
//!
//! Run it with `cargo bench -p remit-tests --bench direct`.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says clearly enough what it expected")]

use std::time::Duration;

use remit_client::{
    Client, EventNumber, Fact, Followed, GrantSpec, TaskHandle, TaskSpec, Value, value_from_json,
};
use remit_tests::figures::{Times, is_quick, ratio, time_of};
use remit_tests::fleet::Fleet;
use remit_tests::following::until;
use remit_tests::mesh::{Mesh, now_ms};
use serde_json::json;

/// Reads until a direct path is established. It then reads each body and takes the time before and
/// after.
const SCRIPT: &str = r#"
export default async function (remit, { rounds, pieces, bytes }) {
    let enough = false;
    remit.input().then(() => { enough = true; });
    while (!enough) {
        await remit.probe.large(100_000);
        await remit.sleep(5);
    }
    console.log("warm");
    await remit.input();
    const stamps = [];
    for (let round = 0; round < rounds; round++) {
        stamps.push(await remit.probe.stamp());
        for (let piece = 0; piece < pieces; piece++) await remit.probe.large(bytes);
        stamps.push(await remit.probe.stamp());
    }
    return stamps;
}"#;

/// The data that a script reads in one round. A result has at most 4 MiB, so a large body is read
/// in pieces.
#[derive(Clone, Copy)]
struct Body {
    name: &'static str,
    pieces: u64,
    bytes: u64,
    rounds: u64,
}

/// The route of large results.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Route {
    Mediated,
    Direct,
}

/// A task whose route is established, and which waits to begin the measured rounds.
struct Warm {
    task: TaskHandle,
    /// The last event before the measured ones.
    from: EventNumber,
}

fn main() {
    let quick = is_quick();
    let rounds = |many| if quick { 2 } else { many };
    let small = Body { name: "1 KiB", pieces: 1, bytes: 1 << 10, rounds: rounds(500) };
    let large = Body { name: "10 MiB", pieces: 10, bytes: 1 << 20, rounds: rounds(20) };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    println!(
        "Only results of 64 KiB or more go directly: 1 KiB takes the same way both times, through"
    );
    println!(
        "the owner, and its figures are to be the same. 10 MiB come in 10 pieces of 1 MiB, one"
    );
    println!("after the other.");
    runtime.block_on(async {
        latency(small, large).await;
        bytes(small, large).await;
    });
}

/// The latency of a body over loopback.
async fn latency(small: Body, large: Body) {
    let mesh = Mesh::start(1).await;
    let nothing = Body { name: "nothing", pieces: 0, ..small };
    let floor = timed(&mesh.client, nothing, Route::Mediated).await;
    println!("telling the time, which is in all of these       {floor}");
    for body in [small, large] {
        let mediated = timed(&mesh.client, body, Route::Mediated).await;
        println!("{:<6} through the owner                         {}", body.name, mediated);
        let direct = timed(&mesh.client, body, Route::Direct).await;
        println!("{:<6} with route=direct                         {}", body.name, direct);
        println!(
            "  direct / mediated                              {:.2}",
            ratio(direct.median, mediated.median)
        );
    }
}

/// The bytes of a body, and of the messages around it, that pass over the owner's connections.
async fn bytes(small: Body, large: Body) {
    let fleet = Fleet::start(1, 1, "").await;
    let carried = || [&fleet.nodes[0], &fleet.nodes[1]].map(|node| node.link.carried());
    for body in [small, large] {
        let mut mediated = 0;
        for route in [Route::Mediated, Route::Direct] {
            let warm = warmed(&fleet.client, body, route).await;
            let before = carried();
            read(&warm).await;
            let [agent, tool] = [0, 1].map(|at| (carried()[at] - before[at]) / body.rounds);
            check(&warm, body, route).await;
            let way = if route == Route::Direct { "route=direct" } else { "mediated" };
            println!(
                "{:<6} {way:<12} bytes through the owner: {} (agent {agent}, tool {tool})",
                body.name,
                agent + tool
            );
            match route {
                Route::Mediated => mediated = agent + tool,
                Route::Direct => {
                    let share = (agent + tool) as f64 / mediated as f64;
                    println!("  direct / mediated                              {share:.4}");
                    let spared = body.bytes * body.pieces > 1 << 20;
                    assert!(!spared || share < 0.05, "the bytes go past the owner");
                }
            }
        }
    }
}

/// The duration of each round.
async fn timed(client: &Client, body: Body, route: Route) -> Times {
    let warm = warmed(client, body, route).await;
    let stamps = read(&warm).await;
    check(&warm, body, route).await;
    Times::of(stamps.chunks(2).map(|pair| pair[1] - pair[0]).collect())
}

/// Creates a task, and waits until results take its route.
async fn warmed(client: &Client, body: Body, route: Route) -> Warm {
    let text = if route == Route::Direct { "probe?route=direct" } else { "probe" };
    let mut spec = TaskSpec::script(body.name, SCRIPT);
    let Body { rounds, pieces, bytes, .. } = body;
    spec.input = value_from_json(json!({ "rounds": rounds, "pieces": pieces, "bytes": bytes }));
    let spec = spec.grant(GrantSpec::parse("probe", text, now_ms()).unwrap());
    let task = client.create_task(spec).await.unwrap();
    let first = |fact: &Fact| match route {
        Route::Direct => matches!(fact, Fact::ResultOffloaded(_)),
        Route::Mediated => matches!(fact, Fact::CallCompleted { .. }),
    };
    until(&task, first).await;
    task.send(Value::Null).await.unwrap();
    let warm = until(&task, |fact| matches!(fact, Fact::LogEmitted { .. })).await;
    Warm { task, from: warm.last().unwrap().number }
}

/// Runs the measured rounds, and returns the time stamps of the probe.
async fn read(warm: &Warm) -> Vec<Duration> {
    warm.task.send(Value::Null).await.unwrap();
    let Value::List(stamps) = warm.task.result().await.unwrap() else { panic!("no list") };
    stamps.iter().map(time_of).collect()
}

/// Checks that every piece took the expected route.
async fn check(warm: &Warm, body: Body, route: Route) {
    let mut events = warm.task.events(warm.from).await.unwrap();
    let mut kept = 0;
    while let Some(followed) = events.next().await {
        match followed.unwrap() {
            Followed::Event(event) => {
                kept += u64::from(matches!(event.fact, Fact::ResultOffloaded(_)));
            }
            Followed::CaughtUp(_) => break,
            _ => {}
        }
    }
    let large = route == Route::Direct && body.bytes >= 64 << 10;
    assert_eq!(kept, if large { body.rounds * body.pieces } else { 0 });
}
