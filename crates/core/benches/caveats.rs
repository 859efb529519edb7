//! What caveats cost: the decision on one call under 0, 4 and 16 of them, and under an expression; and
//! what holding its arguments to the JSON Schema of its method costs.
//!
//! Run it with `cargo bench -p remit-core`. It fails if a call through 16 caveats costs more than it
//! may on top of one through none.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says clearly enough what it expected")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use remit_core::event::{Event, Fact};
use remit_core::grant::Caveat;
use remit_core::grant::resolved_call::ResolvedCall;
use remit_core::grant::text::parse_caveat;
use remit_core::manifest::{Method, Param};
use remit_core::task::{Command, Decision, Task};
use remit_core::{ObjectId, Value};

#[path = "../tests/task/world.rs"]
mod world;

use world::{World, fields, text};

/// Sixteen that hold for the call below.
const CAVEATS: [&str; 16] = [
    "methods=read,readOnly",
    "path=src",
    "arg.path=prefix:src",
    "calls=1000000",
    "until=1h",
    "arg.path=glob:src/**/*.rs",
    "arg.path=regex:[a-z/]+\\.rs",
    "arg.offset=range:0..1000000",
    "bytesIn=1000000000",
    "rate=1000/s",
    "concurrency=8",
    "cost=1000",
    "audience=task,spiffe://mesh/main/client/ann",
    "idleExpiry=1h",
    "notBefore=0s",
    "facet=File",
];

/// What 16 caveats may add to a call: to the decision on it, and to taking it into the state.
const MOST: Duration = Duration::from_micros(2);

/// The time of one decision on a call under a grant with these caveats.
fn decision(caveats: &[&str], rounds: u32) -> Duration {
    let caveats: Vec<Caveat> =
        caveats.iter().map(|text| parse_caveat(text, world::START_MS).unwrap()).collect();
    let mut world = World::running();
    let grant = ObjectId::Grant(world.grant("files", caveats));
    let args = fields([("path", text("src/main.rs")), ("offset", Value::Integer(7))]);
    let attempt = world.task.running().unwrap();
    let command: Command = world::call(attempt, 1, grant, "read", args).into();
    let decide = |task: &Task| black_box(task.decide(black_box(&command), world.now_ms)).unwrap();
    let Decision::Record(facts) = decide(&world.task) else { panic!("a new call is recorded") };
    assert!(matches!(facts[0], Fact::CallRequested(_)), "{facts:?}");
    // The best of several, since what disturbs a run only ever makes it slower.
    let best = (0..9).map(|_| {
        let began = Instant::now();
        for _ in 0..rounds {
            drop(decide(&world.task));
        }
        began.elapsed() / rounds
    });
    best.min().unwrap_or_default()
}

/// The time of taking the events of such a call into the state, both of them.
fn charging(caveats: &[&str], rounds: u64) -> Duration {
    let caveats: Vec<Caveat> =
        caveats.iter().map(|text| parse_caveat(text, world::START_MS).unwrap()).collect();
    let mut world = World::running();
    let grant = ObjectId::Grant(world.grant("files", caveats));
    let args = fields([("path", text("src/main.rs")), ("offset", Value::Integer(7))]);
    world.call(1, grant, "read", args).unwrap();
    let Some(Event { fact: Fact::CallRequested(first), .. }) = world.journal.last() else {
        panic!("the call is allowed")
    };
    let events: Vec<Event> = (0..rounds)
        .map(|n| {
            let mut request = first.clone();
            std::sync::Arc::make_mut(&mut request).call.0 += n + 1;
            let number = remit_core::EventNumber(world.task.head().number.0 + n + 1);
            Event { number, time_ms: world.now_ms, fact: Fact::CallRequested(request) }
        })
        .collect();
    let best = (0..5).map(|_| {
        let mut task = world.task.clone();
        let began = Instant::now();
        events.iter().for_each(|event| task.apply(event).unwrap());
        began.elapsed() / u32::try_from(rounds).unwrap_or(u32::MAX)
    });
    best.min().unwrap_or_default()
}

/// A schema as the tools that come along have them.
const SCHEMA: &str = r#"{"type":"object","properties":{
    "path":{"type":"string","format":"path"},
    "offset":{"type":["integer","null"],"minimum":0},
    "length":{"type":["integer","null"],"minimum":0},
    "encoding":{"anyOf":[{"enum":["text","data"]},{"type":"null"}]},
    "strict":{"type":"boolean"}},"required":["path"],"additionalProperties":false}"#;

/// The time of resolving a call of a method with these arguments in its schema.
fn resolving(args_schema: &str, rounds: u32) -> Duration {
    let param = |name: &str| Param { name: name.into(), path: name == "path", ..Param::default() };
    let names = ["path", "offset", "length", "encoding", "strict"];
    let method = Method {
        name: "read".into(),
        params: names.map(param).into(),
        args_schema: args_schema.into(),
        ..Method::default()
    };
    let args = fields([
        ("path", text("src/main.rs")),
        ("offset", Value::Integer(7)),
        ("length", Value::Integer(4096)),
        ("encoding", text("data")),
        ("strict", Value::Bool(true)),
    ]);
    let best = (0..9).map(|_| {
        let began = Instant::now();
        for _ in 0..rounds {
            let resolved = ResolvedCall::of(black_box(&method), args.clone(), Some(""));
            drop(black_box(resolved).unwrap());
        }
        began.elapsed() / rounds
    });
    best.min().unwrap_or_default()
}

fn main() {
    // `cargo test --benches` runs this as well: it must be quick there.
    let quick = !std::env::args().any(|arg| arg == "--bench");
    let rounds = if quick { 50 } else { 20_000 };
    println!("profile: {}", if cfg!(debug_assertions) { "debug" } else { "release" });
    let none = decision(&[], rounds);
    println!("decision on a call, no caveats                       {none:>9.0?}");
    let mut added = Duration::ZERO;
    for count in [4, 16] {
        let some = decision(&CAVEATS[..count], rounds);
        let more = some.saturating_sub(none);
        added = more;
        println!("  {count:>2} caveats, on top of that                         {more:>9.0?}");
    }
    let cel = decision(&["cel=method=='read' && args.path.startsWith('src')"], rounds);
    println!(
        "  one CEL expression, on top of that                 {:>9.0?}",
        cel.saturating_sub(none)
    );
    let plain = resolving("", rounds);
    println!("arguments by the names of a method alone             {plain:>9.0?}");
    let checked = resolving(SCHEMA, rounds).saturating_sub(plain);
    println!("  held to a schema of five, on top of that           {checked:>9.0?}");
    assert!(quick || cfg!(debug_assertions) || checked < MOST, "that is more than {MOST:?}");
    let charged = charging(&[], u64::from(rounds));
    println!("charging a call, no caveats                          {charged:>9.0?}");
    let more = charging(&CAVEATS, u64::from(rounds)).saturating_sub(charged);
    println!("  16 caveats, on top of that                         {more:>9.0?}");
    added += more;
    println!("a call through 16 caveats, on top of one with none   {added:>9.0?}");
    // What is not optimised says nothing.
    assert!(quick || cfg!(debug_assertions) || added < MOST, "that is more than {MOST:?}");
}
