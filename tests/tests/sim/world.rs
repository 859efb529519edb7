//! A world: five hosts, a network between them, and their faults, all drawn from a seed.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use remit_core::{Event, TaskId};
use remit_vat::chance;
use turmoil::Sim;

use crate::client::{Desk, Known, Wish};
use crate::disk::{SimJournal, SimStore};
use crate::network::ORCHESTRATOR;
use crate::past::{Happened, Past};
use crate::tool::Shelf;
use crate::{agent, client, orchestrator, tool};

const AGENTS: [&str; 2] = ["agents-1", "agents-2"];
pub(crate) const TOOLS: &str = "tools";
const CLIENT: &str = "client";

/// The time before which every fault begins. Each ends some seconds later.
const FAULTS_MS: u64 = 10_000;

/// The time by which every task has settled, whatever the faults.
pub(crate) const SETTLED_MS: u64 = 240_000;

/// The step of the simulated time.
pub(crate) const TICK: Duration = Duration::from_millis(20);

/// The longest latency of a message on a link that is not held.
pub(crate) const MAX_LATENCY: Duration = Duration::from_millis(100);

/// A change to a world: the begin or the end of a fault.
#[derive(Debug, Clone)]
enum Action {
    Crash(&'static str),
    Bounce(&'static str),
    Partition(&'static str, &'static str),
    Repair(&'static str, &'static str),
    Hold(&'static str, &'static str),
    Release(&'static str, &'static str),
    Refuse(bool),
}

impl Action {
    /// The link that the action affects.
    const fn link(&self) -> Option<(&'static str, &'static str)> {
        match *self {
            Self::Partition(a, b) | Self::Repair(a, b) | Self::Hold(a, b) | Self::Release(a, b) => {
                Some((a, b))
            }
            Self::Crash(_) | Self::Bounce(_) | Self::Refuse(_) => None,
        }
    }
}

/// The state of a world after its end.
pub(crate) struct Remains {
    pub(crate) past: Vec<(u64, Happened)>,
    pub(crate) lines: Vec<String>,
    /// The seed, id and stored events of each task.
    pub(crate) tasks: Vec<(i64, Option<TaskId>, Vec<Event>)>,
    /// The lines of the tool's file.
    pub(crate) file: Vec<String>,
    pub(crate) ended_ms: u64,
    /// The times between which messages between orchestrator and tools were held.
    held_tools: Vec<(u64, u64)>,
}

impl Remains {
    pub(crate) fn events(&self, task: TaskId) -> &[Event] {
        let found = self.tasks.iter().find(|(_, known, _)| *known == Some(task));
        found.map(|(_, _, events)| &events[..]).unwrap_or_default()
    }

    /// Checks that the journal has exactly this event.
    pub(crate) fn has(&self, task: TaskId, event: &Event) -> Result<(), String> {
        let found = self.events(task).iter().find(|found| found.number == event.number);
        if found == Some(event) {
            return Ok(());
        }
        Err(format!("event {event:?} of {task} is in the journal as {found:?}"))
    }

    /// The task that a subscription follows, and its cursor at the start.
    pub(crate) fn followed(&self, subscription: u64) -> (TaskId, u64) {
        let found = self.past.iter().find_map(|(_, happened)| match happened {
            Happened::Subscribed { subscription: s, task, after } if *s == subscription => {
                Some((*task, *after))
            }
            _ => None,
        });
        found.unwrap()
    }

    /// Whether messages between orchestrator and tools were held at some time between `from_ms` and
    /// `to_ms`.
    pub(crate) fn held_tools(&self, from_ms: u64, to_ms: u64) -> bool {
        self.held_tools.iter().any(|(held, let_go)| *held <= to_ms && from_ms <= *let_go)
    }
}

/// Runs the world of `seed`.
pub(crate) fn live(seed: u64) -> Remains {
    chance::repeat(seed);
    let mut chance = StdRng::seed_from_u64(seed);
    let past = Arc::new(Past::default());
    let journal = SimJournal::new(seed, Arc::clone(&past));
    let shelf = Arc::new(Shelf {
        ledger: SimStore::new(seed),
        file: Mutex::default(),
        journal: Arc::clone(&journal),
        past: Arc::clone(&past),
    });
    let wish = |number: u32| Wish {
        seed: i64::from(chance.random::<u32>() >> 8),
        key: format!("wish {number}"),
        known: Mutex::new(Known::default()),
    };
    let wishes = (0..2).map(wish).collect();
    let desk = Arc::new(Desk { wishes, past: Arc::clone(&past), subscriptions: Mutex::default() });
    let mut sim = network(seed);
    populate(&mut sim, &journal, &shelf, &desk, &past);
    let mut plan = plan(&mut chance);
    let held_tools = held_tools(&plan);
    let all = desk.wishes.len();
    let ended_ms = loop {
        let now_ms = u64::try_from(sim.elapsed().as_millis()).unwrap();
        while plan.first().is_some_and(|(at, _)| *at <= now_ms) {
            let (_, action) = plan.remove(0);
            past.note_at(now_ms, Happened::Fault(format!("{action:?}")));
            act(&mut sim, &action, &journal, &shelf);
        }
        sim.step().unwrap();
        if (plan.is_empty() && past.ended() == all) || now_ms >= SETTLED_MS {
            break now_ms;
        }
    };
    // Ends the hosts before their disks are read.
    drop(sim);
    let tasks = desk.wishes.iter().map(|wish| {
        let task = wish.known.lock().unwrap().task;
        (wish.seed, task, task.map(|task| journal.events(task)).unwrap_or_default())
    });
    Remains {
        past: past.entries(),
        lines: past.lines(),
        tasks: tasks.collect(),
        file: shelf.file.lock().unwrap().clone(),
        ended_ms,
        held_tools,
    }
}

fn network<'a>(seed: u64) -> Sim<'a> {
    turmoil::Builder::new()
        .rng_seed(seed)
        .enable_random_order()
        .tick_duration(TICK)
        .simulation_duration(Duration::from_millis(2 * SETTLED_MS))
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(MAX_LATENCY)
        .build()
}

fn populate(
    sim: &mut Sim<'_>,
    journal: &Arc<SimJournal>,
    shelf: &Arc<Shelf>,
    desk: &Arc<Desk>,
    past: &Arc<Past>,
) {
    let journal = Arc::clone(journal);
    sim.host(ORCHESTRATOR, move || orchestrator::run(Arc::clone(&journal)));
    for name in AGENTS {
        let past = Arc::clone(past);
        sim.host(name, move || agent::run(name, Arc::clone(&past)));
    }
    let shelf = Arc::clone(shelf);
    sim.host(TOOLS, move || tool::run(Arc::clone(&shelf)));
    let desk = Arc::clone(desk);
    sim.host(CLIENT, move || client::run(Arc::clone(&desk)));
}

/// The faults in the order of time. Each of them ends.
fn plan(chance: &mut StdRng) -> Vec<(u64, Action)> {
    let hosts = [ORCHESTRATOR, AGENTS[0], AGENTS[1], TOOLS, CLIENT];
    let mut plan: Vec<(u64, Action)> = Vec::new();
    for _ in 0..chance.random_range(1..5) {
        let begins = chance.random_range(100..FAULTS_MS);
        let host = hosts[chance.random_range(0..hosts.len())];
        let peer = hosts[chance.random_range(1..hosts.len())];
        let brief = begins + chance.random_range(100..6_000);
        // A partition lasts until both ends have noticed: TCP would send lost bytes again after a
        // short one, and these streams do not.
        let long = begins + chance.random_range(13_000..20_000);
        let (first, last) = match chance.random_range(0..9) {
            0..=4 => ((begins, Action::Crash(host)), (brief, Action::Bounce(host))),
            5 => (
                (begins, Action::Partition(ORCHESTRATOR, peer)),
                (long, Action::Repair(ORCHESTRATOR, peer)),
            ),
            6 | 7 => (
                (begins, Action::Hold(ORCHESTRATOR, peer)),
                (brief, Action::Release(ORCHESTRATOR, peer)),
            ),
            _ => ((begins, Action::Refuse(true)), (brief, Action::Refuse(false))),
        };
        // The end of one fault of a link ends all faults of it, which would cut a partition short.
        let link = first.1.link();
        let taken = plan.iter().any(|(_, before)| {
            let cut = |action: &Action| matches!(action, Action::Partition(..));
            before.link() == link && (cut(before) || cut(&first.1))
        });
        if link.is_none() || !taken {
            plan.extend([first, last]);
        }
    }
    plan.sort_by_key(|(at, _)| *at);
    plan
}

fn held_tools(plan: &[(u64, Action)]) -> Vec<(u64, u64)> {
    let held = plan.iter().filter(|(_, a)| matches!(a, Action::Hold(_, peer) if *peer == TOOLS));
    let released = |from: u64| {
        let later = plan.iter().filter(move |(at, _)| *at >= from);
        later.filter(|(_, a)| matches!(a, Action::Release(_, peer) if *peer == TOOLS))
    };
    // A hold that begins within another one ends with the last of them.
    held.map(|(at, _)| (*at, released(*at).map(|(at, _)| *at).max().unwrap_or(*at))).collect()
}

fn act(sim: &mut Sim<'_>, action: &Action, journal: &SimJournal, shelf: &Shelf) {
    match *action {
        Action::Crash(host) => {
            sim.crash(host);
            match host {
                ORCHESTRATOR => journal.crash(),
                TOOLS => shelf.ledger.crash(),
                _ => {}
            }
        }
        Action::Bounce(host) if !sim.is_host_running(host) => sim.bounce(host),
        // Two crashes overlapped, and the first bounce has started the host again.
        Action::Bounce(_) => {}
        Action::Partition(a, b) => sim.partition(a, b),
        Action::Repair(a, b) => sim.repair(a, b),
        Action::Hold(a, b) => sim.hold(a, b),
        Action::Release(a, b) => sim.release(a, b),
        Action::Refuse(refuse) => journal.refuse(refuse),
    }
}
