//! An object restored from a sturdy reference. Calls go through the membrane of the task that holds
//! the grant, and are recorded in its journal.

use std::sync::Arc;

use remit_core::{Manifest, Reference, Value};
use uuid::Uuid;

use crate::client::Client;
use crate::error::Error;
use crate::serve::object;
use crate::serve::session::Repeat;

/// A handle on an object of a grant. The client restores the reference again over each new
/// connection. Dropping the handle revokes nothing.
#[derive(Debug, Clone)]
pub struct ObjectHandle {
    client: Client,
    by: Arc<Reference>,
    /// The calls that lead from the restored object to this one.
    steps: Vec<Step>,
}

/// A call that can be sent again over each new connection.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) method: String,
    pub(crate) args: Value,
    /// The idempotency key: the same at each repetition, so the call is executed once.
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

    /// Calls a method. `args` is a list by position, or fields by name. The call is executed once,
    /// however often the connection is lost, and has no deadline of its own. Objects in the result
    /// are null: use [`open`](Self::open) for a method that returns an object.
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
    /// [`Error::Failed`] with the failure of the tool or the membrane: `denied` with the caveat
    /// that refused, `revoked` if the reference or a grant above it was revoked.
    pub async fn call(&self, method: &str, args: Value) -> Result<Value, Error> {
        self.make(Step::new(method, args)).await
    }

    /// Calls a method under the caller's own idempotency key, 1 to 256 bytes. A call with the same
    /// key is executed once, even if another process that restored the same reference repeats it.
    ///
    /// # Errors
    /// As for [`call`](Self::call).
    pub async fn call_with_key(
        &self,
        key: &str,
        method: &str,
        args: Value,
    ) -> Result<Value, Error> {
        self.make(Step { key: key.to_owned(), ..Step::new(method, args) }).await
    }

    /// The object that this method returns. The call is sent at the object's first use, pipelined
    /// with it in one round trip. After a restart of the mesh, a read-only method is called again;
    /// for any other method, calls on the object fail with `object-lost`, and it can be opened
    /// again.
    #[must_use]
    pub fn open(&self, method: &str, args: Value) -> Self {
        let mut opened = self.clone();
        opened.steps.push(Step::new(method, args));
        opened
    }

    /// Describes the object: the manifest of its tool, and the name of the object's interface.
    ///
    /// # Errors
    /// [`Error::Failed`] with `revoked` if the reference or its grant was revoked.
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
