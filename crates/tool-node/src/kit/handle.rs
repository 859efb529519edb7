//! Calling a tool in its own process, as its tests do.

use std::sync::Arc;

use remit_core::{Failure, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use super::context::Output;
use super::instance::Instance;
use super::{CallContext, decode, encode};

/// An object of a tool, called without a node, a ledger or a wire.
///
/// ```
/// # use std::rc::Rc;
/// # use remit_tool_node::kit::{CallContext, Failure, Interface, Method, Tool};
/// # #[derive(serde::Deserialize, schemars::JsonSchema)]
/// # struct Args { name: String }
/// # struct Greeter;
/// # async fn greet(_: Rc<Greeter>, args: Args, _: CallContext) -> Result<String, Failure> {
/// #     Ok(format!("Hello, {}!", args.name))
/// # }
/// # let greeter = Interface::<Greeter>::new("Greeter", "").method("greet", Method::pure(""), greet);
/// # let tool = Tool::new("greeter", "1.0.0", "").interface(greeter).root(Rc::new(Greeter));
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let handle = tool.open().unwrap().handle();
/// let text: String = handle.call("greet", &("Ada",)).await.unwrap().decode().unwrap();
/// assert_eq!(text, "Hello, Ada!");
/// # });
/// ```
#[derive(Clone)]
pub struct Handle {
    instance: Instance,
}

/// What a call on a [`Handle`] answered.
pub struct Answer {
    value: Value<u32>,
    object: Option<Handle>,
}

impl Handle {
    pub(crate) const fn new(instance: Instance) -> Self {
        Self { instance }
    }

    /// Calls `method` with `args`: a struct or map for arguments by name, a tuple or list for
    /// positions, `()` for none. Dropping the future drops the method. Its output goes nowhere, and
    /// its call has no key.
    ///
    /// # Errors
    /// What the method failed with; `invalid-argument` if `args` do not fit it, with the path of the
    /// one that does not; `not-found` if there is no such method.
    pub async fn call<A: Serialize + ?Sized>(
        &self,
        method: &str,
        args: &A,
    ) -> Result<Answer, Failure> {
        let call = CallContext::new(&[], CancellationToken::new(), Output::default());
        let reply = self.instance.run(method, encode(args)?, Vec::new(), call).await?;
        Ok(Answer { value: Arc::unwrap_or_clone(reply.value), object: reply.object.map(Self::new) })
    }

    /// The name of the object's interface.
    pub fn interface(&self) -> &str {
        self.instance.interface()
    }
}

impl Answer {
    /// The value.
    pub const fn value(&self) -> &Value<u32> {
        &self.value
    }

    /// The value as a type that serde reads.
    ///
    /// # Errors
    /// `invalid-argument` if it is no such type.
    pub fn decode<T: DeserializeOwned>(self) -> Result<T, Failure> {
        decode(self.value, Vec::new())
    }

    /// The object that the method opened, if it opened one.
    pub fn object(self) -> Option<Handle> {
        self.object
    }
}
