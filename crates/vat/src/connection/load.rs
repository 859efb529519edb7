//! The work of one peer in progress over a connection, and the bounds on it. capnp-rpc itself
//! bounds the size of one message and nothing else.
//!
//! A call counts from its arrival until its answer is written. At the bound, the next call and
//! everything behind it wait unread, so this peer waits and no other notices. A question whose
//! answer was sent stays in memory until the peer finishes it. A peer that leaves too many
//! questions unfinished is cut off, and so is a peer that does not read what waits to be written to
//! it. The bytes and objects of calls in flight are bounded too, because a call keeps its arguments
//! until it is answered.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use capnp_rpc::IncomingMessage;
use capnp_rpc::rpc_capnp::message;
use tokio::sync::Notify;

use super::depth::Depth;
use super::held::HeldBytes;
use super::objects::Objects;
use super::oversize::Oversize;
use super::watch::Watch;
use crate::limits::{
    ANSWERS_QUEUED_BYTES, CALLS_HELD_BYTES, CANCELLED_CALLS, ConnectionLimits, OBJECT_BYTES,
    QUEUED_BYTES, UNFINISHED_FACTOR,
};

/// The peer's calls in progress, and the messages that wait to be written to it.
#[derive(Debug)]
pub(super) struct Load {
    /// The bound on calls in flight.
    most: usize,
    /// The bytes of the largest message.
    largest: usize,
    calls: Cell<usize>,
    /// Bytes of the arguments of calls in flight.
    held_bytes: Cell<usize>,
    /// Bytes of the message that is being read, or that waits until its call may begin.
    arriving: Cell<usize>,
    /// Whether this connection is the exempt one of its identity.
    exempt: Cell<bool>,
    /// Whether the next message waits for room.
    paused: Cell<bool>,
    /// Both, over all connections of the identity.
    held: Rc<HeldBytes>,
    questions: RefCell<HashMap<u32, Question>>,
    cancelled: Cell<usize>,
    queue: RefCell<VecDeque<Queued>>,
    queued_bytes: Cell<usize>,
    /// Counted apart: at their bound reading pauses, while all queued bytes end the connection.
    queued_answer_bytes: Cell<usize>,
    eased: Notify,
    pub(super) oversize: Oversize,
    pub(super) depth: Depth,
    pub(super) objects: Objects,
    /// capnp-rpc has shut the connection down.
    pub(super) shut: Cell<bool>,
    pub(super) watch: Rc<Watch>,
}

/// A question of the peer that is still in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Question {
    /// In flight, with arguments of this many bytes.
    Asked(usize),
    /// Answered. The peer may still pipeline on the answer.
    Answered,
}

/// A message that waits to be written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Queued {
    pub(super) bytes: usize,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The answer to a call that is in flight.
    Answer,
    /// Anything else, the late answer to a cancelled call included.
    Other,
}

impl Load {
    pub(super) fn new(
        limits: &ConnectionLimits,
        watch: Rc<Watch>,
        held: Rc<HeldBytes>,
    ) -> Rc<Self> {
        Rc::new(Self {
            most: limits.calls_in_flight,
            largest: limits.message_words.saturating_mul(8),
            calls: Cell::new(0),
            held_bytes: Cell::new(0),
            arriving: Cell::new(0),
            exempt: Cell::new(false),
            paused: Cell::new(false),
            held,
            questions: RefCell::default(),
            cancelled: Cell::new(0),
            queue: RefCell::default(),
            queued_bytes: Cell::new(0),
            queued_answer_bytes: Cell::new(0),
            eased: Notify::new(),
            oversize: Oversize::new(limits.message_words),
            depth: Depth::default(),
            objects: Objects::default(),
            shut: Cell::new(false),
            watch,
        })
    }

    /// Waits until no call of the peer is in flight.
    pub(super) async fn idle(&self) {
        while self.calls.get() > 0 {
            self.eased.notified().await;
        }
    }

    /// Whether reading from the peer pauses.
    pub(super) fn is_full(&self) -> bool {
        self.is_full_for_call() || self.paused.get()
    }

    /// Whether the next call waits.
    fn is_full_for_call(&self) -> bool {
        self.calls.get() >= self.most
            || self.queued_answer_bytes.get() >= ANSWERS_QUEUED_BYTES
            || self.held_bytes.get() >= CALLS_HELD_BYTES
            || self.held.is_full_for(self.held_bytes.get())
    }

