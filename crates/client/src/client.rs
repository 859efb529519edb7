//! The client: a connection to a mesh that reconnects by itself, behind plain data types.

use std::fmt;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

use remit_core::grant::text::moment;
use remit_core::{Role, TaskId};
use remit_identity::credential::{Credential, check_writable};
use remit_identity::join::{self, Invite};
use remit_vat::vat::Vat;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use crate::error::Error;
use crate::info::{TaskFilter, TaskInfo};
use crate::limits;
use crate::serve::dial::Dialer;
use crate::serve::mesh;
use crate::serve::session::{self, Dial, Repeat, Session, Visit};
use crate::spec::TaskSpec;
use crate::task::TaskHandle;

/// A client of a mesh. Clones share one connection. The client reconnects whenever the connection
/// is lost, and closes it when the last clone is dropped.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    visits: mpsc::Sender<Visit>,
    /// The folder of the credential; `None`: the credential is in memory only.
    home: Option<PathBuf>,
    /// Owns the thread on which the connection lives: dropping it ends the thread.
    _vat: Vat,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

/// The credential with which a client authenticates.
#[derive(Clone)]
pub enum Proof {
    /// The credential in this folder. Renewed certificates are written back to it.
    Folder(PathBuf),
    /// This credential. Renewed certificates are kept in memory only.
    Credential(Box<Credential>),
}

impl From<&Path> for Proof {
    fn from(folder: &Path) -> Self {
        Self::Folder(folder.to_owned())
    }
}

impl From<PathBuf> for Proof {
    fn from(folder: PathBuf) -> Self {
        Self::Folder(folder)
    }
}

impl From<Credential> for Proof {
    fn from(credential: Credential) -> Self {
        Self::Credential(Box::new(credential))
    }
}

impl Client {
    /// Connects to the orchestrator at `address`, host:port. Must be called on a tokio runtime.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), remit_client::Error> {
    /// use std::path::Path;
    ///
    /// use remit_client::{Client, TaskSpec};
    ///
    /// let mesh = Client::connect("127.0.0.1:7474", Path::new("mesh/client")).await?;
    /// let task = mesh.create_task(TaskSpec::script("one", "export default () => 1")).await?;
    /// println!("{:?}", task.result().await?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Unreachable`] if no orchestrator answers at the address, or its certificate is not
    /// of this mesh; [`Error::Refused`] if there is no valid credential, or it cannot be read.
    pub async fn connect(address: &str, proof: impl Into<Proof>) -> Result<Self, Error> {
        let (credential, home) = match proof.into() {
            Proof::Credential(credential) => (*credential, None),
            Proof::Folder(folder) => (load(&folder)?, Some(folder)),
        };
        let (address, kept) = (address.to_owned(), home.clone());
        Self::open_at(kept, move || Dialer::new(address, credential, home)).await
    }

    /// Joins a mesh with the line that `remit invite` printed, and stores the credential in
    /// `folder`. Returns the mesh's address, host:port. The line works once. A line for a node is
    /// refused, and so is a folder that cannot be written; neither uses the line up.
    ///
    /// ```no_run
    /// # async fn example(line: &str) -> Result<(), remit_client::Error> {
    /// use std::path::Path;
    ///
    /// use remit_client::Client;
    ///
    /// let folder = Path::new("reporter");
    /// let address = Client::join(line, folder).await?;
    /// let mesh = Client::connect(&address, folder).await?;
    /// println!("{}", mesh.health().await?.version);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Refused`] if the line is no invite, was used before or has expired;
    /// [`Error::Invalid`] if the credential cannot be stored.
    pub async fn join(line: &str, folder: &Path) -> Result<String, Error> {
        let refused = |refused: remit_identity::tls::Refused| Error::Refused(refused.to_string());
        let invite: Invite = line.trim().parse().map_err(refused)?;
        // Check first: a folder that cannot be written must not use up the line.
        check_writable(folder).map_err(|error| {
            Error::Invalid(format!("the line was not used and stays good: {error}"))
        })?;
        let redeemed = join::redeem(&invite, Role::Client, limits::CONNECT).await;
        redeemed.map_err(refused)?.save(folder).map_err(|error| {
            Error::Invalid(format!(
                "the credential cannot be kept in {}: {error}",
                folder.display()
            ))
        })?;
        Ok(invite.address)
    }

    /// A client that stores nothing on disk.
    #[cfg(test)]
    pub(crate) async fn open<D: Dial>(
        dial: impl FnOnce() -> D + Send + 'static,
    ) -> Result<Self, Error> {
        Self::open_at(None, dial).await
    }

    async fn open_at<D: Dial>(
        home: Option<PathBuf>,
        dial: impl FnOnce() -> D + Send + 'static,
    ) -> Result<Self, Error> {
        let runtime = tokio::runtime::Handle::try_current()
            .map_err(|_| Error::Invalid("a client is connected on a tokio runtime".into()))?;
        let vat = Vat::spawn("remit-client")
            .map_err(|error| Error::Invalid(format!("no thread for the client: {error}")))?;
        let (visits, waiting) = mpsc::channel(limits::VISITS);
        vat.handle()
            .enter(move || session::open(dial(), runtime, waiting))
            .await
            .map_err(|_| Error::Closed)??;
        Ok(Self { inner: Arc::new(Inner { visits, home, _vat: vat }) })
    }

