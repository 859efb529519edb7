//! Objects of the caller's own process that can be granted to a task.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use remit_core::{Failure, Manifest, Value};

/// The implementation of an object of the caller's process.
///
/// After a crash of the orchestrator, a call may be repeated only if the manifest annotates its
/// method as `readOnly` or `idempotent`.
///
/// ```
/// use remit_client::{Callback, Failure, Value};
///
/// struct Doubler;
///
/// impl Callback for Doubler {
///     async fn call(&self, _method: String, args: Value) -> Result<Value, Failure> {
///         match args.field("number") {
///             Some(Value::Integer(n)) => Ok(Value::Integer(n * 2)),
///             _ => Err(Failure::new(remit_client::Code::InvalidArgument, "give a number")),
///         }
///     }
/// }
/// ```
pub trait Callback: Send + Sync + 'static {
    /// Answers a call of `method`. `args` are fields with the names from the manifest. At most 64
    /// calls of an object run at once.
    ///
    /// # Errors
    /// The failure with which the task's call fails; its code tells the agent what to do.
    fn call(
        &self,
        method: String,
        args: Value,
    ) -> impl Future<Output = Result<Value, Failure>> + Send;
}

/// A [`Callback`] as a trait object.
pub(crate) trait AnyCallback: Send + Sync {
    fn answer(self: Arc<Self>, method: String, args: Value) -> Answering;
}

/// A running call of a callback.
pub(crate) type Answering = Pin<Box<dyn Future<Output = Result<Value, Failure>> + Send>>;

impl<C: Callback> AnyCallback for C {
    fn answer(self: Arc<Self>, method: String, args: Value) -> Answering {
        Box::pin(async move { self.call(method, args).await })
    }
}

/// An object of the caller's own process: its manifest and its implementation.
///
/// Calls run on the tokio runtime on which the client was connected. The object lives as long as
/// the client's connection: after the connection is lost, calls fail with `unavailable`, and the
/// object can be granted again.
#[derive(Clone)]
pub struct OwnObject {
    pub(crate) manifest: Arc<Manifest>,
    pub(crate) callback: Arc<dyn AnyCallback>,
}

impl OwnObject {
    /// An object that is described by `manifest` and implemented by `callback`.
    ///
    /// ```
    /// use remit_client::manifest::{Interface, Method, Param};
    /// use remit_client::{Callback, Failure, GrantSpec, Manifest, OwnObject, TaskSpec, Value};
    ///
    /// struct Greeter;
    ///
    /// impl Callback for Greeter {
    ///     async fn call(&self, _method: String, args: Value) -> Result<Value, Failure> {
    ///         let name = args.field("name").and_then(Value::as_text).unwrap_or("you");
    ///         Ok(Value::Text(format!("Hello, {name}!")))
    ///     }
    /// }
    ///
    /// let name = Param { name: "name".into(), ..Param::default() };
    /// let greet = Method {
    ///     name: "greet".into(),
    ///     description: "Greets somebody.".into(),
    ///     params: vec![name],
    ///     read_only: true,
    ///     ..Method::default()
    /// };
    /// let greeter = Interface { name: "Greeter".into(), methods: vec![greet], ..Interface::default() };
    /// let manifest = Manifest {
    ///     tool: "greeter".into(),
    ///     version: "1.0.0".into(),
    ///     root: "Greeter".into(),
    ///     interfaces: vec![greeter],
    ///     ..Manifest::default()
    /// };
    /// let spec = TaskSpec::script("hello", "export default (remit) => remit.greeter.greet('Ada')")
    ///     .grant(GrantSpec::own("greeter", OwnObject::new(manifest, Greeter)));
    /// assert_eq!(spec.grants[0].name, "greeter");
    /// ```
    pub fn new(manifest: Manifest, callback: impl Callback) -> Self {
        Self { manifest: Arc::new(manifest), callback: Arc::new(callback) }
    }
}

impl fmt::Debug for OwnObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnObject").field("tool", &self.manifest.tool).finish_non_exhaustive()
    }
}
