//! Output of calls in flight, passed on to those who follow the task and kept by nobody.

use std::rc::Rc;

use remit_core::CallNumber;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::Owner;
use crate::limits;

/// A piece of output of a call in flight.
#[derive(Debug, Clone)]
pub struct Output {
    /// The call.
    pub call: CallNumber,
    /// The piece, one for all who wait to get it.
    pub text: Rc<str>,
}

impl Owner {
    /// A feed of the output of calls in flight. A reader that is slow misses some.
    pub fn outputs(&self) -> mpsc::Receiver<Output> {
        let (sender, receiver) = mpsc::channel(limits::OUTPUT_QUEUE);
        self.outputs.borrow_mut().push(sender);
        receiver
    }

    /// Passes on a piece of output.
    pub fn emit(&self, output: &Output) {
        self.outputs.borrow_mut().retain(|sender| {
            !matches!(sender.try_send(output.clone()), Err(TrySendError::Closed(_)))
        });
    }
}
