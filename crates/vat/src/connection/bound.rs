//! Bounds on a peer's calls: capnp-rpc itself bounds the size of one message and nothing else.
//!
//! A call counts from its arrival until its answer is sent. Above the bound nothing more is read
//! from the peer, so that it waits and nobody else notices. A question whose answer was sent stays
//! in memory until the peer finishes it; one who never does is cut off.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use capnp::capability::Promise;
use capnp_rpc::rpc_capnp::message;
use capnp_rpc::rpc_twoparty_capnp::Side;
use capnp_rpc::{Connection, FlowController, IncomingMessage, OutgoingMessage, VatNetwork};
use futures::FutureExt as _;
use tokio::sync::Notify;

use super::watch::Watch;
use crate::limits::UNFINISHED_FACTOR;

/// A network with bounds around another one.
pub(super) struct Bounded<N> {
    inner: N,
    load: Rc<Load>,
}

/// What a peer has under way here.
#[derive(Debug)]
pub(super) struct Load {
    most: usize,
    calls: Cell<usize>,
    unfinished: Cell<usize>,
    eased: Notify,
    watch: Rc<Watch>,
}

impl<N> Bounded<N> {
    pub(super) const fn new(inner: N, load: Rc<Load>) -> Self {
        Self { inner, load }
    }
}

impl Load {
    pub(super) fn new(most: usize, watch: Rc<Watch>) -> Rc<Self> {
        let (calls, unfinished) = (Cell::new(0), Cell::new(0));
        Rc::new(Self { most, calls, unfinished, eased: Notify::new(), watch })
    }

    /// Answers when no call of the peer is in flight.
    pub(super) async fn idle(&self) {
        while self.calls.get() > 0 {
            self.eased.notified().await;
        }
    }

    /// Waits until the peer may send more.
    async fn room(&self) {
        while self.calls.get() >= self.most {
            self.eased.notified().await;
        }
    }

    fn arrived(&self, message: &dyn IncomingMessage) -> capnp::Result<()> {
        match message.get_body()?.get_as::<message::Reader<'_>>()?.which() {
            Ok(message::Call(_) | message::Bootstrap(_)) => {
                self.calls.set(self.calls.get() + 1);
                self.unfinished.set(self.unfinished.get() + 1);
            }
            Ok(message::Finish(_)) => self.unfinished.set(self.unfinished.get().saturating_sub(1)),
            _ => {}
        }
        if self.unfinished.get() > self.most.saturating_mul(UNFINISHED_FACTOR) {
            let why = format!("the peer left {} questions unfinished", self.unfinished.get());
            self.watch.end(why.clone());
            return Err(capnp::Error::overloaded(why));
        }
        Ok(())
    }

    fn answered(&self) {
        self.calls.set(self.calls.get().saturating_sub(1));
        self.eased.notify_waiters();
    }
}

impl<N: VatNetwork<Side>> VatNetwork<Side> for Bounded<N> {
    fn connect(&mut self, host: Side) -> Option<Box<dyn Connection<Side>>> {
        let inner = self.inner.connect(host)?;
        Some(Box::new(BoundedConnection::new(inner, &self.load)))
    }

    fn accept(&mut self) -> Promise<Box<dyn Connection<Side>>, capnp::Error> {
        let load = Rc::clone(&self.load);
        Promise::from_future(self.inner.accept().map(move |accepted| {
            accepted.map(|inner| -> Box<dyn Connection<Side>> {
                Box::new(BoundedConnection::new(inner, &load))
            })
        }))
    }

    fn drive_until_shutdown(&mut self) -> Promise<(), capnp::Error> {
        self.inner.drive_until_shutdown()
    }
}

struct BoundedConnection {
    inner: Rc<RefCell<Box<dyn Connection<Side>>>>,
    load: Rc<Load>,
}

impl BoundedConnection {
    fn new(inner: Box<dyn Connection<Side>>, load: &Rc<Load>) -> Self {
        Self { inner: Rc::new(RefCell::new(inner)), load: Rc::clone(load) }
    }
}

impl Connection<Side> for BoundedConnection {
    fn get_peer_vat_id(&self) -> Side {
        self.inner.borrow().get_peer_vat_id()
    }

    fn new_outgoing_message(&mut self, first_segment_words: u32) -> Box<dyn OutgoingMessage> {
        let inner = self.inner.borrow_mut().new_outgoing_message(first_segment_words);
        Box::new(BoundedMessage { inner, load: Rc::clone(&self.load) })
    }

    fn receive_incoming_message(
        &mut self,
    ) -> Promise<Option<Box<dyn IncomingMessage>>, capnp::Error> {
        let inner = Rc::clone(&self.inner);
        let load = Rc::clone(&self.load);
        Promise::from_future(async move {
            load.room().await;
            let receiving = inner.borrow_mut().receive_incoming_message();
            let message = receiving.await?;
            if let Some(message) = &message {
                load.arrived(&**message)?;
            }
            Ok(message)
        })
    }

    fn new_stream(&mut self) -> (Box<dyn FlowController>, Promise<(), capnp::Error>) {
        self.inner.borrow_mut().new_stream()
    }

    fn shutdown(&mut self, result: capnp::Result<()>) -> Promise<(), capnp::Error> {
        self.inner.borrow_mut().shutdown(result)
    }
}

struct BoundedMessage {
    inner: Box<dyn OutgoingMessage>,
    load: Rc<Load>,
}

impl OutgoingMessage for BoundedMessage {
    fn get_body(&mut self) -> capnp::Result<capnp::any_pointer::Builder<'_>> {
        self.inner.get_body()
    }

    fn get_body_as_reader(&self) -> capnp::Result<capnp::any_pointer::Reader<'_>> {
        self.inner.get_body_as_reader()
    }

    fn send(
        self: Box<Self>,
    ) -> (Promise<(), capnp::Error>, Rc<capnp::message::Builder<capnp::message::HeapAllocator>>)
    {
        let is_return = self
            .inner
            .get_body_as_reader()
            .and_then(|body| body.get_as::<message::Reader<'_>>())
            .is_ok_and(|message| matches!(message.which(), Ok(message::Return(_))));
        if is_return {
            self.load.answered();
        }
        self.inner.send()
    }

    fn take(self: Box<Self>) -> capnp::message::Builder<capnp::message::HeapAllocator> {
        self.inner.take()
    }

    fn size_in_words(&self) -> usize {
        self.inner.size_in_words()
    }
}
