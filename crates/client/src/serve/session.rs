//! The session: one connection at a time to the mesh, made again whenever it is lost.

use std::future::Future;
use std::rc::Rc;

use futures::future::LocalBoxFuture;
use remit_core::{Code, Failure};
use remit_schema::mesh_capnp::mesh;
use remit_vat::backoff::Backoff;
use remit_vat::connection::Connection;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::facets::Facets;
use super::restored::Restored;
use crate::error::Error;
use crate::limits;

/// A connection that is up, and the mesh at its other end.
#[derive(Clone)]
pub(crate) struct Link {
    /// The bootstrap object.
    pub(crate) mesh: mesh::Client,
    /// What it came over.
    pub(crate) connection: Connection,
    /// What sturdy references gave over it.
    pub(crate) restored: Rc<Restored>,
    /// What the client was granted, once that was asked.
    pub(crate) facets: Rc<Facets>,
}

impl Link {
    /// A connection over which nothing was restored yet.
    pub(crate) fn new(mesh: mesh::Client, connection: Connection) -> Self {
        Self { mesh, connection, restored: Rc::default(), facets: Rc::default() }
    }
}

/// For what needs no more than the mesh.
impl From<Link> for mesh::Client {
    fn from(link: Link) -> Self {
        link.mesh
    }
}

/// How a session gets its connections.
pub(crate) trait Dial: 'static {
    /// Makes a connection.
    fn dial(&self) -> LocalBoxFuture<'_, Result<Link, Error>>;

    /// Does what a member must do while it is connected, and answers when there is a reason for a
    /// fresh connection, such as a renewed certificate.
    fn attend<'a>(&'a self, link: &'a Link) -> LocalBoxFuture<'a, ()>;
}

/// What a caller on another thread wants done inside the vat.
pub(crate) type Visit = Box<dyn FnOnce(Rc<Session>) -> LocalBoxFuture<'static, ()> + Send>;

/// Whether a call may be made again when the connection was lost and nobody knows whether the first
/// one arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// It is idempotent, by nature or by its key.
    Harmless,
    /// It might be done twice.
    Harmful,
}

#[derive(Clone)]
enum State {
    Up(Link),
    Down(Error),
}

/// The one session of a client.
pub(crate) struct Session {
    state: watch::Receiver<State>,
    /// Where the caller's own objects run.
    pub(crate) runtime: tokio::runtime::Handle,
}

/// Connects once, then serves visits until the last sender of `visits` is gone.
pub(crate) async fn open(
    dial: impl Dial,
    runtime: tokio::runtime::Handle,
    visits: mpsc::Receiver<Visit>,
) -> Result<(), Error> {
    let link = dial.dial().await?;
    let (state, watched) = watch::channel(State::Up(link.clone()));
    let session = Rc::new(Session { state: watched, runtime });
    tokio::task::spawn_local(async move {
        tokio::select! {
            biased;
            () = receive(session, visits) => {}
            () = keep(dial, state.clone(), link) => {}
        }
        if let State::Up(link) = &*state.borrow() {
            link.connection.abort("the client was closed");
        }
    });
    Ok(())
}

async fn receive(session: Rc<Session>, mut visits: mpsc::Receiver<Visit>) {
    while let Some(visit) = visits.recv().await {
        tokio::task::spawn_local(visit(Rc::clone(&session)));
    }
}

/// Watches the connection and makes another when it is lost, or when there is a reason for a fresh
/// one, for ever.
async fn keep(dial: impl Dial, state: watch::Sender<State>, first: Link) {
    let mut backoff = Backoff::new(limits::RECONNECT.0, limits::RECONNECT.1);
    let mut link = Ok(first);
    loop {
        let down = match link {
            Ok(up) => {
                backoff.reset();
                state.send_replace(State::Up(up.clone()));
                tokio::select! {
                    biased;
                    ended = up.connection.ended() => {
                        tracing::info!(%ended, "the connection to the mesh was lost");
                        Error::Unreachable(format!("the connection to the mesh was lost: {ended}"))
                    }
                    () = dial.attend(&up) => {
                        // What is in flight ends on the old connection, which the mesh ends in time.
                        link = dial.dial().await;
                        continue;
                    }
                }
            }
            Err(error) => error,
        };
        state.send_replace(State::Down(down));
        tokio::time::sleep(backoff.next_wait()).await;
        link = dial.dial().await;
    }
}

