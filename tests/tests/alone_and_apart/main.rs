//! Every example behaves the same in one process and with every node apart and killed during the
//! run. The journals are equal but for times, attempts, ids and the order of concurrent operations.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says what it expected")]

/// The tool node starts its own executable as the launcher of the programs that its tools run. In a
/// test that is the test program, which must become the launcher before any other code runs.
mod as_launcher {
    #[used]
    #[unsafe(link_section = ".init_array")]
    static FIRST: extern "C" fn() = launch_if_asked;

    #[expect(clippy::disallowed_methods, reason = "what a test is called with says what it is")]
    extern "C" fn launch_if_asked() {
        if std::env::args().nth(1).as_deref() == Some(remit_confine::LAUNCH) {
            remit_confine::launch();
            std::process::exit(0);
        }
    }
}

mod alone;
mod apart;
mod example;
mod journal;
mod person;

use futures::stream::{self, StreamExt as _};
use tokio::task::LocalSet;

use crate::example::{Example, Place};

/// Examples that run at the same time: an example spends most of its time waiting for processes.
const AT_ONCE: usize = 3;

/// Figures of one example's run.
struct Ran {
    attempts: usize,
    tasks: usize,
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_does_the_same_alone_and_apart() {
    let examples = Example::all();
    assert!(examples.len() >= 5, "found only {} examples", examples.len());
    let ran: Vec<Ran> =
        stream::iter(examples).map(compare).buffer_unordered(AT_ONCE).collect().await;
    assert!(ran.iter().any(|ran| ran.attempts > 1), "no example was hit in its run");
    assert!(ran.iter().any(|ran| ran.tasks > 1), "no example spawned others");
}

/// Runs an example apart and alone, and compares the journals of all of its tasks.
async fn compare(example: Example) -> Ran {
    let (apart, family) = apart::run(&example, &Place::new()).await;
    let began = journal::beginning(&apart);
    let ran = Ran { attempts: journal::attempts(&apart), tasks: family.len() };
    let (place, name, answers) = (Place::new(), example.name.clone(), example.answers);
    let alone = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        LocalSet::new().block_on(&runtime.unwrap(), alone::run(began, &place, answers))
    });
    let alone = tokio::task::spawn_blocking(move || alone.join().unwrap()).await.unwrap();
    let (alone, apart) = (journal::normal_family(&alone), journal::normal_family(&family));
    let names = |family: &[(String, Vec<String>)]| -> Vec<String> {
        family.iter().map(|(name, _)| name.clone()).collect()
    };
    assert_eq!(names(&alone), names(&apart), "{name}");
    let mut same = 0;
    for ((task, alone), (_, apart)) in alone.iter().zip(&apart) {
        for (alone, apart) in alone.iter().zip(apart) {
            assert_eq!(alone, apart, "{name}, {task}: alone on the left, apart on the right");
        }
        assert_eq!(alone.len(), apart.len(), "{name}, {task}");
        same += alone.len();
    }
    println!("{name}: {same} events of {} tasks are the same", alone.len());
    ran
}
