//! Sturdy references: how a capability is saved, and what a list says of those that were.

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

/// How a task or a grant is to be saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefSpec {
    /// What it is for, 1 to 256 bytes.
    pub label: String,
    /// The one identity that may restore it, as a SPIFFE name; empty: the caller.
    pub owner: String,
    /// Until when it is good, in milliseconds since 1970; `None`: until it is revoked.
    pub until_ms: Option<u64>,
    /// For how many milliseconds it may go without being restored.
    pub unused_ms: Option<u64>,
    /// Whether it is only for looking at a task.
    pub viewer: bool,
}

impl RefSpec {
    /// For the caller itself, until it is revoked.
    pub fn new(label: impl Into<String>) -> Self {
        let (owner, label) = (String::new(), label.into());
        Self { label, owner, until_ms: None, unused_ms: None, viewer: false }
    }
}

/// A saved capability, as a list shows it. Its bits are kept nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefInfo {
    /// Its id, which gives nothing away.
    pub id: String,
    /// What it is for.
    pub label: String,
    /// The one identity that may restore it.
    pub owner: String,
    /// Who saved it.
    pub by: String,
    /// The task.
    pub task: TaskId,
    /// The grant of that task; `None`: the task itself.
    pub grant: Option<GrantId>,
    /// Whether it is only for looking.
    pub viewer: bool,
    /// When it was saved, in milliseconds since 1970.
    pub created_ms: u64,
    /// Until when it is good, in milliseconds since 1970.
    pub until_ms: Option<u64>,
    /// How often it was restored.
    pub uses: u64,
    /// `good`, `expired`, `unused` or `revoked`.
    pub state: String,
}

/// What a sturdy reference gave.
#[derive(Debug, Clone)]
pub enum Restored {
    /// A task.
    Task(TaskHandle),
    /// A task for looking at: its `info`, `events`, `result` and `grants`; everything else fails.
    Viewer(TaskHandle),
    /// What a grant leads to.
    Object(ObjectHandle),
}

impl Restored {
    /// The task, or the viewer of one.
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
    /// What a sturdy reference leads to, as far as the reference allows. The reference is kept and
    /// restored again over every connection, for as long as what it gave is held.
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
    /// [`Error::Failed`] with `denied` if it is not for this client, was edited or has expired,
    /// `revoked` if it was taken back.
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

    /// What was saved in this client's tenant, oldest first.
    ///
    /// # Errors
    /// As for any call: see [`Error`].
    pub async fn refs(&self) -> Result<Vec<RefInfo>, Error> {
        self.visit(async move |session| session.ask(Repeat::Harmless, refs::list).await).await
    }

    /// Takes a sturdy reference back: it restores nothing any more, and what was obtained with it is
    /// cut. On disk when this answers. `id`: [`RefInfo::id`]; of `reason`, which stands in the audit,
    /// 1,000 characters are kept.
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
