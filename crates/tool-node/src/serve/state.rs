//! What became of a call, as it travels and as the ledger stores it.

use std::sync::Arc;

use remit_core::{ObjectId, Outcome, Value};
use remit_schema::tool_node_capnp::call_state;
use remit_vat::wire::outcome::{read_failure, write_failure};
use remit_vat::wire::{self, Malformed};

use crate::ledger::CallState;

/// Writes a state for a peer.
pub(crate) fn write(mut builder: call_state::Builder<'_>, state: &CallState) {
    match state {
        CallState::NeverStarted => builder.set_never_started(()),
        CallState::Started => builder.set_started(()),
        CallState::Forgotten => builder.set_forgotten(()),
        CallState::Completed(Outcome::Value { value, object }, cost) => {
            builder.set_cost(*cost);
            builder.set_object(*object);
            wire::value::write(builder.init_value(), value, &[]);
        }
        CallState::Completed(Outcome::Failure(failure), cost) => {
            builder.set_cost(*cost);
            write_failure(builder.init_failure(), failure);
        }
    }
}

/// The state as the ledger stores it.
pub(crate) fn to_bytes(state: &CallState) -> Vec<u8> {
    let mut message = capnp::message::Builder::new_default();
    write(message.init_root(), state);
    capnp::serialize::write_message_to_words(&message)
}

/// The state that `bytes`, from the ledger, stand for.
pub(crate) fn from_bytes(mut bytes: &[u8]) -> Result<CallState, Malformed> {
    let mut options = capnp::message::ReaderOptions::new();
    // What is on disk was bounded when it was written.
    options.traversal_limit_in_words(None);
    let message = capnp::serialize::read_message_from_flat_slice(&mut bytes, options)?;
    let reader: call_state::Reader<'_> = message.get_root()?;
    Ok(match reader.which()? {
        call_state::NeverStarted(()) => CallState::NeverStarted,
        call_state::Started(()) => CallState::Started,
        call_state::Forgotten(()) => CallState::Forgotten,
        call_state::Value(value) => {
            let value = dead(wire::value::read_held(value?)?)?;
            let value = Arc::new(value);
            let outcome = Outcome::Value { value, object: reader.get_object() };
            CallState::Completed(outcome, reader.get_cost())
        }
        call_state::Failure(failure) => {
            CallState::Completed(Outcome::Failure(read_failure(failure?)?), reader.get_cost())
        }
    })
}

/// A value without objects: the ledger holds none.
fn dead(value: Value) -> Result<Value<u32>, Malformed> {
    value.try_map(&mut |id: ObjectId| Err(Malformed(format!("the object `{id}` in a ledger"))))
}
