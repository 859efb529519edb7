//! Objects of the caller's own process, which can be granted to a task.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use remit_core::{Failure, Manifest, Value};

/// What an object of the caller does when a task calls it.
///
/// A call may be repeated after a crash of the orchestrator only if the manifest says that its
/// method is `readOnly` or `idempotent`.
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
    /// Answers a call of `method`. `args` are fields: the names are those of the manifest. At most 64
    /// calls of a client's objects run at once.
    ///
    /// # Errors
    /// What the task's call is to fail with; the code says what the agent can do about it.
    fn call(
        &self,
        method: String,
        args: Value,
    ) -> impl Future<Output = Result<Value, Failure>> + Send;
}

/// The same, in a form that can be kept without knowing its type.
pub(crate) trait AnyCallback: Send + Sync {
    fn answer(self: Arc<Self>, method: String, args: Value) -> Answering;
}

/// A call of a callback that runs.
pub(crate) type Answering = Pin<Box<dyn Future<Output = Result<Value, Failure>> + Send>>;

impl<C: Callback> AnyCallback for C {
    fn answer(self: Arc<Self>, method: String, args: Value) -> Answering {
        Box::pin(async move { self.call(method, args).await })
    }
}

/// An object of the caller's own process: what it says of itself, and what it does.
///
/// It runs on the tokio runtime on which the client was connected. It lives as long as the client's
/// connection: when that is lost, the task's calls fail with `unavailable`, and the object can be
/// granted again.
#[derive(Clone)]
pub struct OwnObject {
    pub(crate) manifest: Arc<Manifest>,
    pub(crate) callback: Arc<dyn AnyCallback>,
}

impl OwnObject {
    /// An object that describes itself by `manifest` and answers by `callback`.
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
