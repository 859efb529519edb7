//! Answers that carry neither results nor an exception. capnp-rpc accepts them and leaves the call
//! waiting.

use capnp_rpc::IncomingMessage;
use capnp_rpc::rpc_capnp::{message, return_};
use remit_core::{Code, Failure};

use super::oversize::Written;
use crate::exception::to_exception;

/// Replaces such an answer by a failure, which ends the call. If the call was cancelled here, the
/// answer has no effect.
pub(super) fn end_call(
    received: Box<dyn IncomingMessage>,
) -> capnp::Result<Box<dyn IncomingMessage>> {
    let (question, releases, how) = {
        let body = received.get_body()?.get_as::<message::Reader<'_>>()?;
        let Ok(message::Return(answer)) = body.which() else { return Ok(received) };
        let answer = answer?;
        let how = match answer.which()? {
            return_::Canceled(()) => "says that it was cancelled",
            return_::ResultsSentElsewhere(()) => "sent its result elsewhere",
            return_::AcceptFromThirdParty(_) => "left its result with another",
            _ => return Ok(received),
        };
        (answer.get_answer_id(), answer.get_release_param_caps(), how)
    };
    let why = format!("the peer {how}: the outcome of the call is unknown");
    let mut message = capnp::message::Builder::new_default();
    let mut failed = message.init_root::<message::Builder<'_>>().init_return();
    failed.set_answer_id(question);
    failed.set_release_param_caps(releases);
    let failure = to_exception(&Failure::new(Code::Unknown, why));
    failed.init_exception().set_reason(&failure.extra);
    Ok(Box::new(Written(message)))
}
