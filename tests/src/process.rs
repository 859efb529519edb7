//! One process of a mesh.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

/// Whether new processes log at the level `trace`.
static TRACE: AtomicBool = AtomicBool::new(false);

/// Lets every process started from now on log at the level `trace`.
pub fn log_everything() {
    TRACE.store(true, Ordering::Relaxed);
}

/// Whether new processes run as the user `nobody`.
static UNPRIVILEGED: AtomicBool = AtomicBool::new(false);

/// The user `nobody`, who owns no file.
const NOBODY: u32 = 65_534;

/// Lets every process started from now on run as the user `nobody`, if this one is root: permission
/// bits do not stop root.
pub fn without_privileges() {
    UNPRIVILEGED.store(rustix::process::geteuid().is_root(), Ordering::Relaxed);
}

/// Gives a folder to the user as whom new processes run.
pub fn hand_over(dir: &Path) {
    if UNPRIVILEGED.load(Ordering::Relaxed) {
        std::os::unix::fs::chown(dir, Some(NOBODY), Some(NOBODY)).expect("root may give away");
    }
}

/// A child process. Dropping it kills the process.
pub struct Process {
    child: Child,
    /// The line with which it reported that it is ready.
    pub ready: String,
}

impl Process {
    /// Starts `program` with `args`, appends its log to the file `log`, and waits until it reports
    /// that it is ready.
    pub fn start(program: &Path, args: &[&str], log: &Path) -> Self {
        Self::start_armed(program, args, log, None)
    }

    /// The same, with the crash point `STEP:WHAT:N` armed.
    pub fn start_armed(program: &Path, args: &[&str], log: &Path, crash: Option<&str>) -> Self {
        let log_file = std::fs::File::options().create(true).append(true).open(log).unwrap();
        let mut command = Command::new(program);
        if UNPRIVILEGED.load(Ordering::Relaxed) {
            command.uid(NOBODY).gid(NOBODY);
        }
        let mut child = command
            .args(args)
            // The pipe closes even if this test is killed, so no process outlives its test.
            .arg("--until-stdin-closes")
            .env("REMIT_LOG", if TRACE.load(Ordering::Relaxed) { "trace" } else { "info" })
            .envs(crash.map(|point| ("REMIT_CRASH", point)))
            // A process group of its own: a Ctrl-C in the terminal is for the test alone.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log_file)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let mut ready = String::new();
        let stdout = child.stdout.take().expect("it is piped");
        let read = BufReader::new(stdout).read_line(&mut ready).expect("it can be read");
        if read == 0 {
            let _ended = child.wait();
            let said = std::fs::read_to_string(log).unwrap_or_default();
            panic!("{} {args:?} ended before it was ready:\n{said}", program.display());
        }
        Self { child, ready: ready.trim().to_owned() }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends SIGKILL and waits for the end.
    pub fn kill(&mut self) {
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a killed child ends");
    }

    /// Sends SIGTERM and waits for the end.
    pub async fn terminate(&mut self) -> ExitStatus {
        signal(self.id(), rustix::process::Signal::TERM);
        self.ended().await
    }

    /// Waits for the end.
    pub async fn ended(&mut self) -> ExitStatus {
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Bounds the size to which its files may grow, as a full disk does. `None` removes the bound.
    pub fn bound_files(&self, bytes: Option<u64>) {
        let hard = getrlimit(Resource::Fsize).maximum;
        let limit = Rlimit { current: bytes.or(hard), maximum: hard };
        // The process may have ended by itself.
        let _gone = prlimit(Some(pid(self.id())), Resource::Fsize, limit);
    }

    /// Stops the process with SIGSTOP. Its children continue.
    pub fn stop(&self) {
        signal(self.id(), rustix::process::Signal::STOP);
    }

    /// Continues the process after [`Process::stop`].
    pub fn go_on(&self) {
        signal(self.id(), rustix::process::Signal::CONT);
    }

    /// Its direct children.
    pub fn children(&self) -> Vec<u32> {
        let file = format!("/proc/{0}/task/{0}/children", self.id());
        let list = std::fs::read_to_string(file).unwrap_or_default();
        list.split_whitespace().filter_map(|id| id.parse().ok()).collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The process may have ended by itself.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Sends SIGKILL to one process.
pub fn kill(id: u32) {
    signal(id, rustix::process::Signal::KILL);
}

fn signal(id: u32, signal: rustix::process::Signal) {
    // The process may have ended by itself.
    let _gone = rustix::process::kill_process(pid(id), signal);
}

fn pid(id: u32) -> Pid {
    Pid::from_raw(i32::try_from(id).unwrap()).unwrap()
}
