//! Objects lent to a tool by its caller.

use std::borrow::Cow;
use std::cell::RefCell;

use remit_core::{Failure, Value};
use remit_schema::object_capnp::object;
use remit_vat::connection::within;
use remit_vat::exception::to_failure;
use remit_vat::unsettled::{NoReply, Unsettled};
use remit_vat::wire;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, DeserializeOwned};
use serde::{Deserialize, Deserializer, Serialize};

use super::{decode, encode};
use crate::limits;

/// An object that the caller lent for one call, as an argument. Calls on it go back through the
/// caller's membrane, under the caller's grants.
///
/// ```
/// use std::rc::Rc;
/// use remit_tool_node::kit::{CallContext, Failure, Remote};
/// # struct Builder;
/// #[derive(serde::Deserialize, schemars::JsonSchema)]
/// struct Build {
///     source: Remote,
/// }
///
/// async fn build(_: Rc<Builder>, args: Build, _: CallContext) -> Result<u64, Failure> {
///     let answer = args.source.call("read", &("Makefile",)).await?;
///     let text: String = answer.decode()?;
///     Ok(text.lines().count() as u64)
/// }
/// ```
#[derive(Clone)]
pub struct Remote {
    client: object::Client,
}

/// What a call on a [`Remote`] answered.
pub struct RemoteAnswer {
    value: Value<u32>,
    objects: Vec<Remote>,
    object: Option<Remote>,
}

impl Remote {
    pub(crate) const fn new(client: object::Client) -> Self {
        Self { client }
    }

    /// Calls `method` with `args`: a struct or map for arguments by name, a tuple or list for
    /// positions. The call is made on behalf of the one for which the object was lent; when that has
    /// ended, it fails with `revoked`.
    ///
    /// # Errors
    /// What the object, or the membrane in front of it, answered: `denied` with the caveat that
    /// refused; `timed-out` if no answer came within a minute; `unavailable` if the connection was
    /// lost.
    pub async fn call<A: Serialize + ?Sized>(
        &self,
        method: &str,
        args: &A,
    ) -> Result<RemoteAnswer, Failure> {
        let args = encode(args)?;
        let mut request = self.client.call_request();
        request.get().set_method(method);
        wire::value::write(request.get().init_args(), &args, &[]);
        let response = within(limits::REMOTE_DEADLINE, request.send()).await?;
        let results = response.get().map_err(|e| to_failure(&e))?;
        if let Some(why) = Unsettled::read(results)? {
            return Err(NoReply::Unsettled(why).into());
        }
        let (value, table) = wire::value::read(results.get_value().map_err(|e| to_failure(&e))?)?;
        let object = match results.has_object() {
            true => Some(Self::new(results.get_object().map_err(|e| to_failure(&e))?)),
            false => None,
        };
        Ok(RemoteAnswer { value, objects: table.into_iter().map(Self::new).collect(), object })
    }
}

impl RemoteAnswer {
    /// The value.
    pub const fn value(&self) -> &Value<u32> {
        &self.value
    }

    /// The value as a type that serde reads; a field of type [`Remote`] is an object in it.
    ///
    /// # Errors
    /// `invalid-argument` if it is no such type.
    pub fn decode<T: DeserializeOwned>(self) -> Result<T, Failure> {
        decode(self.value, self.objects)
    }

    /// The object that the method opened, if it opened one.
    pub const fn object(&self) -> Option<&Remote> {
        self.object.as_ref()
    }
}

thread_local! {
    /// The objects of the value that is being decoded on this thread: serde has no other way to
    /// hand a live thing to a `Deserialize`.
    static LENT: RefCell<Vec<Remote>> = const { RefCell::new(Vec::new()) };
}

/// Lends `objects` to the decoding that goes on until the guard is dropped.
pub(crate) fn lend(objects: Vec<Remote>) -> Lent {
    Lent { outer: LENT.replace(objects) }
}

/// Puts back what was lent before.
pub(crate) struct Lent {
    outer: Vec<Remote>,
}

impl Drop for Lent {
    fn drop(&mut self) {
        LENT.set(std::mem::take(&mut self.outer));
    }
}

impl<'de> Deserialize<'de> for Remote {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(super::decode::OBJECT, Index)
    }
}

struct Index;

impl<'de> de::Visitor<'de> for Index {
    type Value = Remote;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, number: D) -> Result<Remote, D::Error> {
        let index = u32::deserialize(number)? as usize;
        let lent = LENT.with_borrow(|lent| lent.get(index).cloned());
        lent.ok_or_else(|| de::Error::custom("an object that was not sent"))
    }
}

impl JsonSchema for Remote {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Object".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "format": "object" })
    }
}
