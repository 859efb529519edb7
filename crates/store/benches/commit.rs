//! What a commit costs beside the append that it cannot do without, in turns on one disk.

#![expect(
    clippy::unwrap_used,
    reason = "a bench that unwraps says clearly enough what it expected"
)]

use std::fs::File;
use std::io::Write as _;
use std::time::{Duration, Instant};

use futures::executor::block_on;
use remit_store::Disk;

/// Bytes of a value, about an event's.
const BYTES: usize = 300;
/// Writers that commit at once.
const WRITERS: usize = 16;

fn main() {
    let quick = !std::env::args().any(|arg| arg == "--bench");
    println!("profile: {}", if cfg!(debug_assertions) { "debug" } else { "release" });
    let count = if quick { 20 } else { 4_000 };
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::open(&dir.path().join("store"), 16 << 20).unwrap();
    let mut raw = File::create(dir.path().join("raw")).unwrap();
    let (mut appends, mut commits) = (Vec::new(), Vec::new());
    for n in 0..count {
        let began = Instant::now();
        raw.write_all(&[7; BYTES]).unwrap();
        raw.sync_data().unwrap();
        appends.push(began.elapsed());
        let began = Instant::now();
        commit(&disk, 0, n);
        commits.push(began.elapsed());
    }
    let (append, commit_alone) = (median(appends), median(commits));
    println!("append of {BYTES} bytes and fdatasync: p50 {append:?}");
    println!("commit of {BYTES} bytes, alone: p50 {commit_alone:?}");
    println!("ratio: {:.2}", commit_alone.as_secs_f64() / append.as_secs_f64());
    let began = Instant::now();
    std::thread::scope(|scope| {
        for writer in 1..=WRITERS {
            let disk = &disk;
            scope.spawn(move || (0..count).for_each(|n| commit(disk, writer, n)));
        }
    });
    let rate = (WRITERS * count) as f64 / began.elapsed().as_secs_f64();
    println!("commits of {WRITERS} writers: {rate:.0} a second");
}

/// An event, and a head that is replaced.
fn commit(disk: &Disk, writer: usize, n: usize) {
    let event = format!("event/{writer:04}/{n:08}").into_bytes();
    let head = format!("head/{writer:04}").into_bytes();
    let now = n.to_be_bytes().repeat(12);
    block_on(disk.commit(vec![(event, Some(vec![7; BYTES])), (head, Some(now))])).unwrap();
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
