//! Watching what a program and everything that it started use, and ending all of it.

use std::collections::BTreeMap;
use std::fs;

use rustix::process::{Pid, Signal, kill_process};

use crate::policy::Bounds;
use crate::sys;

/// The resources that the processes below a launcher use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    memory_bytes: u64,
    threads: u64,
    written_bytes: u64,
}

/// The state of one process, as the system reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    parent: u32,
    threads: u64,
    pages: u64,
}

impl Stat {
    fn read(text: &str) -> Option<Self> {
        // The name, in parentheses, may contain anything.
        let after = text.rsplit_once(')')?.1;
        let fields: Vec<&str> = after.split_whitespace().collect();
        let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
        Some(Self {
            parent: u32::try_from(number(1)?).ok()?,
            threads: number(17)?,
            pages: number(21)?,
        })
    }
}

impl Usage {
    /// The usage of everything below `launcher`, without the launcher itself.
    pub(crate) fn of(launcher: u32) -> Self {
        let mut usage = Self::default();
        let page = u64::try_from(rustix::param::page_size()).unwrap_or(4096);
        for (pid, stat) in below(launcher) {
            usage.memory_bytes += stat.pages * page;
            usage.threads += stat.threads;
            usage.written_bytes += written(pid);
        }
        usage
    }

    /// The first exceeded bound, in words.
    pub(crate) fn beyond(&self, bounds: &Bounds) -> Option<String> {
        let over = |used: u64, most: u64, what: &str| {
            (used > most).then(|| format!("it used more than {most} {what}"))
        };
        over(self.memory_bytes, bounds.memory_bytes, "bytes of memory")
            .or_else(|| over(self.threads, bounds.processes, "processes and threads"))
            .or_else(|| over(self.written_bytes, bounds.written_bytes, "bytes written to disk"))
    }
}

/// All processes below `top`, found through their parents.
fn below(top: u32) -> BTreeMap<u32, Stat> {
    let mut others: BTreeMap<u32, Stat> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter_map(|pid| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            Some((pid, Stat::read(&stat)?))
        })
        .collect();
    let mut found = BTreeMap::new();
    loop {
        let is_below =
            |_: &u32, stat: &mut Stat| stat.parent == top || found.contains_key(&stat.parent);
        let more: Vec<_> = others.extract_if(.., is_below).collect();
        if more.is_empty() {
            return found;
        }
        found.extend(more);
    }
}

/// Bytes that a process, and the children that it waited for, have written to disk.
fn written(pid: u32) -> u64 {
    let io = fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    line.and_then(|bytes| bytes.parse().ok()).unwrap_or(0)
}

/// Kills the first process of a program, and with it its whole namespace. Without such a namespace
/// it then kills everything that was left as a child of this process.
pub(crate) fn end_all(init: libc::pid_t) {
    kill(u32::try_from(init).unwrap_or(0));
    // A killed process may have forked before its end, so this looks until no child is left.
    loop {
        for (pid, _) in below(std::process::id()) {
            kill(pid);
        }
        if sys::wait_any().is_none() {
            return;
        }
    }
}

fn kill(pid: u32) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    if let Some(pid) = pid {
        // This fails if the process has ended, which is fine.
        let _ended = kill_process(pid, Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proc_stat_line_is_parsed() {
        let text = "7 (a ) R b) S 3 7 7 0 -1 4 90 0 0 0 1 2 0 0 20 0 5 0 100 9999 42 1 2";
        assert_eq!(Stat::read(text), Some(Stat { parent: 3, threads: 5, pages: 42 }));
        assert_eq!(Stat::read("7 (a"), None);
    }

    #[test]
    fn each_bound_is_named() {
        let bounds = Bounds::default();
        let at = |usage: Usage| usage.beyond(&bounds).unwrap_or_default();
        let more = u64::MAX;
        assert_eq!(at(Usage::default()), "");
        assert!(at(Usage { memory_bytes: more, ..Usage::default() }).contains("memory"));
        assert!(at(Usage { threads: more, ..Usage::default() }).contains("processes"));
        assert!(at(Usage { written_bytes: more, ..Usage::default() }).contains("disk"));
    }
}
