//! Any process may be killed at any moment: the task goes on, no effect is lost or done twice, and
//! no acknowledged event is missing.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that unwraps says clearly enough what it expected"
)]

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use remit_client::{Event, EventNumber, Fact, Followed, GrantSpec, TaskSpec};
use remit_tests::following::so_far;
use remit_tests::mesh::{Mesh, now_ms};
use remit_tests::process::kill;

/// 200 calls, half of them effects that must happen once. A script that is told that nobody knows
/// whether an effect happened looks before it repeats it.
const SCRIPT: &str = r#"
export default async function (remit) {
    for (let n = 0; n < 100; n++) {
        for (;;) {
            try {
                await remit.probe.append(`line ${n}`);
                break;
            } catch (error) {
                if (error.code !== "unknown") throw error;
                console.warn(`nobody knows about line ${n}`);
                if ((await remit.view.lines()).includes(`line ${n}`)) break;
            }
        }
        await remit.view.echo(`seen ${n}`);
    }
    return (await remit.view.lines()).length;
}"#;

#[derive(Debug, Clone, Copy)]
enum Victim {
    AgentNode,
    Worker,
    ToolNode,
    Orchestrator,
}

const VICTIMS: [Victim; 4] =
    [Victim::AgentNode, Victim::Worker, Victim::ToolNode, Victim::Orchestrator];

/// Kills one process in the middle of the script, starts it again, and checks all that must hold.
async fn round(victim: Victim, seed: u64) {
    let mut chance = StdRng::seed_from_u64(seed);
    let mut mesh = Mesh::start(1).await;
    // What only reads is sent again, which a grant that says `fail` would forbid.
    let grant = |name, text| GrantSpec::parse(name, text, now_ms()).unwrap();
    let spec = TaskSpec::script("test", SCRIPT)
        .grant(grant("probe", "probe?onUnknown=fail"))
        .grant(grant("view", "probe?methods=readOnly"));
    let task = mesh.client.create_task(spec).await.unwrap();
    let at = EventNumber(chance.random_range(10..400));
    let mut acknowledged = Vec::new();
    let mut events = task.events(EventNumber(0)).await.unwrap();
    while let Some(followed) = events.next().await {
        if let Followed::Event(event) = followed.unwrap() {
            let number = event.number;
            acknowledged.push(event);
            if number >= at {
                break;
            }
        }
    }
    drop(events);
    match victim {
        Victim::AgentNode => {
            mesh.agents[0].kill();
            mesh.restart_agent(0).await;
        }
        Victim::Worker => mesh.agents[0].children().into_iter().for_each(kill),
        Victim::ToolNode => {
            mesh.tools.kill();
            mesh.restart_tools().await;
        }
        Victim::Orchestrator => {
            mesh.orchestrator.kill();
            mesh.restart_orchestrator();
        }
    }
    let result = task.result().await.unwrap();
    assert_eq!(result, remit_client::Value::Integer(100), "{victim:?}, seed {seed}");

    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for line in mesh.appended() {
        *counts.entry(line).or_default() += 1;
    }
    let wrong: Vec<_> = counts.iter().filter(|(_, count)| **count != 1).collect();
    assert!(wrong.is_empty(), "{victim:?}, seed {seed}: {wrong:?}");
    assert_eq!(counts.len(), 100, "{victim:?}, seed {seed}");

    let journal = so_far(&task).await;
    assert_eq!(journal[..acknowledged.len()], acknowledged[..], "{victim:?}, seed {seed}");
    let numbers: Vec<u64> = journal.iter().map(|event| event.number.0).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    if !matches!(victim, Victim::ToolNode) {
        let unknown = |event: &&Event| {
            matches!(&event.fact, Fact::CallCompleted { outcome: remit_core::Outcome::Failure(f), .. }
                if f.code == remit_client::Code::Unknown)
        };
        assert_eq!(journal.iter().filter(unknown).count(), 0, "the ledger knew: {victim:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_survives_the_death_of_any_process() {
    let seed = std::env::var("REMIT_SEED").ok().and_then(|seed| seed.parse().ok());
    let first: u64 = seed.unwrap_or_else(rand::random);
    println!("REMIT_SEED={first}");
    for (number, victim) in VICTIMS.into_iter().cycle().take(20).enumerate() {
        round(victim, first.wrapping_add(number as u64)).await;
        println!("round {number}: {victim:?} killed, all 100 effects once");
    }
}
