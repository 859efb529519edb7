//! A reference without the promises that it came through.
//!
//! capnp-rpc builds a call on a promise as a message to whoever made the promise. If the promise has
//! come to an object elsewhere it copies the message for that, and panics if there are objects in it.

use capnp::capability::FromClientHook;
use remit_core::{Code, Failure};

use crate::exception::to_exception;
use crate::limits::PROMISES_IN_A_ROW;

/// What `client` has come to so far: the object itself, or a promise that is still open. One that
/// leads to nothing but promises fails.
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
