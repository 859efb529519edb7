//! Conversions between the wire and the types of `remit_core`, one file per schema file.
//!
//! Everything that is read here came from a peer or a disk. The message bounds the size,
//! [`MAX_DEPTH`] bounds the depth, and text that is not UTF-8 is an error, never a panic.

pub mod audit;
pub mod event;
pub mod manifest;
pub mod outcome;
pub mod value;

/// How deep values may nest. Scripts build no deeper values by accident, and reading one
/// recursively takes a few kilobytes of stack.
pub const MAX_DEPTH: usize = 48;

/// The bytes on the wire are not what the schema allows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("malformed: {0}")]
pub struct Malformed(pub String);

impl From<capnp::Error> for Malformed {
    fn from(error: capnp::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<capnp::NotInSchema> for Malformed {
    fn from(error: capnp::NotInSchema) -> Self {
        Self(format!("a union member or enumerant this version does not know: {error}"))
    }
}

impl From<std::str::Utf8Error> for Malformed {
    fn from(error: std::str::Utf8Error) -> Self {
        Self(format!("text that is not UTF-8: {error}"))
    }
}

impl From<Malformed> for remit_core::Failure {
    fn from(error: Malformed) -> Self {
        Self::new(remit_core::Code::InvalidArgument, error.to_string())
    }
}

impl From<Malformed> for capnp::Error {
    fn from(error: Malformed) -> Self {
        crate::exception::to_exception(&error.into())
    }
}

/// The length of a list in the type of the wire. A list longer than `u32` cannot be sent.
pub(crate) fn len(items: usize) -> u32 {
    u32::try_from(items).unwrap_or(u32::MAX)
}

/// Reads a text.
pub fn text(reader: capnp::Result<capnp::text::Reader<'_>>) -> Result<String, Malformed> {
    Ok(reader?.to_str()?.to_owned())
}

/// Reads a list of texts.
pub fn texts(list: capnp::text_list::Reader<'_>) -> Result<Vec<String>, Malformed> {
    list.iter().map(text).collect()
}

/// Writes texts into the list that `init` makes.
pub fn write_texts<'a>(texts: &[String], init: impl FnOnce(u32) -> capnp::text_list::Builder<'a>) {
    let mut list = init(len(texts.len()));
    for (at, text) in (0..).zip(texts) {
        list.set(at, text);
    }
}
