//! The laws of the membrane, tried on lives that are made up at random.
//!
//! An object that goes out and comes back is itself; no object is ever seen unwrapped, by the agent
//! or by the tool; revoking cancels; an answer is the same before and after a promise resolves.

mod tool;
mod world;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use tokio::sync::Mutex;
use tokio::task::LocalSet;

use self::world::{METHODS, NEVER, World};
use super::lab::Transport;
use crate::property::{cases, config};

/// One thing that an agent or a person does. Objects are counted over those that the agent holds,
/// and again from the first one.
#[derive(Debug, Clone)]
enum Step {
    /// Calls this method.
    Call(usize, usize),
    /// Opens an object, and calls this method on it before it is there and once it is.
    Open(usize, usize, usize),
    /// Narrows to these methods.
    Attenuate(usize, u8),
    /// Calls what returns objects inside a value.
    All(usize),
    /// Lends the second to the tool in a call on the first, which gives it back; bare, or inside a
    /// value.
    Lend(usize, usize, bool),
    /// Makes a call that does not end.
    Hang(usize),
    /// Takes the grant of an object back, once what hangs has reached the tool or before.
    Revoke(usize, bool),
    /// Takes the grant of a call back that does not end, likewise.
    Cut(usize, bool),
}

fn step() -> impl Strategy<Value = Step> {
    let (object, method) = (any::<u16>().prop_map(usize::from), 0..METHODS.len());
    prop_oneof![
        3 => (object.clone(), method.clone()).prop_map(|(o, m)| Step::Call(o, m)),
        3 => (object.clone(), 0..2_usize, method).prop_map(|(o, how, m)| Step::Open(o, how, m)),
        3 => (object.clone(), any::<u8>()).prop_map(|(o, mask)| Step::Attenuate(o, mask)),
        2 => object.clone().prop_map(Step::All),
        3 => (object.clone(), any::<u16>(), any::<bool>())
            .prop_map(|(o, l, nested)| Step::Lend(o, l.into(), nested)),
        2 => object.clone().prop_map(Step::Hang),
        1 => (object.clone(), any::<bool>()).prop_map(|(o, arrived)| Step::Revoke(o, arrived)),
        1 => (object, any::<bool>()).prop_map(|(h, arrived)| Step::Cut(h, arrived)),
    ]
}

#[test]
fn the_laws_hold_in_any_life() {
    hold_over(Transport::SameProcess, cases());
}

#[test]
fn the_laws_hold_in_any_life_over_mutual_tls() {
    // A case takes longer than one in memory.
    hold_over(Transport::Tls, cases() / 10);
}

fn hold_over(transport: Transport, cases: u32) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let local = LocalSet::new();
    let world = Mutex::new(local.block_on(&runtime, World::new(transport)));
    // A case goes on where the one before ended, so that smaller ones would be other lives.
    let config = Config { cases, max_shrink_iters: 0, ..config() };
    let seed = *b"the laws of the membrane, seed 1";
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let tried = runner.run(&prop::collection::vec(step(), 1..3), |steps| {
        local.block_on(&runtime, async {
            let mut world = world.lock().await;
            for step in &steps {
                let taken = tokio::time::timeout(2 * NEVER, take(&mut world, step)).await;
                assert!(taken.is_ok(), "{step:?} takes for ever");
            }
            if world.is_old() {
                world.renew().await;
            }
        });
        Ok(())
    });
    let met = local.block_on(&runtime, async {
        let world = world.lock().await;
        world.end().await;
        world.met
    });
    tried.unwrap();
    // A law that never meets its case proves nothing.
    let least = usize::try_from(cases / 400).unwrap();
    assert!(met.stopped >= least && met.inside >= least && met.lent >= least, "{met:?}");
}

async fn take(world: &mut World, step: &Step) {
    match *step {
        Step::Call(object, method) => world.call(object, METHODS[method]).await,
        Step::Open(object, how, method) => {
            world.open(object, ["open", "make"][how], METHODS[method]).await;
        }
        Step::Attenuate(object, mask) => world.attenuate(object, mask).await,
        Step::All(object) => world.all(object).await,
        Step::Lend(object, lent, nested) => world.lend(object, lent, nested).await,
        Step::Hang(object) => world.hang(object).await,
        Step::Cut(hanging, arrived) => world.cut(hanging, arrived).await,
        Step::Revoke(object, arrived) => world.revoke(object, arrived).await,
    }
}
