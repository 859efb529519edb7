//! Connections between two vats: their bounds, their end, and the effect of a cancelled call.
#![expect(clippy::unwrap_used, reason = "a test that unwraps says what it expected")]

#[path = "connection/bounds.rs"]
mod bounds;
#[path = "connection/desk.rs"]
mod desk;

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use remit_authority::Authority;
use remit_core::{Code, Role};
use remit_identity::tls::{self, Acceptor, Purpose};
use remit_schema::peer_capnp::peer;
use remit_vat::connection::{Connection, within};
use remit_vat::limits::ConnectionLimits;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::task::LocalSet;

use self::desk::{Does, LONG, desk, local, options, pair, ping, quiet, serve};

async fn check_calls<A, B>(here: A, there: B)
where
    A: AsyncRead + AsyncWrite + 'static,
    B: AsyncRead + AsyncWrite + 'static,
{
    let desk = desk(Does::Answer);
    let served = serve(&desk, there, ConnectionLimits::default());
    let options = options(ConnectionLimits::default());
    let (client, own): (peer::Client, _) = Connection::connect(here, None, options);
    for _ in 0..100 {
        ping(&client).await.unwrap();
    }
    let many = (0..1000).map(|_| ping(&client));
    assert!(futures::future::join_all(many).await.iter().all(Result::is_ok));
    assert_eq!(desk.begun.get(), 1100);
    served.idle().await;
    own.abort("done");
    assert_eq!(own.ended().await.cause, "done");
    assert_eq!(ping(&client).await.unwrap_err().code, Code::Unavailable);
    assert_eq!(served.ended().await.cause, "the peer ended the connection: done");
    assert!(own.is_closed() && served.is_closed());
}

#[tokio::test]
async fn calls_are_answered_in_memory() {
    let (here, there) = tokio::io::duplex(1 << 10);
    local(check_calls(here, there)).await;
}

#[tokio::test]
async fn calls_are_answered_over_tls() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::load_or_create(dir.path(), "home").unwrap();
    let issue = |role| {
        let name = remit_core::Identity::new("home", "default", role, "one").unwrap();
        authority.issue(&name, LONG).unwrap()
    };
    let acceptor = Acceptor::new(&issue(Role::Orchestrator), &[Role::Client]).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tls::local(&listener).unwrap().to_string();
    let credential = issue(Role::Client);
    let dialled = tls::dial(&address, &credential, Purpose::Peer, LONG);
    let accepted = async { acceptor.accept(listener.accept().await.unwrap().0, LONG).await };
    let (dialled, accepted) = tokio::join!(dialled, accepted);
    local(check_calls(dialled.unwrap().0, accepted.unwrap().stream)).await;
}

#[tokio::test]
async fn a_call_past_its_deadline_is_cancelled_at_the_callee() {
    local(async {
        tokio::time::pause();
        let desk = desk(Does::Hang);
        let (client, ..) = pair(&desk, quiet());
        let failure = within(Duration::from_secs(1), client.ping_request().send()).await;
        assert_eq!(failure.err().unwrap().code, Code::TimedOut);
        desk.dropped.notified().await;
        assert_eq!(desk.closed_at_drop.get(), Some(false));
    })
    .await;
}

