//! How much a task keeps in memory of what others told it.

use proptest::prelude::*;
use remit_core::event::Fact;
use remit_core::limits::{MAX_FAILURE_BYTES, MAX_HELD_BYTES};
use remit_core::task::{CallState, Command, Decision, Operation, Sent, Task};
use remit_core::{Attempt, CallNumber, Code, Failure, InputId, ObjectId, Outcome, Value};

use super::chance::{lived, steps};
use super::world::{World, fields, text};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_is_held_is_counted(steps in steps(80)) {
        let task = lived(&steps).task;
        let of_calls = task.operations().map(|(_, operation)| match operation {
            Operation::Call { request, state } => request.args.weight() + match state {
                CallState::Completed(outcome, _) => match &**outcome {
                    Outcome::Value { value, .. } => value.weight(),
                    Outcome::Failure(_) => 0,
                },
                _ => 0,
            },
            _ => 0,
        });
        let of_inputs = (1..=task.last_input().0).filter_map(|at| task.input(InputId(at)));
        let held = of_calls.sum::<usize>() + of_inputs.map(Value::weight).sum::<usize>();
        prop_assert_eq!(task.held_bytes(), held as u64);
    }
}

/// A task at work that has room for so many bytes more.
fn with_room(bytes: u64) -> (World, ObjectId) {
    let mut world = World::running();
    let files = ObjectId::Grant(world.grant("files", vec![]));
    let mut written = serde_json::to_value(&world.task).unwrap();
    written["held_bytes"] = (MAX_HELD_BYTES - bytes).into();
    world.task = serde_json::from_value::<Task>(written).unwrap();
    (world, files)
}

fn write(bytes: usize) -> Value {
    fields([("path", text("x")), ("text", text(&"x".repeat(bytes)))])
}

#[test]
fn arguments_results_and_inputs_beyond_the_room_are_refused() {
    let (mut world, files) = with_room(10_000);
    world.call(1, files, "write", write(1_000)).unwrap();
    world.call(2, files, "write", write(10_000)).unwrap();
    let Some(Operation::Denied { denied, .. }) = world.task.operation(CallNumber(2)) else {
        panic!("there is no room for that");
    };
    assert_eq!(denied.failure.code, Code::Limit, "{}", denied.failure);
    let outcome = Outcome::value(text(&"x".repeat(10_000)));
    let done = world.must(&Command::CompleteCall {
        call: CallNumber(1),
        outcome,
        cost: 0,
        refused: false,
    });
    assert!(
        matches!(&done, Fact::CallCompleted { outcome: Outcome::Failure(full), .. } if full.code == Code::Limit),
        "{done:?}"
    );
    let input = |bytes: usize| {
        let value = text(&"x".repeat(bytes));
        let (sender, key) = (String::new(), String::new());
        Command::AcceptInput(Box::new(Sent { value, sender, key, steer: false }))
    };
    assert!(world.run(&input(10_000)).is_err());
    world.must(&input(1_000));
    // What is small still goes.
    assert!(matches!(world.call(3, files, "list", Value::Null), Ok(Decision::Record(_))));
    assert!(world.task.operation(CallNumber(3)).unwrap().settled().is_none());
}

#[test]
fn a_failure_is_kept_only_so_long() {
    let huge =
        || Failure::new(Code::Failed, "\u{fc}".repeat(1 << 20)).with_detail("x".repeat(1 << 20));
    let short = |failure: &Failure| {
        failure.message.len() <= MAX_FAILURE_BYTES && failure.detail.len() <= MAX_FAILURE_BYTES
    };
    let mut world = World::running();
    let files = ObjectId::Grant(world.grant("files", vec![]));
    world.call(1, files, "list", Value::Null).unwrap();
    let outcome = Outcome::Failure(huge());
    match world.must(&Command::CompleteCall {
        call: CallNumber(1),
        outcome,
        cost: 0,
        refused: false,
    }) {
        Fact::CallCompleted { outcome: Outcome::Failure(kept), .. } => assert!(short(&kept)),
        other => panic!("{other:?}"),
    }
    // A refusal quotes what it refuses.
    let long = fields([("path", text(&"../".repeat(1 << 20)))]);
    world.call(2, files, "read", long).unwrap();
    match world.task.operation(CallNumber(2)) {
        Some(Operation::Denied { denied, .. }) => assert!(short(&denied.failure)),
        other => panic!("{other:?}"),
    }
    let ends = [
        Command::Finish { attempt: Attempt(1), outcome: Outcome::Failure(huge()) },
        Command::Fail(huge()),
        Command::RequestCancel { why: huge(), who: "me".into() },
    ];
    for end in ends {
        let mut world = world.clone();
        match world.must(&end) {
            Fact::TaskFailed(kept) => assert!(short(&kept)),
            Fact::CancelRequested(asked) => assert!(short(&asked.why)),
            other => panic!("{other:?}"),
        }
    }
}