impl Session {
    /// The connection that is up, or that comes up next.
    pub(crate) async fn link(&self) -> Result<Link, Error> {
        let mut state = self.state.clone();
        loop {
            if let State::Up(link) = &*state.borrow_and_update()
                && !link.connection.is_closed()
            {
                return Ok(link.clone());
            }
            state.changed().await.map_err(|_| Error::Closed)?;
        }
    }

    /// Asks the mesh, within the deadline of an ordinary call. If the connection is lost meanwhile,
    /// asks again over the next one, if that does no harm.
    pub(crate) async fn ask<R, F, M>(
        &self,
        repeat: Repeat,
        question: impl Fn(M) -> F,
    ) -> Result<R, Error>
    where
        M: From<Link>,
        F: Future<Output = Result<R, Failure>>,
    {
        let until = Instant::now() + limits::CALL;
        let asking = self.ask_until(until, repeat, question);
        match tokio::time::timeout_at(until, asking).await {
            Ok(answer) => answer,
            Err(_) => Err(self.overdue()),
        }
    }

    /// The same without a deadline, for what takes as long as it takes.
    pub(crate) async fn ask_patiently<R, F, M>(
        &self,
        repeat: Repeat,
        question: impl Fn(M) -> F,
    ) -> Result<R, Error>
    where
        M: From<Link>,
        F: Future<Output = Result<R, Failure>>,
    {
        self.ask_until(Instant::now() + limits::REFUSED, repeat, question).await
    }

    /// Asks; when it is refused with a time to come back, which says that nothing was done, asks
    /// again then, if that is before `until`.
    async fn ask_until<R, F, M>(
        &self,
        until: Instant,
        repeat: Repeat,
        question: impl Fn(M) -> F,
    ) -> Result<R, Error>
    where
        M: From<Link>,
        F: Future<Output = Result<R, Failure>>,
    {
        loop {
            let link = self.link().await?;
            let answer = async {
                link.facets.ask(&link.mesh).await?;
                question(link.clone().into()).await
            };
            let failure = match answer.await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            if !is_lost(&failure, &link.connection).await {
                if failure.code == Code::Unavailable {
                    link.restored.forget();
                }
                if let Some(wait) = failure.retry_after()
                    && Instant::now() + wait < until
                {
                    tokio::time::sleep(wait).await;
                    continue;
                }
                return Err(Error::Failed(failure));
            }
            if repeat == Repeat::Harmful {
                return Err(Error::Unknown(format!(
                    "the connection to the mesh was lost before it answered ({}): look whether it \
                     was done before asking again",
                    failure.message
                )));
            }
        }
    }

    fn overdue(&self) -> Error {
        let waited = limits::CALL.as_secs();
        match &*self.state.borrow() {
            State::Down(Error::Refused(why)) => Error::Refused(why.clone()),
            State::Down(why) => Error::Unreachable(format!("no answer within {waited} s: {why}")),
            State::Up(_) => Error::TimedOut(format!(
                "the mesh did not answer within {waited} s, and may still do what was asked: try again, or run `remit doctor`"
            )),
        }
    }
}

/// Whether `failure` says no more than that the connection is gone. The word of it may come before
/// the end itself does, so `unavailable` is given a moment.
pub(crate) async fn is_lost(failure: &Failure, connection: &Connection) -> bool {
    match failure.code {
        Code::Unavailable if !connection.is_closed() => {
            tokio::time::timeout(limits::FAREWELL, connection.ended()).await.is_ok()
        }
        Code::Unavailable | Code::Failed | Code::TimedOut => connection.is_closed(),
        _ => false,
    }
}
