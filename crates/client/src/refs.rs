//! Sturdy references: saving a capability, restoring it, listing and revoking.

use std::rc::Rc;
use std::sync::Arc;

use remit_core::{GrantId, TaskId};

use crate::client::Client;
use crate::error::Error;
use crate::object::ObjectHandle;
use crate::serve::refs;
use crate::serve::session::{Link, Repeat, Session};
use crate::task::TaskHandle;

pub use remit_core::reference::{NotAReference, RefId, Reference};

/// How to save a task or a grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefSpec {
    /// Its purpose, for people: 1 to 256 bytes.
    pub label: String,
    /// The one identity that may restore it, as a SPIFFE ID; empty: the caller.
    pub owner: String,
    /// When it expires, in milliseconds since 1970; `None`: never.
    pub until_ms: Option<u64>,
    /// How long it may stay unused before it expires, in milliseconds; `None`: without limit.
    pub unused_ms: Option<u64>,
    /// Whether it gives a viewer: a read-only facet of the task.
    pub viewer: bool,
}

impl RefSpec {
    /// A reference for the caller itself that does not expire.
    pub fn new(label: impl Into<String>) -> Self {
        let (owner, label) = (String::new(), label.into());
        Self { label, owner, until_ms: None, unused_ms: None, viewer: false }
    }
}

/// A saved capability, as listed. The secret bits are not stored, so they are not part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefInfo {
    /// Its id. It carries no authority.
    pub id: String,
    /// Its purpose, for people.
    pub label: String,
    /// The one identity that may restore it.
    pub owner: String,
    /// The identity that saved it.
    pub by: String,
    /// The task.
    pub task: TaskId,
    /// The grant of that task; `None`: the task itself.
    pub grant: Option<GrantId>,
    /// Whether it gives a viewer.
    pub viewer: bool,
    /// When it was saved, in milliseconds since 1970.
    pub created_ms: u64,
    /// When it expires, in milliseconds since 1970; `None`: never.
    pub until_ms: Option<u64>,
    /// How often it was restored.
    pub uses: u64,
    /// `good`, `expired`, `unused` or `revoked`.
    pub state: String,
}

/// The capability that a sturdy reference gave.
#[derive(Debug, Clone)]
pub enum Restored {
    /// A task.
    Task(TaskHandle),
    /// A viewer: its `info`, `events`, `result` and `grants` work, everything else fails.
    Viewer(TaskHandle),
    /// The object of a grant.
    Object(ObjectHandle),
}

impl Restored {
    /// The task or its viewer.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it is an object.
    pub fn into_task(self) -> Result<TaskHandle, Error> {
        match self {
            Self::Task(task) | Self::Viewer(task) => Ok(task),
            Self::Object(_) => {
                let why = "the reference leads to what a grant gives, not to a task: call it";
                Err(Error::Invalid(why.into()))
            }
        }
    }

    /// The object.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it is a task.
    pub fn into_object(self) -> Result<ObjectHandle, Error> {
        match self {
            Self::Object(object) => Ok(object),
            Self::Task(_) | Self::Viewer(_) => {
                Err(Error::Invalid("the reference leads to a task, not to an object".into()))
            }
        }
    }
}

impl Client {
    /// Restores a sturdy reference, with the authority that the reference has. The client restores
    /// it again over each new connection, for as long as the returned handle is held.
    ///
    /// ```no_run
    /// # async fn example(mesh: remit_client::Client, line: &str) -> Result<(), Box<dyn std::error::Error>> {
    /// use remit_client::{Reference, Restored, Value};
    ///
    /// let reference: Reference = line.parse()?;
    /// match mesh.restore(&reference).await? {
    ///     Restored::Task(task) => drop(task.send(Value::Text("go on".into())).await?),
    ///     Restored::Viewer(task) => println!("{}", task.info().await?.status),
    ///     Restored::Object(object) => println!("{:?}", object.describe().await?.1),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Failed`] with `denied` if the reference is sealed to another identity, was edited
    /// or has expired; with `revoked` if it was revoked.
    pub async fn restore(&self, reference: &Reference) -> Result<Restored, Error> {
        let kept = Arc::new(reference.clone());
        let by = Arc::clone(&kept);
        let look = async move |session: Rc<Session>| {
            let look = async |link: Link| link.restored.look(&link.mesh, &by).await;
            session.ask(Repeat::Harmless, look).await
        };
        let info = self.visit(look).await?;
        if info.grant.is_some() {
            return Ok(Restored::Object(ObjectHandle::new(self.clone(), kept)));
        }
        let task = TaskHandle::saved(self.clone(), info.task, kept);
        Ok(if info.viewer { Restored::Viewer(task) } else { Restored::Task(task) })
    }

    /// Lists the references saved in this client's tenant, oldest first.
    ///
    /// # Errors
    /// As for any call: see [`Error`].
    pub async fn refs(&self) -> Result<Vec<RefInfo>, Error> {
        self.visit(async move |session| session.ask(Repeat::Harmless, refs::list).await).await
    }

    /// Revokes a sturdy reference: it can no longer be restored, and every object obtained with it
    /// is cut off. The revocation is on disk on return. `id` is [`RefInfo::id`]; the first 1,000
    /// characters of `reason` are kept in the audit.
    ///
    /// # Errors
    /// [`Error::Failed`] with `not-found` if there is no such reference.
    pub async fn revoke_ref(&self, id: &str, reason: &str) -> Result<(), Error> {
        let (id, reason) = (id.to_owned(), reason.to_owned());
        self.visit(async move |session| {
            session.ask(Repeat::Harmless, |m| refs::revoke(m, &id, &reason)).await
        })
        .await
    }
}
