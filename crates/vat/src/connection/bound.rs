//! A network that wraps another one with bounds. It counts the messages in both directions and
//! holds them to the bounds of [`Load`].

use std::cell::RefCell;
use std::rc::Rc;

use capnp::capability::Promise;
use capnp_rpc::rpc_capnp::message;
use capnp_rpc::rpc_twoparty_capnp::Side;
use capnp_rpc::{Connection, FlowController, IncomingMessage, OutgoingMessage, VatNetwork};
use futures::FutureExt as _;

use super::load::{Kind, Load, Queued};
use super::returned;

pub(super) struct Bounded<N> {
    inner: N,
    load: Rc<Load>,
}

impl<N> Bounded<N> {
    pub(super) const fn new(inner: N, load: Rc<Load>) -> Self {
        Self { inner, load }
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
        let (connection, load) = (Rc::clone(&self.inner), Rc::clone(&self.load));
        Box::new(BoundedMessage { inner, connection, load })
    }

    fn receive_incoming_message(
        &mut self,
    ) -> Promise<Option<Box<dyn IncomingMessage>>, capnp::Error> {
        let inner = Rc::clone(&self.inner);
        let load = Rc::clone(&self.load);
        Promise::from_future(async move {
            let received = receive(&inner, &load).await;
            if load.shut.get() {
                // capnp-rpc panics over anything but an error now: the receiver of messages is
                // gone.
                return Err(capnp::Error::disconnected("the connection was shut down".into()));
            }
            if let Err(error) = &received {
                load.watch.end(format!("what the peer sent could not be read: {error}"));
            }
            received
        })
    }

    fn new_stream(&mut self) -> (Box<dyn FlowController>, Promise<(), capnp::Error>) {
        self.inner.borrow_mut().new_stream()
    }

    fn shutdown(&mut self, result: capnp::Result<()>) -> Promise<(), capnp::Error> {
        self.load.shut.set(true);
        if let Err(error) = &result {
            self.load.watch.end(error.to_string());
        }
        self.inner.borrow_mut().shutdown(result)
    }
}

async fn receive(
    inner: &RefCell<Box<dyn Connection<Side>>>,
    load: &Load,
) -> capnp::Result<Option<Box<dyn IncomingMessage>>> {
    let receiving = inner.borrow_mut().receive_incoming_message();
    let Some(message) = receiving.await? else { return Ok(None) };
    load.arrived(&*message).await?;
    let message = returned::end_call(load.depth.refuse(message)?)?;
    load.oversize.restore(message).map(Some)
}

struct BoundedMessage {
    inner: Box<dyn OutgoingMessage>,
    connection: Rc<RefCell<Box<dyn Connection<Side>>>>,
    load: Rc<Load>,
}

impl BoundedMessage {
    /// The question that this message answers, and whether the peer has to finish it. `None`: the
    /// message is no answer.
    fn answer(&self) -> Option<(u32, bool)> {
        let message = self.inner.get_body_as_reader().ok()?;
        match message.get_as::<message::Reader<'_>>().ok()?.which() {
            Ok(message::Return(Ok(answer))) => {
                Some((answer.get_answer_id(), !answer.get_no_finish_needed()))
            }
            _ => None,
        }
    }
}

impl BoundedMessage {
    /// Gives a message that ends the connection or refuses a call our reason, in place of
    /// capnp-rpc's.
    fn say_why(&mut self) {
        let Ok(message) = self.inner.get_body().and_then(|body| body.get_as()) else { return };
        let message: message::Builder<'_> = message;
        match message.which() {
            Ok(message::Abort(Ok(mut why))) => why.set_reason(self.load.watch.cause()),
            Ok(message::Return(Ok(answer))) => self.load.depth.explain(answer),
            _ => {}
        }
    }

    /// Counts the objects that the message gives to the peer or releases. A peer over the bound is
    /// cut off.
    fn note_objects(&self) {
        let body = self.inner.get_body_as_reader().and_then(|body| body.get_as());
        let Ok(message) = body else { return };
        if let Err(over) = self.load.objects.sent(message) {
            self.load.watch.cut_over_bound(over.extra);
        }
    }

    fn queue(self) -> Sent {
        let kind = self.answer().map_or(Kind::Other, |(question, needs_finish)| {
            self.load.answered(question, needs_finish)
        });
        let bytes = self.inner.size_in_words().saturating_mul(8);
        self.load.queued(Queued { bytes, kind });
        self.inner.send()
    }
}

type Sent = (Promise<(), capnp::Error>, Rc<capnp::message::Builder<capnp::message::HeapAllocator>>);

impl OutgoingMessage for BoundedMessage {
    fn get_body(&mut self) -> capnp::Result<capnp::any_pointer::Builder<'_>> {
        self.inner.get_body()
    }

    fn get_body_as_reader(&self) -> capnp::Result<capnp::any_pointer::Reader<'_>> {
        self.inner.get_body_as_reader()
    }

    fn send(mut self: Box<Self>) -> Sent {
        self.say_why();
        self.note_objects();
        // A message that is too large would make the peer end the connection.
        let fresh = || self.connection.borrow_mut().new_outgoing_message(0);
        let Some(small) = self.load.oversize.replace(&*self.inner, fresh) else {
            return self.queue();
        };
        let large = std::mem::replace(&mut self.inner, small);
        (self.queue().0, Rc::new(large.take()))
    }

    fn take(self: Box<Self>) -> capnp::message::Builder<capnp::message::HeapAllocator> {
        self.inner.take()
    }

    fn size_in_words(&self) -> usize {
        self.inner.size_in_words()
    }
}