    /// Waits until a message of this size may be read, and counts it. One that is too large is
    /// refused when its table is parsed, and not counted.
    pub(super) async fn admit(&self, bytes: usize) {
        if bytes > self.largest {
            return;
        }
        self.paused.set(true);
        while self.held.is_full_for_message(bytes) {
            if self.held.exempt() {
                self.exempt.set(true);
                break;
            }
            self.held.eased().await;
        }
        self.paused.set(false);
        self.arriving.set(bytes);
        self.held.arriving(bytes);
    }

    /// The message that was read last counts as a call now, or is over.
    fn message_over(&self) {
        self.held.arrived(self.arriving.replace(0));
        if self.exempt.replace(false) {
            self.held.end_exemption();
        }
    }

    /// The connection has ended, and holds nothing any more.
    pub(super) fn over(&self) {
        self.held.release(self.held_bytes.replace(0));
        self.message_over();
    }

    /// Waits until the peer may send more.
    async fn room(&self) {
        while self.is_full_for_call() {
            tokio::select! {
                biased;
                () = self.eased.notified() => {}
                // Another connection of the identity may make room as well.
                () = self.held.eased() => {}
            }
        }
    }

    /// Records a message of the peer. A call waits here until there is room for it, and the
    /// messages behind it wait unread. Answers and cancellations before it still get through.
    pub(super) async fn arrived(&self, message: &dyn IncomingMessage) -> capnp::Result<()> {
        let taken = self.take(message).await;
        self.message_over();
        taken
    }

    async fn take(&self, message: &dyn IncomingMessage) -> capnp::Result<()> {
        let bytes = self.arriving.get();
        let body = message.get_body()?.get_as::<message::Reader<'_>>()?;
        let lent = self.within(self.objects.arrived(body))?;
        match body.which() {
            Ok(message::Call(call)) => {
                self.room().await;
                let call = call?;
                self.depth.asked(call)?;
                let bytes = bytes.saturating_add(lent.saturating_mul(OBJECT_BYTES));
                self.asked(call.get_question_id(), bytes)?;
            }
            Ok(message::Bootstrap(bootstrap)) => {
                self.room().await;
                self.asked(bootstrap?.get_question_id(), bytes)?;
            }
            Ok(message::Finish(finish)) => self.finished(finish?.get_question_id())?,
            Ok(message::Resolve(resolve)) => self.within(self.depth.resolved(resolve?))?,
            Ok(message::Abort(why)) => {
                let why: String = why?.get_reason()?.to_str()?.chars().take(1000).collect();
                self.watch.end(format!("the peer ended the connection: {why}"));
            }
            _ => {}
        }
        Ok(())
    }

    /// If a bound was exceeded, records it as the cause of the connection's end.
    fn within<T>(&self, taken: capnp::Result<T>) -> capnp::Result<T> {
        if let Err(over) = &taken
            && over.kind == capnp::ErrorKind::Overloaded
        {
            self.watch.end_over_bound(over.extra.clone());
        }
        taken
    }

    fn asked(&self, question: u32, bytes: usize) -> capnp::Result<()> {
        self.calls.set(self.calls.get() + 1);
        self.held_bytes.set(self.held_bytes.get().saturating_add(bytes));
        self.held.add(bytes);
        let mut questions = self.questions.borrow_mut();
        questions.insert(question, Question::Asked(bytes));
        if questions.len() > self.most.saturating_mul(UNFINISHED_FACTOR) {
            let most = self.most.saturating_mul(UNFINISHED_FACTOR);
            let why = format!(
                "the peer left {} questions unfinished, and the bound is {most}",
                questions.len()
            );
            return self.within(Err(capnp::Error::overloaded(why)));
        }
        Ok(())
    }

    fn finished(&self, question: u32) -> capnp::Result<()> {
        // The answer may have said that it needs no `finish`.
        let Some(was) = self.questions.borrow_mut().remove(&question) else { return Ok(()) };
        if let Question::Asked(bytes) = was {
            // Cancelled: capnp-rpc drops the call, sends no answer, and keeps a record of the call.
            self.depth.over(question);
            self.let_go(bytes);
            self.call_ended();
            self.cancelled.set(self.cancelled.get() + 1);
        }
        if self.cancelled.get() > CANCELLED_CALLS {
            let why = format!(
                "the peer cancelled {} calls, and the bound is {CANCELLED_CALLS}",
                self.cancelled.get()
            );
            return self.within(Err(capnp::Error::overloaded(why)));
        }
        Ok(())
    }

