//! A worker process: started with one socket and a channel for others, watched, and ended.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::rc::Rc;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::Instant;

pub use crate::direct_channel::DirectChannel;
use crate::limits;

/// The bounds of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// How long its script may compute between two awaits.
    pub deadline: Duration,
    /// Memory of its script, in bytes.
    pub memory_bytes: u64,
    /// Whether the worker ends if this machine lacks a part of its sandbox.
    pub strict: bool,
}

/// The command line of a worker.
#[derive(Debug, Clone)]
pub struct Program {
    /// The program.
    pub path: PathBuf,
    /// Its arguments, which come before the bounds.
    pub args: Vec<String>,
}

/// A worker process. Dropping it kills the process.
pub struct Worker {
    child: Child,
    stderr: Option<ChildStderr>,
    said: Vec<u8>,
    bounds: Bounds,
    direct_channel: Rc<DirectChannel>,
}

/// How a worker ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// By itself, after it told the owner the outcome.
    Exited,
    /// Without telling the owner an outcome.
    Crashed(String),
    /// Killed at a limit.
    Deadline(String),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited => f.write_str("by itself"),
            Self::Crashed(why) => write!(f, "crashed: {why}"),
            Self::Deadline(why) => write!(f, "killed at a limit: {why}"),
        }
    }
}

impl Program {
    /// This program itself, as a worker.
    pub fn own() -> io::Result<Self> {
        Ok(Self { path: std::env::current_exe()?, args: vec!["agent-worker".into()] })
    }
}

impl Worker {
    /// Starts a worker, and returns it with this end of its socket.
    pub fn start(program: &Program, bounds: Bounds) -> io::Result<(Self, UnixStream)> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        let (direct_channel, child_end) = DirectChannel::pair()?;
        ours.set_nonblocking(true)?;
        let mut child = Command::new(&program.path)
            .args(&program.args)
            .arg("--deadline-ms")
            .arg(bounds.deadline.as_millis().to_string())
            .arg("--memory-bytes")
            .arg(bounds.memory_bytes.to_string())
            .args(bounds.strict.then_some("--strict"))
            // A script that breaks out finds no secret in the environment. The time zone is fixed,
            // so that dates repeat in a replay on another node.
            .env_clear()
            .env("TZ", "UTC")
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::from(child_end))
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let stderr = child.stderr.take();
        let direct_channel = Rc::new(direct_channel);
        let worker = Self { child, stderr, said: Vec::new(), bounds, direct_channel };
        Ok((worker, UnixStream::from_std(ours)?))
    }

    /// The channel through which the worker is handed further sockets.
    pub fn direct_channel(&self) -> Rc<DirectChannel> {
        Rc::clone(&self.direct_channel)
    }

    /// Waits for the end of the process, and kills it if it computes past its deadline without
    /// writing. `words` must grow with every byte that the process writes to its socket. The future
    /// may be dropped and the method called again.
    pub async fn ended(&mut self, words: &Cell<u64>) -> End {
        let process = self.child.id();
        let bounds = self.bounds;
        let (child, stderr, said) = (&mut self.child, &mut self.stderr, &mut self.said);
        let status = {
            let watch = watch(process, bounds, words);
            let listen = listen(stderr.as_mut(), said);
            tokio::pin!(watch, listen);
            let mut listening = true;
            loop {
                tokio::select! {
                    biased;
                    // An end counts before a deadline that passes at the same moment.
                    status = child.wait() => break Ok(status),
                    () = &mut listen, if listening => listening = false,
                    why = &mut watch => break Err(why),
                }
            }
        };
        let status = match status {
            Ok(status) => status,
            Err(why) => {
                self.kill().await;
                return End::Deadline(why);
            }
        };
        // Its last output may still be in the pipe.
        let rest = tokio::time::timeout(limits::WATCH_EVERY, listen(stderr.as_mut(), said));
        let _silent = rest.await;
        match status {
            Ok(status) if status.success() => End::Exited,
            Ok(status) => End::Crashed(explain(status, said)),
            Err(error) => End::Crashed(format!("waiting for its end failed: {error}")),
        }
    }

    /// Whether the process has ended.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Kills the process and waits until it is gone.
    pub async fn kill(&mut self) {
        if let Err(error) = self.child.kill().await {
            tracing::warn!(%error, "a worker could not be killed");
        }
    }
}

