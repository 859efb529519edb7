//! The figures that benchmarks print: how long things took, and what they hold.

use std::time::{Duration, Instant};

use remit_client::Value;
use remit_store::Disk;

/// How long something took, time after time.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// Half of the times it took no longer.
    pub median: Duration,
    /// In 99 of 100 times it took no longer.
    pub slow: Duration,
}

impl Times {
    /// What stands out of these.
    pub fn of(mut times: Vec<Duration>) -> Self {
        times.sort();
        let at = |percent: usize| times[(times.len() - 1) * percent / 100];
        Self { median: at(50), slow: at(99) }
    }
}

impl std::fmt::Display for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "p50 {}, p99 {}", shown(self.median), shown(self.slow))
    }
}

/// Prints how long `what` took, and gives it.
pub fn report(what: &str, times: Vec<Duration>) -> Times {
    let times = Times::of(times);
    println!("{what:<53} {times}");
    times
}

/// A time as it is printed.
pub fn shown(time: Duration) -> String {
    if time < Duration::from_millis(10) {
        format!("{:.1} us", time.as_secs_f64() * 1e6)
    } else {
        format!("{:.2} ms", time.as_secs_f64() * 1e3)
    }
}

/// How many times as long as the other it took.
pub fn ratio(one: Duration, other: Duration) -> f64 {
    one.as_secs_f64() / other.as_secs_f64()
}

/// Resident memory of a process, in bytes.
pub fn resident(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// Lone durable writes of 300 bytes: what no call with an effect can go below.
pub async fn commit(count: usize) -> Duration {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::open(dir.path(), 16 << 20).unwrap();
    let mut times = Vec::with_capacity(count);
    for number in 0..count {
        let began = Instant::now();
        disk.commit(vec![(number.to_be_bytes().to_vec(), Some(vec![7; 300]))]).await.unwrap();
        times.push(began.elapsed());
    }
    report("commit, 300 bytes, flushed and synced", times).median
}

/// Whether a benchmark is run by `cargo test`, where it must be quick. Prints how this was compiled,
/// without which no figure says anything.
pub fn is_quick() -> bool {
    println!("profile: {}", if cfg!(debug_assertions) { "debug" } else { "release" });
    !std::env::args().any(|arg| arg == "--bench")
}

/// What the probe's `stamp` says, as time since it began.
pub fn time_of(stamp: &Value) -> Duration {
    match stamp {
        Value::Integer(nanos) => Duration::from_nanos(u64::try_from(*nanos).unwrap()),
        other => panic!("{other:?}"),
    }
}
