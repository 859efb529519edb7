//! Seeds: runs each world once for all invariants, and reports the seeds that break one.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use remit_core::Fact;

use crate::past::Happened;
use crate::world::{Remains, live};
use crate::{acknowledged, attempts, completed, cursors, intents, panics, settling};

/// An invariant of every world.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Invariant {
    Acknowledged,
    Intents,
    Attempts,
    Completed,
    Cursors,
    Settling,
}

/// Reports a violation of an invariant.
type Check = fn(&Remains) -> Result<(), String>;

const CHECKS: [Check; 6] = [
    acknowledged::check,
    intents::check,
    attempts::check,
    completed::check,
    cursors::check,
    settling::check,
];

/// The result of checking one world.
struct Verdict {
    checks: [Result<(), String>; 6],
    coverage: Coverage,
}

/// Figures that show what the worlds covered.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Coverage {
    pub(crate) worlds: usize,
    pub(crate) tasks: usize,
    pub(crate) completed: usize,
    pub(crate) attempts: usize,
    pub(crate) unknown: usize,
    pub(crate) subscriptions: usize,
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// The seeds: `REMIT_SEED` alone, or `REMIT_SEEDS` of them (1,000 by default) beginning with
/// `REMIT_FIRST_SEED` (0 by default).
fn seeds() -> std::ops::Range<u64> {
    match number("REMIT_SEED") {
        Some(one) => one..one + 1,
        None => {
            let first = number("REMIT_FIRST_SEED").unwrap_or(0);
            first..first + number("REMIT_SEEDS").unwrap_or(1_000)
        }
    }
}

/// The verdicts so far. Tests on different threads share them.
fn verdicts() -> &'static [OnceLock<Verdict>] {
    static VERDICTS: OnceLock<Vec<OnceLock<Verdict>>> = OnceLock::new();
    VERDICTS.get_or_init(|| seeds().map(|_| OnceLock::new()).collect())
}

fn verdict(seed: u64) -> &'static Verdict {
    let at = usize::try_from(seed - seeds().start).unwrap();
    verdicts()[at].get_or_init(|| judge(seed))
}

fn judge(seed: u64) -> Verdict {
    let lived = panics::counted(|| catch_unwind(AssertUnwindSafe(|| live(seed))));
    match lived {
        (Ok(remains), 0) => {
            Verdict { checks: CHECKS.map(|check| check(&remains)), coverage: cover(&remains) }
        }
        (_, panics) => Verdict {
            checks: CHECKS.map(|_| Err(format!("{panics} panics in this world, see above"))),
            coverage: Coverage::default(),
        },
    }
}

/// Checks that an invariant holds in every world. On a violation it prints how to run that world
/// again.
pub(crate) fn holds(invariant: Invariant) {
    let all = seeds();
    // Each test begins at another seed, so that the tests do not all wait for the same worlds.
    let first = all.start + (all.end - all.start) / 6 * invariant as u64;
    for seed in (first..all.end).chain(all.start..first) {
        if let Err(why) = &verdict(seed).checks[invariant as usize] {
            if all.end - all.start == 1 {
                println!("{}", live(seed).lines.join("\n"));
            }
            panic!(
                "{invariant:?} does not hold in the world of seed {seed}: {why}\n\
                 to live it again: REMIT_SEED={seed} cargo test -p remit-tests --test sim"
            );
        }
    }
    println!("{invariant:?} holds in the worlds of seeds {all:?}");
}

/// The sum of the figures of all worlds.
pub(crate) fn coverage() -> Coverage {
    seeds().map(|seed| verdict(seed).coverage).fold(Coverage::default(), |sum, one| Coverage {
        worlds: sum.worlds + one.worlds,
        tasks: sum.tasks + one.tasks,
        completed: sum.completed + one.completed,
        attempts: sum.attempts + one.attempts,
        unknown: sum.unknown + one.unknown,
        subscriptions: sum.subscriptions + one.subscriptions,
    })
}

fn cover(remains: &Remains) -> Coverage {
    let count = |which: fn(&Fact) -> bool| {
        let events = remains.tasks.iter().flat_map(|(_, _, events)| events);
        events.filter(|event| which(&event.fact)).count()
    };
    let subscribed =
        remains.past.iter().filter(|(_, what)| matches!(what, Happened::Subscribed { .. }));
    Coverage {
        worlds: 1,
        tasks: remains.tasks.len(),
        completed: count(|fact| matches!(fact, Fact::TaskCompleted(_))),
        attempts: count(|fact| matches!(fact, Fact::AttemptStarted { .. })),
        unknown: count(|fact| matches!(fact, Fact::CallUnknown { .. })),
        subscriptions: subscribed.count(),
    }
}
