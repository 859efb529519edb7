//! Interfaces: the described methods of one Rust type.

use std::any::{Any, TypeId};
use std::future::Future;
use std::marker::PhantomData;
use std::rc::Rc;

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use remit_core::manifest;
use remit_core::{Failure, Value};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::remote::Remote;
use super::{CallContext, Method, decode, encode, fail, schema};
use crate::tools::Hold;

/// The methods of objects of type `T`. Within one tool, a type has one interface.
///
/// A handler is an `async fn` (or a closure that gives a future) of three: the object, the
/// arguments, the call. It runs on the node's one event loop: blocking work belongs in
/// [`crate::offload`].
pub struct Interface<T> {
    untyped: Untyped,
    of: PhantomData<fn(Rc<T>)>,
}

/// An interface whose type was forgotten.
pub(crate) struct Untyped {
    pub(crate) of: TypeId,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) methods: Vec<Entry>,
}

/// A method with the code behind it.
pub(crate) struct Entry {
    pub(crate) meta: manifest::Method,
    /// Whether it marks its point of no return.
    pub(crate) marks: bool,
    /// The type of the objects that it opens, with its name for an error message.
    pub(crate) opens: Option<(TypeId, &'static str)>,
    pub(crate) handler: Handler,
}

/// What a method returned.
pub(crate) enum Returned {
    Value(Value<u32>),
    Object(Rc<dyn Any>),
}

pub(crate) type Handler = Rc<
    dyn Fn(
        Rc<dyn Any>,
        Value<u32>,
        Vec<Remote>,
        CallContext,
    ) -> LocalBoxFuture<'static, Result<Returned, Failure>>,
>;

impl<T: 'static> Interface<T> {
    /// An interface without methods. `name` stands in the manifest; `description` is what an
    /// agent reads.
    pub fn new(name: impl Into<String>, description: impl Into<String>) -> Self {
        let untyped = Untyped {
            of: TypeId::of::<T>(),
            name: name.into(),
            description: description.into(),
            methods: Vec::new(),
        };
        Self { untyped, of: PhantomData }
    }

    /// Adds a method whose result is data, at most 4 MiB of it. The arguments' fields, in their
    /// order, are the parameters: those of type `Option` and those with `#[serde(default)]` need not
    /// be given, and the comments on them are what an agent reads. [`NoArgs`](super::NoArgs) takes
    /// none. Arguments and result are described by JSON Schemas of draft 2020-12.
    #[must_use]
    pub fn method<A, R, F>(
        self,
        name: &str,
        method: Method,
        handler: impl Fn(Rc<T>, A, CallContext) -> F + 'static,
    ) -> Self
    where
        A: DeserializeOwned + JsonSchema,
        R: Serialize + JsonSchema + 'static,
        F: Future<Output = Result<R, Failure>> + 'static,
    {
        let result = schema::of_result::<R>().to_string();
        self.add::<A, R, F>(name, method, (result, None), handler, |r| {
            encode(&r).map(Returned::Value)
        })
    }

