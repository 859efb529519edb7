//! Random commands, sensible and silly, with numbers so small that they meet.

use proptest::prelude::*;
use remit_core::event::{Level, SourceFile};
use remit_core::grant::Caveat;
use remit_core::task::{CallCommand, Command, Rewind, Sent, Upgrade};
use remit_core::{
    Attempt, CallNumber, Code, EventNumber, Failure, GrantId, ObjectId, Outcome, Value,
};

use super::world::{self, World};

/// What is done at one moment: so many milliseconds later, this command. The attempt 0 stands for
/// the one that runs.
pub(crate) type Step = (u64, Command);

/// A life of up to `most` steps, after an attempt has started and grants were given.
pub(crate) fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec((0..50_u64, command().boxed()), 1..most)
}

/// A world in which these steps were done.
pub(crate) fn lived(steps: &[Step]) -> World {
    let mut world = World::running();
    world.grant("root", Vec::new());
    world.narrow(world::grant("src", Some(1), "", vec![Caveat::Path("src".into())]));
    world.narrow(world::grant("few", Some(2), "src", vec![Caveat::Calls(3)]));
    for step in steps {
        // A refusal is a fine answer to a silly command.
        let _ = take(&mut world, step);
    }
    world
}

/// Does one step.
pub(crate) fn take(
    world: &mut World,
    (later_ms, command): &Step,
) -> Result<remit_core::task::Decision, remit_core::task::Refusal> {
    world.now_ms += later_ms;
    let mut command = command.clone();
    let now = world.task.running().unwrap_or(Attempt(1));
    match &mut command {
        Command::EndAttempt { attempt, .. }
        | Command::Log { attempt, .. }
        | Command::RequestInput { attempt, .. }
        | Command::RequestSteers { attempt, .. }
        | Command::SetTimer { attempt, .. }
        | Command::Finish { attempt, .. }
            if *attempt == Attempt(0) =>
        {
            *attempt = now;
        }
        Command::Call(call) if call.attempt == Attempt(0) => call.attempt = now,
        _ => {}
    }
    world.run(&command)
}

/// Any command. Ends are rare, so that most lives are long.
pub(crate) fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        4 => Just(Command::StartAttempt { node: "n".into() }),
        2 => attempt().prop_map(|attempt| Command::EndAttempt { attempt, reason: "x".into(), fruitless: true }),
        12 => grant().boxed(),
        3 => (0..8_u32).prop_map(|grant| Command::RevokeGrant {
            grant: GrantId(grant),
            reason: "x".into(),
            by: "me".into(),
        }),
        1 => (0..8_u32).prop_map(|grant| Command::EndGrant {
            grant: GrantId(grant),
            reason: "x".into(),
        }),
        50 => call().prop_map(Command::from).boxed(),
        20 => (number(), outcome(), 0..4_u64)
            .prop_map(|(call, outcome, cost)| Command::CompleteCall { call, outcome, cost, refused: false }),
        4 => number().prop_map(|call| Command::LoseCall { call, reason: "x".into() }),
        4 => (attempt(), 0..6_u64).prop_map(|(attempt, line)| Command::Log {
            attempt,
            line,
            level: Level::Info,
            text: "é".repeat(3),
        }),
        5 => ("[ab]{0,1}", 0..3_i64, any::<bool>()).prop_map(|(key, value, steer)| {
            let (value, sender) = (Value::Integer(value), "me".into());
            Command::AcceptInput(Box::new(Sent { value, sender, key, steer }))
        }),
        3 => (attempt(), number(), any::<bool>()).prop_map(|(attempt, operation, wait)| {
            Command::RequestSteers { attempt, operation, wait }
        }),
        5 => (attempt(), number())
            .prop_map(|(attempt, operation)| Command::RequestInput { attempt, operation }),
        5 => (attempt(), number(), prop_oneof![0..100_u64, Just(u64::MAX)]).prop_map(
            |(attempt, operation, duration_ms)| Command::SetTimer {
                attempt,
                operation,
                duration_ms
            }
        ),
        5 => number().prop_map(|operation| Command::FireTimer { operation }),
        2 => control().boxed(),
        1 => end().boxed(),
    ]
}

fn control() -> impl Strategy<Value = Command> {
    let who = || String::from("me");
    let program = || vec![SourceFile { path: "main.ts".into(), text: "2".into() }];
    let upgrade =
        prop::option::of(prop::collection::vec(number(), 0..3)).prop_map(move |dropped| {
            Command::Upgrade(Box::new(Upgrade {
                source: program(),
                entry: "main.ts".into(),
                who: who(),
                rewind: dropped.map(|dropped| Rewind {
                    at: EventNumber(3),
                    dropped,
                    ..Rewind::default()
                }),
            }))
        });
    prop_oneof![
        2 => Just(Command::Pause { reason: "x".into(), who: who(), call: None }),
        3 => Just(Command::Resume { who: who() }),
        1 => Just(Command::RequestCancel { why: Failure::new(Code::Cancelled, "enough"), who: who() }),
        1 => Just(Command::FinishCancel),
        4 => upgrade,
    ]
}

