//! One process of a mesh.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

/// Whether processes that are started log all that they can.
static TRACE: AtomicBool = AtomicBool::new(false);

/// Lets every process that is started from now on log all that it can.
pub fn log_everything() {
    TRACE.store(true, Ordering::Relaxed);
}

/// Whether processes that are started run as nobody.
static UNPRIVILEGED: AtomicBool = AtomicBool::new(false);

/// An identity that owns nothing.
const NOBODY: u32 = 65_534;

/// Lets every process that is started from now on run as nobody, if this one is root: the mode of
/// a file does not stop root.
pub fn without_privileges() {
    UNPRIVILEGED.store(rustix::process::geteuid().is_root(), Ordering::Relaxed);
}

/// Gives a folder to whom processes are started as.
pub fn hand_over(dir: &Path) {
    if UNPRIVILEGED.load(Ordering::Relaxed) {
        std::os::unix::fs::chown(dir, Some(NOBODY), Some(NOBODY)).expect("root may give away");
    }
}

/// A child process that is killed when this is dropped.
pub struct Process {
    child: Child,
    /// The line by which it said that it is ready.
    pub ready: String,
}

impl Process {
    /// Starts `program` with `args`, its log going to the file `log`, and waits until it says that it
    /// is ready.
    pub fn start(program: &Path, args: &[&str], log: &Path) -> Self {
        Self::start_armed(program, args, log, None)
    }

    /// The same for one that is to die at a crash point, given as `STEP:WHAT:N`.
    pub fn start_armed(program: &Path, args: &[&str], log: &Path, crash: Option<&str>) -> Self {
        let log_file = std::fs::File::options().create(true).append(true).open(log).unwrap();
        let mut command = Command::new(program);
        if UNPRIVILEGED.load(Ordering::Relaxed) {
            command.uid(NOBODY).gid(NOBODY);
        }
        let mut child = command
            .args(args)
            .arg("--until-stdin-closes")
            .env("REMIT_LOG", if TRACE.load(Ordering::Relaxed) { "trace" } else { "info" })
            .envs(crash.map(|point| ("REMIT_CRASH", point)))
            // A Ctrl-C is for the program that started it.
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

    /// `kill -9`, and waits for its end.
    pub fn kill(&mut self) {
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a killed child ends");
    }

    /// Asks it to end, and waits until it has.
    pub async fn terminate(&mut self) -> ExitStatus {
        signal(self.id(), rustix::process::Signal::TERM);
        self.ended().await
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> ExitStatus {
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Bounds how large a file of it may grow, as a full disk does; `None`: as large as it likes.
    pub fn bound_files(&self, bytes: Option<u64>) {
        let hard = getrlimit(Resource::Fsize).maximum;
        let limit = Rlimit { current: bytes.or(hard), maximum: hard };
        // It may have ended by itself a moment ago.
        let _gone = prlimit(Some(pid(self.id())), Resource::Fsize, limit);
    }

    /// Stops it in its tracks; what it started goes on.
    pub fn stop(&self) {
        signal(self.id(), rustix::process::Signal::STOP);
    }

    /// Lets it go on after [`Process::stop`].
    pub fn go_on(&self) {
        signal(self.id(), rustix::process::Signal::CONT);
    }

    /// The processes that it started itself.
    pub fn children(&self) -> Vec<u32> {
        let file = format!("/proc/{0}/task/{0}/children", self.id());
        let list = std::fs::read_to_string(file).unwrap_or_default();
        list.split_whitespace().filter_map(|id| id.parse().ok()).collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// `kill -9` of one process by its id.
pub fn kill(id: u32) {
    signal(id, rustix::process::Signal::KILL);
}

fn signal(id: u32, signal: rustix::process::Signal) {
    // It may have ended by itself a moment ago.
    let _gone = rustix::process::kill_process(pid(id), signal);
}

fn pid(id: u32) -> Pid {
    Pid::from_raw(i32::try_from(id).unwrap()).unwrap()
}
