//! One connection between two vats, over any byte stream.
//!
//! A connection runs in a task of its own, so a panic in a method ends that connection and no
//! other. The end of each connection is logged once, with the peer and the cause.

mod batch;
mod bound;
mod counted;
mod depth;
mod held;
mod load;
mod objects;
mod oversize;
mod returned;
mod watch;

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use capnp::capability::{Client, FromClientHook, RemotePromise, Response};
use capnp::message::ReaderOptions;
use capnp::traits::{Owned, Pipelined};
use capnp_rpc::rpc_twoparty_capnp::Side;
use capnp_rpc::{RpcSystem, twoparty};
use futures::FutureExt as _;
use remit_core::{Code, Failure};
use remit_schema::peer_capnp::peer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio_util::compat::{TokioAsyncReadCompatExt as _, TokioAsyncWriteCompatExt as _};
use tracing::Instrument as _;

use self::bound::Bounded;
pub use self::held::HeldBytes;
use self::load::Load;
use self::watch::Watch;
use crate::contain::text_of;
use crate::exception::to_failure;
use crate::limits::ConnectionLimits;
use crate::turn;

/// The settings of a connection.
#[derive(Debug, Clone)]
pub struct ConnectionOptions {
    /// The name of the peer, for logs.
    pub peer: String,
    /// The bounds on the connection.
    pub limits: ConnectionLimits,
}

/// A handle on a running connection. Clones refer to the same connection. Dropping the last handle
/// does not end the connection: [`Connection::abort`] does, and so does the peer.
#[derive(Debug, Clone)]
pub struct Connection {
    shared: Rc<Shared>,
}

#[derive(Debug)]
struct Shared {
    watch: Rc<Watch>,
    load: Rc<Load>,
    end: RefCell<Option<Ended>>,
    ended: Notify,
}

/// How a connection ended, as text for a log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{cause}")]
pub struct Ended {
    /// By whom and why.
    pub cause: String,
    /// Whether the peer exceeded a bound.
    pub over_bound: bool,
}

impl Connection {
    /// Serves `bootstrap` to the peer at the other end of `stream`.
    pub fn serve<S>(stream: S, bootstrap: Client, options: ConnectionOptions) -> Self
    where
        S: AsyncRead + AsyncWrite + 'static,
    {
        Self::serve_sharing(stream, bootstrap, options, HeldBytes::new())
    }

    /// As [`Connection::serve`], for a connection that shares `held` with others. The calls in
    /// flight of all of them together hold a bounded number of bytes.
    pub fn serve_sharing<S>(
        stream: S,
        bootstrap: Client,
        options: ConnectionOptions,
        held: Rc<HeldBytes>,
    ) -> Self
    where
        S: AsyncRead + AsyncWrite + 'static,
    {
        let (rpc, shared) = system(stream, Side::Server, Some(bootstrap), &options, held);
        run(rpc, Rc::clone(&shared), options, None);
        Self { shared }
    }

    /// Asks the peer at the other end of `stream` for its bootstrap object, and offers `own` if the
    /// peer asks for one. Pings the peer through `remit_schema::peer_capnp::peer`.
    pub fn connect<C, S>(stream: S, own: Option<Client>, options: ConnectionOptions) -> (C, Self)
    where
        C: FromClientHook,
        S: AsyncRead + AsyncWrite + 'static,
    {
        let (mut rpc, shared) = system(stream, Side::Client, own, &options, HeldBytes::new());
        let bootstrap: Client = rpc.bootstrap(Side::Server);
        // The bootstrap object of every node is a `peer`, so pings need no object of their own.
        let ping = peer::Client { client: Client::new(bootstrap.hook.add_ref()) };
        run(rpc, Rc::clone(&shared), options, Some(ping));
        (C::new(bootstrap.hook), Self { shared })
    }

    /// Whether the stream has ended, for any reason. This turns true before calls in flight are
    /// dropped, so a method that is being dropped can tell a lost connection from a cancelled call.
    pub fn is_closed(&self) -> bool {
        self.shared.watch.is_closed()
    }

    /// Whether a call over this connection failed with `error` because the connection is lost. The
    /// end of the stream decides, not the error: a peer that answers `disconnected` over a live
    /// connection only delays the caller by [`FAREWELL`](crate::limits::FAREWELL).
    pub async fn took_along(&self, error: &capnp::Error) -> bool {
        if self.is_closed() {
            return true;
        }
        // The error may arrive before the end of the connection is recorded.
        is_disconnect(error)
            && tokio::time::timeout(crate::limits::FAREWELL, self.ended()).await.is_ok()
    }

    /// Waits for the end of the connection and returns its cause, at once if it has ended already.
    pub async fn ended(&self) -> Ended {
        loop {
            let ended = self.shared.ended.notified();
            if let Some(end) = &*self.shared.end.borrow() {
                return end.clone();
            }
            ended.await;
        }
    }

    /// Waits until no call of the peer is in flight here.
    pub async fn idle(&self) {
        self.shared.load.idle().await;
    }

    /// Ends the connection now. `reason` is logged as the cause, unless the connection was ending
    /// already for another one.
    pub fn abort(&self, reason: &str) {
        self.shared.watch.cut(reason);
    }
}