/// Keeps the beginning of a process's standard error, and reads and drops the rest, so that the
/// process never blocks on a full pipe.
async fn listen(stderr: Option<&mut ChildStderr>, said: &mut Vec<u8>) {
    let Some(stderr) = stderr else { return };
    let mut buffer = [0; 1024];
    while let Ok(read) = stderr.read(&mut buffer).await {
        if read == 0 {
            return;
        }
        let room = limits::STDERR_BYTES.saturating_sub(said.len());
        said.extend_from_slice(&buffer[..read.min(room)]);
    }
}

fn explain(status: ExitStatus, said: &[u8]) -> String {
    let said = String::from_utf8_lossy(said);
    match said.trim() {
        "" => format!("its process ended without reporting an outcome: {status}"),
        said => format!("its process ended without reporting an outcome: {status}: {said}"),
    }
}

/// Completes when the process has computed for longer than its deadline since it last wrote or
/// waited.
async fn watch(process: Option<u32>, bounds: Bounds, words: &Cell<u64>) -> String {
    let Some(process) = process else { return std::future::pending().await };
    let most = bounds.deadline + limits::DEADLINE_GRACE;
    let mut last = (words.get(), Look::at(process).used);
    let (mut base, mut began) = (last.1, Instant::now());
    loop {
        tokio::time::sleep(limits::WATCH_EVERY).await;
        let look = Look::at(process);
        let spoke = words.get() != last.0;
        // A process that is ready to run but gets no processor time is not waiting for the owner.
        let waits = look.used == last.1 && !look.runs;
        last = (words.get(), look.used);
        if spoke || waits {
            (base, began) = (look.used, Instant::now());
            continue;
        }
        // Wall time counts too, since a busy machine may give the process too little processor
        // time.
        let starved = began.elapsed() > most * limits::WALL_FACTOR;
        if look.used.saturating_sub(base) > most || starved {
            return format!(
                "the script computed for more than {} ms without waiting on anything",
                bounds.deadline.as_millis()
            );
        }
    }
}

/// The state of a process, as the system reports it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Look {
    /// The processor time that it has used.
    used: Duration,
    /// Whether it runs or is ready to run.
    runs: bool,
}

impl Look {
    /// Reads the state of a process. A process that is gone has used nothing and does not run.
    fn at(process: u32) -> Self {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat"));
        stat.map(|stat| Self::read(&stat)).unwrap_or_default()
    }

    fn read(stat: &str) -> Self {
        // The name, in parentheses, may contain spaces. User and system time come 11 fields after
        // the state.
        let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
        let mut fields = after.split_whitespace();
        let runs = fields.next() == Some("R");
        let ticks: u64 = fields.skip(10).take(2).filter_map(|n| n.parse::<u64>().ok()).sum();
        let used =
            Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second().max(1));
        Self { used, runs }
    }
}

/// The count of bytes that a worker wrote, shared with the watch over its deadline.
pub type Words = Rc<Cell<u64>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proc_stat_line_is_parsed() {
        let second = rustix::param::clock_ticks_per_second();
        let stat = format!("7 (a ) R b) S 1 7 7 0 -1 4 90 0 0 0 {second} {second} 0 0 20 0 1");
        let look = Look::read(&stat);
        assert_eq!(look, Look { used: Duration::from_secs(2), runs: false });
        assert!(Look::read("7 (a) R 1").runs);
        assert_eq!(Look::read(""), Look::default());
    }
}