#[tokio::test]
async fn a_method_that_panics_ends_only_its_own_connection() {
    local(async {
        let other = desk(Does::Answer);
        let (stays, ..) = pair(&other, quiet());
        ping(&stays).await.unwrap();
        let panics = desk(Does::Panic);
        let (client, own, served) = pair(&panics, quiet());
        assert_eq!(ping(&client).await.unwrap_err().code, Code::Unavailable);
        assert_eq!(served.ended().await.cause, "a method panicked");
        own.ended().await;
        ping(&stays).await.unwrap();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_dead_peer_is_noticed_within_ten_seconds() {
    local(async {
        // The other end reads and writes nothing, and stays open.
        let (here, _there) = tokio::io::duplex(64 << 10);
        let begun = tokio::time::Instant::now();
        let options = options(ConnectionLimits::default());
        let (client, own): (peer::Client, _) = Connection::connect(here, None, options);
        assert_eq!(ping(&client).await.unwrap_err().code, Code::Unavailable);
        assert_eq!(own.ended().await.cause, "the peer was silent for 9s");
        assert!(begun.elapsed() < Duration::from_secs(10));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_live_peer_that_has_nothing_to_say_is_kept() {
    local(async {
        let desk = desk(Does::Answer);
        let (here, there) = tokio::io::duplex(64 << 10);
        let served = serve(&desk, there, ConnectionLimits::default());
        let options = options(ConnectionLimits::default());
        let (_client, own): (peer::Client, _) = Connection::connect(here, None, options);
        for _ in 0..100 {
            desk.calls.notified().await;
        }
        assert!(!own.is_closed() && !served.is_closed());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_a_watch_may_stay_silent() {
    local(async {
        let (here, _there) = tokio::io::duplex(64 << 10);
        let options = options(ConnectionLimits::attempt());
        let (_client, own): (peer::Client, _) = Connection::connect(here, None, options);
        assert!(tokio::time::timeout(LONG, own.ended()).await.is_err());
    })
    .await;
}

/// A call in flight sees the end of the connection, which is cut in one of several ways, before it
/// is dropped.
async fn check_closed_at_drop(
    limits: ConnectionLimits,
    how: impl FnOnce(&Connection, &Connection),
) {
    local(async {
        let desk = desk(Does::Hang);
        let (client, own, served) = pair(&desk, limits);
        let call = client.ping_request().send();
        desk.calls.notified().await;
        how(&own, &served);
        desk.dropped.notified().await;
        assert_eq!(desk.closed_at_drop.get(), Some(true));
        drop(call);
    })
    .await;
}

#[tokio::test]
async fn a_call_in_flight_sees_that_this_side_ended_the_connection() {
    check_closed_at_drop(quiet(), |_, served| served.abort("fenced")).await;
}

#[tokio::test]
async fn a_call_in_flight_sees_that_the_peer_is_gone() {
    check_closed_at_drop(quiet(), |own, _| own.abort("gone")).await;
}

#[tokio::test(start_paused = true)]
async fn a_call_in_flight_sees_that_the_peer_is_silent() {
    let silence = Duration::from_secs(9);
    check_closed_at_drop(ConnectionLimits { silence, ..quiet() }, |_, _| {}).await;
}

/// A stream that counts the writes to it.
struct Counted(DuplexStream, Rc<Cell<usize>>);

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.1.set(self.1.get() + 1);
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[tokio::test]
async fn writes_of_one_turn_go_out_together() {
    local(async {
        let (here, there) = tokio::io::duplex(1 << 20);
        let (asked, answered) = (Rc::default(), Rc::default());
        let desk = desk(Does::Answer);
        let _served = serve(&desk, Counted(there, Rc::clone(&answered)), quiet());
        let here = Counted(here, Rc::clone(&asked));
        let (client, _own): (peer::Client, _) = Connection::connect(here, None, options(quiet()));
        let many = (0..1000).map(|_| ping(&client));
        assert!(futures::future::join_all(many).await.iter().all(Result::is_ok));
        assert!(asked.get() < 10 && answered.get() < 100, "{asked:?} {answered:?}");
    })
    .await;
}

#[test]
fn a_connection_works_over_a_simulated_network() {
    let mut network = turmoil::Builder::new().rng_seed(7).build();
    network.host("server", || async {
        let listener = turmoil::net::TcpListener::bind("0.0.0.0:7474").await?;
        let (stream, _) = listener.accept().await?;
        let serving = async {
            serve(&desk(Does::Answer), stream, ConnectionLimits::default()).ended().await;
        };
        LocalSet::new().run_until(serving).await;
        Ok(())
    });
    network.client("client", async {
        let stream = turmoil::net::TcpStream::connect("server:7474").await?;
        let talk = async {
            let options = options(ConnectionLimits::default());
            let (client, own): (peer::Client, _) = Connection::connect(stream, None, options);
            ping(&client).await.unwrap();
            turmoil::partition("client", "server");
            let failure = ping(&client).await.unwrap_err();
            assert_eq!(failure.code, Code::Unavailable);
            assert!(own.ended().await.cause.contains("silent"));
        };
        LocalSet::new().run_until(talk).await;
        Ok(())
    });
    network.run().unwrap();
}
