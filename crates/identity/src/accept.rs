//! Accepting connections, a bounded number of them unauthenticated at once.

use std::rc::Rc;

use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::handshakes::{Handshakes, Place};
use crate::limits;

/// Accepts from `tcp` until `stop` is cancelled. Each stream goes to `let_in`, which must not wait,
/// with its place among `handshakes`. The server of the stream must end it when its place is taken
/// away.
pub async fn accept(
    tcp: &TcpListener,
    handshakes: &Rc<Handshakes>,
    stop: &CancellationToken,
    let_in: impl Fn(TcpStream, Place),
) {
    let accepting = async {
        loop {
            match tcp.accept().await {
                Ok((stream, from)) => {
                    let place = handshakes.place(from.ip()).await;
                    let_in(stream, place);
                }
                Err(error) => {
                    // Probably no descriptor is left: connections that end free some.
                    tracing::error!(%error, "accepting failed");
                    tokio::time::sleep(limits::ACCEPT_AGAIN).await;
                }
            }
        }
    };
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        () = accepting => {}
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::handshakes::Bounds;

    #[tokio::test]
    async fn a_newcomer_is_let_in_at_the_cost_of_the_oldest() {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        let handshakes = Handshakes::new(Bounds { per_address: 1, strangers: 1, known: 1 });
        let held = RefCell::new(Vec::new());
        let (stop, came) = (CancellationToken::new(), tokio::sync::Notify::new());
        let accepting = accept(&tcp, &handshakes, &stop, |_, place| {
            place.begin();
            held.borrow_mut().push(place);
            came.notify_one();
        });
        let dialling = async {
            let _dialled = (TcpStream::connect(address).await, TcpStream::connect(address).await);
            came.notified().await;
            let first = held.borrow_mut().remove(0);
            first.taken_away().await;
            came.notified().await;
            assert_eq!(held.borrow().len(), 1);
            stop.cancel();
        };
        tokio::join!(accepting, dialling);
    }
}
