//! A reference without the resolved promises that it came through.
//!
//! capnp-rpc builds a call on a promise as a message to the maker of the promise. If the promise
//! has resolved to an object elsewhere, it copies the message for that target, and panics if the
//! message contains capabilities.

use capnp::capability::FromClientHook;
use remit_core::{Code, Failure};

use crate::exception::to_exception;
use crate::limits::PROMISES_IN_A_ROW;

/// The current resolution of `client`: the object itself, or a promise that is still open. A chain
/// of more than [`PROMISES_IN_A_ROW`] promises gives a broken capability that fails with
/// `object-lost`.
pub fn shorten<C: FromClientHook>(client: &C) -> C {
    let mut hook = client.as_client_hook().add_ref();
    for _ in 0..PROMISES_IN_A_ROW {
        let Some(further) = hook.get_resolved() else { return C::new(hook) };
        hook = further;
    }
    let why = format!("the object is a promise of a promise, more than {PROMISES_IN_A_ROW} times");
    let nowhere = to_exception(&Failure::new(Code::ObjectLost, why));
    capnp_rpc::new_broken_cap(nowhere).cast_to()
}
