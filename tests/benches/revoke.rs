//! How soon an agent is refused once the revocation of what it uses was acknowledged.
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

/// What a refusal may take at most, in the 99th percentile.
const BOUND: Duration = Duration::from_millis(100);

/// A way in which an agent uses what is taken back.
struct Way {
    name: &'static str,
    /// The conditions of the grant.
    caveats: &'static str,
    /// What is called over and over.
    target: &'static str,
    /// The call. What it gives is when it reached the tool, if it can tell.
    call: &'static str,
    /// Whether this says that the way is in use.
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

/// How long a script's look at the clock takes. Each round takes one after its refusal, and it is
/// not taken off.
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

/// One grant that is in use and taken back.
async fn round(mesh: &Mesh, way: &Way, number: usize) -> Duration {
    // The first call tells that it began, and the others come at another moment each time.
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
    // The time is told after the refusal, so what is measured is never too little.
    time(&told[2]).saturating_sub(acknowledged)
}

/// A task that holds what is to be taken back, and a clock.
async fn task(mesh: &Mesh, script: &str, caveats: &str) -> TaskHandle {
    let grants = [("doomed", format!("probe{caveats}")), ("clock", "probe".to_owned())];
    let spec = grants.iter().fold(TaskSpec::script("revoke", script), |spec, (name, text)| {
        spec.grant(GrantSpec::parse(name, text, now_ms()).unwrap())
    });
    mesh.client.create_task(spec).await.unwrap()
}

/// What the probe's clock said.
fn time(stamp: &Value) -> Duration {
    match stamp {
        Value::Integer(micros) => Duration::from_micros(u64::try_from(*micros).unwrap()),
        other => panic!("{other:?}"),
    }
}
