//! The worker: the process in which one attempt's script runs.
//!
//! The process holds one socket, to the task's owner, and a channel through which the agent node
//! hands it direct connections to tool nodes. It holds nothing else.

mod chance;
mod engine;
mod host;
mod modules;
mod paths;
mod session;
mod source;
mod stack;
mod text;
mod values;
mod web;

use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream as Socket;
use std::process::ExitCode;
use std::time::Duration;

use remit_vat::vat::Vat;
use tokio::io::{AsyncRead, AsyncWrite};

use self::engine::Bounds;
pub use self::paths::Paths;
use crate::limits;
use crate::sandbox::{self, SandboxLimits};

/// The settings of a worker.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// How long the script may compute without waiting on anything.
    pub deadline: Duration,
    /// The memory that the script may use, in bytes.
    pub memory_bytes: u64,
    /// Whether the worker ends if this machine lacks a part of the sandbox.
    pub strict: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { deadline: limits::DEADLINE, memory_bytes: limits::MEMORY_BYTES, strict: false }
    }
}

/// Runs one script. Standard input is a socket to the owner, and standard output the channel for
/// direct connections.
///
/// Exit codes: 0 when the owner has the script's outcome, 1 when it has not.
pub fn main(options: Options) -> ExitCode {
    match run(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            // The agent node reads standard error and puts it into its log.
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> Result<(), String> {
    let stdin = std::io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .map_err(|error| format!("there is no socket on standard input: {error}"))?;
    let direct_channel = std::io::stdout().as_fd().try_clone_to_owned().ok();
    let worked =
        Vat::run(work(stdin, direct_channel, options)).map_err(|error| error.to_string())?;
    worked.map_err(|failure| failure.to_string())
}

async fn work(
    socket: OwnedFd,
    direct_channel: Option<OwnedFd>,
    options: Options,
) -> Result<(), remit_core::Failure> {
    let internal = |error: std::io::Error| {
        remit_core::Failure::new(remit_core::Code::Failed, format!("the worker's socket: {error}"))
    };
    let wired = |socket: OwnedFd| {
        let socket = Socket::from(socket);
        socket.set_nonblocking(true)?;
        tokio::net::UnixStream::from_std(socket)
    };
    let socket = wired(socket).map_err(internal)?;
    // Without the channel there are no direct connections, and values come from the owner.
    let direct_channel = direct_channel.and_then(|direct_channel| wired(direct_channel).ok());
    let missing = sandbox::apply(&SandboxLimits { memory_bytes: options.memory_bytes });
    for missing in &missing {
        eprintln!("sandbox: {missing}");
    }
    if options.strict && !missing.is_empty() {
        let why = "strict = true, and this machine lacks a part of the sandbox of agents";
        return Err(remit_core::Failure::new(remit_core::Code::Failed, why));
    }
    let paths = Paths::default();
    if let Some(direct_channel) = direct_channel {
        tokio::task::spawn_local(paths.clone().take_in(direct_channel));
    }
    attend_with(socket, paths, options).await
}

/// Runs the script of the task whose owner is at the other end of `stream`, in this process and
/// without a sandbox. For tests: a worker process applies its sandbox first.
pub async fn attend<S>(stream: S, options: Options) -> Result<(), remit_core::Failure>
where
    S: AsyncRead + AsyncWrite + 'static,
{
    attend_with(stream, Paths::default(), options).await
}

/// As [`attend`], with direct connections to tool nodes.
pub async fn attend_with<S>(
    stream: S,
    paths: Paths,
    options: Options,
) -> Result<(), remit_core::Failure>
where
    S: AsyncRead + AsyncWrite + 'static,
{
    let owner = session::connect(stream);
    let begun = session::begin(&owner.0).await?;
    let memory_bytes = usize::try_from(options.memory_bytes).unwrap_or(usize::MAX);
    let bounds = Bounds { memory_bytes, stretch: options.deadline };
    session::run(&owner, (begun, paths), bounds).await
}
