//! The figures that benchmarks print: durations and memory.

use std::time::{Duration, Instant};

use remit_client::Value;
use remit_store::Disk;

/// The distribution of a repeated measurement.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// The 50th percentile.
    pub median: Duration,
    /// The 99th percentile.
    pub slow: Duration,
}

impl Times {
    /// The percentiles of `times`.
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

/// Prints the distribution of `times` under the name `what`, and returns it.
pub fn report(what: &str, times: Vec<Duration>) -> Times {
    let times = Times::of(times);
    println!("{what:<53} {times}");
    times
}

/// A duration as it is printed: in microseconds below 10 ms, otherwise in milliseconds.
pub fn shown(time: Duration) -> String {
    if time < Duration::from_millis(10) {
        format!("{:.1} us", time.as_secs_f64() * 1e6)
    } else {
        format!("{:.2} ms", time.as_secs_f64() * 1e3)
    }
}

/// `one` divided by `other`.
pub fn ratio(one: Duration, other: Duration) -> f64 {
    one.as_secs_f64() / other.as_secs_f64()
}

/// Resident memory of a process, in bytes.
pub fn resident(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// Single durable writes of 300 bytes: the floor of any call with an effect.
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

/// Whether `cargo test` runs this benchmark, so that it must be quick. Prints the build profile,
/// without which the figures mean nothing.
pub fn is_quick() -> bool {
    println!("profile: {}", if cfg!(debug_assertions) { "debug" } else { "release" });
    !std::env::args().any(|arg| arg == "--bench")
}

/// The result of the probe's `stamp`, as the time since the probe began.
pub fn time_of(stamp: &Value) -> Duration {
    match stamp {
        Value::Integer(nanos) => Duration::from_nanos(u64::try_from(*nanos).unwrap()),
        other => panic!("{other:?}"),
    }
}
