//! The bounds of a program: each is tried.

use remit_confine::{Bounds, Ended, Layer, Layers, Policy};

use super::world::World;

pub(crate) async fn hold(layers: &Layers) {
    let world = World::make();
    let bounded = |bounds: Bounds| Policy { bounds, ..world.policy() };
    let small = Bounds {
        memory_bytes: 256 << 20,
        processes: 200,
        file_bytes: 8 << 20,
        temp_bytes: 4 << 20,
        ..Bounds::default()
    };
    let (ended, _, err) = world.run_inside(bounded(small), layers, "memory").await;
    tell("memory", &ended, &err);
    assert!(failed(&ended), "{ended:?}");
    let (ended, _, err) = world.run_inside(bounded(small), layers, "large file").await;
    tell("a large file", &ended, &err);
    assert!(failed(&ended), "{ended:?}");
    let large = std::fs::metadata(world.folder.join("large")).unwrap();
    assert!(large.len() <= small.file_bytes, "{}", large.len());
    let written = Bounds { written_bytes: 32 << 20, file_bytes: 1 << 40, ..small };
    let (ended, _, err) = world.run_inside(bounded(written), layers, "large file").await;
    tell("much written", &ended, &err);
    assert!(matches!(&ended, Ok(Ended::Killed(why)) if why.contains("disk")), "{ended:?}");
    if layers.has(Layer::Mounts) {
        let (ended, _, err) = world.run_inside(bounded(small), layers, "temporary").await;
        tell("much in the temporary folder", &ended, &err);
        assert!(failed(&ended) && err.contains("No space"), "{ended:?} {err}");
    }
    let (ended, _, err) = world.run_inside(bounded(small), layers, "forks").await;
    tell("a fork bomb", &ended, &err);
    // The kernel refuses a user who is not root. For root the launcher counts the processes.
    let is_refused = matches!(&ended, Ok(Ended::Exited(_))) && err.contains("unavailable");
    let is_killed = matches!(&ended, Ok(Ended::Killed(why)) if why.contains("processes"));
    assert!(is_refused || is_killed, "{ended:?} {err}");
}

fn failed(ended: &std::io::Result<Ended>) -> bool {
    match ended {
        Ok(Ended::Exited(status)) => !status.success(),
        Ok(Ended::Killed(_)) => true,
        Err(_) => false,
    }
}

fn tell(what: &str, ended: &std::io::Result<Ended>, err: &str) {
    println!("{what:42} {ended:?} {}", err.lines().last().unwrap_or_default());
}
