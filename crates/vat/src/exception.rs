//! Failures as exceptions: the one form in which a code and its details cross the wire.

use remit_core::Failure;

/// The exception that carries `failure`.
pub fn to_exception(_failure: &Failure) -> capnp::Error {
    todo!()
}

/// The failure that `error` carries. An error of another origin gets the code that fits its kind:
/// disconnected is `unavailable`, overloaded is `limit`, unimplemented and the rest are `failed`.
pub fn to_failure(_error: &capnp::Error) -> Failure {
    todo!()
}