fn end() -> impl Strategy<Value = Command> {
    prop_oneof![
        (attempt(), outcome()).prop_map(|(attempt, outcome)| Command::Finish { attempt, outcome }),
        Just(Command::Fail(Failure::new(Code::TimedOut, "deadline"))),
        Just(Command::Cancel { reason: "enough".into() }),
    ]
}

fn attempt() -> impl Strategy<Value = Attempt> {
    prop_oneof![9 => Just(Attempt(0)), 1 => (1..5_u32).prop_map(Attempt)]
}

fn number() -> impl Strategy<Value = CallNumber> {
    prop_oneof![
        30 => (1..40_u64).prop_map(CallNumber),
        1 => prop_oneof![Just(0), Just(20_000), Just(u64::MAX)].prop_map(CallNumber),
        2 => lent(),
    ]
}

fn lent() -> impl Strategy<Value = CallNumber> {
    (0..4_u64).prop_map(|n| CallNumber(CallNumber::FIRST_LENT.0 + n))
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        any::<bool>().prop_map(|object| Outcome::Value { value: Value::Null.into(), object }),
        Just(Outcome::Failure(Failure::new(Code::Failed, "no"))),
    ]
}

/// A grant, narrowed from another as often as not.
pub(crate) fn grant() -> impl Strategy<Value = Command> {
    let parent = prop_oneof![Just(None), (1..6_u32).prop_map(Some)];
    let path = prop::sample::select([&[""; 6][..], &["src"; 3], &["src/a"; 2], &["../x"]].concat());
    let name = prop_oneof![20 => "[a-z]{1,2}", 1 => Just("sleep".to_owned())];
    (name, parent, path, prop::collection::vec(caveat().boxed(), 0..3)).prop_map(
        |(name, parent, path, caveats)| {
            Command::AddGrant(Box::new(world::grant(&name, parent, path, caveats)))
        },
    )
}

fn caveat() -> impl Strategy<Value = Caveat> {
    prop_oneof![
        8 => (1..8_u64).prop_map(Caveat::Calls),
        12 => prop::sample::select(&["src", "src/a", ""][..])
            .prop_map(|path| Caveat::Path(path.into())),
        1 => Just(Caveat::Methods(vec!["readOnly".into(), "write".into()])),
        1 => (0..3_000_u64).prop_map(Caveat::Expires),
        1 => Just(Caveat::Unknown("moon=full".into())),
    ]
}

/// A call of the agent, or now and then of a tool on an object that it was lent.
pub(crate) fn call() -> impl Strategy<Value = CallCommand> {
    let seldom = ["read", "write", "stage", "list", "erase", "size", "attenuate"];
    let method = prop::sample::select([&seldom[..], &["dir"; 4]].concat());
    let own = (attempt(), number(), Just(None));
    let through = (attempt(), lent(), (1..40_u64).prop_map(|call| Some(CallNumber(call))));
    (prop_oneof![8 => own.boxed(), 1 => through.boxed()], object().boxed(), method, args().boxed())
        .prop_map(|((attempt, call, through), object, method, args)| CallCommand {
            attempt,
            call,
            object,
            method: method.into(),
            args,
            through,
            delegate: None,
        })
}

fn object() -> impl Strategy<Value = ObjectId> {
    prop_oneof![
        10 => (1..6_u32).prop_map(|grant| ObjectId::Grant(GrantId(grant))),
        10 => (1..40_u64).prop_map(|call| ObjectId::Result(CallNumber(call))),
        1 => (1..40_u64).prop_map(|call| ObjectId::Part(CallNumber(call), 0)),
    ]
}

/// Arguments: by position, by name, both at once, or of a kind that no method takes.
pub(crate) fn args() -> impl Strategy<Value = Value> {
    let named = |name: &'static str, value: Value| Value::Fields(vec![(name.into(), value)]);
    let data = |path: String| Value::Data(path.into_bytes());
    let both = |(a, b): (String, String)| {
        Value::List(vec![Value::Text(a), Value::Fields(vec![("path".into(), Value::Text(b))])])
    };
    prop_oneof![
        2 => Just(Value::Null),
        6 => path().prop_map(|path| Value::List(vec![Value::Text(path)])),
        6 => path().prop_map(move |path| named("path", Value::Text(path))),
        3 => prop::collection::vec(path().prop_map(Value::Text), 0..3)
            .prop_map(move |paths| named("paths", Value::List(paths))),
        1 => path().prop_map(move |path| named("path", data(path))),
        1 => path().prop_map(move |path| named("paths", named("deep", Value::Text(path)))),
        1 => (path(), path()).prop_map(both),
        1 => Just(named("path", Value::Object(ObjectId::Grant(GrantId(1))))),
        1 => Just(Value::Bool(true)),
    ]
}

/// A path that may try to get out.
fn path() -> impl Strategy<Value = String> {
    let seldom = [".", "", "...", "srcs", ".. ", "..\\", "%2e%2e", "．．"];
    let often = ["src", "a", ".."].repeat(4);
    let part = prop::sample::select([&often[..], &seldom].concat());
    let silly = prop::collection::vec(part, 0..6).prop_map(|parts| parts.join("/"));
    prop_oneof![2 => silly, 1 => Just("src/a/b".to_owned()), 1 => Just("src".to_owned())]
}
