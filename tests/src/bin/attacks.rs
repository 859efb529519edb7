//! Runs the attacks: one peer exhausts a shared resource while a neighbour measures the effect.
//!
//! Run it with `cargo run -p remit-tests --bin attacks`. It starts a mesh of its own on loopback,
//! makes each attack a bounded number of times, prints a table, and fails when a row exceeds its
//! bounds. Arguments select rows by name. With `--busy`, as in CI, other work may run beside it: a
//! small task may then take ten times as long. A debug build makes the large attacks at a quarter of
//! their size.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says clearly enough what it expected")]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use remit_tests::attacks::site::{Seen, Site};
use remit_tests::attacks::{Attack, Row, clients, nodes, scripts, strangers, values};

/// The longest that a small task of the neighbour may take during an attack: ten times its duration
/// at rest, on a machine with two cores of which the attacker occupies one.
const SLOWEST: Duration =
    if cfg!(debug_assertions) { Duration::from_secs(5) } else { Duration::from_secs(2) };

/// The same during 20,000 reads at once by one script: a call of the neighbour still waits behind
/// some of the reads that were sent before it.
const BESIDE_READS: Duration =
    if cfg!(debug_assertions) { Duration::from_secs(18) } else { Duration::from_secs(6) };

fn rows() -> Vec<Row> {
    let row = |name, before, attack: Attack, grows_mib| Row {
        name,
        before,
        attack,
        slowest: SLOWEST,
        grows_mib,
    };
    vec![
        row("-2^63", "the worker panics, the task is paused", values::least_number, 32),
        row("nested program", "the worker dies five times", values::nesting, 32),
        row("log escapes", "raw", values::log, 32),
        row("abort", "says nothing", clients::aborted, 32),
        row("strangers", "honest attempts cannot dial, tasks paused", strangers::silent, 64),
        row("verify", "neighbours fail for 13-86 s", clients::verify, 64),
        row("newer version", "`fs` goes to it, and fails after it", nodes::newer_version, 32),
        row("failing agent", "five attempts there, then paused", nodes::failing_agent, 32),
        row("save", "10-15 s", clients::save, 64),
        row("output", "862 MiB, part of it kept", clients::output, 128),
        row("dead tool", "all places held", scripts::dead_tool, 96),
        Row { slowest: BESIDE_READS, ..row("reads", "the neighbour fails", scripts::reads, 192) },
        row("followers", "stalls for 40 s, nodes away, 745 MiB", clients::followers, 320),
        row("grants", "44 to 3,645 MiB, a minute", clients::grants, 192),
        row("unknown data", "1.8 GiB", clients::unknown_data, 320),
        row("waiting", "12.9 s", clients::waiting, 128),
        row("invites", "other clients' invites refused", clients::invites, 32),
        row("idle", "1.4 GiB that stays, 12-17 s; 70 s after a restart", clients::idle, 128),
    ]
}

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (options, wanted): (Vec<String>, _) = std::env::args().skip(1).partition(|a| a == "--busy");
    let patience = if options.is_empty() { 1 } else { 10 };
    let broken = tokio::task::LocalSet::new().block_on(&runtime, run(&wanted, patience));
    match broken {
        0 => ExitCode::SUCCESS,
        count => {
            println!("{count} bounds are broken");
            ExitCode::FAILURE
        }
    }
}

async fn run(wanted: &[String], patience: u32) -> usize {
    let began = Instant::now();
    let mut site = Site::start().await;
    println!("profile: {}", if cfg!(debug_assertions) { "debug" } else { "release" });
    println!(
        "| attack | before | the attacker | a small task: at rest, slowest beside it | failed | memory, MiB: before, most, after |"
    );
    println!("| --- | --- | --- | --- | --- | --- |");
    let mut broken = 0;
    let rows =
        rows().into_iter().filter(|row| wanted.is_empty() || wanted.iter().any(|w| w == row.name));
    for row in rows {
        let row = Row { slowest: row.slowest * patience, ..row };
        let seen = site.measure(&row).await;
        println!("{}", line(&row, &seen));
        for why in seen.breaks(&row) {
            println!("  BROKEN: {why}");
            broken += 1;
        }
    }
    broken += restart(&mut site, patience).await;
    println!("all in {:.0} s", began.elapsed().as_secs_f64());
    broken
}

fn line(row: &Row, seen: &Seen) -> String {
    let (before, most, after) = seen.memory;
    format!(
        "| {} | {} | {} in {:.1} s | {:.2}, {:.2} s | {} of {} | {before}, {most}, {after} |",
        row.name,
        row.before,
        seen.told.text,
        seen.took.as_secs_f64(),
        seen.rest.as_secs_f64(),
        seen.slowest.as_secs_f64(),
        seen.runs.1,
        seen.runs.0,
    )
}

/// Kills the orchestrator, which holds all that the attacks left behind, and measures the time
/// until a small task is done.
async fn restart(site: &mut Site, patience: u32) -> usize {
    site.mesh.orchestrator.kill();
    let began = Instant::now();
    site.mesh.restart_orchestrator();
    let up = began.elapsed();
    let small = site.small_task().await;
    let served = began.elapsed();
    println!(
        "| restart | 70 s without service | ready after {:.2} s | {:.2} s | {} of 1 | |",
        up.as_secs_f64(),
        served.as_secs_f64(),
        usize::from(small.is_err()),
    );
    // Nodes and clients reconnect with their own backoff, hence the extra 5 s.
    let most = SLOWEST * patience + Duration::from_secs(5);
    let late = served > most || small.is_err();
    if late {
        println!("  BROKEN: no service within {most:?} of a restart: {small:?}");
    }
    usize::from(late)
}
