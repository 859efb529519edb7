//! Calls without an outcome, as a host reports them: in a field of its own that no tool can write.
//!
//! A failure of the tool is the outcome of the call, whatever its code and text. If the tool's node
//! could not begin the call, or does not know how it ended, the caller must settle the call.

use std::rc::Rc;

use remit_core::{Code, Failure};
use remit_schema::object_capnp::{object, unsettled};

use crate::exception::to_exception;
use crate::wire::{Malformed, text};

/// Why a call has no outcome. The text is for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unsettled {
    /// The call was not begun. The caller may send the same key again.
    NotBegun(String),
    /// The call may have happened. The record under its key decides.
    Unknown(String),
}

/// Why a call returned no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoReply {
    /// The call failed. The failure is its outcome.
    Failed(Failure),
    /// The call has no outcome yet.
    Unsettled(Unsettled),
}

impl From<Failure> for NoReply {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// For a caller that does not settle calls: `unavailable` if the call was not begun, else
/// `unknown`.
impl From<NoReply> for Failure {
    fn from(why: NoReply) -> Self {
        match why {
            NoReply::Failed(failure) => failure,
            NoReply::Unsettled(Unsettled::NotBegun(why)) => Self::new(Code::Unavailable, why),
            NoReply::Unsettled(Unsettled::Unknown(why)) => Self::new(Code::Unknown, why),
        }
    }
}

impl Unsettled {
    /// The reason, for a person.
    pub fn reason(&self) -> &str {
        let (Self::NotBegun(reason) | Self::Unknown(reason)) = self;
        reason
    }

    /// Writes this into the results of a call. Calls that are pipelined on the results are then not
    /// begun, for the same reason.
    pub fn write(&self, mut results: object::call_results::Builder<'_>) {
        let mut builder = results.reborrow().init_unsettled();
        match self {
            Self::NotBegun(_) => builder.set_not_begun(()),
            Self::Unknown(_) => builder.set_unknown(()),
        }
        builder.set_reason(self.reason());
        if !results.has_object() {
            results.set_object(capnp_rpc::new_client(Promised(self.clone())));
        }
    }

    /// Reads it from the results of a call. `None`: the call has an outcome.
    ///
    /// # Errors
    /// The message is not as the schema says.
    pub fn read(results: object::call_results::Reader<'_>) -> Result<Option<Self>, Malformed> {
        if !results.has_unsettled() {
            return Ok(None);
        }
        let reader = results.get_unsettled()?;
        let reason = Failure::new(Code::Unknown, text(reader.get_reason())?).bounded().message;
        Ok(Some(match reader.which()? {
            unsettled::NotBegun(()) => Self::NotBegun(reason),
            unsettled::Unknown(()) => Self::Unknown(reason),
        }))
    }
}

/// The object that an unsettled call would have returned.
struct Promised(Unsettled);

impl object::Server for Promised {
    async fn call(
        self: Rc<Self>,
        _: object::CallParams,
        mut results: object::CallResults,
    ) -> Result<(), capnp::Error> {
        // The call on the promised object was not sent on, whatever happened to the first call.
        Unsettled::NotBegun(self.0.reason().to_owned()).write(results.get());
        Ok(())
    }

    async fn describe(
        self: Rc<Self>,
        _: object::DescribeParams,
        _: object::DescribeResults,
    ) -> Result<(), capnp::Error> {
        Err(to_exception(&Failure::from(NoReply::Unsettled(self.0.clone()))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn calls_pipelined_on_an_unsettled_call_are_unsettled_too() {
        for unsettled in [Unsettled::NotBegun("a".into()), Unsettled::Unknown("b".into())] {
            let first: object::Client = capnp_rpc::new_client(Promised(unsettled.clone()));
            let promise = first.call_request().send();
            let second = promise.pipeline.get_object().call_request().send();
            for promise in [promise.promise, second.promise] {
                let answer = promise.await.unwrap();
                let read = Unsettled::read(answer.get().unwrap()).unwrap();
                assert_eq!(read, Some(Unsettled::NotBegun(unsettled.reason().to_owned())));
            }
        }
    }
}
