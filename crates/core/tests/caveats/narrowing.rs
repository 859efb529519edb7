//! A grant that is accepted as narrower allows nothing that the one above it refuses.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use remit_core::Value;
use remit_core::grant::narrow::{Relation, not_attenuated, within};
use remit_core::grant::text::parse_caveat;
use remit_core::grant::{Budgets, Caveat, Checker, Place, Usage, Use, Verdict};
use remit_core::manifest::Manifest;

use super::chance::{Call, call, caveat, manifest};
use super::property::config;

/// A grant, one that wants to be narrowed from it, and a call on the narrower one.
#[derive(Debug, Clone)]
struct Triple {
    parent: Vec<Caveat>,
    child: Vec<Caveat>,
    /// The child's root as seen from the parent's.
    below: &'static str,
    call: Call,
}

fn triple() -> impl Strategy<Value = Triple> {
    let below = prop_oneof![3 => Just(""), 1 => Just("a"), 1 => Just("a/b")];
    // Often the child repeats what the parent says, and now and then changes it.
    let child = (vec(caveat(), 0..3), vec(any::<prop::sample::Index>(), 0..3));
    (vec(caveat(), 1..4), child, below, call()).prop_map(|(parent, (own, again), below, call)| {
        let again = again.iter().map(|at| at.get(&parent).clone());
        Triple { child: own.into_iter().chain(again).collect(), parent, below, call }
    })
}

/// What was used of a grant with these caveats when a call is made.
fn usage(caveats: &[Caveat], call: &Call) -> Usage {
    let mut usage = Usage::new(caveats, Budgets::NONE, 0);
    let mut before = call.before.clone();
    before.sort_unstable();
    for at in before {
        usage.begin(caveats, &call.method, at);
    }
    usage.in_flight = call.in_flight;
    let spent = call.before.len() as u64;
    let bytes = 100 * spent;
    usage.spent = Budgets { calls: spent, cost: spent, bytes_in: bytes, bytes_out: bytes };
    usage.spend_on(&call.method, usage.spent);
    usage
}

/// What the call takes.
const TAKES: Budgets = Budgets { calls: 1, cost: 1, bytes_in: 100, bytes_out: 1 };

/// Whether caveats allow a call, as far as they alone have a say.
fn allows(caveats: &[Caveat], call: &Call, distance: u32) -> bool {
    let args = Value::Fields(call.args.clone());
    let paths = call.paths();
    let verdict = Checker::new(caveats).check(&Use {
        method: &call.method,
        read_only: call.read_only,
        idempotent: call.idempotent,
        destructive: false,
        returns: &call.returns,
        place: Place::Root,
        args: Some(&args),
        path_args: &call.path_args,
        paths: &paths,
        user: call.user,
        now_ms: call.now_ms,
        usage: &usage(caveats, call),
        takes: TAKES,
        whole: TAKES,
        distance,
        lives: &|need| call.lives(need),
    });
    !matches!(verdict, Verdict::Refused(_))
}

/// Whether caveats let what the call returns be seen.
fn shows(caveats: &[Caveat], call: &Call) -> bool {
    let (usage, takes) = (usage(caveats, call), call.result.weight() as u64);
    let result = (&call.result, call.object);
    Checker::new(caveats).check_result(&call.method, result, &usage, takes).is_ok()
}

/// What became of one triple.
#[derive(Debug, PartialEq)]
enum Tried {
    /// The child was not accepted.
    NotAttenuated,
    /// It was, and refuses the call.
    Refused,
    /// It was, and allows the call, and not what it returned. So does the parent.
    Withheld,
    /// It was, and allows the call and what it returned. So does the parent.
    Allowed,
}

fn attempt(triple: &Triple, manifest: &Manifest) -> Result<Tried, TestCaseError> {
    let Triple { parent, child, below, call } = triple;
    let relation = Relation { below, distance: 1, manifest };
    if not_attenuated(parent, child, &relation).is_some() {
        return Ok(Tried::NotAttenuated);
    }
    // What the child says nothing of, it inherits. What it speaks of it must imply by itself.
    let inherited = |above: &&Caveat| !child.iter().any(|c| within(c, above, &relation).is_some());
    let inherited: Vec<Caveat> = parent.iter().filter(inherited).cloned().collect();
    let above = call.seen_from_above(below);
    let shown = shows(child, call) && shows(&inherited, &above);
    prop_assert!(!shown || shows(parent, &above), "the child shows what its parent withholds");
    if !allows(child, call, 0) || !allows(&inherited, &above, 1) {
        return Ok(Tried::Refused);
    }
    prop_assert!(allows(parent, &above, 1), "the child allows what its parent refuses");
    Ok(if shown { Tried::Allowed } else { Tried::Withheld })
}

