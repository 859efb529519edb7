//! Values: the typed trees that calls carry, and how a call ended.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::failure::Failure;
use crate::id::ObjectId;

/// A typed tree. `O` is how an object appears in it: an [`ObjectId`] in a journal, an index into a
/// table of live references on the way in or out of a vat.
#[derive(Debug, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(not(feature = "count-copies"), derive(Clone))]
pub enum Value<O = ObjectId> {
    /// Nothing.
    #[default]
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number of 64 bits with a sign.
    Integer(i64),
    /// A floating-point number.
    Float(f64),
    /// Unicode text.
    Text(String),
    /// Bytes.
    Data(#[serde(with = "serde_bytes")] Vec<u8>),
    /// Values in order.
    List(Vec<Self>),
    /// Named values, in the order they were given. A name occurs once.
    Fields(Vec<(String, Self)>),
    /// An object.
    Object(O),
    /// A whole number above those of [`Value::Integer`]: 2^63 to 2^64 - 1. See [`Value::unsigned`].
    Unsigned(u64),
}

/// The same as is derived, and counts: for the test that bounds the copies of one call.
#[cfg(feature = "count-copies")]
impl<O: Clone> Clone for Value<O> {
    fn clone(&self) -> Self {
        match self {
            Self::Null => Self::Null,
            Self::Bool(b) => Self::Bool(*b),
            Self::Integer(i) => Self::Integer(*i),
            Self::Unsigned(n) => Self::Unsigned(*n),
            Self::Float(x) => Self::Float(*x),
            Self::Text(t) => {
                copied_text_bytes::add(t.len());
                Self::Text(t.clone())
            }
            Self::Data(d) => Self::Data(d.clone()),
            Self::List(items) => Self::List(items.clone()),
            Self::Fields(fields) => Self::Fields(fields.clone()),
            Self::Object(object) => Self::Object(object.clone()),
        }
    }
}

/// Bytes of texts that copies of values took on this thread.
#[cfg(feature = "count-copies")]
pub mod copied_text_bytes {
    use std::cell::Cell;

    thread_local!(static COPIED: Cell<usize> = const { Cell::new(0) });

    pub(super) fn add(bytes: usize) {
        COPIED.set(COPIED.get() + bytes);
    }

    /// So many until now.
    pub fn get() -> usize {
        COPIED.get()
    }
}

impl<O> Value<O> {
    /// A whole number of 64 bits without a sign, in the one form that it has as a value.
    pub fn unsigned(number: u64) -> Self {
        i64::try_from(number).map_or(Self::Unsigned(number), Self::Integer)
    }

    /// The field of this name, if this is a value with fields and has it.
    pub fn field(&self, name: &str) -> Option<&Self> {
        let Self::Fields(fields) = self else { return None };
        fields.iter().find(|(n, _)| n == name).map(|(_, v)| v)
    }

    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// Calls `visit` on each object in the tree, in reading order, and gives the tree with what
    /// it answered, or its first error.
    pub fn try_map<P, E>(self, visit: &mut impl FnMut(O) -> Result<P, E>) -> Result<Value<P>, E> {
        Ok(match self {
            Self::Null => Value::Null,
            Self::Bool(b) => Value::Bool(b),
            Self::Integer(i) => Value::Integer(i),
            Self::Unsigned(n) => Value::Unsigned(n),
            Self::Float(x) => Value::Float(x),
            Self::Text(t) => Value::Text(t),
            Self::Data(d) => Value::Data(d),
            Self::List(items) => {
                Value::List(items.into_iter().map(|v| v.try_map(visit)).collect::<Result<_, E>>()?)
            }
            Self::Fields(fields) => Value::Fields(
                fields
                    .into_iter()
                    .map(|(name, v)| Ok((name, v.try_map(visit)?)))
                    .collect::<Result<_, E>>()?,
            ),
            Self::Object(object) => Value::Object(visit(object)?),
        })
    }

    /// Whether there is an object in the tree.
    pub fn holds_object(&self) -> bool {
        self.any_object(&mut |_| true)
    }

