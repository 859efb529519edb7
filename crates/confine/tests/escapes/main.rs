//! Escapes, tried from inside a confined program, and printed with the layer that refuses each.
//!
//! There is no test harness: this program is the test, the launcher, and the program that tries.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says clearly enough what it expected")]

mod bounds;
mod git;
mod inside;
mod remains;
mod world;

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use remit_confine::{LAUNCH, Layer, Layers, Network, Policy, launch};

use self::world::World;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    match args.next().as_deref() {
        Some(LAUNCH) => return launch(),
        Some("inside") => return inside::main(&args.next().unwrap()),
        Some("node") => return remains::node(),
        _ => {}
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let layers = world::launcher().probe().unwrap();
    println!("layers: {}", names(&layers));
    runtime.block_on(async {
        nothing_outside_is_reached(&layers).await;
        what_is_allowed_works(&layers).await;
        git::reaches_nothing(&layers).await;
        bounds::hold(&layers).await;
        remains::nothing(&layers).await;
    });
    println!("escapes: ok");
    if args.next().is_none() && rustix::process::geteuid().is_root() {
        return as_nobody();
    }
    ExitCode::SUCCESS
}

/// Runs the test again as an unprivileged user, if this one is root and that user may execute this
/// file.
fn as_nobody() -> ExitCode {
    const NOBODY: u32 = 65_534;
    println!("\nonce more, as user {NOBODY}");
    let mut again = Command::new(std::env::current_exe().unwrap());
    match again.args(["again", "as nobody"]).uid(NOBODY).gid(NOBODY).current_dir("/").status() {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            println!("skipped: {error}");
            ExitCode::SUCCESS
        }
    }
}

fn names(layers: &Layers) -> String {
    let names: Vec<_> = layers.layers.iter().map(|layer| layer.name()).collect();
    format!("{} (landlock version {})", names.join(", "), layers.landlock_abi)
}

/// Sets of layers that are tested alone, each with the layers that it needs.
fn alone() -> [(&'static str, Vec<Layer>); 7] {
    [
        ("none", vec![]),
        ("users", vec![Layer::Users]),
        ("mounts", vec![Layer::Users, Layer::Mounts]),
        ("processes", vec![Layer::Users, Layer::Mounts, Layer::Processes]),
        ("network", vec![Layer::Users, Layer::Network]),
        ("landlock", vec![Layer::Landlock]),
        ("seccomp", vec![Layer::Seccomp]),
    ]
}

/// Escapes that landlock must refuse by itself, in any container.
const LANDLOCK_HOLDS: [&str; 8] = [
    "read a key",
    "read /etc/shadow",
    "list a folder outside",
    "write outside",
    "follow a planted link",
    "link a key into the folder",
    "read what another process was told",
    "read the raw disk",
];

async fn nothing_outside_is_reached(layers: &Layers) {
    let world = World::make();
    let mut table: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (name, wanted) in alone() {
        for (escape, refused) in world.try_escapes(&layers.only(&wanted)).await {
            let by = table.entry(escape).or_default();
            if refused.is_some() {
                by.push(name);
            }
        }
    }
    let together = world.try_escapes(layers).await;
    println!("\n{:42} {:44} refused by each of these alone", "escape", "with all layers");
    for (escape, refused) in &together {
        let by = table.get(escape).map(|by| by.join(" ")).unwrap_or_default();
        println!("{escape:42} {:44} {by}", refused.as_deref().unwrap_or("*** IT SUCCEEDED ***"));
    }
    let succeeded: Vec<_> = together.iter().filter(|(_, refused)| refused.is_none()).collect();
    // In a container that lacks the namespaces, landlock refuses access to files, and seccomp the
    // calls.
    let whole = layers.missing().is_empty();
    for (escape, _) in &succeeded {
        assert!(!whole, "it could {escape}");
    }
    assert!(together.len() >= 30, "{} escapes were tried", together.len());
    if layers.has(Layer::Landlock) {
        for escape in LANDLOCK_HOLDS {
            assert!(table[escape].contains(&"landlock"), "landlock did not refuse to {escape}");
        }
    }
    if layers.has(Layer::Seccomp) {
        for escape in ["make a socket of another family", "trace another process"] {
            assert!(table[escape].contains(&"seccomp"), "seccomp did not refuse to {escape}");
        }
    }
}

async fn what_is_allowed_works(layers: &Layers) {
    let world = World::make();
    let policy = world.policy();
    let script = "set -e
        echo text > new; mv new moved; ln moved twice; mkdir deep; cat deep/../twice
        echo x > ${TMPDIR:-/tmp}/x; cat ${TMPDIR:-/tmp}/x > /dev/null
        printf '#!/bin/sh\\necho ran\\n' > run; chmod +x run; ./run
        read line; echo \"read $line\"; (exit 3) || echo $?; ls /usr/bin/env";
    let (ended, out, err) = world.run(policy, layers, "/bin/sh", &["-c", script], "a line\n").await;
    assert!(ended.as_ref().is_ok_and(world::succeeded), "{ended:?} {err}");
    assert_eq!(out, "text\nran\nread a line\n3\n/usr/bin/env\n");
    // A program whose policy allows the network has it.
    let policy = Policy { network: Network::Host, ..world.policy() };
    let (ended, out, _) = world.run_inside(policy, layers, "connect").await;
    assert!(ended.is_ok_and(|ended| world::succeeded(&ended)), "{out}");
    // A file that is not a program is reported, and so is a missing folder.
    let (ended, ..) = world.run(world.policy(), layers, "/etc/passwd", &[], "").await;
    assert!(ended.unwrap_err().to_string().contains("ermission denied"));
}
