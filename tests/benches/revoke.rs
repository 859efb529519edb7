//! How soon an agent is refused after the revocation of its grant was acknowledged.
//!
//! Run it with `cargo bench -p remit-tests --bench revoke`. It fails if the 99th percentile is 100 ms
//! or more.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says clearly enough what it expected")]

use std::time::Duration;

use remit_client::{Fact, GrantSpec, TaskHandle, TaskSpec, Value};
use remit_tests::figures::{is_quick, report};
use remit_tests::following::{AT_MOST, until};
use remit_tests::mesh::{Mesh, now_ms};
use remit_tests::monotonic;

/// The bound of the 99th percentile.
const BOUND: Duration = Duration::from_millis(100);

/// A way in which an agent uses the revoked grant.
struct Way {
    name: &'static str,
    /// The caveats of the grant.
    caveats: &'static str,
    /// The object of the calls, as an expression of the script.
    target: &'static str,
    /// The call. Its result is the time at which it reached the tool, if it is a number.
    call: &'static str,
    /// Whether this event shows that the way is in use.
    in_use: fn(&Fact) -> bool,
}

const WAYS: [Way; 3] = [
    Way {
        name: "through the owner",
        caveats: "",
        target: "remit.doomed",
        call: "clock()",
        in_use: is_logged,
    },
    Way {
        name: "on an object obtained through it",
        caveats: "",
        target: "await remit.doomed.next()",
        call: "clock()",
        in_use: is_logged,
    },
    Way {
        name: "with results on a direct path",
        caveats: "?route=direct",
        target: "remit.doomed",
        call: "large(100000)",
        in_use: is_kept,
    },
];

#[tokio::main(flavor = "multi_thread")]
async fn main() {
    let quick = is_quick();
    let rounds = if quick { 3 } else { 250 };
    println!("{rounds} rounds each, from the acknowledgement to the first refusal that was seen");
    let mesh = Mesh::start(1).await;
    report("one more call, with which a script tells the time", told(&mesh, rounds).await);
    for way in &WAYS {
        let mut times = Vec::with_capacity(rounds);
        for number in 0..rounds {
            times.push(round(&mesh, way, number).await);
        }
        let slow = report(way.name, times).slow;
        assert!(quick || slow < BOUND, "{}: p99 is {slow:?}", way.name);
    }
}

const fn is_logged(fact: &Fact) -> bool {
    matches!(fact, Fact::LogEmitted { .. })
}

const fn is_kept(fact: &Fact) -> bool {
    matches!(fact, Fact::ResultOffloaded(_))
}

/// The duration of a call that reads the clock. Each round makes one after its refusal, and it is
/// included in the figure.
async fn told(mesh: &Mesh, count: usize) -> Vec<Duration> {
    let script = format!(
        "export default async (remit) => {{
            const stamps = [];
            for (let n = 0; n <= {count}; n++) stamps.push(await remit.clock.clock());
            return stamps;
        }}"
    );
    let Value::List(stamps) = task(mesh, &script, "").await.result().await.unwrap() else {
        panic!("no list")
    };
    stamps.windows(2).map(|pair| time(&pair[1]) - time(&pair[0])).collect()
}

/// Uses one grant, revokes it, and measures until the refusal.
async fn round(mesh: &Mesh, way: &Way, number: usize) -> Duration {
    // The revocation arrives at another moment of the calls in each round, since `first` varies.
    let script = format!(
        "export default async (remit) => {{
            const target = {target};
            let last = 0;
            for (let n = 0; ; n++) {{
                try {{
                    const said = await target.{call};
                    if (typeof said === 'number') last = said;
                }} catch (refusal) {{
                    return [refusal.code, last, await remit.clock.clock()];
                }}
                if (n === {first}) console.log('in use');
            }}
        }}",
        target = way.target,
        call = way.call,
        first = number % 7,
    );
    let task = task(mesh, &script, way.caveats).await;
    let grants = task.grants().await.unwrap();
    let doomed = grants.iter().find(|grant| grant.name == "doomed").unwrap().grant;
    until(&task, way.in_use).await;
    task.revoke(doomed, "the bench takes it back").await.unwrap();
    let acknowledged = monotonic();
    let told = tokio::time::timeout(AT_MOST, task.result()).await.unwrap().unwrap();
    let Value::List(told) = told else { panic!("{told:?}") };
    assert_eq!(told[0], Value::Text("revoked".into()));
    assert!(time(&told[1]) < acknowledged, "a call got through after it was acknowledged");
    // The clock is read after the refusal, so the figure is an upper bound.
    time(&told[2]).saturating_sub(acknowledged)
}

/// A task that holds a clock and the grant that is to be revoked.
async fn task(mesh: &Mesh, script: &str, caveats: &str) -> TaskHandle {
    let grants = [("doomed", format!("probe{caveats}")), ("clock", "probe".to_owned())];
    let spec = grants.iter().fold(TaskSpec::script("revoke", script), |spec, (name, text)| {
        spec.grant(GrantSpec::parse(name, text, now_ms()).unwrap())
    });
    mesh.client.create_task(spec).await.unwrap()
}

/// A time stamp of the probe, since the start of the monotonic clock.
fn time(stamp: &Value) -> Duration {
    match stamp {
        Value::Integer(micros) => Duration::from_micros(u64::try_from(*micros).unwrap()),
        other => panic!("{other:?}"),
    }
}
