//! A task, as its creator holds it.

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
    /// What the agent is given.
    pub value: Value,
    /// Whether it joins what the agent is doing (`remit.steers()`); else it waits for the agent to
    /// ask for its next input (`remit.input()`).
    pub steer: bool,
    /// Its idempotency key, at most 256 bytes.
    pub key: String,
}

impl Input {
    /// Input that waits in line, under a key that is used nowhere else.
    pub fn new(value: Value) -> Self {
        Self { value, steer: false, key: Uuid::now_v7().to_string() }
    }

    /// The same as a steer.
    #[must_use]
    pub fn steer(self) -> Self {
        Self { steer: true, ..self }
    }

    /// The same under this key.
    #[must_use]
    pub fn with_key(self, key: impl Into<String>) -> Self {
        Self { key: key.into(), ..self }
    }
}

/// A handle on a durable task. Dropping it changes nothing; the same task can be had again with
/// [`Client::task`].
#[derive(Debug, Clone)]
pub struct TaskHandle {
    client: Client,
    way: Way,
}

/// By what a task is found, over every connection anew.
#[derive(Debug, Clone)]
pub(crate) enum Way {
    /// Its id, in the client's own tenant.
    Id(TaskId),
    /// A sturdy reference, and the id of the task it led to.
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

    /// A sturdy reference to the task, or to a viewer of it. On disk when this answers; the bits are
    /// told this once, and a reference whose answer was lost can be revoked by its label.
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
    /// [`Error::Failed`] with `invalid-argument` if there is no label or its time is over already.
    pub async fn save(&self, spec: RefSpec) -> Result<Reference, Error> {
        self.save_it(None, spec).await
    }

    /// A sturdy reference to what the task's grant leads to.
    ///
    /// # Errors
    /// As of [`TaskHandle::save`]; `not-found` if there is no such grant, `revoked` if it was
    /// taken back.
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

    /// Where the task stands now.
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

    /// What happened after event number `after` (0: everything), and then what happens, until the
    /// task ends. The stream reconnects by itself; it loses nothing and repeats nothing.
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

    /// Sends input to the task. It is on disk when this answers, and is taken once, however often
    /// the connection is lost meanwhile.
    ///
    /// # Errors
    /// [`Error::Failed`] if the task has ended or too much input waits for it.
    pub async fn send(&self, value: Value) -> Result<InputId, Error> {
        self.send_input(Input::new(value)).await
    }

    /// Sends input to the task, as a steer or under a key of the sender's own. Sent again under the
    /// same key, even by another process, it is accepted once.
    ///
    /// # Errors
    /// As of [`TaskHandle::send`].
    pub async fn send_input(&self, input: Input) -> Result<InputId, Error> {
        let id = self.way.clone();
        self.client
            .visit(async move |session| {
                let input = &input;
                session.ask(Repeat::Harmless, |m| task::send(mesh::task(&m, &id), input)).await
            })
            .await
    }

    /// Asks for the end of the task, durably. It comes when what is under way has answered, or after
    /// a while: [`result`](Self::result) waits for it. A task that has ended stays as it ended.
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

    /// Waits for the end of the task, as long as it takes and across lost connections: what it
    /// returned, or how it failed. Objects in what it returned are null.
    ///
    /// # Errors
    /// [`Error::Failed`] with the task's own failure, `cancelled` if it was cancelled; the detail
    /// is the stack, if a script threw.
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
            remit_core::Outcome::Value { value, .. } => value
                .try_map(&mut |_| Err(Failure::new(Code::Failed, "the result holds an object")))
                .map_err(Error::Failed),
        }
    }

    /// Every grant the task was ever handed, parents before their children.
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

    /// Hands the task one more capability. It is on disk when this answers.
    ///
    /// # Errors
    /// [`Error::Failed`] if there is no such tool or the name is taken; [`Error::Unknown`] if the
    /// connection was lost meanwhile: see [`grants`](Self::grants).
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

    /// Takes a capability back, with all that was narrowed from it. When this answers it is on disk
    /// and no call gets through any more.
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