    pub(super) fn answered(&self, question: u32, needs_finish: bool) -> Kind {
        let mut questions = self.questions.borrow_mut();
        let Some(&Question::Asked(bytes)) = questions.get(&question) else { return Kind::Other };
        if needs_finish {
            questions.insert(question, Question::Answered);
        } else {
            questions.remove(&question);
        }
        self.depth.over(question);
        self.let_go(bytes);
        Kind::Answer
    }

    fn let_go(&self, bytes: usize) {
        self.held_bytes.set(self.held_bytes.get().saturating_sub(bytes));
        self.held.release(bytes);
        self.eased.notify_waiters();
    }

    fn call_ended(&self) {
        self.calls.set(self.calls.get().saturating_sub(1));
        self.eased.notify_waiters();
    }

    pub(super) fn queued(&self, message: Queued) {
        self.queued_bytes.set(self.queued_bytes.get() + message.bytes);
        if message.kind == Kind::Answer {
            self.queued_answer_bytes.set(self.queued_answer_bytes.get() + message.bytes);
        }
        self.queue.borrow_mut().push_back(message);
        if self.queued_bytes.get() > QUEUED_BYTES {
            let mebibytes = self.queued_bytes.get() >> 20;
            let most = QUEUED_BYTES >> 20;
            self.watch.cut_over_bound(format!(
                "the peer did not read: {mebibytes} MiB waited for it, and the bound is {most} MiB"
            ));
        }
    }

    /// The oldest message in the queue was written in full.
    pub(super) fn written(&self) {
        let Some(message) = self.queue.borrow_mut().pop_front() else { return };
        self.queued_bytes.set(self.queued_bytes.get().saturating_sub(message.bytes));
        if message.kind == Kind::Answer {
            let left = self.queued_answer_bytes.get().saturating_sub(message.bytes);
            self.queued_answer_bytes.set(left);
            // The call counts until here, so a peer that does not read its answers gets no more
            // calls.
            self.call_ended();
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.over();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{CALLS_HELD_FLOOR_BYTES, CALLS_HELD_PER_IDENTITY_BYTES};

    #[tokio::test]
    async fn connections_of_one_identity_hold_no_more_together_than_one_identity_may() {
        let held = HeldBytes::new();
        let limits = ConnectionLimits::default();
        let load = || Load::new(&limits, Rc::default(), Rc::clone(&held));
        let each = CALLS_HELD_BYTES / 2;
        let loads: Vec<_> = (0..CALLS_HELD_PER_IDENTITY_BYTES / each).map(|_| load()).collect();
        for load in &loads {
            assert!(!load.is_full());
            load.asked(0, each).unwrap();
        }
        assert!(loads.iter().all(|load| load.is_full()));
        let other = Load::new(&limits, Rc::default(), HeldBytes::new());
        assert!(!other.is_full(), "another identity has its own");
        let fresh = load();
        assert!(!fresh.is_full(), "a little is always read");
        fresh.asked(0, CALLS_HELD_FLOOR_BYTES).unwrap();
        assert!(fresh.is_full());
        drop(fresh);
        drop(loads);
        assert_eq!(held.bytes(), 0);
    }

    #[tokio::test]
    async fn messages_that_are_read_in_part_count_and_one_of_them_goes_on() {
        let held = HeldBytes::new();
        let limits = ConnectionLimits::default();
        let load = || Load::new(&limits, Rc::default(), Rc::clone(&held));
        let each = limits.message_words * 8;
        let loads: Vec<_> = (0..CALLS_HELD_PER_IDENTITY_BYTES / each).map(|_| load()).collect();
        for load in &loads {
            load.admit(each).await;
        }
        let (small, first, second) = (load(), load(), load());
        small.admit(CALLS_HELD_FLOOR_BYTES).await;
        first.admit(each).await;
        assert!(!first.is_full_for_call(), "what is being read does not hold up its call");
        let mut waiting = Box::pin(second.admit(each));
        assert!(futures::poll!(waiting.as_mut()).is_pending(), "one at a time");
        assert!(second.is_full());
        first.message_over();
        waiting.await;
        second.over();
        let third = load();
        third.admit(each).await;
        drop((loads, small, third));
        assert_eq!(held.bytes(), 0);
    }
}
