//! What a journaled call costs through the membrane under 0, 4 and 16 caveats, from a script to a tool
//! and back, the three in turns in one run.
//!
//! Run it with `cargo bench -p remit-tests --bench membrane`. It fails if 16 caveats make half as much
//! again of a call. What they cost by themselves, `cargo bench -p remit-core` tells to the nanosecond.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says clearly enough what it expected")]

use std::time::Duration;

use remit_client::{GrantSpec, TaskSpec, Value};
use remit_tests::mesh::{Mesh, now_ms};

/// How many caveats each of the grants has.
const COUNTS: [usize; 3] = [0, 4, 16];

/// Sixteen that hold for the call.
const CAVEATS: [&str; 16] = [
    "methods=stamp,readOnly",
    "calls=100000000",
    "until=10h",
    "rate=100000/s",
    "arg.path?=prefix:src",
    "arg.path?=glob:src/**",
    "arg.path?=regex:[a-z/]+",
    "arg.offset?=range:0..1000000",
    "bytesIn=100000000000",
    "bytesOut=100000000000",
    "resultBytes=1000000",
    "cost=100000000",
    "concurrency=64",
    "audience=task",
    "idleExpiry=10h",
    "delegationDepth=3",
];

#[tokio::main(flavor = "multi_thread")]
async fn main() {
    // `cargo test --benches` runs this as well: it must be quick there.
    let quick = !std::env::args().any(|arg| arg == "--bench");
    let rounds = if quick { 20 } else { 2_000 };
    println!("profile: {}", if cfg!(debug_assertions) { "debug" } else { "release" });
    let mesh = Mesh::start(1).await;
    let medians: Vec<Duration> = COUNTS
        .into_iter()
        .zip(times(&mesh, rounds).await)
        .map(|(count, times)| report(count, times))
        .collect();
    let ratio = medians[2].as_secs_f64() / medians[0].as_secs_f64();
    println!("under 16 / under none                                 {ratio:.2}");
    assert!(quick || ratio < 1.5, "16 caveats make {ratio:.2} times of a call");
}

/// How long each call took under so many caveats.
async fn times(mesh: &Mesh, rounds: usize) -> [Vec<Duration>; 3] {
    // Two calls tell the time between them; by turns, so that what disturbs the run disturbs all.
    let script = format!(
        "export default async (remit) => {{
            const stamps = [];
            for (let n = 0; n < {rounds}; n++) {{
                for (const probe of [remit.c0, remit.c4, remit.c16]) {{
                    stamps.push(await probe.stamp(), await probe.stamp());
                }}
            }}
            return stamps;
        }}"
    );
    let spec = COUNTS.iter().fold(TaskSpec::script("bench", script), |spec, count| {
        let text = format!("probe?{}", CAVEATS[..*count].join("&"));
        let text = text.trim_end_matches('?');
        spec.grant(GrantSpec::parse(&format!("c{count}"), text, now_ms()).unwrap())
    });
    let task = mesh.client.create_task(spec).await.unwrap();
    let Value::List(stamps) = task.result().await.unwrap() else { panic!("no list") };
    assert_eq!(stamps.len(), rounds * COUNTS.len() * 2);
    let nanos = |stamp: &Value| match stamp {
        Value::Integer(nanos) => Duration::from_nanos(u64::try_from(*nanos).unwrap()),
        other => panic!("{other:?}"),
    };
    let mut times = [const { Vec::new() }; 3];
    for (at, pair) in stamps.chunks(2).enumerate() {
        times[at % COUNTS.len()].push(nanos(&pair[1]) - nanos(&pair[0]));
    }
    times
}

/// Prints median and 99th percentile, and gives the median.
fn report(count: usize, mut times: Vec<Duration>) -> Duration {
    times.sort();
    let (median, slow) = (times[times.len() / 2], times[times.len() * 99 / 100]);
    let shown = |time: Duration| format!("{:.0} us", time.as_secs_f64() * 1e6);
    println!("journaled call under {count:>2} caveats, p50 {}  p99 {}", shown(median), shown(slow));
    median
}
