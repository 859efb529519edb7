//! An object that a sturdy reference leads to: calls go through the membrane of the task that holds
//! the grant, and are in its journal.

use std::sync::Arc;

use remit_core::{Manifest, Reference, Value};
use uuid::Uuid;

use crate::client::Client;
use crate::error::Error;
use crate::serve::object;
use crate::serve::session::Repeat;

/// A handle on an object of a grant. The reference is kept and restored again over every connection;
/// dropping the handle changes nothing.
#[derive(Debug, Clone)]
pub struct ObjectHandle {
    client: Client,
    by: Arc<Reference>,
    /// The calls that lead from what the reference gives to this object.
    steps: Vec<Step>,
}

/// A call, as it is made over every connection that it needs.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) method: String,
    pub(crate) args: Value,
    /// The same however often it is made, so that it is done once.
    pub(crate) key: String,
}

impl Step {
    fn new(method: &str, args: Value) -> Self {
        Self { method: method.to_owned(), args, key: Uuid::now_v7().to_string() }
    }
}

impl ObjectHandle {
    pub(crate) const fn new(client: Client, by: Arc<Reference>) -> Self {
        Self { client, by, steps: Vec::new() }
    }

    /// Calls a method. `args`: a list by position, or fields by name. It is done once, however often
    /// the connection is lost meanwhile, and may take as long as the method may. Objects in what it
    /// returns are null: [`open`](Self::open) gives the one that a method returns.
    ///
    /// ```no_run
    /// # async fn example(mesh: remit_client::Client, line: &str) -> Result<(), Box<dyn std::error::Error>> {
    /// use remit_client::Value;
    ///
    /// let files = mesh.restore(&line.parse()?).await?.into_object()?;
    /// let file = files.open("file", Value::List(vec![Value::Text("notes.txt".into())]));
    /// println!("{:?}", file.call("read", Value::List(vec![])).await?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Failed`] as the tool or the membrane answered: `denied` with the caveat that
    /// refused, `revoked` if the reference or a grant above it was taken back.
    pub async fn call(&self, method: &str, args: Value) -> Result<Value, Error> {
        self.make(Step::new(method, args)).await
    }

    /// The same under a key of the caller's own, 1 to 256 bytes: called again under the same key,
    /// even by another process that restored the same reference, it is done once.
    ///
    /// # Errors
    /// As of [`call`](Self::call).
    pub async fn call_with_key(
        &self,
        key: &str,
        method: &str,
        args: Value,
    ) -> Result<Value, Error> {
        self.make(Step { key: key.to_owned(), ..Step::new(method, args) }).await
    }

    /// The object that this method returns. Nothing is sent before it is used; then both calls go in
    /// one round trip. After a restart of the mesh it is had again if the method is read-only; else
    /// calls on it fail with `object-lost`, and it can be opened anew.
    #[must_use]
    pub fn open(&self, method: &str, args: Value) -> Self {
        let mut opened = self.clone();
        opened.steps.push(Step::new(method, args));
        opened
    }

    /// What the object says of itself: the manifest of its tool, and the name of the interface that
    /// this object has.
    ///
    /// # Errors
    /// [`Error::Failed`] with `revoked` if it was taken back.
    pub async fn describe(&self) -> Result<(Manifest, String), Error> {
        let (by, steps) = (Arc::clone(&self.by), self.steps.clone());
        self.client
            .visit(async move |session| {
                session.ask(Repeat::Harmless, |link| object::describe(link, &by, &steps)).await
            })
            .await
    }

    async fn make(&self, last: Step) -> Result<Value, Error> {
        let (by, steps) = (Arc::clone(&self.by), self.steps.clone());
        self.client
            .visit(async move |session| {
                let (by, steps, last) = (&by, &steps, &last);
                let call = |link| object::call(link, by, steps, last);
                session.ask_patiently(Repeat::Harmless, call).await
            })
            .await
    }
}
