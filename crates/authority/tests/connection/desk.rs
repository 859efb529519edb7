//! The peer under test: a desk that answers pings, or fails to.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use remit_schema::peer_capnp::peer;
use remit_vat::connection::{Connection, ConnectionOptions, within};
use remit_vat::limits::ConnectionLimits;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio::task::LocalSet;

pub(super) const LONG: Duration = Duration::from_secs(3600);

/// The behaviour of the peer under test on a ping.
#[derive(Default)]
pub(super) struct Desk {
    does: Does,
    pub(super) begun: Cell<usize>,
    pub(super) calls: Notify,
    pub(super) dropped: Notify,
    /// Whether the connection reported its end when a call in flight was dropped.
    pub(super) closed_at_drop: Cell<Option<bool>>,
    connection: std::cell::OnceCell<Connection>,
}

#[derive(Default, Clone, Copy)]
pub(super) enum Does {
    #[default]
    Answer,
    Hang,
    Panic,
}

struct Seat(Rc<Desk>);

impl peer::Server for Seat {
    async fn ping(
        self: Rc<Self>,
        _: peer::PingParams,
        _: peer::PingResults,
    ) -> Result<(), capnp::Error> {
        let desk = Rc::clone(&self.0);
        desk.begun.set(desk.begun.get() + 1);
        desk.calls.notify_one();
        match desk.does {
            Does::Answer => Ok(()),
            Does::Panic => panic!("the desk fell over"),
            Does::Hang => {
                let _noted = NotedAtDrop(desk);
                std::future::pending().await
            }
        }
    }
}

struct NotedAtDrop(Rc<Desk>);

impl Drop for NotedAtDrop {
    fn drop(&mut self) {
        self.0.closed_at_drop.set(self.0.connection.get().map(Connection::is_closed));
        self.0.dropped.notify_one();
    }
}

pub(super) fn desk(does: Does) -> Rc<Desk> {
    Rc::new(Desk { does, ..Desk::default() })
}

pub(super) fn quiet() -> ConnectionLimits {
    ConnectionLimits { silence: Duration::ZERO, ping_every: Duration::ZERO, ..Default::default() }
}

pub(super) fn options(limits: ConnectionLimits) -> ConnectionOptions {
    ConnectionOptions { peer: "the other".into(), limits }
}

pub(super) fn serve<S: AsyncRead + AsyncWrite + 'static>(
    desk: &Rc<Desk>,
    stream: S,
    limits: ConnectionLimits,
) -> Connection {
    let seat: peer::Client = capnp_rpc::new_client(Seat(Rc::clone(desk)));
    let connection = Connection::serve(stream, seat.client, options(limits));
    desk.connection.set(connection.clone()).ok();
    connection
}

/// A served desk and a client of it.
pub(super) fn pair(
    desk: &Rc<Desk>,
    limits: ConnectionLimits,
) -> (peer::Client, Connection, Connection) {
    let (here, there) = tokio::io::duplex(64 << 10);
    let served = serve(desk, there, limits);
    let (client, own) = Connection::connect(here, None, options(quiet()));
    (client, own, served)
}

pub(super) async fn ping(client: &peer::Client) -> Result<(), remit_core::Failure> {
    within(LONG, client.ping_request().send()).await.map(drop)
}

pub(super) async fn local(test: impl Future<Output = ()>) {
    LocalSet::new().run_until(test).await;
}
