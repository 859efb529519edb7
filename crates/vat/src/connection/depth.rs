//! The depth of the peer's chains of calls. capnp-rpc drives and drops a chain of promises
//! recursively, so a chain that is deep enough ends the process.
//!
//! A call that would be too deep fails, and nothing else does. Checking each call on arrival is
//! enough, because everything that it depends on came before it. Only a promise can come to depend
//! on later calls, so it counts as a fixed depth from the start and may not resolve to a greater
//! one.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};

use capnp_rpc::IncomingMessage;
use capnp_rpc::rpc_capnp::{
    call, cap_descriptor, exception, message, message_target, resolve, return_,
};
use remit_core::{Code, Failure};

use super::oversize::Written;
use crate::exception::to_exception;
use crate::limits::{PIPELINE_DEPTH, PROMISED_DEPTH, PROMISES_OF_PROMISES};

/// The depths of the calls in flight.
#[derive(Debug, Default)]
pub(super) struct Depth {
    /// By question: the length of the chain of calls that ends with this one.
    calls: RefCell<HashMap<u32, u32>>,
    /// Calls that were too deep and must fail.
    refused: RefCell<HashSet<u32>>,
    /// Promises of the peer that resolved to another promise, with that promise.
    links: RefCell<HashMap<u32, u32>>,
    linked: Cell<usize>,
}

impl Depth {
    /// Records a call of the peer and its depth.
    pub(super) fn asked(&self, call: call::Reader<'_>) -> capnp::Result<()> {
        let mut depth = match call.get_target()?.which()? {
            message_target::ImportedCap(_) => 0,
            message_target::PromisedAnswer(on) => self.of(on?.get_question_id()),
        };
        for given in call.get_params()?.get_cap_table()? {
            depth = depth.max(match given.which()? {
                cap_descriptor::SenderPromise(_) => PROMISED_DEPTH,
                cap_descriptor::ReceiverAnswer(on) => self.of(on?.get_question_id()),
                _ => 0,
            });
        }
        let question = call.get_question_id();
        if depth >= PIPELINE_DEPTH {
            self.refused.borrow_mut().insert(question);
        }
        self.calls.borrow_mut().insert(question, depth.saturating_add(1));
        Ok(())
    }

    /// Records what a promise of the peer resolved to.
    pub(super) fn resolved(&self, resolve: resolve::Reader<'_>) -> capnp::Result<()> {
        let resolve::Cap(cap) = resolve.which()? else { return Ok(()) };
        match cap?.which()? {
            cap_descriptor::SenderPromise(next) => self.link(resolve.get_promise_id(), next)?,
            cap_descriptor::ReceiverAnswer(on) => {
                let depth = self.of(on?.get_question_id());
                if depth > PROMISED_DEPTH {
                    let why = format!(
                        "the peer's promise hangs on {depth} calls, one on the next, and the bound is {PROMISED_DEPTH}"
                    );
                    return Err(capnp::Error::overloaded(why));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Records that a promise resolved to another one, which must not lead back to it: capnp-rpc
    /// would follow such a ring without end.
    fn link(&self, promise: u32, next: u32) -> capnp::Result<()> {
        let mut links = self.links.borrow_mut();
        let mut leads_to = Some(next);
        while let Some(at) = leads_to {
            if at == promise {
                let why = "the peer's promise leads back to itself".to_owned();
                return Err(capnp::Error::overloaded(why));
            }
            leads_to = links.get(&at).copied();
        }
        links.insert(promise, next);
        self.linked.set(self.linked.get() + 1);
        if self.linked.get() > PROMISES_OF_PROMISES {
            let why = format!(
                "the peer made {} promises of promises, and the bound is {PROMISES_OF_PROMISES}",
                self.linked.get()
            );
            return Err(capnp::Error::overloaded(why));
        }
        Ok(())
    }

    fn of(&self, question: u32) -> u32 {
        self.calls.borrow().get(&question).copied().unwrap_or_default()
    }

    /// Forgets a call that was answered or cancelled.
    pub(super) fn over(&self, question: u32) {
        self.calls.borrow_mut().remove(&question);
        self.refused.borrow_mut().remove(&question);
    }

    /// Replaces a call that is too deep by one that fails.
    pub(super) fn refuse(
        &self,
        received: Box<dyn IncomingMessage>,
    ) -> capnp::Result<Box<dyn IncomingMessage>> {
        if self.refused.borrow().is_empty() {
            return Ok(received);
        }
        let question = {
            let body = received.get_body()?.get_as::<message::Reader<'_>>()?;
            let Ok(message::Call(call)) = body.which() else { return Ok(received) };
            call?.get_question_id()
        };
        if !self.refused.borrow().contains(&question) {
            return Ok(received);
        }
        let mut message = capnp::message::Builder::new_default();
        let mut failing = message.init_root::<message::Builder<'_>>().init_call();
        failing.set_question_id(question);
        // The target is the call's own answer, which does not exist yet, so the call fails.
        failing.init_target().init_promised_answer().set_question_id(question);
        Ok(Box::new(Written(message)))
    }

    /// Writes the reason into the answer to a refused call.
    pub(super) fn explain(&self, answer: return_::Builder<'_>) {
        if !self.refused.borrow().contains(&answer.reborrow_as_reader().get_answer_id()) {
            return;
        }
        if let Ok(return_::Exception(Ok(mut builder))) = answer.which() {
            let why = format!(
                "a call on the result of {PIPELINE_DEPTH} others, one on the next, none of them \
                 answered yet: await one of them first"
            );
            builder.set_type(exception::Type::Overloaded);
            builder.set_reason(to_exception(&Failure::new(Code::Limit, why)).extra);
        }
    }
}
