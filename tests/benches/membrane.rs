//! The cost of a journaled call through the membrane under 0, 4 and 16 caveats, from a script to a
//! tool and back. One run measures all three in turn.
//!
//! Run it with `cargo bench -p remit-tests --bench membrane`. It fails if a call under 16 caveats
//! takes 1.5 times as long as one under none. `cargo bench -p remit-core` measures the caveats
//! alone, to the nanosecond.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says clearly enough what it expected")]

use std::time::Duration;

use remit_client::{GrantSpec, TaskSpec, Value};
use remit_tests::figures::{is_quick, ratio, report, time_of};
use remit_tests::mesh::{Mesh, now_ms};

/// The number of caveats of each grant.
const COUNTS: [usize; 3] = [0, 4, 16];

/// Sixteen caveats that the call satisfies.
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
    let quick = is_quick();
    let rounds = if quick { 20 } else { 2_000 };
    let mesh = Mesh::start(1).await;
    let medians: Vec<Duration> = COUNTS
        .into_iter()
        .zip(times(&mesh, rounds).await)
        .map(|(count, times)| {
            report(&format!("journaled call under {count:>2} caveats"), times).median
        })
        .collect();
    let ratio = ratio(medians[2], medians[0]);
    println!("under 16 / under none                                 {ratio:.2}");
    assert!(quick || ratio < 1.5, "16 caveats make {ratio:.2} times of a call");
}

/// The duration of each call, by the number of caveats.
async fn times(mesh: &Mesh, rounds: usize) -> [Vec<Duration>; 3] {
    // The time between two stamps is the duration of a call. The grants take turns, so that a
    // disturbance affects all of them.
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
    let mut times = [const { Vec::new() }; 3];
    for (at, pair) in stamps.chunks(2).enumerate() {
        times[at % COUNTS.len()].push(time_of(&pair[1]) - time_of(&pair[0]));
    }
    times
}
