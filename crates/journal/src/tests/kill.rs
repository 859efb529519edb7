//! A process that is killed in the middle of its appends loses nothing that it acknowledged.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use super::*;

const ROUNDS: usize = 10;
const TASKS: u64 = 4;
/// How the child is told which folder it works on.
const FOLDER: &str = "folder=";

/// The child: appends to each task from a thread of its own, and says so after each answer.
#[test]
#[ignore = "run by `killed_processes_lose_nothing_acknowledged` in a process of its own"]
fn child() {
    let folder = std::env::args().find_map(|arg| arg.strip_prefix(FOLDER).map(str::to_owned));
    let folder = folder.expect("the parent test names a folder");
    let journal = SledJournal::new(Disk::open(Path::new(&folder), CACHE).unwrap());
    std::thread::scope(|scope| {
        for n in 1..=TASKS {
            let journal = &journal;
            scope.spawn(move || {
                let last = journal.head(TENANT, task(n)).unwrap().map_or(0, |head| head.number.0);
                for number in last + 1.. {
                    append(journal, n, number..=number, Status::Running).unwrap();
                    let line = format!("acknowledged {n} {number}\n");
                    if std::io::stdout().lock().write_all(line.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
}

#[test]
fn killed_processes_lose_nothing_acknowledged() {
    let dir = TempDir::new().unwrap();
    let mut acknowledged: HashMap<u64, u64> = HashMap::new();
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--nocapture", "tests::kill::child"])
            .arg(format!("{FOLDER}{}", dir.path().display()))
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let kill_after = 20 + rand::random_range(0..200);
        let mut heard = 0;
        // What it said before it was killed stays in the pipe, and counts.
        for line in lines.map_while(Result::ok) {
            let mut words = line.split(' ').skip_while(|word| !word.ends_with("acknowledged"));
            let numbers = (words.nth(1), words.next());
            let (Some(n), Some(number)) = numbers else { continue };
            let (Ok(n), Ok(number)) = (n.parse(), number.parse::<u64>()) else { continue };
            acknowledged.insert(n, number);
            heard += 1;
            if heard == kill_after {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(heard >= kill_after, "round {round}: the child ended by itself after {heard}");

        let (_, journal) = open(&dir);
        for (n, number) in &acknowledged {
            let found = read_all(&journal, *n).unwrap();
            assert!(found.len() as u64 >= *number, "round {round}: task {n} lost {number}");
        }
    }
}
