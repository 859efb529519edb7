//! A confined program as its node sees it: started, fed, waited for, ended.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Seek as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};

use rustix::fs::MemfdFlags;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio::process::{ChildStderr, ChildStdout, Command};

use crate::launcher::LAUNCH;
use crate::layers::Layers;
use crate::limits;
use crate::messages::{Report, Task, receive_files, send_files};
use crate::policy::Policy;

/// A program to run, and its confinement.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Order {
    /// The resources that it may reach.
    pub policy: Policy,
    /// The layers that hold it to the policy. A layer that cannot be applied is an error.
    pub layers: Layers,
    /// The absolute path of the program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// The folder that it starts in, without links in its path.
    pub dir: PathBuf,
    /// The device and number of that folder. A folder that has replaced it is refused.
    pub dir_id: (u64, u64),
    /// Its whole environment, except `TMPDIR`, which is set if it has no `/tmp` of its own.
    pub env: BTreeMap<String, String>,
}

/// The command line of a launcher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launcher {
    /// A program that calls [`launch`](crate::launch) when it is called with these arguments.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
}

/// A confined program. Dropping it ends the program and everything that it started.
#[derive(Debug)]
pub struct Child {
    /// The writing end of the program's standard input.
    pub stdin: Option<pipe::Sender>,
    /// The reading end of its standard output.
    pub stdout: Option<ChildStdout>,
    /// The reading end of its standard error.
    pub stderr: Option<ChildStderr>,
    control: tokio::net::UnixStream,
    launcher: tokio::process::Child,
    said: Vec<u8>,
}

/// How a confined program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// By itself.
    Exited(ExitStatus),
    /// Killed at a bound, or with its launcher. The text says which.
    Killed(String),
}

impl Launcher {
    /// This program itself, which must call [`launch`](crate::launch) when its first argument is
    /// [`LAUNCH`].
    pub fn own() -> Self {
        // Its path may name another program after an upgrade.
        Self { program: "/proc/self/exe".into(), args: vec![LAUNCH.into()] }
    }

    /// Probes which layers this machine has. Blocks for some milliseconds.
    ///
    /// # Errors
    /// The launcher cannot be started, or the program is no launcher.
    pub fn probe(&self) -> io::Result<Layers> {
        let (ours, theirs) = UnixStream::pair()?;
        let mut child = std::process::Command::new(&self.program)
            .args(&self.args)
            .env_clear()
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let sent = send_files(&ours, &[&OwnedFd::from(memory(&Task::Probe)?)]);
        let mut said = Vec::new();
        let read =
            io::Read::read_to_end(&mut io::Read::take(&ours, limits::REPORT_BYTES), &mut said);
        child.wait()?;
        sent.and(read)?;
        match Report::first(&said) {
            Some(Report::Layers(layers)) => Ok(layers),
            _ => Err(no_launcher(self)),
        }
    }

    /// Starts a program. Must be called on a tokio runtime.
    ///
    /// # Errors
    /// The launcher cannot be started, or the order is too long. [`Child::ended`] returns the
    /// errors of the program itself.
    pub fn start(&self, order: Order) -> io::Result<Child> {
        let (ours, theirs) = UnixStream::pair()?;
        let (reads, feeds) = io::pipe()?;
        let launcher = Command::new(&self.program)
            .args(&self.args)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn();
        let mut launcher = launcher?;
        let order = OwnedFd::from(memory(&Task::Run(Box::new(order)))?);
        send_files(&ours, &[&order, &OwnedFd::from(reads)])?;
        ours.set_nonblocking(true)?;
        Ok(Child {
            stdin: Some(pipe::Sender::from_owned_fd(feeds.into())?),
            stdout: launcher.stdout.take(),
            stderr: launcher.stderr.take(),
            control: tokio::net::UnixStream::from_std(ours)?,
            launcher,
            said: Vec::new(),
        })
    }
}

impl Child {
    /// The listener at [`PROXY`](crate::PROXY) of a program with [`Network::Node`](crate::Network).
    /// Call it first, and once. `None`: the program was not started, and [`ended`](Self::ended)
    /// says why.
    ///
    /// # Errors
    /// The listener cannot be received.
    pub async fn listener(&mut self) -> io::Result<Option<tokio::net::TcpListener>> {
        let control = &self.control;
        let receive = || receive_files(control);
        let (byte, files) = loop {
            control.readable().await?;
            match control.try_io(tokio::io::Interest::READABLE, receive) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                received => break received?,
            }
        };
        let Some(listener) = files.into_iter().next() else {
            self.said.extend(byte);
            return Ok(None);
        };
        let listener = std::net::TcpListener::from(listener);
        listener.set_nonblocking(true)?;
        tokio::net::TcpListener::from_std(listener).map(Some)
    }

    /// Waits until the program and everything that it started have ended. The future may be dropped
    /// and the method called again.
    ///
    /// # Errors
    /// The program could not be started. The message names the layer or file at fault.
    pub async fn ended(&mut self) -> io::Result<Ended> {
        let mut control = (&mut self.control).take(limits::REPORT_BYTES);
        // The launcher and everything that it forks hold the other end until they are gone.
        control.read_to_end(&mut self.said).await?;
        let launched = self.launcher.wait().await?;
        match Report::first(&self.said) {
            Some(Report::Ended(status)) => Ok(Ended::Exited(ExitStatus::from_raw(status))),
            Some(Report::Killed(why)) => Ok(Ended::Killed(why)),
            Some(Report::NotStarted(why)) => Err(io::Error::other(why)),
            // The program may have begun, so this is not a failure to start.
            Some(Report::Layers(_)) | None => {
                Ok(Ended::Killed(format!("its launcher ended without a report ({launched})")))
            }
        }
    }

    /// Asks the launcher to end the program and everything that it started. Returns at once;
    /// [`ended`](Self::ended) waits for the end.
    pub fn kill(&self) {
        // This fails if the launcher is gone, and then everything that it started is gone too.
        let _gone = rustix::net::shutdown(&self.control, rustix::net::Shutdown::Write);
    }

    /// Ends the program and everything that it started, and waits until they are gone.
    ///
    /// # Errors
    /// They did not end within [`limits::END`]. The launcher was killed then.
    pub async fn end(&mut self) -> io::Result<()> {
        self.kill();
        match tokio::time::timeout(limits::END, self.ended()).await {
            Ok(_) => Ok(()),
            Err(late) => {
                self.launcher.kill().await?;
                Err(late.into())
            }
        }
    }
}

fn no_launcher(launcher: &Launcher) -> io::Error {
    io::Error::other(format!(
        "`{} {}` does not confine programs: its main function must call remit_confine::launch",
        launcher.program.display(),
        launcher.args.join(" ")
    ))
}

/// A nameless file that holds a task, rewound to its beginning.
fn memory(task: &Task) -> io::Result<File> {
    let text = serde_json::to_vec(task)?;
    if text.len() as u64 > limits::ORDER_BYTES {
        return Err(io::Error::new(
            io::ErrorKind::ArgumentListTooLong,
            format!(
                "{} bytes of arguments and environment: at most {}",
                text.len(),
                limits::ORDER_BYTES
            ),
        ));
    }
    let mut file = File::from(rustix::fs::memfd_create(c"order", MemfdFlags::CLOEXEC)?);
    file.write_all(&text)?;
    file.rewind()?;
    Ok(file)
}
