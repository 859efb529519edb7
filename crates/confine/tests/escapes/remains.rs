//! No process outlives its call, or its node.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use remit_confine::{Layer, Layers};

use super::world::{self, World, succeeded};

/// How long a killed process may take to be gone on a busy machine.
const GONE: Duration = Duration::from_secs(30);

pub(crate) async fn nothing(layers: &Layers) {
    // Without a process namespace the launcher finds them as its children.
    for layers in [layers.clone(), layers.only(&[Layer::Landlock, Layer::Seccomp])] {
        let world = World::make();
        let (ended, _, err) = world.run_inside(world.policy(), &layers, "leave").await;
        assert!(ended.as_ref().is_ok_and(succeeded), "{ended:?} {err}");
        is_free(&world.folder.join("lock")).await;
        println!("{:42} it was gone when its call ended", "leave a process behind");
    }
    an_abandoned_program_is_gone(layers).await;
    one_whose_node_is_killed_is_gone().await;
}

async fn an_abandoned_program_is_gone(layers: &Layers) {
    let world = World::make();
    let program = Path::new("/bin/sh");
    let order = world.order(world.policy(), layers, program, &["-c", "sleep 600 & sleep 600"]);
    let mut child = world::launcher().start(order.clone()).unwrap();
    child.end().await.unwrap();
    // The child is dropped. The end of its pipes shows that all of its processes are gone.
    let mut child = world::launcher().start(order).unwrap();
    let mut stdout = child.stdout.take().unwrap();
    drop(child);
    let mut rest = Vec::new();
    let read = tokio::io::AsyncReadExt::read_to_end(&mut stdout, &mut rest);
    tokio::time::timeout(GONE, read).await.unwrap().unwrap();
    println!("{:42} it was gone", "give up on a program");
}

async fn one_whose_node_is_killed_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Command::new(std::env::current_exe().unwrap())
        .arg("node")
        .current_dir(dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(node.stdout.take().unwrap()).read_line(&mut line).unwrap();
    node.kill().unwrap();
    node.wait().unwrap();
    is_free(&dir.path().join("lock")).await;
    println!("{:42} its programs were gone", "kill a node");
}

/// Acts as a node: starts a program that locks a file, says so, and waits to be killed.
pub(crate) fn node() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let launcher = world::launcher();
        let layers = launcher.probe().unwrap();
        let mut world = World::make();
        world.folder = std::env::current_dir().unwrap();
        let script = "exec 9>lock; flock 9; echo locked; sleep 600";
        let order = world.order(world.policy(), &layers, Path::new("/bin/sh"), &["-c", script]);
        let mut child = launcher.start(order).unwrap();
        let mut first = [0];
        let mut stdout = child.stdout.take().unwrap();
        tokio::io::AsyncReadExt::read_exact(&mut stdout, &mut first).await.unwrap();
        println!("locked");
        std::future::pending::<()>().await;
    });
    ExitCode::SUCCESS
}

/// Waits until the lock is free.
async fn is_free(lock: &Path) {
    let lock = File::open(lock).unwrap();
    let locked = tokio::task::spawn_blocking(move || lock.lock());
    tokio::time::timeout(GONE, locked).await.unwrap().unwrap().unwrap();
}
