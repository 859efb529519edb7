//! Budgets are exact: whatever the interleaving, never more than was granted.
//!
//! Each is counted again from the journal alone, by other means than those that decided.

use proptest::collection::vec;
use proptest::prelude::*;
use remit_core::event::Fact;
use remit_core::grant::{Caveat, Rate};
use remit_core::task::{Command, Task};
use remit_core::{CallNumber, GrantId, ObjectId, Outcome, Value};

use super::world::{World, fields, grant, text};

/// What is done at one moment, so many milliseconds after the one before.
#[derive(Debug, Clone)]
enum Step {
    /// A call on one of the grants, with a text of so many bytes.
    Call(u32, usize),
    /// One of the calls in flight ends, returns so many bytes and costs so much.
    End(prop::sample::Index, usize, u64),
    /// One of the calls in flight is lost sight of.
    Lose(prop::sample::Index),
    /// A grant is taken back.
    Revoke(u32),
}

fn steps() -> impl Strategy<Value = Vec<(u64, Step)>> {
    let step = prop_oneof![
        12 => (1..6_u32, 0..60_usize).prop_map(|(grant, bytes)| Step::Call(grant, bytes)),
        6 => (any::<prop::sample::Index>(), 0..200_usize, 0..5_u64)
            .prop_map(|(at, bytes, cost)| Step::End(at, bytes, cost)),
        1 => any::<prop::sample::Index>().prop_map(Step::Lose),
        1 => (3..6_u32).prop_map(Step::Revoke),
    ];
    vec((prop_oneof![3 => Just(0), 2 => 0..30_u64], step), 1..60)
}

fn budget() -> impl Strategy<Value = Caveat> {
    prop_oneof![
        (0..9_u64).prop_map(Caveat::Calls),
        (0..9_u64).prop_map(Caveat::Cost),
        (0..900_u64).prop_map(Caveat::BytesIn),
        (0..900_u64).prop_map(Caveat::BytesOut),
        (1..4_u32).prop_map(Caveat::Concurrency),
        (1..4_u32, 5..80_u64).prop_map(|(count, per_ms)| Caveat::Rate(Rate { count, per_ms })),
    ]
}

/// A tree of grants: 1 is the root, 2 and 3 are below it, 4 and 5 below 2.
fn world(budgets: &[Vec<Caveat>]) -> World {
    let mut world = World::running();
    let parents = [None, Some(1), Some(1), Some(2), Some(2)];
    for ((at, parent), caveats) in (1..).zip(parents).zip(budgets) {
        let name = format!("g{at}");
        if world.run(&Command::AddGrant(grant(&name, parent, "", caveats.clone()).into())).is_err()
        {
            // It claims more than is above it: then it inherits.
            world.narrow(grant(&name, parent, "", Vec::new()));
        }
    }
    world
}

