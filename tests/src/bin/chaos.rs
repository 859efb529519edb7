//! The chaos test: `cargo run -p remit-tests --bin chaos -- --minutes N --seed S`.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says clearly enough what it expected")]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use remit_tests::chaos::{audit, faults, load, person};
use remit_tests::fleet::Fleet;
use tokio::sync::watch;

/// Tasks at work at once.
const LANES: usize = 8;

/// A grace that outlasts every fault: calls wait for a stopped tool node and do not fail.
const CONFIG: &str = "tool_grace_ms = 60000\n";

struct Arguments {
    minutes: f64,
    seed: u64,
}

fn arguments() -> Result<Arguments, String> {
    let mut arguments = Arguments { minutes: 2.0, seed: rand::random() };
    let mut line = std::env::args().skip(1);
    while let Some(flag) = line.next() {
        let value = line.next().ok_or_else(|| format!("{flag} needs a value"))?;
        let wrong = || format!("`{value}` is no value for {flag}");
        match flag.as_str() {
            "--minutes" => arguments.minutes = value.parse().map_err(|_| wrong())?,
            "--seed" => arguments.seed = value.parse().map_err(|_| wrong())?,
            _ => return Err("usage: chaos [--minutes N] [--seed S]".into()),
        }
    }
    Ok(arguments)
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = match arguments() {
        Ok(arguments) => arguments,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(2);
        }
    };
    println!("seed {}", arguments.seed);
    tokio::select! {
        clean = run(&arguments) => if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE },
        _ = tokio::signal::ctrl_c() => {
            println!("interrupted; every process that was started is stopped");
            ExitCode::from(130)
        }
    }
}

async fn run(arguments: &Arguments) -> bool {
    let mut fleet = Fleet::start(2, 3, CONFIG).await;
    let (ending, over) = watch::channel(false);
    let dirs = fleet.nodes.iter().map(|node| (node.name.clone(), fleet.dir_of(node))).collect();
    let (leaving, gone) = watch::channel(false);
    let person = tokio::spawn(person::answer(fleet.client.clone(), dirs, gone));
    let lane = |number| tokio::spawn(load::lane(fleet.client.clone(), number, over.clone()));
    let lanes: Vec<_> = (0..LANES).map(lane).collect();
    let mut chance = StdRng::seed_from_u64(arguments.seed);
    let mut made = faults::Made::default();
    let until = Instant::now() + Duration::from_secs_f64(arguments.minutes * 60.0);
    while Instant::now() < until {
        faults::strike(&mut fleet, &mut chance, &mut made).await;
    }
    ending.send_replace(true);
    fleet.until_complete().await;
    let mut acknowledged = Vec::new();
    for lane in lanes {
        acknowledged.extend(lane.await.unwrap());
    }
    let report = audit::audit(&fleet, &acknowledged).await;
    leaving.send_replace(true);
    let answered = person.await.unwrap();
    println!(
        "tasks completed      {} of {}",
        report.completed,
        report.completed + report.failed.len()
    );
    report.failed.iter().for_each(|failed| println!("  {failed}"));
    made.0.iter().for_each(|(what, count)| println!("{what:<20} {count}"));
    println!("effects              {}", report.effects);
    let asked = answered.happened + answered.sent_again;
    println!("unknown outcomes     {asked} asked: {} had happened", answered.happened);
    println!("given up             {}", report.unknown);
    println!("lost effects         {}", report.lost);
    println!("doubled effects      {}", report.doubled);
    println!("effects unasked for  {}", report.stray);
    report.is_clean() && !acknowledged.is_empty()
}
