//! The node: its running attempts, across registrations.

use std::cell::{Cell, RefCell};
use std::os::unix::net::UnixStream as Socket;
use std::rc::Rc;
use std::time::Duration;

use remit_core::{Code, Failure};
use remit_identity::membership::Member;
use tokio::net::UnixStream;
use tokio::sync::{Notify, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use crate::config::Config;
use crate::limits;
use crate::process::{Bounds, DirectChannel, End, Program, Worker};
use crate::sandbox;
use crate::serve::registration;
use crate::splice::{dial, splice, splice_direct};

/// The part of a node that outlives its connections, as its attempts do.
pub(crate) struct Node {
    pub(crate) config: Config,
    member: Rc<Member>,
    program: Program,
    spare: RefCell<Option<(Worker, UnixStream)>>,
    running: Cell<u32>,
    changed: Notify,
    tracker: TaskTracker,
    stop: CancellationToken,
    leave: Leave,
    /// Distinguishes this process from others of its name.
    pub(crate) instance: [u8; 16],
}

/// The state of leaving: the node announces it, and waits until the orchestrator lets it go.
#[derive(Default)]
pub(crate) struct Leave {
    /// Cancelled when the node is about to leave.
    pub(crate) wanted: CancellationToken,
    /// Cancelled when the orchestrator has taken back the node's attempts, or does not answer.
    pub(crate) granted: CancellationToken,
    /// The number of current registrations.
    pub(crate) registered: Cell<u32>,
}

/// The order to start an attempt.
pub(crate) struct Start {
    pub(crate) task: String,
    pub(crate) attempt: u32,
    pub(crate) kind: String,
    pub(crate) ticket: Vec<u8>,
    pub(crate) deadline_ms: u32,
    pub(crate) memory_bytes: u64,
}

/// A running attempt. Dropping it kills its process.
pub(crate) struct Attempt {
    /// The end of the attempt. `None` while it runs.
    pub(crate) end: watch::Receiver<Option<End>>,
    direct_channel: Rc<DirectChannel>,
    _lease: oneshot::Sender<()>,
}

/// Runs an agent node until `stop` is cancelled. Call it inside a vat.
///
/// # Errors
/// The path of this program is unknown, or the configuration says `strict` and this machine lacks a
/// part of the sandbox.
pub async fn run(
    config: Config,
    member: Rc<Member>,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let missing = sandbox::probe();
    if config.strict && !missing.is_empty() {
        return Err(std::io::Error::other(format!(
            "strict = true, and this machine lacks what confines agents: {}",
            missing.join("; ")
        )));
    }
    for missing in missing {
        tracing::warn!("agents run without a part of their sandbox: {missing}");
    }
    let program = match &config.worker {
        Some(path) => Program { path: path.clone(), args: vec!["agent-worker".into()] },
        None => Program::own()?,
    };
    let node = Rc::new(Node {
        config,
        member: Rc::clone(&member),
        program,
        spare: RefCell::new(None),
        running: Cell::new(0),
        changed: Notify::new(),
        tracker: TaskTracker::new(),
        stop: CancellationToken::new(),
        leave: Leave::default(),
        instance: remit_vat::chance::bytes(),
    });
    node.prepare();
    let serving = Rc::clone(&node);
    let stay = member.stay(&node.stop, move |port, connection| {
        registration::keep(Rc::clone(&serving), port, connection)
    });
    let leave = async {
        stop.cancelled().await;
        node.farewell().await;
        node.stop.cancel();
    };
    tokio::join!(stay, leave);
    // The attempts are killed and continue elsewhere. Only their processes' end is waited for.
    node.spare.borrow_mut().take();
    node.tracker.close();
    if tokio::time::timeout(limits::STOP, node.tracker.wait()).await.is_err() {
        tracing::warn!("workers did not end in time");
    }
    Ok(())
}

impl Node {
    pub(crate) const fn leave(&self) -> &Leave {
        &self.leave
    }

    /// Lets attempts end or be moved before the node leaves.
    async fn farewell(&self) {
        self.leave.wanted.cancel();
        if self.leave.registered.get() == 0 {
            return;
        }
        let patience = limits::FAREWELL + limits::FAREWELL_MORE;
        if tokio::time::timeout(patience, self.leave.granted.cancelled()).await.is_err() {
            tracing::warn!("the orchestrator did not take the attempts back in time");
        }
    }

    /// The number of running attempts.
    pub(crate) fn running(&self) -> u32 {
        self.running.get()
    }

    /// Waits until the number of running attempts changes.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Starts an attempt. Dropping the result kills it.
    pub(crate) fn start(self: &Rc<Self>, start: Start) -> Result<Attempt, Failure> {
        if !self.config.kinds.contains(&start.kind) {
            let why = format!("agents of kind `{}` do not run here", start.kind);
            return Err(Failure::new(Code::InvalidArgument, why));
        }
        if self.running.get() >= self.config.capacity || self.leave.wanted.is_cancelled() {
            let why = format!("{} attempts run already", self.running.get());
            return Err(Failure::new(Code::Limit, why));
        }
        let bounds = self.bounds(&start);
        let (worker, socket) = self.worker(bounds).map_err(|error| {
            Failure::new(Code::Failed, format!("a worker could not be started: {error}"))
        })?;
        self.count(1);
        let direct_channel = worker.direct_channel();
        let (ended, end) = watch::channel(None);
        let (lease, dropped) = oneshot::channel();
        let node = Rc::clone(self);
        let span = tracing::info_span!("attempt", task = start.task, attempt = start.attempt);
        let attended = async move {
            let end = node.attend(worker, socket, &start, dropped).await;
            tracing::info!(task = start.task, attempt = start.attempt, %end, "attempt ended");
            node.count(-1);
            // The receiver is gone if the orchestrator dropped the attempt.
            let _unheard = ended.send(Some(end));
        };
        self.tracker.spawn_local(attended.instrument(span));
        Ok(Attempt { end, direct_channel, _lease: lease })
    }

    /// Dials a tool node, `whom = (address, identity)`, for an attempt, and hands the connection to
    /// its process.
    pub(crate) async fn introduce(
        &self,
        attempt: &Attempt,
        path: u32,
        whom: (&str, &str),
        ticket: &[u8],
    ) -> Result<(), Failure> {
        let unavailable = |why: String| Failure::new(Code::Unavailable, why);
        let credential = self.member.credential();
        let dialled = dial(whom, &credential, ticket).await;
        let direct = dialled.map_err(|refused| unavailable(refused.to_string()))?;
        let handed_in = || {
            let (ours, theirs) = Socket::pair()?;
            ours.set_nonblocking(true)?;
            attempt.direct_channel.hand_in(path, &theirs.into())?;
            UnixStream::from_std(ours)
        };
        let ours = handed_in().map_err(|error| unavailable(error.to_string()))?;
        let (stop, mut end) = (self.stop.clone(), attempt.end.clone());
        self.tracker.spawn_local(async move {
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                _ = end.wait_for(Option::is_some) => {}
                () = splice_direct(direct, ours) => {}
            }
        });
        Ok(())
    }

    async fn attend(
        &self,
        mut worker: Worker,
        socket: UnixStream,
        start: &Start,
        dropped: oneshot::Receiver<()>,
    ) -> End {
        let words = Rc::new(Cell::new(0));
        let credential = self.member.credential();
        let splicing =
            splice(self.member.address(), &credential, &start.ticket, socket, Rc::clone(&words));
        tokio::pin!(splicing);
        let unwanted = tokio::select! {
            biased;
            end = worker.ended(&words) => return end,
            spliced = &mut splicing => match spliced {
                // Either the owner closed the connection, or the worker did and is about to end.
                Ok(()) => None,
                Err(why) => Some(why.to_string()),
            },
            _ = dropped => Some("the orchestrator dropped it".to_owned()),
            () = self.stop.cancelled() => Some("the node is ending".to_owned()),
        };
        // A worker whose splice ended cleanly may still exit by itself. Any other one is killed
        // now.
        let patience = if unwanted.is_some() { Duration::ZERO } else { limits::STOP };
        if let Ok(end) = tokio::time::timeout(patience, worker.ended(&words)).await {
            return end;
        }
        worker.kill().await;
        End::Crashed(unwanted.unwrap_or_else(|| "its connection was closed".into()))
    }

    fn bounds(&self, start: &Start) -> Bounds {
        let deadline_ms = match start.deadline_ms {
            0 => self.config.deadline_ms,
            asked => asked,
        };
        let memory_bytes = match start.memory_bytes {
            0 => self.config.memory_bytes,
            asked => asked,
        };
        let deadline = Duration::from_millis(u64::from(deadline_ms)).min(limits::MAX_DEADLINE);
        let memory_bytes = memory_bytes.clamp(limits::MIN_MEMORY_BYTES, limits::MAX_MEMORY_BYTES);
        Bounds { deadline, memory_bytes, strict: self.config.strict }
    }

    fn usual(&self) -> Bounds {
        let deadline = Duration::from_millis(u64::from(self.config.deadline_ms));
        Bounds { deadline, memory_bytes: self.config.memory_bytes, strict: self.config.strict }
    }

    /// A worker with these bounds: the spare one if its bounds are the same, else a new one.
    fn worker(self: &Rc<Self>, bounds: Bounds) -> std::io::Result<(Worker, UnixStream)> {
        // A process gets its bounds at its start, so a spare one fits only the usual bounds.
        if bounds != self.usual() {
            return Worker::start(&self.program, bounds);
        }
        let mut spare = self.spare.borrow_mut().take();
        if spare.as_mut().is_some_and(|(worker, _)| worker.has_ended()) {
            spare = None;
        }
        let node = Rc::clone(self);
        // The next spare starts after this attempt is on its way, so that it does not delay it.
        self.tracker.spawn_local(async move { node.prepare() });
        match spare {
            Some(spare) => Ok(spare),
            None => Worker::start(&self.program, bounds),
        }
    }

    /// Starts a spare worker, so that the next attempt does not wait for a process to start.
    fn prepare(&self) {
        if self.stop.is_cancelled() || self.spare.borrow().is_some() {
            return;
        }
        match Worker::start(&self.program, self.usual()) {
            Ok(spare) => *self.spare.borrow_mut() = Some(spare),
            Err(error) => tracing::warn!(%error, "no spare worker could be started"),
        }
    }

    fn count(&self, change: i32) {
        self.running.set(self.running.get().saturating_add_signed(change));
        self.changed.notify_waiters();
    }
}
