//! Calls that were allowed, and calls that were refused.

use remit_core::event::{CallDenied, CallRequested, Delegate};
use remit_core::{Attempt, CallNumber, Fact, GrantId};
use remit_schema::event_capnp::{
    call_completed, call_denied, call_recalled, call_requested, call_unknown, delegate, event,
};

use crate::wire::outcome::{read_failure, write_failure};
use crate::wire::outcome::{read_held as read_outcome, write_held as write_outcome};
use crate::wire::value::{read_held, read_id, write_held, write_id};
use crate::wire::{Malformed, text};

pub(super) fn read_requested(r: call_requested::Reader<'_>) -> Result<CallRequested, Malformed> {
    Ok(CallRequested {
        call: CallNumber(r.get_call()),
        attempt: Attempt(r.get_attempt()),
        object: read_id(r.get_object()?)?,
        method: text(r.get_method())?,
        args: read_held(r.get_args()?)?,
        digest: digest(r.get_digest()?)?,
        grant: GrantId(r.get_grant()),
        path: text(r.get_path())?,
        returns: text(r.get_returns())?,
        read_only: r.get_read_only(),
        idempotent: r.get_idempotent(),
        through: through(r.get_through()),
        delegate: if r.has_delegate() { Some(read_delegate(r.get_delegate()?)?) } else { None },
        approval: through(r.get_approval()),
        max_cost: r.get_max_cost(),
    })
}

pub(super) fn write_requested(mut b: call_requested::Builder<'_>, request: &CallRequested) {
    b.set_call(request.call.0);
    b.set_attempt(request.attempt.0);
    write_id(b.reborrow().init_object(), request.object);
    b.set_method(&request.method);
    write_held(b.reborrow().init_args(), &request.args);
    b.set_digest(&request.digest);
    b.set_grant(request.grant.0);
    b.set_path(&request.path);
    b.set_returns(&request.returns);
    b.set_read_only(request.read_only);
    b.set_idempotent(request.idempotent);
    b.set_max_cost(request.max_cost);
    b.set_through(request.through.unwrap_or_default().0);
    b.set_approval(request.approval.unwrap_or_default().0);
    if let Some(delegate) = &request.delegate {
        write_delegate(b.init_delegate(), delegate);
    }
}

pub(super) fn read_denied(r: call_denied::Reader<'_>) -> Result<CallDenied, Malformed> {
    Ok(CallDenied {
        call: CallNumber(r.get_call()),
        attempt: Attempt(r.get_attempt()),
        object: read_id(r.get_object()?)?,
        method: text(r.get_method())?,
        digest: digest(r.get_digest()?)?,
        grant: GrantId(r.get_grant()),
        failure: read_failure(r.get_failure()?)?,
        through: through(r.get_through()),
        delegate: if r.has_delegate() { Some(read_delegate(r.get_delegate()?)?) } else { None },
    })
}

pub(super) fn write_denied(mut b: call_denied::Builder<'_>, denied: &CallDenied) {
    b.set_call(denied.call.0);
    b.set_attempt(denied.attempt.0);
    write_id(b.reborrow().init_object(), denied.object);
    b.set_method(&denied.method);
    b.set_digest(&denied.digest);
    b.set_grant(denied.grant.0);
    write_failure(b.reborrow().init_failure(), &denied.failure);
    b.set_through(denied.through.unwrap_or_default().0);
    if let Some(delegate) = &denied.delegate {
        write_delegate(b.init_delegate(), delegate);
    }
}

pub(super) fn read_completed(r: call_completed::Reader<'_>) -> Result<Fact, Malformed> {
    let (call, outcome) = (CallNumber(r.get_call()), read_outcome(r.get_outcome()?)?);
    Ok(Fact::CallCompleted { call, outcome, cost: r.get_cost(), refused: r.get_refused() })
}

pub(super) fn read_recalled(r: call_recalled::Reader<'_>) -> Fact {
    Fact::CallRecalled { call: CallNumber(r.get_call()), from: CallNumber(r.get_from()) }
}

pub(super) fn read_unknown(r: call_unknown::Reader<'_>) -> Result<Fact, Malformed> {
    Ok(Fact::CallUnknown { call: CallNumber(r.get_call()), reason: text(r.get_reason())? })
}

/// Writes a fact about a call.
pub(super) fn write(builder: event::Builder<'_>, fact: &Fact) {
    match fact {
        Fact::CallRequested(request) => {
            write_requested(builder.init_call_requested(), request);
        }
        Fact::CallCompleted { call, outcome, cost, refused } => {
            let mut b = builder.init_call_completed();
            b.set_call(call.0);
            b.set_cost(*cost);
            b.set_refused(*refused);
            write_outcome(b.init_outcome(), outcome);
        }
        Fact::CallDenied(denied) => write_denied(builder.init_call_denied(), denied),
        Fact::CallRecalled { call, from } => {
            let mut b = builder.init_call_recalled();
            b.set_call(call.0);
            b.set_from(from.0);
        }
        Fact::CallUnknown { call, reason } => {
            let mut b = builder.init_call_unknown();
            b.set_call(call.0);
            b.set_reason(reason);
        }
        _ => {}
    }
}

fn read_delegate(r: delegate::Reader<'_>) -> Result<Delegate, Malformed> {
    Ok(Delegate { grant: GrantId(r.get_grant()), key: r.get_key()?.to_vec() })
}

fn write_delegate(mut b: delegate::Builder<'_>, delegate: &Delegate) {
    b.set_grant(delegate.grant.0);
    b.set_key(&delegate.key);
}

pub(super) fn digest(bytes: &[u8]) -> Result<[u8; 32], Malformed> {
    let wrong = |_| Malformed(format!("a digest of {} bytes; it has 32", bytes.len()));
    bytes.try_into().map_err(wrong)
}

/// The number of an operation. 0 means none, since operations are counted from 1.
fn through(number: u64) -> Option<CallNumber> {
    (number != 0).then_some(CallNumber(number))
}
