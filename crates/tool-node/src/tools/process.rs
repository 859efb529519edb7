//! Runs one program in a process group of its own, within bounds, and leaves nothing of it behind.

mod output;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use output::Output;
use remit_core::Failure;
use rustix::process::{Pid, Signal};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStdin, Command};

use crate::kit::{CallContext, fail};
use crate::limits;

/// A program that is about to run.
pub(crate) struct Program {
    /// Where it is, absolute.
    pub(crate) path: PathBuf,
    /// What it is told, as it is: no shell reads it.
    pub(crate) args: Vec<OsString>,
    /// The directory that it starts in.
    pub(crate) dir: OwnedFd,
    /// Its whole environment.
    pub(crate) env: BTreeMap<String, String>,
    /// What it reads.
    pub(crate) stdin: Vec<u8>,
    /// The longest it may take. After that its group is killed.
    pub(crate) timeout: Duration,
    /// The most it may write, in bytes. After that its group is killed.
    pub(crate) output_bytes: usize,
}

/// How a program ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Its exit status, or the signal that ended it.
    pub(crate) status: ExitStatus,
    /// What it wrote to its standard output.
    pub(crate) stdout: Vec<u8>,
    /// What it wrote to its standard error.
    pub(crate) stderr: Vec<u8>,
    /// Whether it was killed because it wrote too much.
    pub(crate) truncated: bool,
    /// How long it ran.
    pub(crate) duration: Duration,
}

/// Runs `program` to its end, shows what it writes to whoever follows `call`, and ends its whole
/// group when it exits, when a limit is reached, when the call is cancelled, and when this future
/// is dropped. Must be awaited on a thread that lives as long as the node.
pub(crate) async fn run(program: Program, call: &CallContext) -> Result<Ended, Failure> {
    let (timeout, name) = (program.timeout, program.path.display().to_string());
    let started = Instant::now();
    let mut running = Running::start(program)?;
    let limit = tokio::time::sleep(timeout);
    let stopped = tokio::select! {
        biased;
        () = call.cancelled() => fail::cancelled(format!("`{name}` was killed, as its caller gave up on it")),
        ended = running.finish(call) => {
            let status = ended.map_err(|error| fail::failed(format!("`{name}`: {error}")))?;
            let Output { stdout, stderr, truncated, .. } = running.output;
            return Ok(Ended { status, stdout, stderr, truncated, duration: started.elapsed() });
        }
        () = limit => {
            let last = running.output.last_words();
            fail::timed_out(format!(
                "`{name}` ran for more than {} ms and was killed. It had written: {last}",
                timeout.as_millis()
            ))
        }
    };
    running.group.kill();
    // Reaped here, so that no process of the group is left when the caller hears of its end.
    let _ = tokio::time::timeout(limits::PROCESS_DRAIN, running.child.wait()).await;
    Err(stopped)
}

/// A process group, killed when this is dropped.
struct Group(Option<Pid>);

impl Group {
    fn kill(&self) {
        if let Some(pid) = self.0 {
            // It fails if all of the group have ended, which is what was wanted.
            let _ = rustix::process::kill_process_group(pid, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

struct Running {
    group: Group,
    child: Child,
    stdin: Vec<u8>,
    output: Output,
}

impl Running {
    fn start(program: Program) -> Result<Self, Failure> {
        let mut command = Command::new(&program.path);
        command
            .args(&program.args)
            .env_clear()
            .envs(&program.env)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let node = rustix::process::getpid();
        let dir = program.dir;
        // SAFETY: between fork and exec this makes system calls only: it neither allocates nor locks.
        unsafe {
            command.pre_exec(move || {
                rustix::process::fchdir(&dir)?;
                end_with(node)
            });
        }
        let child = command.spawn().map_err(|error| {
            fail::failed(format!("`{}` could not be started: {error}", program.path.display()))
        })?;
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let output = Output::new(program.output_bytes);
        Ok(Self { group: Group(pid), child, stdin: program.stdin, output })
    }

    async fn finish(&mut self, call: &CallContext) -> std::io::Result<ExitStatus> {
        let feed = feed(self.child.stdin.take(), std::mem::take(&mut self.stdin));
        let (stdout, stderr) = (self.child.stdout.take(), self.child.stderr.take());
        let collect = self.output.collect(stdout, stderr, call);
        let (mut feed, mut collect) = (std::pin::pin!(feed), std::pin::pin!(collect));
        let (mut fed, mut collected) = (false, false);
        let status = loop {
            tokio::select! {
                biased;
                () = &mut feed, if !fed => fed = true,
                filled = &mut collect, if !collected => {
                    collected = true;
                    if filled {
                        self.group.kill();
                    }
                }
                status = self.child.wait() => break status?,
            }
        };
        // Whatever it left running would hold the pipes open, and has no business any more.
        self.group.kill();
        if !collected {
            let _ = tokio::time::timeout(limits::PROCESS_DRAIN, &mut collect).await;
        }
        Ok(status)
    }
}

/// Gives a program all that it reads, then the end. One that does not read to the end is at liberty.
async fn feed(stdin: Option<ChildStdin>, bytes: Vec<u8>) {
    if let Some(mut stdin) = stdin {
        let _ = stdin.write_all(&bytes).await;
        let _ = stdin.shutdown().await;
    }
}

/// Asks the kernel to end this process when the node ends, however it ends.
#[cfg(target_os = "linux")]
fn end_with(node: Pid) -> std::io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    if rustix::process::getppid() == Some(node) {
        return Ok(());
    }
    // The node ended before the kernel was asked.
    Err(std::io::ErrorKind::BrokenPipe.into())
}

#[cfg(not(target_os = "linux"))]
fn end_with(_node: Pid) -> std::io::Result<()> {
    Ok(())
}