#[test]
fn no_call_is_allowed_nor_result_shown_by_the_child_and_refused_by_the_parent() {
    let manifest = manifest();
    let mut runner = proptest::test_runner::TestRunner::new(config());
    runner.run(&triple(), |triple| attempt(&triple, &manifest).map(|_| ())).unwrap();
}

#[test]
fn the_triples_that_chance_gives_are_rich() {
    // A property that never meets its case proves nothing.
    let manifest = manifest();
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut counts, mut spoken) = ([0_u32; 4], 0);
    for _ in 0..6_000 {
        let triple = triple().new_tree(&mut runner).unwrap().current();
        let tried = attempt(&triple, &manifest).unwrap_or_else(|e| panic!("{e} {triple:#?}"));
        let relation = Relation { below: triple.below, distance: 1, manifest: &manifest };
        let speaks =
            |c: &Caveat| triple.parent.iter().any(|p| c != p && within(c, p, &relation).is_some());
        let allowed = matches!(tried, Tried::Allowed | Tried::Withheld);
        if allowed && triple.child.iter().any(speaks) {
            spoken += 1;
        }
        counts[tried as usize] += 1;
    }
    assert!(counts.iter().all(|count| *count > 100) && spoken > 20, "{counts:?} {spoken}");
}

#[track_caller]
fn check(parent: &str, child: &str, narrower: bool) {
    let read = |text: &str| -> Vec<Caveat> {
        text.split('&').map(|part| parse_caveat(part, 0).unwrap()).collect()
    };
    let manifest = manifest();
    let relation = Relation { below: "", distance: 1, manifest: &manifest };
    let wider = not_attenuated(&read(parent), &read(child), &relation);
    assert_eq!(wider.is_none(), narrower, "{child} under {parent}");
    if let Some(wider) = wider {
        assert!(read(child).contains(&wider.child));
        assert!(read(parent).contains(&wider.parent));
    }
}

#[test]
fn what_is_within_is_accepted_and_what_is_wider_named() {
    for (parent, child) in [
        ("calls=100", "calls=100"),
        ("calls=100", "cost=5"),
        ("methods=read,list", "methods=read"),
        ("methods=readOnly", "methods=read,list"),
        ("methods=idempotent", "methods=readOnly,tag"),
        ("methods=readOnly", "methods=read&methods=write"),
        ("path=a", "path=a/b"),
        ("arg.text=prefix:https://e.org/", "arg.text=prefix:https://e.org/x"),
        ("arg.text=regex:[a-z]+", "arg.text=regex:[a-z]+"),
        ("arg.text=regex:[a-z]+", "arg.text=oneOf:abc,def"),
        ("arg.text=regex:[a-z]+", "arg.text=length:..5"),
        ("arg.text=regex:[a-z]+", "arg.text=regex:[a-z]+&arg.text=regex:x.*"),
        ("arg.offset=range:1..10", "arg.offset=range:2.5..9"),
        ("arg.offset?=range:1..10", "arg.offset=range:1..10"),
        ("rate=10/s", "rate=5/s"),
        ("rate=10/s", "rate=10/10s"),
        ("delegationDepth=2", "delegationDepth=1"),
        ("cel=user=='task'", "cel=now>5"),
        ("audience=ann,bob", "audience=bob"),
        ("requiresApproval=write", "label=x"),
    ] {
        check(parent, child, true);
    }
    for (parent, child) in [
        ("calls=100", "calls=200"),
        ("cost=5&calls=1", "cost=6"),
        ("methods=read,list", "methods=read,write"),
        ("methods=read,list", "methods=readOnly"),
        ("methods=readOnly", "methods=idempotent"),
        ("path=a", "path=ab"),
        ("until=10m", "until=11m"),
        ("notBefore=10m", "notBefore=9m"),
        ("arg.text=prefix:https://e.org/", "arg.text=prefix:https://e.org"),
        ("arg.path=prefix:a", "arg.path=prefix:ab"),
        ("arg.text=regex:[a-z]+", "arg.text=regex:[a-y]+"),
        ("arg.text=oneOf:a,b", "arg.text=oneOf:a,c"),
        ("arg.text=oneOf:a,b", "arg.text?=equals:a"),
        ("arg.offset=range:1..10", "arg.offset=range:1..10.5"),
        ("arg.offset=range:1..10", "arg.offset=range:..5"),
        ("arg.text=length:..5", "arg.text=length:..6"),
        ("rate=10/s", "rate=11/s"),
        ("rate=10/s", "rate=10/900ms"),
        ("concurrency=2", "concurrency=3"),
        ("delegationDepth=2", "delegationDepth=2"),
        ("audience=ann,bob", "audience=bob,task"),
        ("facet=File", "facet=File,Dir"),
        ("resultBytes=5", "resultBytes=6"),
        ("idleExpiry=1h", "idleExpiry=2h"),
    ] {
        check(parent, child, false);
    }
}
