//! Single decisions, each of which a person might want to read.

use remit_core::event::Fact;
use remit_core::grant::Caveat;
use remit_core::task::{Command, Decision, Refusal, Sent};
use remit_core::{Attempt, CallNumber, Code, Failure, GrantId, ObjectId, Outcome, Value};

use super::world::{World, call, fields, grant, text};

/// A world with one grant under these caveats, and its object.
fn holding(caveats: Vec<Caveat>) -> (World, ObjectId) {
    let mut world = World::running();
    let grant = world.grant("files", caveats);
    (world, ObjectId::Grant(grant))
}

#[track_caller]
fn denied(decision: Result<Decision, Refusal>) -> Failure {
    match decision {
        Ok(Decision::Record(facts)) => match &facts[..] {
            [Fact::CallDenied(denied)] => denied.failure.clone(),
            other => panic!("not denied: {other:?}"),
        },
        other => panic!("not denied: {other:?}"),
    }
}

#[track_caller]
fn allowed(decision: Result<Decision, Refusal>) {
    match decision {
        Ok(Decision::Record(facts)) => {
            assert!(matches!(facts[..], [Fact::CallRequested(_)]), "{facts:?}");
        }
        other => panic!("not allowed: {other:?}"),
    }
}

#[track_caller]
fn refused(decision: Result<Decision, Refusal>, code: Code) -> String {
    match decision {
        Err(Refusal::Failure(failure)) => {
            assert_eq!(failure.code, code, "{failure}");
            failure.message
        }
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn a_refusal_names_the_caveat_and_what_it_found() {
    for (caveat, method, path, detail, word) in [
        (Caveat::Methods(vec!["read".into()]), "write", "src/x", "methods=read", "`write`"),
        (Caveat::Path("src".into()), "read", "lib/x", "path=src", "`lib/x`"),
        (Caveat::Calls(0), "read", "src/x", "calls=0", "budget of 0"),
        (Caveat::Expires(7), "read", "src/x", "until=1970-01-01T00:00:00.007Z", "expired"),
        (Caveat::Unknown("moon=full".into()), "read", "src/x", "moon=full", "not known"),
    ] {
        let (mut world, files) = holding(vec![caveat]);
        let failure = denied(world.call(1, files, method, fields([("path", text(path))])));
        assert_eq!(failure.code, Code::Denied);
        assert_eq!(failure.detail, detail);
        assert!(failure.message.contains(word), "{failure}");
    }
}

#[test]
fn a_script_that_changes_its_mind_sees_both_calls() {
    let (mut world, files) = holding(vec![]);
    allowed(world.call(1, files, "read", text_args("a")));
    world.must(&Command::StartAttempt { node: "other".into() });
    let Err(Refusal::Diverged(failure)) = world.call(1, files, "write", text_args("b")) else {
        panic!("it went unnoticed");
    };
    for part in [
        "not deterministic",
        "operation 1",
        "read on grant 1",
        "write on grant 1",
        "\"a\"",
        "\"b\"",
    ] {
        let failure = failure.failure();
        assert!(failure.message.contains(part), "{part} is not in {failure}");
    }
}

#[test]
fn a_call_in_place_of_a_sleep_is_noticed() {
    let (mut world, files) = holding(vec![]);
    let attempt = Attempt(1);
    world.must(&Command::SetTimer { attempt, operation: CallNumber(1), duration_ms: 5 });
    let Err(Refusal::Diverged(failure)) = world.call(1, files, "list", Value::Null) else {
        panic!("it went unnoticed");
    };
    let failure = failure.failure();
    assert!(failure.message.contains("`a sleep`"), "{failure}");
}

#[test]
fn a_path_confines_what_is_opened_below_it() {
    let (mut world, files) = holding(vec![Caveat::Path("src".into())]);
    allowed(world.call(1, files, "dir", text_args("src/a")));
    let below = ObjectId::Result(CallNumber(1));
    allowed(world.call(2, below, "read", text_args("x")));
    // What leaves the object leaves its authority, even if it stays within the caveat's prefix.
    let failure = denied(world.call(3, below, "read", text_args("../b")));
    assert_eq!(failure.code, Code::InvalidArgument);
    assert_eq!(failure.detail, "path");
    denied(world.call(4, files, "list", Value::Null));
    denied(world.call(5, files, "read", text_args("srcs/x")));
}

#[test]
fn a_path_in_another_form_than_text_is_refused() {
    let (mut world, files) = holding(vec![Caveat::Path("src".into())]);
    let outside = [
        ("read", fields([("path", Value::Data(b"/etc/passwd".to_vec()))])),
        ("read", fields([("path", fields([("deep", text("lib"))]))])),
        ("stage", fields([("paths", Value::List(vec![text("src/a"), text("lib")]))])),
        ("stage", fields([("paths", Value::List(vec![text("src/a"), Value::Integer(1)]))])),
        ("read", Value::List(vec![text("src/a"), fields([("path", text("lib"))])])),
    ];
    for (number, (method, args)) in (1..).zip(outside) {
        denied(world.call(number, files, method, args));
    }
    let inside = Value::List(vec![text("src/a"), text("src/b")]);
    allowed(world.call(9, files, "stage", fields([("paths", inside)])));
}

#[test]
fn a_narrower_grant_cannot_be_wider() {
    let mut world = World::running();
    world.narrow(grant("src", None, "src", vec![Caveat::Path("a".into())]));
    let wider =
        |name: &str, path: &str| Command::AddGrant(Box::new(grant(name, Some(1), path, vec![])));
    refused(world.run(&wider("all", "")), Code::InvalidArgument);
    refused(world.run(&wider("lib", "lib")), Code::InvalidArgument);
    refused(world.run(&wider("up", "src/../lib")), Code::InvalidArgument);
    let mut other = grant("other", Some(1), "src", vec![]);
    other.tool = "shell".into();
    refused(world.run(&Command::AddGrant(Box::new(other))), Code::InvalidArgument);
    refused(
        world.run(&Command::AddGrant(Box::new(grant("x", Some(9), "", vec![])))),
        Code::NotFound,
    );
}

#[test]
fn a_parents_path_holds_where_the_child_stands() {
    let mut world = World::running();
    world.grant("all", vec![Caveat::Path("src".into())]);
    // A child whose root stands outside, with paths that look as if they were inside.
    let outside = world.narrow(grant("lib", Some(1), "lib", vec![]));
    let inside = world.narrow(grant("a", Some(1), "src/a", vec![]));
    denied(world.call(1, ObjectId::Grant(outside), "read", text_args("src/x")));
    allowed(world.call(2, ObjectId::Grant(inside), "read", text_args("x")));
}

#[test]
fn a_child_spends_its_parents_budget() {
    let mut world = World::running();
    let parent = world.grant("files", vec![Caveat::Calls(2)]);
    let child = world.narrow(grant("part", Some(1), "", Vec::new()));
    allowed(world.call(1, ObjectId::Grant(child), "list", Value::Null));
    allowed(world.call(2, ObjectId::Grant(parent), "list", Value::Null));
    let failure = denied(world.call(3, ObjectId::Grant(child), "list", Value::Null));
    assert_eq!(failure.detail, "calls=2");
    assert_eq!(world.task.grant(parent).unwrap().used(), 2);
    assert_eq!(world.task.grant(child).unwrap().used(), 1);
}

#[test]
fn a_revoked_parent_takes_its_children_along() {
    let mut world = World::running();
    world.grant("files", vec![]);
    let child = world.narrow(grant("part", Some(1), "", vec![]));
    world.must(&Command::RevokeGrant { grant: GrantId(1), reason: "done".into(), by: "me".into() });
    let failure = denied(world.call(1, ObjectId::Grant(child), "list", Value::Null));
    assert_eq!(failure.code, Code::Revoked);
    assert!(world.task.is_revoked(child));
}

#[test]
fn an_attempt_that_was_replaced_may_do_nothing_more() {
    let (mut world, files) = holding(vec![]);
    world.must(&Command::StartAttempt { node: "other".into() });
    let stale = call(Attempt(1), 1, files, "list", Value::Null);
    let why = refused(world.run(&stale.into()), Code::Revoked);
    assert!(why.contains("attempt 1"), "{why}");
}

#[test]
fn an_agent_cannot_use_the_numbers_of_lent_calls() {
    let (mut world, files) = holding(vec![]);
    allowed(world.call(1, files, "list", Value::Null));
    let lent = CallNumber::FIRST_LENT;
    let mut through = call(Attempt(1), lent.0, files, "read", text_args("secret"));
    through.through = Some(CallNumber(1));
    allowed(world.run(&through.clone().into()));
    through.through = None;
    refused(world.run(&through.into()), Code::InvalidArgument);
}

#[test]
fn a_lent_object_works_only_while_its_call_is_out() {
    let (mut world, files) = holding(vec![]);
    allowed(world.call(1, files, "list", Value::Null));
    let outcome = Outcome::value(Value::Null);
    world.must(&Command::CompleteCall { call: CallNumber(1), outcome, cost: 0, refused: false });
    let mut late = call(Attempt(1), CallNumber::FIRST_LENT.0, files, "list", Value::Null);
    late.through = Some(CallNumber(1));
    refused(world.run(&late.into()), Code::Revoked);
}

#[test]
fn input_is_accepted_once_per_key_and_delivered_in_order() {
    let mut world = World::running();
    let input = |value, key: &str| input(value, key, false);
    world.must(&input(1, "k"));
    assert_eq!(world.run(&input(2, "k")), Ok(Decision::Recorded));
    world.must(&input(3, ""));
    let ask = |n| Command::RequestInput { attempt: Attempt(1), operation: CallNumber(n) };
    for (operation, value) in [(1, 1), (2, 3)] {
        let Fact::InputDelivered { input, .. } = world.must(&ask(operation)) else {
            panic!("nothing was delivered");
        };
        assert_eq!(world.task.input(input), Some(&Value::Integer(value)));
    }
    assert!(matches!(world.must(&ask(3)), Fact::InputRequested { .. }));
    assert!(world.task.waits());
    assert!(matches!(world.must(&input(4, "")), Fact::InputDelivered { .. }));
}

#[test]
fn steers_are_handed_over_together_and_what_is_queued_waits() {
    let mut world = World::running();
    let look =
        |n, wait| Command::RequestSteers { attempt: Attempt(1), operation: CallNumber(n), wait };
    let next = |n| Command::RequestInput { attempt: Attempt(1), operation: CallNumber(n) };
    let taken = |fact: Fact| match fact {
        Fact::SteersDelivered { inputs, .. } => inputs.iter().map(|input| input.0).collect(),
        Fact::InputDelivered { input, .. } => vec![input.0],
        other => panic!("{other:?}"),
    };
    assert!(taken(world.must(&look(1, false))).is_empty(), "a look does not wait");
    for (number, steer) in [(1, true), (2, false), (3, true)] {
        world.must(&input(number, "", steer));
    }
    assert_eq!(taken(world.must(&look(2, false))), [1, 3]);
    assert_eq!(taken(world.must(&next(3))), [2]);
    assert!(matches!(world.must(&look(4, true)), Fact::SteersRequested { wait: true, .. }));
    assert!(world.task.waits());
    assert!(matches!(world.must(&input(4, "", false)), Fact::InputAccepted { .. }));
    assert_eq!(taken(world.must(&input(5, "", true))), [5]);
    // One that is never asked for is an input like any, and comes before what is queued.
    world.must(&input(6, "", true));
    assert_eq!(taken(world.must(&next(5))), [6]);
    assert_eq!(taken(world.must(&next(6))), [4]);
    // To an agent at rest a steer is its next input.
    world.must(&next(7));
    assert_eq!(taken(world.must(&input(7, "", true))), [7]);
}

fn input(value: i64, key: &str, steer: bool) -> Command {
    let (value, sender) = (Value::Integer(value), "me".into());
    Command::AcceptInput(Box::new(Sent { value, sender, key: key.into(), steer }))
}

#[test]
fn a_result_that_is_too_large_is_a_failure_that_says_so() {
    let (mut world, files) = holding(vec![]);
    allowed(world.call(1, files, "list", Value::Null));
    let outcome = Outcome::value(Value::Data(vec![0; 5 << 20]));
    let fact = world.must(&Command::CompleteCall {
        call: CallNumber(1),
        outcome,
        cost: 0,
        refused: false,
    });
    let Fact::CallCompleted { outcome: Outcome::Failure(failure), .. } = fact else {
        panic!("it was kept");
    };
    assert_eq!(failure.code, Code::Limit);
}

fn text_args(path: &str) -> Value {
    Value::List(vec![text(path)])
}

#[test]
fn a_pure_call_is_answered_from_the_memo_and_no_other_is() {
    let (mut world, files) = holding(vec![Caveat::Calls(4)]);
    let ask = |world: &mut World, number, method: &str| {
        world.run(&call(Attempt(1), number, files, method, Value::Null).into()).unwrap()
    };
    let facts = |decision| match decision {
        Decision::Record(facts) => facts,
        Decision::Recorded => Vec::new(),
    };
    for (number, method) in [(1, "size"), (2, "list")] {
        assert_eq!(facts(ask(&mut world, number, method)).len(), 1, "nothing is known yet");
        let outcome = Outcome::value(Value::Integer(7));
        let call = CallNumber(number);
        world.must(&Command::CompleteCall { call, outcome, cost: 0, refused: false });
    }
    let recalled = facts(ask(&mut world, 3, "size"));
    let from = Fact::CallRecalled { call: CallNumber(3), from: CallNumber(1) };
    assert_eq!(recalled.get(1), Some(&from));
    let settled = world.task.operation(CallNumber(3)).unwrap();
    assert!(settled.settled().is_some());
    assert_eq!(facts(ask(&mut world, 4, "list")).len(), 1, "it is not pure");
    // What is recalled is checked and charged like any call.
    let refused = facts(ask(&mut world, 5, "size"));
    assert!(matches!(refused[..], [Fact::CallDenied(_)]), "{refused:?}");
}