    /// The folder of the credential.
    pub(crate) fn home(&self) -> Option<&Path> {
        self.inner.home.as_deref()
    }

    /// Creates a task. The task is on disk on return. It is created once, however often the
    /// connection is lost during the call.
    ///
    /// # Errors
    /// [`Error::Failed`] with `not-found` if a tool is not registered, `invalid-argument` if the
    /// program or a grant is wrong.
    pub async fn create_task(&self, spec: TaskSpec) -> Result<TaskHandle, Error> {
        let key = Uuid::now_v7().to_string();
        let id = self
            .visit(async move |session| {
                let (spec, key, runtime) = (&spec, &key, &session.runtime);
                session.ask(Repeat::Harmless, |m| mesh::create(m, spec, key, runtime)).await
            })
            .await?;
        Ok(self.task(id))
    }

    /// A handle on the task with this id. No request is sent: a wrong id shows at the first use.
    pub fn task(&self, id: TaskId) -> TaskHandle {
        TaskHandle::new(self.clone(), id)
    }

    /// Lists tasks, newest first, a page at a time. To get the next page, set [`TaskFilter::after`]
    /// to the last task of the page before.
    ///
    /// # Errors
    /// [`Error::Failed`] with `invalid-argument` if the filter names an unknown status.
    pub async fn tasks(&self, filter: TaskFilter) -> Result<Vec<TaskInfo>, Error> {
        self.visit(async move |session| {
            let filter = &filter;
            session.ask(Repeat::Harmless, |m| mesh::tasks(m, filter)).await
        })
        .await
    }

    /// Runs `visit` on the client's thread and returns its result. Dropping the returned future
    /// cancels the visit.
    pub(crate) async fn visit<R, V>(&self, visit: V) -> Result<R, Error>
    where
        R: Send + 'static,
        V: AsyncFnOnce(Rc<Session>) -> Result<R, Error> + Send + 'static,
    {
        let (mut answer, answered) = oneshot::channel();
        self.send_in(move |session| async move {
            tokio::select! {
                biased;
                () = answer.closed() => {}
                // An error means that the caller dropped its end after the check above.
                given = visit(session) => { let _ = answer.send(given); }
            }
        })
        .await?;
        answered.await.map_err(|_| Error::Closed)?
    }

    /// Starts `visit` on the client's thread without waiting for it.
    pub(crate) async fn send_in<F>(
        &self,
        visit: impl FnOnce(Rc<Session>) -> F + Send + 'static,
    ) -> Result<(), Error>
    where
        F: Future<Output = ()> + 'static,
    {
        let visit: Visit = Box::new(move |session| Box::pin(visit(session)));
        self.inner.visits.send(visit).await.map_err(|_| Error::Closed)
    }
}

/// The error text for an expired certificate. It is checked before dialling, because the TLS
/// handshake could not say how to join again.
pub(crate) fn expired(credential: &Credential) -> String {
    let who = credential.identity();
    let ended = credential.not_after().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let ended = moment(u64::try_from(ended.as_millis()).unwrap_or(u64::MAX));
    format!(
        "the certificate of {who} ended {ended}: join again with a line from `remit invite --role client --name {} --again`, which an administrator types, or whoever keeps the orchestrator's folder, with `--data DIR`",
        who.name()
    )
}

fn load(folder: &Path) -> Result<Credential, Error> {
    let shown = folder.display();
    match Credential::load(folder) {
        Ok(Some(credential)) if credential.not_after() <= SystemTime::now() => {
            Err(Error::Refused(expired(&credential)))
        }
        Ok(Some(credential)) => Ok(credential),
        Ok(None) => Err(Error::Refused(format!(
            "there is no credential in {shown}: join the mesh with `remit join LINE`"
        ))),
        Err(error) => Err(Error::Refused(format!(
            "the credential in {shown} cannot be read ({error}): join the mesh again with `remit join LINE`"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use remit_authority::Authority;
    use remit_core::Identity;

    use super::*;

    #[tokio::test]
    async fn expired_certificate_is_told_before_anybody_is_dialled() {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::load_or_create(&dir.path().join("authority"), "home").unwrap();
        let ann = Identity::new("home", "default", Role::Client, "ann").unwrap();
        authority.issue(&ann, Duration::ZERO).unwrap().save(dir.path()).unwrap();
        let told = Client::connect("127.0.0.1:1", dir.path()).await.err().unwrap();
        let Error::Refused(why) = told else { panic!("{told}") };
        assert!(why.contains("client/ann ended") && why.contains("--name ann --again"), "{why}");
    }

    #[tokio::test]
    async fn folder_that_cannot_be_written_burns_no_invite() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "in the way").unwrap();
        let secret = [3; 32];
        let line = Invite { address: "127.0.0.1:1".into(), authority_hash: [7; 32], secret };
        let told = Client::join(&line.to_string(), &file.join("in")).await.unwrap_err();
        assert!(told.to_string().contains("was not used"), "{told}");
    }
}
