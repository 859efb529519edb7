//! Costs whose most is known before: reserved on the whole chain, settled at the end, never exceeded.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use remit_core::event::{Fact, Grant};
use remit_core::grant::{Budgets, Caveat};
use remit_core::manifest::Manifest;
use remit_core::task::Command;
use remit_core::{CallNumber, Code, Failure, GrantId, ObjectId, Outcome, Task, Value};

use super::property;
use super::world::{World, grant, manifest};

/// The most that a call costs here.
const MOST: u64 = 10;

fn costly() -> Arc<Manifest> {
    let mut manifest = manifest();
    for method in &mut manifest.interfaces[0].methods {
        method.max_cost = MOST;
    }
    Arc::new(manifest)
}

fn costing(name: &str, parent: Option<u32>, most: Option<u64>, purse: u64) -> Grant {
    let reserve = Budgets { cost: purse, ..Budgets::NONE };
    let caveats = most.map(Caveat::Cost).into_iter().collect();
    Grant { manifest: costly(), reserve, ..grant(name, parent, "", caveats) }
}

fn spent(world: &World, grant: u32) -> u64 {
    world.task.grant(GrantId(grant)).unwrap().usage.spent.cost
}

fn call(world: &mut World, number: u64, grant: u32) -> bool {
    let object = ObjectId::Grant(GrantId(grant));
    let _refused = world.call(number, object, "list", Value::Null);
    world.task.request(CallNumber(number)).is_some()
}

fn failed(code: Code) -> Outcome {
    Outcome::Failure(Failure::new(code, "x"))
}

#[test]
fn calls_side_by_side_never_exceed_what_is_left() {
    let mut world = World::running();
    world.narrow(costing("root", None, Some(35), 0));
    world.narrow(costing("part", Some(1), None, 0));
    assert!(call(&mut world, 1, 1) && call(&mut world, 2, 2) && call(&mut world, 3, 2));
    assert_eq!((spent(&world, 1), spent(&world, 2)), (30, 20), "reserved on the whole chain");
    assert!(!call(&mut world, 4, 2), "five are left, and it may cost ten");
    let Some(Fact::CallDenied(denied)) = world.journal.last().map(|event| &event.fact) else {
        panic!("a refusal is an event");
    };
    assert_eq!(denied.failure.detail, "cost=35");
    let mut end = |number, outcome, cost| {
        world.must(&Command::CompleteCall {
            call: CallNumber(number),
            outcome,
            cost,
            refused: false,
        });
        (spent(&world, 1), spent(&world, 2))
    };
    assert_eq!(end(1, Outcome::value(Value::Null), 3), (23, 20), "seven went back");
    assert_eq!(end(2, Outcome::value(Value::Null), 99), (23, 20), "it is paid the most it said");
    assert_eq!(end(3, failed(Code::Unavailable), 0), (13, 10), "it never began");
    assert!(call(&mut world, 5, 2) && call(&mut world, 6, 2));
    let lost = Command::CompleteCall {
        call: CallNumber(5),
        outcome: failed(Code::Unknown),
        cost: 0,
        refused: false,
    };
    world.must(&lost);
    assert_eq!(spent(&world, 1), 33, "it may have cost all of it");
    let late = Command::CompleteCall {
        call: CallNumber(6),
        outcome: failed(Code::TimedOut),
        cost: 1,
        refused: false,
    };
    world.must(&late);
    assert_eq!(spent(&world, 1), 33, "it may go on, and cost all of it yet");
}

#[derive(Debug, Clone)]
enum Step {
    Add(u32, Option<u64>, u64),
    Call(u32),
    End(prop::sample::Index, u64, Option<Code>),
    Drop(u32, bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let code = prop_oneof![
        4 => Just(None),
        1 => Just(Some(Code::Failed)),
        1 => Just(Some(Code::Unknown)),
        1 => Just(Some(Code::TimedOut)),
    ];
    let purse = prop_oneof![1 => Just(0), 1 => 1..60_u64];
    let step = prop_oneof![
        3 => (1..6_u32, prop::option::of(0..80_u64), purse)
            .prop_map(|(parent, most, purse)| Step::Add(parent, most, purse)),
        9 => (1..6_u32).prop_map(Step::Call),
        6 => (any::<prop::sample::Index>(), 0..2 * MOST, code)
            .prop_map(|(at, cost, code)| Step::End(at, cost, code)),
        1 => (2..6_u32, any::<bool>()).prop_map(|(grant, revoke)| Step::Drop(grant, revoke)),
    ];
    vec(step, 1..60)
}

/// No budget is exceeded, whatever is under way.
fn check(world: &World) -> Result<(), TestCaseError> {
    for held in world.task.grants() {
        let spent = held.usage.spent.cost;
        for caveat in &held.grant.caveats {
            if let Caveat::Cost(most) = caveat {
                prop_assert!(spent <= *most, "{spent} of {most} on {}", held.grant.grant);
            }
        }
        let purse = held.usage.purse.cost;
        prop_assert!(purse == 0 || spent <= purse, "{spent} of a purse of {purse}");
    }
    Ok(())
}

/// What the tools were paid in the end, as the journal has it.
fn paid(world: &World) -> u64 {
    let each = world.journal.iter().filter_map(|event| match &event.fact {
        Fact::CallCompleted { call, outcome, cost, .. } => {
            Some(world.task.request(*call).unwrap().charged(outcome, *cost))
        }
        _ => None,
    });
    each.sum()
}

fn end(world: &mut World, call: CallNumber, cost: u64, code: Option<Code>) {
    let outcome = code.map_or_else(|| Outcome::value(Value::Null), failed);
    world.must(&Command::CompleteCall { call, outcome, cost, refused: false });
}

proptest! {
    #![proptest_config(property::config())]

    #[test]
    fn never_more_than_the_budget_is_spent_whatever_the_interleaving(
        most in 0..120_u64,
        steps in steps(),
    ) {
        let mut world = World::running();
        world.narrow(costing("root", None, Some(most), 0));
        let (mut open, mut next) = (Vec::new(), 1);
        for (at, step) in steps.into_iter().enumerate() {
            match step {
                Step::Add(parent, most, purse) => {
                    let grant = costing(&format!("g{at}"), Some(parent), most, purse);
                    let _refused = world.run(&Command::AddGrant(grant.into()));
                }
                Step::Call(grant) => {
                    if call(&mut world, next, grant) {
                        open.push(CallNumber(next));
                    }
                    next += 1;
                }
                Step::End(at, cost, code) => {
                    if !open.is_empty() {
                        let call = open.remove(at.index(open.len()));
                        end(&mut world, call, cost, code);
                    }
                }
                Step::Drop(grant, revoke) => {
                    let (grant, reason) = (GrantId(grant), "x".to_owned());
                    let _refused = world.run(&match revoke {
                        true => Command::RevokeGrant { grant, reason, by: String::new() },
                        false => Command::EndGrant { grant, reason },
                    });
                }
            }
            check(&world)?;
        }
        // What is still under way, and what every purse holds, comes back in the end.
        for call in open {
            end(&mut world, call, 1, None);
        }
        let below: Vec<GrantId> =
            world.task.grants().map(|held| held.grant.grant).filter(|id| id.0 > 1).collect();
        for grant in below {
            let _over = world.run(&Command::EndGrant { grant, reason: "x".into() });
        }
        check(&world)?;
        prop_assert_eq!(spent(&world, 1), paid(&world));
        prop_assert!(paid(&world) <= most);
        let again = Task::fold(&world.journal).unwrap().unwrap();
        prop_assert!(again == world.task, "the counters are made from the events alone");
    }
}
