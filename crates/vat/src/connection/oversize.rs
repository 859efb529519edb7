//! Messages that are too large for the peer. The peer would end the connection over one, so here
//! only the call that it belongs to fails.

use std::cell::RefCell;
use std::collections::HashMap;

use capnp_rpc::rpc_capnp::{exception, message};
use capnp_rpc::{IncomingMessage, OutgoingMessage};
use remit_core::{Code, Failure};

use crate::exception::to_exception;

/// Keeps messages within the size that the peer takes.
#[derive(Debug)]
pub(super) struct Oversize {
    most_words: usize,
    /// Calls that were sent without their arguments, with the size in words of the original
    /// message.
    emptied: RefCell<HashMap<u32, usize>>,
}

impl Oversize {
    /// The peer takes messages of at most `most_words`.
    pub(super) fn new(most_words: usize) -> Self {
        Self { most_words, emptied: RefCell::default() }
    }

    /// The replacement for `large`, built in a message from `fresh`. `None`: `large` may be sent as
    /// it is.
    pub(super) fn replace(
        &self,
        large: &dyn OutgoingMessage,
        fresh: impl FnOnce() -> Box<dyn OutgoingMessage>,
    ) -> Option<Box<dyn OutgoingMessage>> {
        let words = large.size_in_words();
        if words <= self.most_words {
            return None;
        }
        let mut small = fresh();
        let replaced = self.write_small(large, &mut *small, words);
        replaced.ok().filter(|replaced| *replaced).map(|_| small)
    }

    fn write_small(
        &self,
        large: &dyn OutgoingMessage,
        small: &mut dyn OutgoingMessage,
        words: usize,
    ) -> capnp::Result<bool> {
        let root: message::Builder<'_> = small.get_body()?.init_as();
        match large.get_body_as_reader()?.get_as::<message::Reader<'_>>()?.which() {
            Ok(message::Return(answer)) => {
                let answer = answer?;
                let mut failed = root.init_return();
                failed.set_answer_id(answer.get_answer_id());
                failed.set_no_finish_needed(answer.get_no_finish_needed());
                self.explain(failed.init_exception(), words, "an answer");
            }
            Ok(message::Call(call)) => {
                // The peer has to learn of the call, for others may be pipelined on it. No object
                // has a method of interface 0, so the call fails.
                let call = call?;
                let mut failing = root.init_call();
                failing.set_question_id(call.get_question_id());
                failing.set_target(call.get_target()?)?;
                self.emptied.borrow_mut().insert(call.get_question_id(), words);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Replaces the peer's answer to an emptied call by the failure that says why.
    pub(super) fn restore(
        &self,
        received: Box<dyn IncomingMessage>,
    ) -> capnp::Result<Box<dyn IncomingMessage>> {
        if self.emptied.borrow().is_empty() {
            return Ok(received);
        }
        let mut message = capnp::message::Builder::new_default();
        {
            let body = received.get_body()?.get_as::<message::Reader<'_>>()?;
            let Ok(message::Return(answer)) = body.which() else { return Ok(received) };
            let answer = answer?;
            let Some(words) = self.emptied.borrow_mut().remove(&answer.get_answer_id()) else {
                return Ok(received);
            };
            let mut failed = message.init_root::<message::Builder<'_>>().init_return();
            failed.set_answer_id(answer.get_answer_id());
            failed.set_no_finish_needed(answer.get_no_finish_needed());
            self.explain(failed.init_exception(), words, "a call");
        }
        Ok(Box::new(Written(message)))
    }

    fn explain(&self, mut builder: exception::Builder<'_>, words: usize, what: &str) {
        let why = format!(
            "{what} of {} bytes, and the peer takes at most {}: pass less at once",
            words.saturating_mul(8),
            self.most_words.saturating_mul(8)
        );
        builder.set_type(exception::Type::Overloaded);
        builder.set_reason(to_exception(&Failure::new(Code::Limit, why)).extra);
    }
}

/// A message that was built here and did not come from the peer.
pub(super) struct Written(pub(super) capnp::message::Builder<capnp::message::HeapAllocator>);

impl IncomingMessage for Written {
    fn get_body(&self) -> capnp::Result<capnp::any_pointer::Reader<'_>> {
        self.0.get_root_as_reader()
    }
}
