//! The session: one connection to the mesh at a time, which is replaced when it is lost.

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

/// An open connection, and the mesh's bootstrap object.
#[derive(Clone)]
pub(crate) struct Link {
    /// The bootstrap object.
    pub(crate) mesh: mesh::Client,
    /// The connection of the bootstrap object.
    pub(crate) connection: Connection,
    /// The references that were restored over it.
    pub(crate) restored: Rc<Restored>,
    /// The client's facets, once they were requested.
    pub(crate) facets: Rc<Facets>,
}

impl Link {
    /// A link over which nothing was requested yet.
    pub(crate) fn new(mesh: mesh::Client, connection: Connection) -> Self {
        Self { mesh, connection, restored: Rc::default(), facets: Rc::default() }
    }
}

/// For calls that need only the bootstrap object.
impl From<Link> for mesh::Client {
    fn from(link: Link) -> Self {
        link.mesh
    }
}

/// Makes the connections of a session.
pub(crate) trait Dial: 'static {
    /// Opens a connection.
    fn dial(&self) -> LocalBoxFuture<'_, Result<Link, Error>>;

    /// Does the housekeeping of an open connection. Returns when the session should reconnect, for
    /// example because the certificate was renewed.
    fn attend<'a>(&'a self, link: &'a Link) -> LocalBoxFuture<'a, ()>;
}

/// A closure of another thread, to run inside the vat.
pub(crate) type Visit = Box<dyn FnOnce(Rc<Session>) -> LocalBoxFuture<'static, ()> + Send>;

/// Whether a call may be sent again when the connection was lost and its outcome is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// The call is idempotent, by nature or by its key.
    Harmless,
    /// The call might take effect twice.
    Harmful,
}

#[derive(Clone)]
enum State {
    Up(Link),
    Down(Error),
}

/// The session of a client.
pub(crate) struct Session {
    state: watch::Receiver<State>,
    /// The runtime on which the caller's own objects run.
    pub(crate) runtime: tokio::runtime::Handle,
}

/// Connects, then serves visits until the last sender of `visits` is dropped. An error of the first
/// connection is returned, so that `Client::connect` fails; later ones are retried.
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

/// Watches the connection and reconnects when it is lost, or when there is a reason for a fresh
/// one. Never returns.
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
                        // Calls in flight end with the old connection, which the mesh closes in
                        // time.
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
    /// The open connection, or the next one to open.
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

    /// Sends a request, with the timeout of an ordinary call. If the connection is lost, sends it
    /// again over the next one if it is safe to repeat.
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

    /// As [`ask`](Self::ask), without a deadline.
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

    /// Sends a request. A refusal with a `retry-after` says that nothing was done: the request is
    /// sent again after that time, unless that is later than `until`.
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
                // The owner of a restored object may have moved: restore again at the next call.
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

/// Whether `failure` means only that the connection is lost. The failure may arrive shortly before
/// the end of the connection is noticed, so `unavailable` is given a moment.
pub(crate) async fn is_lost(failure: &Failure, connection: &Connection) -> bool {
    match failure.code {
        Code::Unavailable if !connection.is_closed() => {
            tokio::time::timeout(limits::FAREWELL, connection.ended()).await.is_ok()
        }
        Code::Unavailable | Code::Failed | Code::TimedOut => connection.is_closed(),
        _ => false,
    }
}
