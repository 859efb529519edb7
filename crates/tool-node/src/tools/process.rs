//! Runs one confined program within bounds, and leaves nothing of it behind.

mod output;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::PathBuf;
use std::process::ExitStatus;
use std::rc::Rc;
use std::time::{Duration, Instant};

use output::Output;
use remit_confine::{Child, Order, Policy};
use remit_core::Failure;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;

use super::confiner::Confiner;
use super::http::Proxy;
use crate::kit::{CallContext, fail};
use crate::limits;

/// A program that is about to run.
pub(crate) struct Program {
    /// Where it is, absolute.
    pub(crate) path: PathBuf,
    /// What it is told, as it is: no shell reads it.
    pub(crate) args: Vec<String>,
    /// What it may reach.
    pub(crate) policy: Policy,
    /// The directory that it starts in.
    pub(crate) dir: OwnedFd,
    /// Its whole environment.
    pub(crate) env: BTreeMap<String, String>,
    /// What serves it, if its network is the node.
    pub(crate) proxy: Option<Rc<Proxy>>,
    /// What it reads.
    pub(crate) stdin: Vec<u8>,
    /// The longest it may take. After that all of it is killed.
    pub(crate) timeout: Duration,
    /// The most it may write, in bytes. After that all of it is killed.
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

/// Runs `program` to its end, shows what it writes to whoever follows `call`, and ends everything
/// that it started when it exits, when a limit is reached, when the call is cancelled, and when this
/// future is dropped.
///
/// # Errors
/// `failed` if it could not be started; `timed-out`, `limit` and `cancelled` after it was killed, when it
/// may have done a part of its work.
pub(crate) async fn run(
    program: Program,
    confiner: &Confiner,
    call: &CallContext,
) -> Result<Ended, Failure> {
    let (timeout, name) = (program.timeout, program.path.display().to_string());
    let started = Instant::now();
    let mut running = Running::start(program, confiner)?;
    let limit = tokio::time::sleep(timeout);
    let stopped = tokio::select! {
        biased;
        () = call.cancelled() => fail::cancelled(format!("`{name}` was killed, as its caller gave up on it")),
        ended = running.finish(call) => {
            let ended = ended.map_err(|error| fail::failed(format!("`{name}`: {error}")))?;
            let status = match ended {
                remit_confine::Ended::Exited(status) => status,
                remit_confine::Ended::Killed(why) => {
                    let last = running.output.last_words();
                    let why = format!("`{name}` was killed: {why}. It had written: {last}");
                    return Err(fail::limit(why));
                }
            };
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
    // Awaited here, so that no process of it is left when the caller hears of its end.
    if let Err(error) = running.child.end().await {
        tracing::warn!(program = %name, %error, "ending a program failed");
    }
    Err(stopped)
}

struct Running {
    child: Child,
    proxy: Option<Rc<Proxy>>,
    stdin: Vec<u8>,
    output: Output,
}

/// Starts a program in the folder that is open as `dir`, wherever that is by now.
pub(crate) fn start(
    (program, args): (PathBuf, Vec<String>),
    policy: Policy,
    dir: &OwnedFd,
    env: BTreeMap<String, String>,
    confiner: &Confiner,
) -> std::io::Result<Child> {
    let place = rustix::fs::fstat(dir)?;
    // The kernel knows where an open folder is now. The launcher checks that it is the same.
    let at = std::fs::read_link(format!("/proc/self/fd/{}", dir.as_raw_fd()))?;
    let layers = confiner.layers().clone();
    let dir_id = (place.st_dev, place.st_ino);
    let order = Order { policy, layers, program, args, dir: at, dir_id, env };
    confiner.launcher().start(order)
}

impl Running {
    fn start(program: Program, confiner: &Confiner) -> Result<Self, Failure> {
        let name = program.path.display().to_string();
        let failed =
            |error: std::io::Error| fail::failed(format!("`{name}` could not be started: {error}"));
        let (stdin, proxy) = (program.stdin, program.proxy);
        let output = Output::new(program.output_bytes);
        let called = (program.path, program.args);
        let child = start(called, program.policy, &program.dir, program.env, confiner);
        let child = child.map_err(failed)?;
        Ok(Self { child, proxy, stdin, output })
    }

    async fn finish(&mut self, call: &CallContext) -> std::io::Result<remit_confine::Ended> {
        let listener = match &self.proxy {
            Some(_) => self.child.listener().await?,
            None => None,
        };
        let serve = serve(self.proxy.clone().zip(listener), call.key());
        let feed = feed(self.child.stdin.take(), std::mem::take(&mut self.stdin));
        let (stdout, stderr) = (self.child.stdout.take(), self.child.stderr.take());
        let collect = self.output.collect(stdout, stderr, call);
        let (mut feed, mut collect) = (std::pin::pin!(feed), std::pin::pin!(collect));
        let mut serve = std::pin::pin!(serve);
        let (mut fed, mut collected) = (false, false);
        let ended = loop {
            tokio::select! {
                biased;
                () = &mut feed, if !fed => fed = true,
                filled = &mut collect, if !collected => {
                    collected = true;
                    if filled {
                        self.child.kill();
                    }
                }
                ended = self.child.ended() => break ended?,
                never = &mut serve => match never {},
            }
        };
        // Nothing is left that could write; what was written may still be in the pipes.
        if !collected {
            let _late = tokio::time::timeout(limits::PROCESS_DRAIN, &mut collect).await;
        }
        Ok(ended)
    }
}

/// Serves a program that reaches its node alone.
async fn serve(proxy: Option<(Rc<Proxy>, TcpListener)>, key: &[u8]) -> Infallible {
    match proxy {
        Some((proxy, listener)) => proxy.serve(listener, key).await,
        None => std::future::pending().await,
    }
}

/// Gives a program all that it reads, then the end. One that does not read to the end is at liberty.
async fn feed(stdin: Option<impl AsyncWrite + Unpin>, bytes: Vec<u8>) {
    if let Some(mut stdin) = stdin {
        let _unread = stdin.write_all(&bytes).await;
        let _unread = stdin.shutdown().await;
    }
}