    /// Whether `is` says yes to an object in the tree.
    pub fn any_object(&self, is: &mut impl FnMut(&O) -> bool) -> bool {
        match self {
            Self::Object(object) => is(object),
            Self::List(items) => items.iter().any(|item| item.any_object(is)),
            Self::Fields(fields) => fields.iter().any(|(_, part)| part.any_object(is)),
            Self::Null
            | Self::Bool(_)
            | Self::Integer(_)
            | Self::Unsigned(_)
            | Self::Float(_)
            | Self::Text(_)
            | Self::Data(_) => false,
        }
    }

    /// Roughly how many bytes the tree takes in memory and on the wire.
    pub fn weight(&self) -> usize {
        16 + match self {
            Self::Text(t) => t.len(),
            Self::Data(d) => d.len(),
            Self::List(items) => items.iter().map(Self::weight).sum(),
            Self::Fields(fields) => fields.iter().map(|(n, v)| n.len() + v.weight()).sum(),
            Self::Null
            | Self::Bool(_)
            | Self::Integer(_)
            | Self::Float(_)
            | Self::Object(_)
            | Self::Unsigned(_) => 0,
        }
    }
}

impl Value<u32> {
    /// SHA-256 over a tree without objects; `None`: there is one in it.
    pub fn digest(&self) -> Option<[u8; 32]> {
        let mut hash = Sha256::new();
        self.feed(&mut hash, &mut |_, _| Err(())).ok()?;
        Some(hash.finalize().into())
    }
}

impl Value<ObjectId> {
    /// Feeds the tree to `hash` in a form in which different trees never look the same.
    pub fn digest_into(&self, hash: &mut Sha256) {
        let fed = self.feed(hash, &mut |object, hash| {
            digest_object(*object, hash);
            Ok::<_, std::convert::Infallible>(())
        });
        let Ok(()) = fed;
    }
}

impl<O> Value<O> {
    fn feed<E>(
        &self,
        hash: &mut Sha256,
        object: &mut impl FnMut(&O, &mut Sha256) -> Result<(), E>,
    ) -> Result<(), E> {
        let sized = |hash: &mut Sha256, tag: u8, bytes: &[u8]| {
            hash.update([tag]);
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        };
        match self {
            Self::Null => hash.update([0]),
            Self::Bool(b) => hash.update([1, u8::from(*b)]),
            Self::Integer(i) => sized(hash, 2, &i.to_be_bytes()),
            Self::Unsigned(n) => sized(hash, 13, &n.to_be_bytes()),
            Self::Float(x) => sized(hash, 3, &x.to_bits().to_be_bytes()),
            Self::Text(t) => sized(hash, 4, t.as_bytes()),
            Self::Data(d) => sized(hash, 5, d),
            Self::List(items) => {
                sized(hash, 6, &(items.len() as u64).to_be_bytes());
                items.iter().try_for_each(|item| item.feed(hash, object))?;
            }
            Self::Fields(fields) => {
                sized(hash, 7, &(fields.len() as u64).to_be_bytes());
                for (name, value) in fields {
                    sized(hash, 8, name.as_bytes());
                    value.feed(hash, object)?;
                }
            }
            Self::Object(inner) => object(inner, hash)?,
        }
        Ok(())
    }
}

/// Feeds an object's id to `hash`.
pub(crate) fn digest_object(object: ObjectId, hash: &mut Sha256) {
    let (tag, number, index) = match object {
        ObjectId::Grant(grant) => (9, u64::from(grant.0), 0),
        ObjectId::Result(call) => (10, call.0, 0),
        ObjectId::Part(call, index) => (11, call.0, index),
        ObjectId::CallerCapability(call, index) => (12, call.0, index),
    };
    hash.update([tag]);
    hash.update(number.to_be_bytes());
    hash.update(index.to_be_bytes());
}

/// How a call, or a task, ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Outcome<O = ObjectId> {
    /// It succeeded with a value, and perhaps returned an object as well.
    Value {
        /// What it returned. Shared: the journal, the state and the reply hold the same one.
        value: Arc<Value<O>>,
        /// Whether it also returned an object.
        object: bool,
    },
    /// It failed.
    Failure(Failure),
}

impl<O> Outcome<O> {
    /// A success with only a value.
    pub fn value(value: Value<O>) -> Self {
        Self::Value { value: Arc::new(value), object: false }
    }
}
