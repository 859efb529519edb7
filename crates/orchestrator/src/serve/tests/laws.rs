//! The laws of the membrane, tried on lives that are made up at random.
//!
//! An object that goes out and comes back is itself; no object is ever seen unwrapped, by the agent
//! or by the tool; revoking cancels; an answer is the same before and after a promise resolves.

mod world;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use tokio::sync::Mutex;
use tokio::task::LocalSet;

use self::world::{METHODS, World};

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
    /// Lends the second to the tool in a call on the first, which gives it back.
    Lend(usize, usize),
    /// Makes a call that does not end.
    Hang(usize),
    /// Takes the grant of an object back.
    Revoke(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let (object, method) = (any::<u16>().prop_map(usize::from), 0..METHODS.len());
    prop_oneof![
        3 => (object.clone(), method.clone()).prop_map(|(o, m)| Step::Call(o, m)),
        3 => (object.clone(), 0..2_usize, method).prop_map(|(o, how, m)| Step::Open(o, how, m)),
        3 => (object.clone(), any::<u8>()).prop_map(|(o, mask)| Step::Attenuate(o, mask)),
        3 => (object.clone(), any::<u16>()).prop_map(|(o, l)| Step::Lend(o, l.into())),
        1 => object.clone().prop_map(Step::Hang),
        1 => object.prop_map(Step::Revoke),
    ]
}

/// How many cases are tried: 20,000, or as many as REMIT_CASES says.
#[expect(clippy::disallowed_methods, reason = "a nightly run asks for more")]
fn cases() -> u32 {
    std::env::var("REMIT_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(20_000)
}

#[test]
fn the_laws_hold_in_any_life() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let local = LocalSet::new();
    let world = Mutex::new(local.block_on(&runtime, World::new()));
    // A case goes on where the one before ended, so that smaller ones would be other lives.
    let config = Config {
        cases: cases(),
        max_shrink_iters: 0,
        failure_persistence: None,
        ..Config::default()
    };
    let seed = *b"the laws of the membrane, seed 1";
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let tried = runner.run(&prop::collection::vec(step(), 1..3), |steps| {
        local.block_on(&runtime, async {
            let mut world = world.lock().await;
            for step in &steps {
                take(&mut world, step).await;
            }
            if world.is_old() {
                world.renew().await;
            }
        });
        Ok(())
    });
    local.block_on(&runtime, async { world.lock().await.end().await });
    tried.unwrap();
}

async fn take(world: &mut World, step: &Step) {
    match *step {
        Step::Call(object, method) => world.call(object, METHODS[method]).await,
        Step::Open(object, how, method) => {
            world.open(object, ["open", "make"][how], METHODS[method]).await;
        }
        Step::Attenuate(object, mask) => world.attenuate(object, mask).await,
        Step::Lend(object, lent) => world.lend(object, lent).await,
        Step::Hang(object) => world.hang(object).await,
        Step::Revoke(object) => world.revoke(object).await,
    }
}
