//! Purses: what is split off is taken at once, spent by its holder alone, and what is left goes back.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use remit_core::event::{Fact, Grant};
use remit_core::grant::{Budgets, Caveat};
use remit_core::task::{Command, Refusal};
use remit_core::{CallNumber, Code, GrantId, ObjectId, Outcome, Value};

use super::world::{World, fields, grant, text};

fn split(name: &str, parent: u32, reserve: Budgets) -> Grant {
    Grant { reserve, ..grant(name, Some(parent), "", Vec::new()) }
}

fn calls(n: u64) -> Budgets {
    Budgets { calls: n, ..Budgets::NONE }
}

/// Calls once on a grant; whether it was allowed.
fn call(world: &mut World, number: u64, id: GrantId) -> bool {
    world.call(number, ObjectId::Grant(id), "list", Value::Null).unwrap();
    world.task.request(CallNumber(number)).is_some()
}

fn spent(world: &World, id: GrantId) -> u64 {
    world.task.grant(id).unwrap().usage.spent.calls
}

#[test]
fn a_purse_is_taken_at_once_and_what_is_left_goes_back() {
    let mut world = World::running();
    let root = world.grant("root", vec![Caveat::Calls(10)]);
    let part = world.narrow(split("part", 1, calls(6)));
    assert_eq!(spent(&world, root), 6);
    assert!((1..=4).all(|n| call(&mut world, n, root)));
    assert!(!call(&mut world, 5, root), "the rest is in the purse");
    assert!(call(&mut world, 6, part) && call(&mut world, 7, part), "the purse still pays");
    assert_eq!(spent(&world, root), 10);
    world.must(&Command::EndGrant { grant: part, reason: "done".into() });
    assert_eq!(spent(&world, root), 6, "four of the six went back");
    assert!(world.task.is_revoked(part));
    assert!(!call(&mut world, 8, part));
    assert!((9..=12).all(|n| call(&mut world, n, root)));
    assert!(!call(&mut world, 13, root));
}

#[test]
fn an_empty_purse_refuses() {
    let mut world = World::running();
    world.grant("root", vec![Caveat::Calls(10)]);
    let part = world.narrow(split("part", 1, calls(2)));
    assert!(call(&mut world, 1, part) && call(&mut world, 2, part));
    assert!(!call(&mut world, 3, part));
    let Some(Fact::CallDenied(denied)) = world.journal.last().map(|event| &event.fact) else {
        panic!("a refusal is an event");
    };
    assert_eq!(denied.failure.detail, "purse.calls=2");
}

#[test]
fn a_share_is_of_what_is_left_and_is_the_same_in_a_replay() {
    let mut world = World::running();
    let root = world.grant("root", vec![Caveat::Calls(120), Caveat::Cost(2)]);
    assert!(call(&mut world, 1, root) && call(&mut world, 2, root));
    let object = ObjectId::Grant(root);
    let split = |world: &mut World, number, budgets: [(&str, Value); 1]| {
        world.call(number, object, "split", fields(budgets)).unwrap();
        world.task.grants().last().unwrap().usage.purse
    };
    let share = |calls: &str| [("calls", text(calls))];
    assert_eq!(split(&mut world, 3, share("1/3")), calls(39), "of 118");
    assert_eq!(split(&mut world, 4, share("1/2")), calls(39), "of 79");
    assert_eq!(split(&mut world, 5, share("2/2")), calls(40), "the rest");
    let events = world.journal.len();
    split(&mut world, 3, share("1/3"));
    assert_eq!(world.journal.len(), events, "it was split already");
    let failure = |world: &mut World, number, budgets: [(&str, Value); 1]| {
        world.call(number, object, "split", fields(budgets)).unwrap();
        let Some(Fact::CallDenied(denied)) = world.journal.last().map(|event| &event.fact) else {
            panic!("it was not refused");
        };
        denied.failure.clone()
    };
    assert_eq!(failure(&mut world, 6, share("1/3")).detail, "calls=0");
    assert_eq!(failure(&mut world, 7, [("cost", text("1/3"))]).detail, "cost=2");
    let unbounded = failure(&mut world, 8, [("bytesIn", text("1/3"))]);
    assert!(unbounded.message.contains("nothing bounds"), "{unbounded}");
    for (number, wrong) in (9..).zip(["4/3", "0/3", "1/0", "a/b", "1/2/3", "-1/2", "/"]) {
        let refused = failure(&mut world, number, share(wrong));
        assert_eq!(refused.code, Code::InvalidArgument, "{wrong}: {refused}");
    }
}