    /// Adds a method that opens an object of type `U`, whose interface the tool describes as well.
    /// An agent may call the object before it is there, in the same round trip, and may be granted
    /// the object alone.
    ///
    /// ```
    /// use std::rc::Rc;
    ///
    /// use remit_tool_node::kit::{CallContext, Failure, Interface, Method, NoArgs, Tool};
    ///
    /// struct Library;
    /// struct Book(String);
    ///
    /// #[derive(serde::Deserialize, schemars::JsonSchema)]
    /// struct Title {
    ///     title: String,
    /// }
    ///
    /// impl Library {
    ///     async fn book(self: Rc<Self>, args: Title, _: CallContext) -> Result<Rc<Book>, Failure> {
    ///         Ok(Rc::new(Book(args.title)))
    ///     }
    /// }
    ///
    /// impl Book {
    ///     async fn title(self: Rc<Self>, _: NoArgs, _: CallContext) -> Result<String, Failure> {
    ///         Ok(self.0.clone())
    ///     }
    /// }
    ///
    /// let library = Interface::new("Library", "All books.")
    ///     .opens("book", Method::read_only("One book."), Library::book);
    /// let book = Interface::new("Book", "A book.")
    ///     .method("title", Method::read_only("What it is called."), Book::title);
    /// let tool = Tool::new("library", "1.0.0", "Books to read.")
    ///     .interface(library)
    ///     .interface(book)
    ///     .root(Rc::new(Library));
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let opened = tool.open().unwrap().handle().call("book", &("Ulysses",)).await.unwrap();
    /// let title = opened.object().unwrap().call("title", &()).await.unwrap();
    /// assert_eq!(title.decode::<String>().unwrap(), "Ulysses");
    /// # });
    /// ```
    #[must_use]
    pub fn opens<A, U, F>(
        self,
        name: &str,
        method: Method,
        handler: impl Fn(Rc<T>, A, CallContext) -> F + 'static,
    ) -> Self
    where
        A: DeserializeOwned + JsonSchema,
        U: 'static,
        F: Future<Output = Result<Rc<U>, Failure>> + 'static,
    {
        let opens = Some((TypeId::of::<U>(), std::any::type_name::<U>()));
        let result = (r#"{"type":"null"}"#.to_owned(), opens);
        self.add::<A, Rc<U>, F>(name, method, result, handler, |object| {
            Ok(Returned::Object(object))
        })
    }

    /// Adds a method that is described already. Its handler takes the arguments by name, as they
    /// come.
    #[must_use]
    pub(crate) fn described<F>(
        mut self,
        (mut meta, marks): (manifest::Method, bool),
        handler: impl Fn(Rc<T>, Value<u32>, CallContext) -> F + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Value<u32>, Failure>> + 'static,
    {
        let args_schema = serde_json::from_str(&meta.args_schema).unwrap_or_default();
        meta.params = schema::params(&args_schema);
        let handler: Handler = Rc::new(move |object, args, _, call| {
            let started = object
                .downcast::<T>()
                .map_err(|_| fail::failed("the object is not of the interface's type"))
                .map(|object| handler(object, args, call));
            async move { started?.await.map(Returned::Value) }.boxed_local()
        });
        self.untyped.methods.push(Entry { meta, marks, opens: None, handler });
        self
    }

    /// Says more of the arguments of a method than their type does, in their JSON Schema.
    #[must_use]
    pub(crate) fn refine_args(
        mut self,
        method: &str,
        refine: impl FnOnce(&mut serde_json::Value),
    ) -> Self {
        let entry = self.untyped.methods.iter_mut().find(|entry| entry.meta.name == method);
        if let Some(entry) = entry
            && let Ok(mut schema) = serde_json::from_str(&entry.meta.args_schema)
        {
            refine(&mut schema);
            entry.meta.args_schema = schema.to_string();
        }
        self
    }

    fn add<A, R, F>(
        mut self,
        name: &str,
        method: Method,
        (result_schema, opens): (String, Option<(TypeId, &'static str)>),
        handler: impl Fn(Rc<T>, A, CallContext) -> F + 'static,
        finish: fn(R) -> Result<Returned, Failure>,
    ) -> Self
    where
        A: DeserializeOwned + JsonSchema,
        R: 'static,
        F: Future<Output = Result<R, Failure>> + 'static,
    {
        let args_schema = schema::of_args::<A>();
        let (said, marks) = method.into_parts();
        let meta = manifest::Method {
            name: name.to_owned(),
            params: schema::params(&args_schema),
            args_schema: args_schema.to_string(),
            result_schema,
            ..said
        };
        let handler: Handler = Rc::new(move |object, args, objects, call| {
            let started = object
                .downcast::<T>()
                .map_err(|_| fail::failed("the object is not of the interface's type"))
                .and_then(|object| Ok(handler(object, decode::<A>(args, objects)?, call)));
            async move { finish(started?.await?) }.boxed_local()
        });
        self.untyped.methods.push(Entry { meta, marks, opens, handler });
        self
    }

    pub(crate) fn into_untyped(self) -> Untyped {
        self.untyped
    }
}

impl Entry {
    /// Has the method wait for this, if it may change anything.
    pub(crate) fn wait_for(&mut self, hold: &Hold) {
        if self.meta.read_only {
            return;
        }
        let (handler, hold) = (Rc::clone(&self.handler), Rc::clone(hold));
        self.handler = Rc::new(move |object, args, objects, call| {
            let (running, hold) = (handler(object, args, objects, call), Rc::clone(&hold));
            async move {
                let _shared = hold.read().await;
                running.await
            }
            .boxed_local()
        });
    }

    /// The arguments by name, held to the method's schema whoever calls, without those that are null
    /// and need not be given.
    pub(crate) fn arguments(&self, args: Value<u32>) -> Result<Value<u32>, Failure> {
        let named = self.meta.named_args(args).map_err(|why| fail::invalid("", why))?;
        let mut args = Value::Fields(named);
        self.meta.check_args(&args)?;
        if let Value::Fields(fields) = &mut args {
            let optional = |name: &str| {
                self.meta.params.iter().any(|param| param.name == name && !param.required)
            };
            fields.retain(|(name, value)| *value != Value::Null || !optional(name));
        }
        Ok(args)
    }
}
