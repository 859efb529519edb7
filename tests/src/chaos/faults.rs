//! The faults of a chaos run: their kind, target and duration, all drawn from one seed.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::Rng as _;
use rand::rngs::StdRng;
use remit_client::Role;

use crate::fleet::Fleet;
use crate::process::kill;

/// The size at which files stop growing on a full disk. Almost every file of the journal is larger.
const FULL: u64 = 64 << 10;

/// The number of faults made, by kind.
#[derive(Debug, Default)]
pub struct Made(pub BTreeMap<&'static str, usize>);

impl Made {
    fn note(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }
}

/// Makes one fault, sometimes a second one with it, and ends all faults after a random time.
pub async fn strike(fleet: &mut Fleet, chance: &mut StdRng, made: &mut Made) {
    fault(fleet, chance, made);
    if chance.random_ratio(1, 4) {
        fault(fleet, chance, made);
    }
    tokio::time::sleep(Duration::from_millis(chance.random_range(50..2_500))).await;
    fleet.heal();
    tokio::time::sleep(Duration::from_millis(chance.random_range(100..2_000))).await;
}

fn fault(fleet: &mut Fleet, chance: &mut StdRng, made: &mut Made) {
    let at = chance.random_range(0..fleet.nodes.len());
    let slow = Duration::from_millis(chance.random_range(20..300));
    let kind = chance.random_range(0..100);
    let node = &mut fleet.nodes[at];
    match kind {
        0..15 => {
            if let Some(mut orchestrator) = fleet.orchestrator.take() {
                orchestrator.kill();
                made.note("orchestrator killed");
            }
        }
        15..40 => {
            if let Some(mut process) = node.process.take() {
                process.kill();
                made.note(if node.role == Role::AgentNode {
                    "agent node killed"
                } else {
                    "tool node killed"
                });
            }
        }
        40..50 => {
            let workers = node.process.iter().flat_map(crate::process::Process::children);
            if let Some(worker) = workers.last() {
                kill(worker);
                made.note("worker killed");
            }
        }
        50..60 => {
            if let Some(orchestrator) = &fleet.orchestrator {
                orchestrator.stop();
                made.note("orchestrator stopped");
            }
        }
        60..75 => {
            if let Some(process) = &node.process {
                process.stop();
                made.note("node stopped");
            }
        }
        75..85 => {
            node.link.cut();
            made.note("connection cut");
        }
        85..91 => {
            if let Some(orchestrator) = &fleet.orchestrator {
                orchestrator.bound_files(Some(FULL));
                made.note("journal's disk full");
            }
        }
        91..96 => {
            if let (Role::ToolNode, Some(process)) = (node.role, &node.process) {
                process.bound_files(Some(FULL));
                made.note("tool's disk full");
            }
        }
        _ => {
            node.link.slow(slow);
            made.note("link slowed");
        }
    }
}