#[test]
fn more_than_is_left_cannot_be_split_off() {
    let mut world = World::running();
    world.grant("root", vec![Caveat::Calls(10)]);
    world.narrow(split("part", 1, calls(6)));
    let refused =
        |world: &mut World, grant: Grant| match world.run(&Command::AddGrant(grant.into())) {
            Err(Refusal::Failure(failure)) => failure,
            other => panic!("{other:?}"),
        };
    let failure = refused(&mut world, split("more", 1, calls(5)));
    assert_eq!((failure.code, failure.detail.as_str()), (Code::Denied, "calls=10"));
    assert!(failure.message.contains("4 calls are left"), "{failure}");
    world.narrow(split("rest", 1, calls(4)));
    let failure = refused(&mut world, split("deep", 2, calls(7)));
    assert_eq!(failure.detail, "purse.calls=6");
    let root = Grant { parent: None, ..split("own", 1, calls(1)) };
    assert_eq!(refused(&mut world, root).code, Code::InvalidArgument);
}

#[test]
fn revoking_gives_back_from_the_leaves_up() {
    let mut world = World::running();
    let root = world.grant("root", Vec::new());
    let part = world.narrow(split("part", 1, calls(10)));
    let deep = world.narrow(split("deep", 2, calls(5)));
    assert!(call(&mut world, 1, deep) && call(&mut world, 2, part));
    assert_eq!((spent(&world, root), spent(&world, part), spent(&world, deep)), (10, 6, 1));
    world.must(&Command::RevokeGrant { grant: part, reason: "x".into(), by: String::new() });
    assert_eq!((spent(&world, root), spent(&world, part), spent(&world, deep)), (2, 2, 1));
}

#[test]
fn a_cost_beyond_the_purse_is_paid_by_those_above() {
    let mut world = World::running();
    let root = world.grant("root", vec![Caveat::Cost(100)]);
    let part = world.narrow(split("part", 1, Budgets { cost: 10, ..Budgets::NONE }));
    let cost = |world: &World, id| world.task.grant(id).unwrap().usage.spent.cost;
    assert!(call(&mut world, 1, part) && call(&mut world, 2, part));
    let outcome = Outcome::value(Value::Null);
    world.must(&Command::CompleteCall {
        call: CallNumber(1),
        outcome: outcome.clone(),
        cost: 7,
        refused: false,
    });
    assert_eq!((cost(&world, part), cost(&world, root)), (7, 10));
    world.must(&Command::CompleteCall { call: CallNumber(2), outcome, cost: 7, refused: false });
    assert_eq!((cost(&world, part), cost(&world, root)), (14, 14));
    assert!(!call(&mut world, 3, part));
    assert!(call(&mut world, 4, root));
}

