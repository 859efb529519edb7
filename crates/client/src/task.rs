//! A handle on a task.

mod control;
mod questions;

use std::sync::Arc;

use remit_core::{Code, EventNumber, Failure, GrantId, InputId, TaskId, Value};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::client::Client;
use crate::error::Error;
use crate::events::Events;
use crate::info::{GrantInfo, TaskInfo};
use crate::limits;
use crate::refs::{RefSpec, Reference};
use crate::serve::{follow, mesh, refs, session::Repeat, task};
use crate::spec::GrantSpec;

/// Input for a task.
#[derive(Debug, Clone, PartialEq)]
pub struct Input {
    /// The value that the agent receives.
    pub value: Value,
    /// Whether the input joins the current activity (`remit.steers()`); otherwise it waits until
    /// the agent asks for its next input (`remit.input()`).
    pub steer: bool,
    /// Its idempotency key, at most 256 bytes.
    pub key: String,
}

impl Input {
    /// Input that waits in the queue, under a fresh key.
    pub fn new(value: Value) -> Self {
        Self { value, steer: false, key: Uuid::now_v7().to_string() }
    }

    /// Makes it a steer.
    #[must_use]
    pub fn steer(self) -> Self {
        Self { steer: true, ..self }
    }

    /// Sets the idempotency key.
    #[must_use]
    pub fn with_key(self, key: impl Into<String>) -> Self {
        Self { key: key.into(), ..self }
    }
}

/// A handle on a durable task. Dropping it does not affect the task; [`Client::task`] gives another
/// handle.
#[derive(Debug, Clone)]
pub struct TaskHandle {
    client: Client,
    way: Way,
}

/// How the task is found again over each new connection.
#[derive(Debug, Clone)]
pub(crate) enum Way {
    /// By its id, in the client's own tenant.
    Id(TaskId),
    /// By a sturdy reference; the id is the one of the task that it led to.
    Saved(TaskId, Arc<Reference>),
}

impl TaskHandle {
    pub(crate) const fn new(client: Client, id: TaskId) -> Self {
        Self { client, way: Way::Id(id) }
    }

    pub(crate) const fn saved(client: Client, id: TaskId, by: Arc<Reference>) -> Self {
        Self { client, way: Way::Saved(id, by) }
    }

    /// The task's id, which [`Client::task`] takes.
    pub fn id(&self) -> TaskId {
        match &self.way {
            Way::Id(id) | Way::Saved(id, _) => *id,
        }
    }

    /// Saves a sturdy reference to the task, or to a viewer of it. The reference is on disk on
    /// return. Its secret is returned only this once; a reference whose response was lost can be
    /// found by its label and revoked.
    ///
    /// ```no_run
    /// # async fn example(task: remit_client::TaskHandle) -> Result<(), remit_client::Error> {
    /// use remit_client::RefSpec;
    ///
    /// let mut spec = RefSpec::new("for the dashboard");
    /// spec.owner = "spiffe://home/default/client/dashboard".into();
    /// spec.viewer = true;
    /// println!("{}", task.save(spec).await?.to_line());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Failed`] with `invalid-argument` if the label is missing or the expiry has passed.
    pub async fn save(&self, spec: RefSpec) -> Result<Reference, Error> {
        self.save_it(None, spec).await
    }

    /// Saves a sturdy reference to the object of one of the task's grants.
    ///
    /// # Errors
    /// As for [`TaskHandle::save`]; `not-found` if there is no such grant, `revoked` if it was
    /// revoked.
    pub async fn save_grant(&self, grant: GrantId, spec: RefSpec) -> Result<Reference, Error> {
        self.save_it(Some(grant), spec).await
    }

    async fn save_it(&self, grant: Option<GrantId>, spec: RefSpec) -> Result<Reference, Error> {
        let id = self.way.clone();
        self.client
            .visit(async move |session| {
                let spec = &spec;
                session.ask(Repeat::Harmful, |m| refs::save(mesh::task(&m, &id), grant, spec)).await
            })
            .await
    }

    /// Reads the state of the task.
    ///
    /// # Errors
    /// [`Error::Failed`] with `not-found` if there is no such task.
    pub async fn info(&self) -> Result<TaskInfo, Error> {
        let id = self.way.clone();
        self.client
            .visit(async move |session| {
                session.ask(Repeat::Harmless, |m| task::info(mesh::task(&m, &id))).await
            })
            .await
    }

