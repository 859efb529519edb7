//! Failures and outcomes as data.

use std::sync::Arc;

use remit_core::{Code, Failure, Outcome, Value};
use remit_schema::object_capnp::{failure, object, outcome};

use super::{Malformed, text, value};

/// Reads a failure.
pub fn read_failure(reader: failure::Reader<'_>) -> Result<Failure, Malformed> {
    let code = match reader.get_code()? {
        failure::Code::Denied => Code::Denied,
        failure::Code::Revoked => Code::Revoked,
        failure::Code::NotFound => Code::NotFound,
        failure::Code::InvalidArgument => Code::InvalidArgument,
        failure::Code::Failed => Code::Failed,
        failure::Code::Unavailable => Code::Unavailable,
        failure::Code::TimedOut => Code::TimedOut,
        failure::Code::Cancelled => Code::Cancelled,
        failure::Code::Unknown => Code::Unknown,
        failure::Code::Limit => Code::Limit,
        failure::Code::ObjectLost => Code::ObjectLost,
        failure::Code::InterfaceChanged => Code::InterfaceChanged,
    };
    Ok(Failure { code, message: text(reader.get_message())?, detail: text(reader.get_detail())? })
}

/// Writes a failure.
pub fn write_failure(mut builder: failure::Builder<'_>, failure: &Failure) {
    builder.set_code(match failure.code {
        Code::Denied => failure::Code::Denied,
        Code::Revoked => failure::Code::Revoked,
        Code::NotFound => failure::Code::NotFound,
        Code::InvalidArgument => failure::Code::InvalidArgument,
        Code::Failed => failure::Code::Failed,
        Code::Unavailable => failure::Code::Unavailable,
        Code::TimedOut => failure::Code::TimedOut,
        Code::Cancelled => failure::Code::Cancelled,
        Code::Unknown => failure::Code::Unknown,
        Code::Limit => failure::Code::Limit,
        Code::ObjectLost => failure::Code::ObjectLost,
        Code::InterfaceChanged => failure::Code::InterfaceChanged,
    });
    builder.set_message(&failure.message);
    builder.set_detail(&failure.detail);
}

/// Reads an outcome from a journal.
pub fn read_held(reader: outcome::Reader<'_>) -> Result<Outcome, Malformed> {
    Ok(match reader.which()? {
        outcome::Value(v) => {
            let value = Arc::new(value::read_held(v?)?);
            Outcome::Value { value, object: reader.get_object() }
        }
        outcome::Failure(f) => Outcome::Failure(read_failure(f?)?),
    })
}

/// Writes an outcome for a journal.
pub fn write_held(mut builder: outcome::Builder<'_>, outcome: &Outcome) {
    match outcome {
        Outcome::Value { value, object } => {
            builder.set_object(*object);
            value::write_held(builder.init_value(), value);
        }
        Outcome::Failure(failure) => write_failure(builder.init_failure(), failure),
    }
}

/// Reads an outcome from a peer, with the objects inside its value.
pub fn read(reader: outcome::Reader<'_>) -> Result<(Outcome<u32>, Vec<object::Client>), Malformed> {
    match reader.which()? {
        outcome::Value(v) => {
            let (value, table) = value::read(v?)?;
            let value = Arc::new(value);
            Ok((Outcome::Value { value, object: reader.get_object() }, table))
        }
        outcome::Failure(f) => Ok((Outcome::Failure(read_failure(f?)?), Vec::new())),
    }
}

/// Writes an outcome for a peer, with the objects inside its value from `table`.
pub fn write(mut builder: outcome::Builder<'_>, outcome: &Outcome<u32>, table: &[object::Client]) {
    match outcome {
        Outcome::Value { value, object } => {
            builder.set_object(*object);
            value::write(builder.init_value(), value, table);
        }
        Outcome::Failure(failure) => write_failure(builder.init_failure(), failure),
    }
}

/// The same value with every object replaced by null, for readers that may see the value but hold
/// no object.
pub fn without_objects<A, B>(value: &Value<A>) -> Value<B> {
    match value {
        Value::List(items) => Value::List(items.iter().map(without_objects).collect()),
        Value::Fields(fields) => {
            Value::Fields(fields.iter().map(|(n, v)| (n.clone(), without_objects(v))).collect())
        }
        Value::Object(_) | Value::Null => Value::Null,
        Value::Bool(b) => Value::Bool(*b),
        Value::Integer(i) => Value::Integer(*i),
        Value::Unsigned(n) => Value::Unsigned(*n),
        Value::Float(x) => Value::Float(*x),
        Value::Text(t) => Value::Text(t.clone()),
        Value::Data(d) => Value::Data(d.clone()),
    }
}