#[derive(Debug, Clone)]
enum Step {
    Split(u32, Budgets),
    Call(u32, usize),
    End(prop::sample::Index, usize, u64),
    Drop(u32, bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let some = |most: u64| prop_oneof![1 => Just(0), 2 => 0..most];
    let purse =
        (some(6), some(12), some(400), some(400)).prop_map(|(calls, cost, bytes_in, bytes_out)| {
            Budgets { calls, cost, bytes_in, bytes_out }
        });
    let step = prop_oneof![
        3 => (1..8_u32, purse).prop_map(|(parent, purse)| Step::Split(parent, purse)),
        8 => (1..8_u32, 0..60_usize).prop_map(|(grant, bytes)| Step::Call(grant, bytes)),
        5 => (any::<prop::sample::Index>(), 0..60_usize, 0..9_u64)
            .prop_map(|(at, bytes, cost)| Step::End(at, bytes, cost)),
        1 => (2..8_u32, any::<bool>()).prop_map(|(grant, revoke)| Step::Drop(grant, revoke)),
    ];
    vec(step, 1..60)
}

fn live(steps: &[Step], root: Budgets) -> World {
    let mut world = World::running();
    let Budgets { calls, cost, bytes_in, bytes_out } = root;
    let caveats = [
        Caveat::Calls(calls),
        Caveat::Cost(cost),
        Caveat::BytesIn(bytes_in),
        Caveat::BytesOut(bytes_out),
    ];
    world.grant("root", caveats.into());
    let (mut open, mut next) = (Vec::new(), 1);
    for (at, step) in steps.iter().enumerate() {
        match step {
            Step::Split(parent, purse) => {
                let grant = split(&format!("g{at}"), *parent, *purse);
                let _ = world.run(&Command::AddGrant(grant.into()));
            }
            Step::Call(grant, bytes) => {
                let args = fields([("path", text("a")), ("text", text(&"x".repeat(*bytes)))]);
                let _ = world.call(next, ObjectId::Grant(GrantId(*grant)), "write", args);
                if world.task.request(CallNumber(next)).is_some() {
                    open.push(CallNumber(next));
                }
                next += 1;
            }
            Step::End(at, bytes, cost) if !open.is_empty() => {
                let call = open.remove(at.index(open.len()));
                let outcome = Outcome::value(text(&"y".repeat(*bytes)));
                world.must(&Command::CompleteCall { call, outcome, cost: *cost, refused: false });
            }
            Step::End(..) => {}
            Step::Drop(grant, true) => {
                let grant = GrantId(*grant);
                let _ = world.run(&Command::RevokeGrant {
                    grant,
                    reason: "x".into(),
                    by: String::new(),
                });
            }
            Step::Drop(grant, false) => {
                let grant = GrantId(*grant);
                let _ = world.run(&Command::EndGrant { grant, reason: "x".into() });
            }
        }
    }
    world
}

/// What the calls on each grant itself took, as the journal has it.
fn own(world: &World) -> BTreeMap<GrantId, Budgets> {
    let mut own: BTreeMap<GrantId, Budgets> = BTreeMap::new();
    for event in &world.journal {
        match &event.fact {
            Fact::CallRequested(request) => {
                let spent = own.entry(request.grant).or_default();
                spent.calls += 1;
                spent.bytes_in += request.args.weight() as u64;
            }
            Fact::CallCompleted { call, outcome, cost, .. } => {
                let grant = world.task.request(*call).unwrap().grant;
                let spent = own.entry(grant).or_default();
                spent.cost += cost;
                if let Outcome::Value { value, .. } = outcome {
                    spent.bytes_out += value.weight() as u64;
                }
            }
            _ => {}
        }
    }
    own
}

/// What a grant has spent by the rules: its own calls, and of each grant below what that one takes.
fn by_the_rules(world: &World, own: &BTreeMap<GrantId, Budgets>, id: GrantId) -> Budgets {
    let below = world.task.grants().filter(|held| held.grant.parent == Some(id));
    below.fold(own.get(&id).copied().unwrap_or_default(), |sum, held| {
        let spent = by_the_rules(world, own, held.grant.grant);
        let over = world.task.is_revoked(held.grant.grant);
        let taken = if over { spent } else { spent.with(held.grant.reserve, u64::max) };
        sum.with(taken, |a, b| a + b)
    })
}

proptest! {
    #![proptest_config(super::property::config())]

    #[test]
    fn every_life_of_a_tree_of_purses_adds_up(
        steps in steps(),
        root in (0..30_u64, 0..40_u64, 0..2_000_u64, 0..2_000_u64),
    ) {
        let root = Budgets { calls: root.0, cost: root.1, bytes_in: root.2, bytes_out: root.3 };
        let world = live(&steps, root);
        let own = own(&world);
        for held in world.task.grants() {
            let expected = by_the_rules(&world, &own, held.grant.grant);
            prop_assert_eq!(held.usage.spent, expected, "grant {}", held.grant.grant);
        }
        let all = world.task.grant(GrantId(1)).unwrap().usage.spent;
        prop_assert!(all.calls <= root.calls && all.bytes_in <= root.bytes_in);
        prop_assert!(all.bytes_out <= root.bytes_out);
        // What was really used is never more than was granted, wherever purses went.
        let used = own.values().fold(Budgets::NONE, |sum, one| sum.with(*one, |a, b| a + b));
        prop_assert!(used.calls <= root.calls && used.bytes_in <= root.bytes_in);
        prop_assert!(used.bytes_out <= root.bytes_out);
        // What was in flight when a grant ended is paid by those above.
        let alive = |id| !world.task.is_revoked(id);
        for held in world.task.grants().filter(|held| alive(held.grant.grant)) {
            let (purse, spent) = (held.grant.reserve, held.usage.spent);
            prop_assert!(purse.calls == 0 || spent.calls <= purse.calls);
            prop_assert!(purse.bytes_in == 0 || spent.bytes_in <= purse.bytes_in);
            prop_assert!(purse.bytes_out == 0 || spent.bytes_out <= purse.bytes_out);
        }
    }
}
