//! A worker process: started with one socket, a door for others, and nothing else; watched, and
//! ended.

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

/// What bounds a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// How long its script may compute between two awaits.
    pub deadline: Duration,
    /// Memory of its script, in bytes.
    pub memory_bytes: u64,
    /// Whether it ends when this machine lacks a part of its sandbox.
    pub strict: bool,
}

/// How a worker starts.
#[derive(Debug, Clone)]
pub struct Program {
    /// The program.
    pub path: PathBuf,
    /// Its arguments, before the bounds.
    pub args: Vec<String>,
}

/// A worker process. Dropping it kills it.
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
    /// By itself, after its last word to the owner.
    Exited,
    /// Without a last word.
    Crashed(String),
    /// Killed at a limit.
    Deadline(String),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited => f.write_str("by itself"),
            Self::Crashed(why) => write!(f, "without a last word: {why}"),
            Self::Deadline(why) => write!(f, "killed at a limit: {why}"),
        }
    }
}

impl Program {
    /// This very program, as a worker.
    pub fn own() -> io::Result<Self> {
        Ok(Self { path: std::env::current_exe()?, args: vec!["agent-worker".into()] })
    }
}

impl Worker {
    /// Starts a worker, and gives this end of its socket.
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

    /// Through which it is handed further sockets.
    pub fn direct_channel(&self) -> Rc<DirectChannel> {
        Rc::clone(&self.direct_channel)
    }

    /// Waits for its end. Kills it when it computes past its deadline without a word: `words` grows
    /// with every byte that it writes to its socket. May be dropped and called again.
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
        // What it said last may still be in the pipe.
        let rest = tokio::time::timeout(limits::WATCH_EVERY, listen(stderr.as_mut(), said));
        let _silent = rest.await;
        match status {
            Ok(status) if status.success() => End::Exited,
            Ok(status) => End::Crashed(explain(status, said)),
            Err(error) => End::Crashed(format!("its end could not be waited for: {error}")),
        }
    }

    /// Whether it has ended already.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Kills it and waits until it is gone.
    pub async fn kill(&mut self) {
        if let Err(error) = self.child.kill().await {
            tracing::warn!(%error, "a worker could not be killed");
        }
    }
}

/// Keeps the beginning of what a process says, and drops the rest.
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
        "" => format!("its process ended without a last word: {status}"),
        said => format!("its process ended without a last word: {status}: {said}"),
    }
}

/// Answers when the process has computed for longer than its deadline since it last said a word or
/// waited for one.
async fn watch(process: Option<u32>, bounds: Bounds, words: &Cell<u64>) -> String {
    let Some(process) = process else { return std::future::pending().await };
    let most = bounds.deadline + limits::DEADLINE_GRACE;
    let mut last = (words.get(), Look::at(process).used);
    let (mut base, mut began) = (last.1, Instant::now());
    loop {
        tokio::time::sleep(limits::WATCH_EVERY).await;
        let look = Look::at(process);
        let spoke = words.get() != last.0;
        // One that wants the processor and gets none of it is not waiting for the owner.
        let waits = look.used == last.1 && !look.runs;
        last = (words.get(), look.used);
        if spoke || waits {
            (base, began) = (look.used, Instant::now());
            continue;
        }
        let starved = began.elapsed() > most * limits::WALL_FACTOR;
        if look.used.saturating_sub(base) > most || starved {
            return format!(
                "the script computed for more than {} ms without waiting on anything",
                bounds.deadline.as_millis()
            );
        }
    }
}

/// What the system tells of a process.
#[derive(Debug, Default, PartialEq, Eq)]
struct Look {
    /// How much processor time it has used.
    used: Duration,
    /// Whether it computes or would like to.
    runs: bool,
}

impl Look {
    /// Looks at a process; one that is gone has used nothing and wants nothing.
    fn at(process: u32) -> Self {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat"));
        stat.map(|stat| Self::read(&stat)).unwrap_or_default()
    }

    fn read(stat: &str) -> Self {
        // The name, in parentheses, may have spaces in it; user and system time come 11 fields later.
        let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
        let mut fields = after.split_whitespace();
        let runs = fields.next() == Some("R");
        let ticks: u64 = fields.skip(10).take(2).filter_map(|n| n.parse::<u64>().ok()).sum();
        let used =
            Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second().max(1));
        Self { used, runs }
    }
}

/// A count of the bytes that a worker wrote, shared with whoever watches it.
pub type Words = Rc<Cell<u64>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_system_is_read() {
        let second = rustix::param::clock_ticks_per_second();
        let stat = format!("7 (a ) R b) S 1 7 7 0 -1 4 90 0 0 0 {second} {second} 0 0 20 0 1");
        let look = Look::read(&stat);
        assert_eq!(look, Look { used: Duration::from_secs(2), runs: false });
        assert!(Look::read("7 (a) R 1").runs);
        assert_eq!(Look::read(""), Look::default());
    }
}