    /// Streams the events after number `after` (0: all), first the recorded ones, then live ones,
    /// until the task ends. The stream reconnects by itself, without losing or repeating an event.
    ///
    /// ```no_run
    /// # async fn example(task: remit_client::TaskHandle) -> Result<(), remit_client::Error> {
    /// use remit_client::{EventNumber, Followed};
    ///
    /// let mut events = task.events(EventNumber(0)).await?;
    /// while let Some(followed) = events.next().await {
    ///     if let Followed::Event(event) = followed? {
    ///         println!("{} {}", event.number, event.fact.name());
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Closed`] if the client was closed.
    pub async fn events(&self, after: EventNumber) -> Result<Events, Error> {
        let (items, read) = mpsc::channel(limits::FOLLOWED);
        let id = self.way.clone();
        self.client.send_in(move |session| follow::follow(session, id, after, items)).await?;
        Ok(Events::new(read))
    }

    /// Sends input to the task. The input is on disk on return. It is accepted once, however often
    /// the connection is lost during the call.
    ///
    /// # Errors
    /// [`Error::Failed`] if the task has ended, or too much input waits in its queue.
    pub async fn send(&self, value: Value) -> Result<InputId, Error> {
        self.send_input(Input::new(value)).await
    }

    /// Sends input to the task, as a steer or under the sender's own key. Input with the same key
    /// is accepted once, even if another process sends it again.
    ///
    /// # Errors
    /// As for [`TaskHandle::send`].
    pub async fn send_input(&self, input: Input) -> Result<InputId, Error> {
        let id = self.way.clone();
        self.client
            .visit(async move |session| {
                let input = &input;
                session.ask(Repeat::Harmless, |m| task::send(mesh::task(&m, &id), input)).await
            })
            .await
    }

    /// Requests the cancellation of the task. The request is on disk on return. The task ends when
    /// its calls in flight have answered, or after a grace period: [`result`](Self::result) waits
    /// for it. A task that has ended is not changed.
    ///
    /// # Errors
    /// [`Error::Failed`] with `not-found` if there is no such task.
    pub async fn cancel(&self, reason: &str) -> Result<(), Error> {
        let (id, reason) = (self.way.clone(), reason.to_owned());
        self.client
            .visit(async move |session| {
                let reason = &reason;
                session.ask(Repeat::Harmless, |m| task::cancel(mesh::task(&m, &id), reason)).await
            })
            .await
    }

    /// Waits for the end of the task, without a deadline and across lost connections, and returns
    /// its result. Objects in the result are null.
    ///
    /// # Errors
    /// [`Error::Failed`] with the failure of the task, with `cancelled` if it was cancelled. If a
    /// script threw, the detail is the stack trace.
    pub async fn result(&self) -> Result<Value, Error> {
        let id = self.way.clone();
        let outcome = self
            .client
            .visit(async move |session| {
                session.ask_patiently(Repeat::Harmless, |m| task::result(mesh::task(&m, &id))).await
            })
            .await?;
        match outcome {
            remit_core::Outcome::Failure(failure) => Err(Error::Failed(failure)),
            remit_core::Outcome::Value { value, .. } => Arc::unwrap_or_clone(value)
                .try_map(&mut |_| Err(Failure::new(Code::Failed, "the result holds an object")))
                .map_err(Error::Failed),
        }
    }

    /// Lists every grant that the task ever had, parents before their children.
    ///
    /// # Errors
    /// [`Error::Failed`] with `not-found` if there is no such task.
    pub async fn grants(&self) -> Result<Vec<GrantInfo>, Error> {
        let id = self.way.clone();
        self.client
            .visit(async move |session| {
                session.ask(Repeat::Harmless, |m| task::grants(mesh::task(&m, &id))).await
            })
            .await
    }

    /// Adds a grant to the task. The grant is on disk on return.
    ///
    /// # Errors
    /// [`Error::Failed`] if there is no such tool or the name is taken; [`Error::Unknown`] if the
    /// connection was lost during the call: check [`grants`](Self::grants).
    pub async fn grant(&self, spec: GrantSpec) -> Result<GrantId, Error> {
        let id = self.way.clone();
        self.client
            .visit(async move |session| {
                let (spec, runtime) = (&spec, &session.runtime);
                session
                    .ask(Repeat::Harmful, |m| task::grant(mesh::task(&m, &id), spec, runtime))
                    .await
            })
            .await
    }

    /// Revokes a grant, with all grants narrowed from it. On return the revocation is on disk and
    /// no further call passes.
    ///
    /// # Errors
    /// [`Error::Failed`] with `not-found` if the task has no such grant.
    pub async fn revoke(&self, grant: GrantId, reason: &str) -> Result<(), Error> {
        let (id, reason) = (self.way.clone(), reason.to_owned());
        self.client
            .visit(async move |session| {
                let reason = &reason;
                session
                    .ask(Repeat::Harmless, |m| task::revoke(mesh::task(&m, &id), grant, reason))
                    .await
            })
            .await
    }
}
