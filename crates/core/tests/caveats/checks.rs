//! Each caveat by itself: what it allows, what it refuses, and that the refusal names it.

use remit_core::event::{Fact, Grant};
use remit_core::grant::Caveat;
use remit_core::grant::text::{caveat_text, parse_caveat};
use remit_core::task::{Command, Refusal};
use remit_core::{CallNumber, Code, Failure, GrantId, ObjectId, Outcome, Value};

use super::world::{START_MS, World, fields, grant, text};

fn caveats(text: &str) -> Vec<Caveat> {
    text.split('&').map(|part| parse_caveat(part, START_MS).unwrap()).collect()
}

/// The decision on a call under a grant with these caveats: what it was, or why not.
fn called(caveats_text: &str, method: &str, args: Value) -> Result<(), Failure> {
    let mut world = World::running();
    let id = world.grant("files", caveats(caveats_text));
    call(&mut world, 1, ObjectId::Grant(id), method, args)
}

fn call(world: &mut World, n: u64, on: ObjectId, method: &str, args: Value) -> Result<(), Failure> {
    world.call(n, on, method, args).unwrap();
    match &world.journal.last().unwrap().fact {
        Fact::CallDenied(denied) => Err(denied.failure.clone()),
        Fact::CallRequested(_) => Ok(()),
        Fact::ApprovalRequested(asked) => {
            Err(Failure::new(Code::Denied, "waits for approval").with_detail(&asked.caveat))
        }
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn check(caveat: &str, method: &str, args: Value, allowed: bool) {
    let result = called(caveat, method, args.clone());
    assert_eq!(result.is_ok(), allowed, "{caveat} {method} {args:?} {result:?}");
    if let Err(failure) = result {
        assert_eq!(failure.code, Code::Denied, "{failure:?}");
        assert_eq!(failure.detail, caveat_text(&caveats(caveat)[0]), "{failure:?}");
    }
}

fn path(path: &str) -> Value {
    fields([("path", text(path))])
}

fn write(at: &str, what: Value) -> Value {
    fields([("path", text(at)), ("text", what)])
}

#[test]
fn methods_by_name_and_by_class() {
    check("methods=read", "read", path("a"), true);
    check("methods=read", "write", path("a"), false);
    check("methods=readOnly", "list", Value::Null, true);
    check("methods=idempotent", "list", Value::Null, true);
    check("methods=readOnly", "write", path("a"), false);
    check("methods=", "read", path("a"), false);
    // What stands for all in a list of approvals stands for nothing here.
    check("methods=*", "read", path("a"), false);
    check("methods=destructive", "write", path("a"), false);
}

#[test]
fn arguments_by_each_test() {
    for (caveat, value, allowed) in [
        ("arg.text=equals:main", text("main"), true),
        ("arg.text=equals:main", text("Main"), false),
        ("arg.text=equals:5", Value::Integer(5), true),
        ("arg.text=equals:5", Value::Float(5.0), true),
        ("arg.text=equals:5", text("5"), false),
        ("arg.text=equals:9007199254740993", Value::Float(9_007_199_254_740_992.0), false),
        ("arg.text=oneOf:a,b", text("b"), true),
        ("arg.text=oneOf:a,b", text("a,b"), false),
        ("arg.text=prefix:https://e.org/", text("https://e.org/x"), true),
        ("arg.text=prefix:https://e.org/", text("https://e.org.evil.com/"), false),
        ("arg.text=prefix:a", Value::Data(b"a".to_vec()), false),
        ("arg.text=glob:*.rs", text("a.rs"), true),
        ("arg.text=glob:*.rs", text("a/b.rs"), false),
        ("arg.text=glob:**/*.rs", text("a/b.rs"), true),
        ("arg.text=glob:é?", text("éé"), false),
        ("arg.text=glob:é*", text("éé"), true),
        ("arg.text=regex:[a-z]+", text("abc"), true),
        ("arg.text=regex:[a-z]+", text("abc1"), false),
        ("arg.text=regex:a|b", text("ab"), false),
        ("arg.text=regex:.*", text("a\nb"), false),
        ("arg.text=range:1..5", Value::Float(5.0), true),
        ("arg.text=range:1..5", Value::Float(5.000_001), false),
        ("arg.text=range:1..", Value::Float(f64::NAN), false),
        ("arg.text=range:1..5", text("3"), false),
        ("arg.text=length:..3", text("ééé"), true),
        ("arg.text=length:..3", Value::Data(vec![0; 4]), false),
        ("arg.text=count:1..2", Value::List(vec![Value::Null; 3]), false),
        ("arg.text=count:1..2", fields([("a", Value::Null)]), true),
        ("arg.text.a.1=equals:x", fields([("a", Value::List(vec![Value::Null, text("x")]))]), true),
        ("arg.text.a=equals:x", text("x"), false),
        ("arg.text.*=prefix:a", Value::List(vec![text("a"), text("ab")]), true),
        ("arg.text.*=prefix:a", Value::List(vec![text("a"), text("b")]), false),
        ("arg.text=equals:null", Value::Null, true),
        ("arg.text?=equals:x", Value::Null, true),
        ("arg.text=list:a,b", Value::List(vec![text("a"), text("b")]), true),
        ("arg.text=list:a,b", Value::List(vec![text("b"), text("a")]), false),
        ("arg.text=list:a,b", Value::List(vec![text("a"), text("b"), text("c")]), false),
        ("arg.text=list:a", text("a"), false),
        ("arg.text=list:", Value::List(vec![]), true),
        ("arg.text=keys:a,b", fields([("a", Value::Null)]), true),
        ("arg.text=keys:a,b", fields([("a", Value::Null), ("A", Value::Null)]), false),
        ("arg.text=keys:a,b", Value::List(vec![text("a")]), false),
    ] {
        check(caveat, "write", write("a", value), allowed);
    }
}

#[test]
fn lists_of_recipients_are_said_as_people_need_them() {
    let people = |names: &[&str]| Value::List(names.iter().map(|name| text(name)).collect());
    for (caveat, passes, refused) in [
        // Each is one of these, and there is one.
        (
            "arg.text.*=oneOf:ann,bob",
            vec![people(&["bob", "ann"])],
            vec![people(&[]), people(&["ann", "eve"]), Value::Null, fields([])],
        ),
        // Each is one of these, or there is none.
        (
            "arg.text.*?=oneOf:ann,bob",
            vec![people(&[]), Value::Null, people(&["bob"])],
            vec![people(&["eve"])],
        ),
        // Nobody is in copy, however that is said.
        (
            "arg.text?=equals:null",
            vec![people(&[]), Value::Null],
            vec![people(&["eve"]), text(""), fields([])],
        ),
        ("arg.text?=count:0", vec![people(&[]), Value::Null], vec![people(&["eve"])]),
        ("arg.text?=list:", vec![people(&[]), Value::Null], vec![people(&["eve"])]),
        // Each is short.
        ("arg.text.*=length:..3", vec![people(&["ann"])], vec![people(&["anna"])]),
        // Where it must be given, null is not an empty list.
        ("arg.text=equals:null", vec![Value::Null], vec![people(&[])]),
    ] {
        passes.into_iter().for_each(|value| check(caveat, "write", write("a", value), true));
        refused.into_iter().for_each(|value| check(caveat, "write", write("a", value), false));
    }
    let both = "arg.text.*=oneOf:ann,bob&arg.text=count:..1";
    assert!(called(both, "write", write("a", people(&["ann"]))).is_ok());
    assert!(called(both, "write", write("a", people(&["ann", "bob"]))).is_err());
}

#[test]
fn what_is_said_of_one_method_binds_its_calls_alone() {
    check("write.arg.text=equals:x", "write", write("a", text("x")), true);
    check("write.arg.text=equals:x", "write", write("a", text("y")), false);
    check("write.arg.text=equals:x", "read", path("a"), true);
    check("write.path=src", "read", path("lib"), true);
    check("write.path=src", "write", write("lib", text("x")), false);
    check("write.cel=size(args.text)<2", "write", write("a", text("xx")), false);
    check("write.audience=ann", "write", write("a", text("x")), false);
    check("write.requiresApproval=true", "read", path("a"), true);
    let asked = called("write.requiresApproval=true", "write", write("a", text("x"))).unwrap_err();
    assert_eq!(asked.detail, "write.requiresApproval=*");
    check("dir.noObjects=true", "dir", path("a"), false);
    let mut world = World::running();
    let id = ObjectId::Grant(world.grant("files", caveats("write.calls=2&calls=4&read.rate=1/1h")));
    let mut n = 0;
    let mut go = |method: &str, args: Value| {
        n += 1;
        call(&mut world, n, id, method, args)
    };
    go("write", write("a", text("x"))).unwrap();
    go("read", path("a")).unwrap();
    assert_eq!(go("read", path("a")).unwrap_err().detail, "read.rate=1/h");
    go("write", write("a", text("x"))).unwrap();
    assert_eq!(go("write", write("a", text("x"))).unwrap_err().detail, "write.calls=2");
    go("list", Value::Null).unwrap();
    assert_eq!(go("list", Value::Null).unwrap_err().detail, "calls=4");
}

#[test]
fn grants_below_share_what_one_method_may_do() {
    let mut world = World::running();
    world.grant("files", caveats("write.calls=2"));
    let one = world.narrow(grant("one", Some(1), "", Vec::new()));
    let two = world.narrow(grant("two", Some(1), "", caveats("write.calls=1")));
    let text = |at: &str| write(at, text("x"));
    call(&mut world, 1, ObjectId::Grant(one), "write", text("a")).unwrap();
    call(&mut world, 2, ObjectId::Grant(two), "write", text("a")).unwrap();
    for (n, grant) in [(3, one), (4, two)] {
        call(&mut world, n, ObjectId::Grant(grant), "write", text("a")).unwrap_err();
        call(&mut world, 10 + n, ObjectId::Grant(grant), "read", path("a")).unwrap();
    }
    let wider = Command::AddGrant(grant("wider", Some(1), "", caveats("write.calls=3")).into());
    let Err(Refusal::Failure(failure)) = world.run(&wider) else { panic!("accepted") };
    assert_eq!((failure.code, failure.detail.as_str()), (Code::Denied, "write.calls=3"));
}

#[test]
fn a_condition_that_nothing_checks_refuses_everywhere() {
    use remit_core::grant::{Budgets, Checker, Links, Usage};
    // As it arrives from a newer version, by itself and of one method.
    let artificial = Caveat::Unknown("moon=full".into());
    for caveat in [artificial.clone(), Caveat::Only("list".into(), Box::new(artificial))] {
        let mut world = World::running();
        let add = Command::AddGrant(grant("g", None, "", vec![caveat.clone()]).into());
        if world.run(&add).is_ok() {
            let id = ObjectId::Grant(GrantId(1));
            let failure = call(&mut world, 1, id, "list", Value::Null).unwrap_err();
            assert_eq!(failure.code, Code::Denied);
        }
        let checker = Checker::new(std::slice::from_ref(&caveat));
        let usage = Usage::new(std::slice::from_ref(&caveat), Budgets::NONE, 0);
        checker.check_result("list", (&Value::Null, None), &usage, 0).unwrap_err();
        // And at a tool node, where most conditions are not checked.
        let links = Links::new([(vec![caveat], String::new())]);
        let manifest = super::world::manifest();
        let list = manifest.method("Dir", "list").unwrap();
        let at = remit_core::grant::links::At { path: "", obtained: None };
        assert_eq!(links.check(list, Value::Null, at, 0).unwrap_err().code, Code::Denied);
        links.check_result("list", 1).unwrap_err();
    }
}

#[test]
fn an_argument_that_is_missing_refuses_unless_it_may_be() {
    check("arg.text=prefix:a", "write", path("a"), false);
    check("arg.text?=prefix:a", "write", path("a"), true);
    check("arg.text?=prefix:a", "list", Value::Null, true);
    // By position or by name, it is the same argument.
    check("arg.text=prefix:b", "write", Value::List(vec![text("a"), text("b")]), true);
    check("arg.text=prefix:c", "write", Value::List(vec![text("a"), text("b")]), false);
}

#[test]
fn a_path_is_normalised_and_seen_from_the_grants_root_before_it_is_compared() {
    for (given, allowed) in [
        ("src/a", true),
        ("./src//a", true),
        ("src/../src", true),
        ("srcs", false),
        ("lib/../lib", false),
    ] {
        check("arg.path=prefix:src", "read", path(given), allowed);
        check("arg.path=glob:src{,/**}", "read", path(given), allowed);
    }
    let mut world = World::running();
    let id = world.grant("files", caveats("arg.path?=prefix:src"));
    call(&mut world, 1, ObjectId::Grant(id), "dir", path("src/a")).unwrap();
    // The same text on an object further down is another place.
    let below = ObjectId::Result(CallNumber(1));
    call(&mut world, 2, below, "read", path("x")).unwrap();
    let part = world.narrow(grant("part", Some(1), "src/a", caveats("arg.path?=equals:x")));
    call(&mut world, 3, ObjectId::Grant(part), "read", path("x")).unwrap();
    call(&mut world, 4, ObjectId::Grant(part), "read", path("y")).unwrap_err();
    let lib = world.narrow(grant("lib", Some(1), "lib", Vec::new()));
    let failure = call(&mut world, 5, ObjectId::Grant(lib), "read", path("src")).unwrap_err();
    assert!(failure.message.contains("`lib/src`"), "{failure}");
}

#[test]
fn an_object_that_nobody_describes_passes_no_guard() {
    let mut world = World::running();
    let id = world.grant("files", caveats("arg.path?=prefix:src"));
    let part = ObjectId::Part(CallNumber(1), 0);
    call(&mut world, 1, ObjectId::Grant(id), "list", Value::Null).unwrap();
    let failure = call(&mut world, 2, part, "read", path("src")).unwrap_err();
    assert!(failure.message.contains("nobody can tell"), "{failure}");
}

#[test]
fn an_expression_sees_the_call() {
    check("cel=method=='read' %26%26 args.path.startsWith('src')", "read", path("./src/a"), true);
    check("cel=method=='read' %26%26 args.path.startsWith('src')", "read", path("lib"), false);
    check("cel=args.text.size() < 3", "write", path("a"), false);
    check("cel=user=='task' %26%26 now==1000 %26%26 paths==['src/a']", "read", path("src/a"), true);
}

#[test]
fn moments_and_identities() {
    check("notBefore=1s", "list", Value::Null, false);
    check("notBefore=0s", "list", Value::Null, true);
    check("until=0s", "list", Value::Null, false);
    check("until=1ms", "list", Value::Null, true);
    check("idleExpiry=0s", "list", Value::Null, false);
    check("audience=task", "list", Value::Null, true);
    check("audience=spiffe://mesh/main/client/ann", "list", Value::Null, false);
    check("moon=full", "list", Value::Null, false);
    check("label=moon", "list", Value::Null, true);
    check("requires=grant:files", "list", Value::Null, true);
}

#[test]
fn a_grant_that_is_unused_for_long_enough_is_gone() {
    let mut world = World::running();
    let id = ObjectId::Grant(world.grant("files", caveats("idleExpiry=100ms")));
    for n in 1..=4 {
        world.now_ms += 99;
        call(&mut world, n, id, "list", Value::Null).unwrap();
    }
    world.now_ms += 100;
    call(&mut world, 5, id, "list", Value::Null).unwrap_err();
}

#[test]
fn approval_is_only_asked_for_what_else_is_allowed() {
    let asks = |text: &str, method: &str| called(text, method, path("a")).unwrap_err().message;
    assert!(asks("requiresApproval=write", "write").contains("approval"));
    assert!(asks("requiresApproval=*", "read").contains("approval"));
    assert!(asks("requiresApproval=*&methods=read", "write").contains("does not allow"));
    check("requiresApproval=write", "read", path("a"), true);
    check("requiresApproval=destructive", "write", path("a"), true);
}

#[test]
fn no_object_comes_out_where_none_may() {
    check("noObjects=true", "dir", path("a"), false);
    check("noObjects=true", "list", Value::Null, true);
    check("facet=File", "dir", path("a"), false);
    check("facet=Dir", "dir", path("a"), true);
    // One that comes unannounced is withheld, and whatever is asked of it is refused.
    for caveat in ["noObjects=true", "facet=File"] {
        let mut world = World::running();
        let id = ObjectId::Grant(world.grant("files", caveats(caveat)));
        for (n, value, object) in [
            (1, Value::Null, true),
            (2, Value::List(vec![Value::Object(ObjectId::Part(CallNumber(2), 0))]), false),
        ] {
            call(&mut world, n, id, "list", Value::Null).unwrap();
            let on = if object {
                ObjectId::Result(CallNumber(n))
            } else {
                ObjectId::Part(CallNumber(n), 0)
            };
            call(&mut world, 10 + n, on, "list", Value::Null).unwrap_err();
            let failure = completed(&mut world, n, Outcome::Value { value: value.into(), object })
                .unwrap_err();
            assert_eq!((failure.code, failure.detail.as_str()), (Code::Denied, caveat));
        }
    }
}

fn completed(world: &mut World, n: u64, outcome: Outcome) -> Result<(), Failure> {
    match world.must(&Command::CompleteCall {
        call: CallNumber(n),
        outcome,
        cost: 0,
        refused: false,
    }) {
        Fact::CallCompleted { outcome: Outcome::Failure(failure), .. } => Err(failure),
        Fact::CallCompleted { .. } => Ok(()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_result_that_is_too_large_is_withheld() {
    for (caveat, bytes, allowed) in [
        ("resultBytes=20", 4, true),
        ("resultBytes=20", 5, false),
        ("bytesOut=20", 4, true),
        ("bytesOut=20", 5, false),
    ] {
        let mut world = World::running();
        let id = ObjectId::Grant(world.grant("files", caveats(caveat)));
        call(&mut world, 1, id, "list", Value::Null).unwrap();
        let result = completed(&mut world, 1, Outcome::value(text(&"x".repeat(bytes))));
        assert_eq!(result.is_ok(), allowed, "{caveat} {bytes}");
        let kept = world.task.grant(GrantId(1)).unwrap().usage.spent.bytes_out > 0;
        assert_eq!(kept, allowed, "what was withheld is not charged");
    }
}

#[test]
fn a_grant_dies_with_what_it_requires() {
    let mut world = World::running();
    let token = world.grant("token", caveats("until=100ms"));
    let files = world.grant("files", caveats("requires=grant:token"));
    let other = world.grant("other", caveats("requires=grant:files"));
    world.grant("lost", caveats("requires=grant:nothing"));
    let on = ObjectId::Grant;
    call(&mut world, 1, on(files), "list", Value::Null).unwrap();
    call(&mut world, 2, on(other), "list", Value::Null).unwrap();
    call(&mut world, 3, on(GrantId(4)), "list", Value::Null).unwrap_err();
    world.now_ms += 100;
    let failure = call(&mut world, 4, on(files), "list", Value::Null).unwrap_err();
    assert_eq!(failure.detail, "requires=grant:token");
    world.must(&Command::RevokeGrant { grant: token, reason: "x".into(), by: String::new() });
    assert!(world.task.is_revoked(files) && world.task.is_revoked(other));
}

#[test]
fn needs_that_go_round_in_a_circle_hold_themselves() {
    let mut world = World::running();
    let one = world.grant("one", caveats("requires=grant:two"));
    let two = world.grant("two", caveats("requires=grant:one"));
    assert!(!world.task.is_revoked(one) && !world.task.is_revoked(two));
    world.must(&Command::RevokeGrant { grant: one, reason: "x".into(), by: String::new() });
    assert!(world.task.is_revoked(two));
}

#[test]
fn delegation_goes_as_deep_as_was_said() {
    let mut world = World::running();
    world.grant("root", caveats("delegationDepth=1"));
    assert_eq!(world.task.depth_left(GrantId(1)), Some(1));
    world.narrow(grant("child", Some(1), "", Vec::new()));
    assert_eq!(world.task.depth_left(GrantId(2)), Some(0));
    let deep = Command::AddGrant(grant("deep", Some(2), "", Vec::new()).into());
    let Err(Refusal::Failure(failure)) = world.run(&deep) else { panic!("accepted") };
    assert_eq!((failure.code, failure.detail.as_str()), (Code::Denied, "delegationDepth=1"));
}

#[test]
fn every_example_that_is_documented_is_one() {
    let text = include_str!("../../../../docs/caveats.md");
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    let mut terms = std::collections::BTreeSet::new();
    for row in rows {
        let example = row.trim_end_matches(" |").rsplit("| ").next().unwrap().trim_matches('`');
        let caveat = parse_caveat(example, START_MS).unwrap();
        assert!(!matches!(caveat, Caveat::Unknown(_)), "{example}");
        caveat.validate().unwrap();
        let again = parse_caveat(&caveat_text(&caveat), START_MS).unwrap();
        assert_eq!(again, caveat);
        terms.insert(row.split('`').nth(1).unwrap());
    }
    assert_eq!(terms.len(), 23 + 10, "each caveat but the unknown, and each test of an argument");
}

#[test]
fn what_cannot_be_checked_is_no_grant() {
    let mut world = World::running();
    let long = "a".repeat(2_000);
    for text in [
        "arg.a=regex:(",
        "arg.a=regex:a)|(b",
        "arg.a=regex:\\w{999}{999}",
        "arg.a=glob:[",
        "cel=1 +",
        "cel=args.map(x, x)",
        "rate=0/s",
        "rate=1/0s",
        "rate=9999999/s",
        &format!("arg.a=prefix:{long}"),
        &format!("methods={long}"),
        &format!("arg.a=regex:{long}"),
        "arg.a.b.c.d.e.f.g.h.i=equals:1",
        "arg=count:1",
        "write.methods=read",
        "write.delegationDepth=1",
        "write.write.calls=1",
        "write.label=x",
    ] {
        let add = Command::AddGrant(grant("g", None, "", caveats(text)).into());
        let Err(Refusal::Failure(failure)) = world.run(&add) else { panic!("{text} was accepted") };
        assert_eq!(failure.code, Code::InvalidArgument, "{text}");
    }
}

#[test]
fn a_caveat_that_a_journal_holds_and_nobody_can_check_refuses() {
    // A journal of another version may hold what this one would not have accepted.
    let mut world = World::running();
    let number = world.task.head().number.next();
    let bad = Grant { grant: GrantId(1), ..grant("g", None, "", caveats("arg.a?=regex:(")) };
    let fact = Fact::GrantAdded(Box::new(bad));
    let event = remit_core::Event { number, time_ms: world.now_ms, fact };
    world.task.apply(&event).unwrap();
    world.journal.push(event);
    let failure =
        call(&mut world, 1, ObjectId::Grant(GrantId(1)), "list", Value::Null).unwrap_err();
    assert!(failure.message.contains("cannot be checked"), "{failure}");
}