fn system<S>(
    stream: S,
    side: Side,
    bootstrap: Option<Client>,
    options: &ConnectionOptions,
    held: Rc<HeldBytes>,
) -> (RpcSystem<Side>, Rc<Shared>)
where
    S: AsyncRead + AsyncWrite + 'static,
{
    let limits = &options.limits;
    let watch = Rc::new(Watch::default());
    let (read, write) = tokio::io::split(stream);
    let read = watch::Watched::new(read, Rc::clone(&watch));
    let read =
        futures::io::BufReader::with_capacity(crate::limits::READ_BUFFER_BYTES, read.compat());
    let load = Load::new(limits, Rc::clone(&watch), held);
    // Counted behind the buffer: bytes count when a message takes them, not when they arrive.
    let read = counted::Counted::new(read, Rc::clone(&load));
    let write = batch::Batched::new(write, Rc::clone(&load), Rc::clone(&watch)).compat_write();
    let mut reading = ReaderOptions::new();
    reading.traversal_limit_in_words(Some(limits.message_words)).nesting_limit(limits.nesting);
    let network = twoparty::VatNetwork::new(read, write, side, reading);
    let network = Bounded::new(network, Rc::clone(&load));
    let rpc = RpcSystem::new(Box::new(network), bootstrap);
    let shared = Shared { watch, load, end: RefCell::new(None), ended: Notify::new() };
    (rpc, Rc::new(shared))
}

/// Runs the connection in a task of its own until it ends.
fn run(
    mut rpc: RpcSystem<Side>,
    shared: Rc<Shared>,
    options: ConnectionOptions,
    ping: Option<peer::Client>,
) {
    let disconnector = rpc.get_disconnector();
    let peer = options.peer.clone();
    let running = async move {
        let working = work(&mut rpc, &shared, &options.limits, ping);
        let over = AssertUnwindSafe(working).catch_unwind().await.unwrap_or_else(|panic| {
            turn::note_panic();
            tracing::error!(peer = options.peer, panic = text_of(&*panic), "a method panicked");
            shared.watch.end("a method panicked".into());
            Over::No
        });
        if over == Over::No {
            // Driving the system to its own end fails our calls to the peer. If the system were
            // only dropped, they would wait forever.
            let farewell = futures::future::join(disconnector, &mut rpc);
            let farewell = tokio::time::timeout(crate::limits::FAREWELL, farewell);
            let _ = AssertUnwindSafe(farewell).catch_unwind().await;
        }
        if let Err(panic) = catch_unwind(AssertUnwindSafe(move || drop(rpc))) {
            tracing::error!(panic = text_of(&*panic), "dropping a connection panicked");
        }
        shared.load.over();
        let cause = shared.watch.cause();
        tracing::info!(peer = options.peer, cause, "connection ended");
        let over_bound = shared.watch.is_over_bound();
        *shared.end.borrow_mut() = Some(Ended { cause, over_bound });
        shared.ended.notify_waiters();
    };
    // The methods that the peer calls run in this task, so their log lines name the peer.
    let span = tracing::info_span!("connection", peer);
    turn::spawn(peer, running.instrument(span));
}

/// Whether the RPC system has come to its own end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Over {
    Yes,
    No,
}

/// Drives the connection until it must end, and records the cause. Calls are still in flight then.
async fn work(
    rpc: &mut RpcSystem<Side>,
    shared: &Shared,
    limits: &ConnectionLimits,
    ping: Option<peer::Client>,
) -> Over {
    let Shared { watch, load, .. } = shared;
    let cause = tokio::select! {
        // A cut comes first: nothing more is done for a peer that was cut off.
        biased;
        () = watch.is_cut() => return Over::No,
        result = rpc => {
            watch.end(result.map_or_else(|e| e.to_string(), |()| "it was closed".into()));
            return Over::Yes;
        }
        // While the load is full nothing is read, so the silence is not the peer's.
        () = watch.silent(limits.silence) => if load.is_full() {
            format!("nothing was read for {:?}: the peer has too much in flight", limits.silence)
        } else {
            format!("the peer was silent for {:?}", limits.silence)
        },
        failure = watch::ping(ping, limits.ping_every, limits.silence) => {
            format!("a ping failed: {failure}")
        }
    };
    watch.end(cause);
    Over::No
}

/// Whether the kind of `error` denotes a lost connection.
pub const fn is_disconnect(error: &capnp::Error) -> bool {
    matches!(error.kind, capnp::ErrorKind::Disconnected | capnp::ErrorKind::PrematureEndOfFile)
}

/// Why a call has no answer.
pub enum Missed {
    /// The call failed with this error.
    Error(capnp::Error),
    /// No answer came within this time.
    Late(Duration),
}

impl From<Missed> for Failure {
    fn from(missed: Missed) -> Self {
        match missed {
            Missed::Error(error) => to_failure(&error),
            Missed::Late(deadline) => {
                let seconds = deadline.as_secs_f32();
                let why = format!("no answer within {seconds} s; it may still happen");
                Self::new(Code::TimedOut, why)
            }
        }
    }
}

/// Waits for the answer to a call. After `deadline` it returns the failure `timed-out` and drops
/// both halves of the promise, which cancels the call at the callee.
pub async fn within<R>(
    deadline: Duration,
    promise: RemotePromise<R>,
) -> Result<Response<R>, Failure>
where
    R: Pipelined + Owned + 'static + Unpin,
{
    answered(deadline, promise).await.map_err(Failure::from)
}

/// As [`within`], for a caller that handles a lost connection differently from a failure.
pub async fn answered<R>(
    deadline: Duration,
    promise: RemotePromise<R>,
) -> Result<Response<R>, Missed>
where
    R: Pipelined + Owned + 'static + Unpin,
{
    let RemotePromise { promise, pipeline } = promise;
    let answered = tokio::time::timeout(deadline, promise).await;
    drop(pipeline);
    match answered {
        Ok(answer) => answer.map_err(Missed::Error),
        Err(_) => Err(Missed::Late(deadline)),
    }
}