fn live(budgets: &[Vec<Caveat>], steps: &[(u64, Step)]) -> World {
    let mut world = world(budgets);
    let mut open = Vec::new();
    let mut next = 1;
    for (later_ms, step) in steps {
        world.now_ms += later_ms;
        match step {
            Step::Call(grant, bytes) => {
                let args = fields([("path", text("a")), ("text", text(&"x".repeat(*bytes)))]);
                world.call(next, ObjectId::Grant(GrantId(*grant)), "write", args).unwrap();
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
            Step::Lose(at) if !open.is_empty() => {
                let call = open[at.index(open.len())];
                let _ = world.run(&Command::LoseCall { call, reason: "x".into() });
            }
            Step::Revoke(grant) => {
                let grant = GrantId(*grant);
                let _ = world.run(&Command::RevokeGrant {
                    grant,
                    reason: "x".into(),
                    by: String::new(),
                });
            }
            Step::End(..) | Step::Lose(_) => {}
        }
    }
    world
}

/// The calls of a grant and of those below it, as the journal has them: when they began, when they
/// ended, and what they took.
fn calls_under(world: &World, id: GrantId) -> Vec<Call> {
    let mut calls: Vec<Call> = Vec::new();
    for (at, event) in world.journal.iter().enumerate() {
        match &event.fact {
            Fact::CallRequested(request)
                if world.task.chain(request.grant).any(|held| held.grant.grant == id) =>
            {
                let bytes_in = request.args.weight() as u64;
                calls.push(Call {
                    call: request.call,
                    began: (at, event.time_ms),
                    bytes_in,
                    ..Call::default()
                });
            }
            Fact::CallCompleted { call, outcome, cost, .. } => {
                if let Some(known) = calls.iter_mut().find(|known| known.call == *call) {
                    known.ended = Some(at);
                    known.cost = *cost;
                    known.bytes_out = match outcome {
                        Outcome::Value { value, .. } => value.weight() as u64,
                        Outcome::Failure(_) => 0,
                    };
                }
            }
            _ => {}
        }
    }
    calls
}

#[derive(Debug, Default)]
struct Call {
    call: CallNumber,
    /// Its place in the journal, and its time.
    began: (usize, u64),
    ended: Option<usize>,
    bytes_in: u64,
    bytes_out: u64,
    cost: u64,
}

/// Whether these calls kept to a budget.
fn keeps(budget: &Caveat, calls: &[Call]) -> bool {
    match budget {
        Caveat::Calls(most) => calls.len() as u64 <= *most,
        Caveat::BytesIn(most) => calls.iter().map(|call| call.bytes_in).sum::<u64>() <= *most,
        Caveat::BytesOut(most) => calls.iter().map(|call| call.bytes_out).sum::<u64>() <= *most,
        // What a call costs is known when it has ended: none begins once it is spent.
        Caveat::Cost(most) => calls.iter().all(|call| {
            let ended = calls.iter().filter(|c| c.ended.is_some_and(|ended| ended < call.began.0));
            ended.map(|c| c.cost).sum::<u64>() < *most
        }),
        Caveat::Concurrency(most) => calls.iter().all(|call| {
            let at = call.began.0;
            let open = |c: &&Call| c.began.0 <= at && c.ended.is_none_or(|ended| ended > at);
            calls.iter().filter(open).count() <= *most as usize
        }),
        // In any stretch of time, what a full bucket holds and what flows in meanwhile.
        Caveat::Rate(Rate { count, per_ms }) => calls.iter().enumerate().all(|(from, first)| {
            calls[from..].iter().enumerate().all(|(more, last)| {
                let flowed = (last.began.1 - first.began.1) * u64::from(*count);
                (more as u64 + 1) * per_ms <= u64::from(*count) * per_ms + flowed
            })
        }),
        _ => true,
    }
}

proptest! {
    #![proptest_config(super::property::config())]

    #[test]
    fn no_interleaving_goes_beyond_a_budget_nor_does_a_restart_at_any_moment(
        budgets in vec(vec(budget(), 0..3), 5),
        steps in steps(),
        at in any::<prop::sample::Index>(),
    ) {
        let world = live(&budgets, &steps);
        for held in world.task.grants() {
            let calls = calls_under(&world, held.grant.grant);
            for budget in &held.grant.caveats {
                prop_assert!(keeps(budget, &calls), "{budget:?} {calls:?}");
            }
            prop_assert_eq!(held.used(), calls.len() as u64);
            let open = calls.iter().filter(|call| call.ended.is_none()).count();
            prop_assert_eq!(held.usage.in_flight as usize, open);
        }
        let (before, after) = world.journal.split_at(1 + at.index(world.journal.len()));
        let mut task = Task::fold(before).unwrap().unwrap();
        after.iter().for_each(|event| task.apply(event).unwrap());
        prop_assert_eq!(task, world.task, "every counter survives a restart");
    }
}

#[test]
fn a_budget_is_spent_to_the_last_use() {
    // The other half of exact: nothing is refused that was granted.
    for (caveat, uses) in [
        (Caveat::Calls(5), 5),
        (Caveat::Concurrency(3), 3),
        (Caveat::Rate(Rate { count: 4, per_ms: 100 }), 4),
        (Caveat::BytesIn(3 * 37), 3),
    ] {
        let mut world = World::running();
        let id = world.grant("files", vec![caveat.clone()]);
        let args = || fields([("path", text("a"))]);
        let one = args().weight();
        assert_eq!(one, 37, "the budget of bytes below is made for it");
        for call in 1..=9 {
            world.call(call, ObjectId::Grant(id), "write", args()).unwrap();
        }
        let allowed = (1..=9).filter(|call| world.task.request(CallNumber(*call)).is_some());
        assert_eq!(allowed.count(), uses, "{caveat:?}");
    }
}

#[test]
fn a_bucket_fills_again_and_a_call_that_ended_makes_room() {
    let mut world = World::running();
    let rate = Caveat::Rate(Rate { count: 2, per_ms: 100 });
    let id = world.grant("files", vec![rate, Caveat::Concurrency(2)]);
    let mut number = 0;
    let mut call = |world: &mut World| {
        number += 1;
        world.call(number, ObjectId::Grant(id), "list", Value::Null).unwrap();
        world.task.request(CallNumber(number)).is_some()
    };
    assert_eq!([call(&mut world), call(&mut world), call(&mut world)], [true, true, false]);
    world.now_ms += 50;
    assert!(!call(&mut world), "two are in flight");
    let outcome = || Outcome::value(Value::Null);
    world.must(&Command::CompleteCall {
        call: CallNumber(1),
        outcome: outcome(),
        cost: 0,
        refused: false,
    });
    assert!(call(&mut world));
    world.must(&Command::CompleteCall {
        call: CallNumber(2),
        outcome: outcome(),
        cost: 0,
        refused: false,
    });
    world.now_ms += 49;
    assert!(!call(&mut world), "the next token is there a millisecond later");
    world.now_ms += 1;
    assert!(call(&mut world));
}
