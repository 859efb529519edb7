//! Letting in those who dial, a bounded number of them in the handshake at once.

use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::limits;

/// A place among those who shake hands. Dropping it makes room for the next.
#[derive(Debug)]
pub struct Place {
    _held: Option<OwnedSemaphorePermit>,
}

/// Accepts from `tcp` until `stop`, and hands each stream to `let_in`, which does not wait, with its
/// place. While `places` of them are held, who dials waits at the listener.
pub async fn accept(
    tcp: &TcpListener,
    places: usize,
    stop: &CancellationToken,
    let_in: impl Fn(TcpStream, Place),
) {
    let places = Arc::new(Semaphore::new(places));
    loop {
        let accept = async {
            // The semaphore is never closed.
            let _held = Arc::clone(&places).acquire_owned().await.ok();
            (tcp.accept().await, Place { _held })
        };
        let (accepted, place) = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            accepted = accept => accepted,
        };
        match accepted {
            Ok((stream, _)) => let_in(stream, place),
            Err(error) => {
                // Out of descriptors, most likely: connections that end will free some.
                tracing::error!(%error, "accepting failed");
                tokio::time::sleep(limits::ACCEPT_AGAIN).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;

    #[tokio::test]
    async fn nobody_is_let_in_while_all_places_are_held() {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        let held = Rc::new(RefCell::new(Vec::new()));
        let (stop, came) = (CancellationToken::new(), tokio::sync::Notify::new());
        let accepting = accept(&tcp, 1, &stop, |_, place| {
            held.borrow_mut().push(place);
            came.notify_one();
        });
        let dialling = async {
            let _dialled = (TcpStream::connect(address).await, TcpStream::connect(address).await);
            came.notified().await;
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            assert_eq!(held.borrow().len(), 1, "the other one waits");
            held.borrow_mut().clear();
            came.notified().await;
            assert_eq!(held.borrow().len(), 1);
            stop.cancel();
        };
        tokio::join!(accepting, dialling);
    }
}
