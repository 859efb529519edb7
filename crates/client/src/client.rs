//! The client: a connection to a mesh that mends itself, behind a face of plain data.

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

/// A client of a mesh. Clones share one connection, which is made again whenever it is lost and
/// ends with the last clone.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    visits: mpsc::Sender<Visit>,
    /// The folder of its credential, if it has one.
    home: Option<PathBuf>,
    /// The thread on which the connection lives. Ends when this is dropped.
    _vat: Vat,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

/// By what a client proves who it is.
#[derive(Clone)]
pub enum Proof {
    /// The credential in this folder, which is kept up to date there.
    Folder(PathBuf),
    /// This one, which is renewed in memory alone.
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
    /// [`Error::Unreachable`] if there is nobody or somebody else; [`Error::Refused`] if there is
    /// no credential that can be read.
    pub async fn connect(address: &str, proof: impl Into<Proof>) -> Result<Self, Error> {
        let (credential, home) = match proof.into() {
            Proof::Credential(credential) => (*credential, None),
            Proof::Folder(folder) => (load(&folder)?, Some(folder)),
        };
        let (address, kept) = (address.to_owned(), home.clone());
        Self::open_at(kept, move || Dialer::new(address, credential, home)).await
    }

    /// Joins a mesh by the line that `remit invite` printed, and keeps the credential in `folder`.
    /// Gives the mesh's address, host:port. The line works once; one for a node, or for a folder
    /// that cannot be written, is refused and stays good.
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
    /// [`Error::Refused`] if the line is no invite, was used before or is too old;
    /// [`Error::Invalid`] if the credential cannot be kept.
    pub async fn join(line: &str, folder: &Path) -> Result<String, Error> {
        let refused = |refused: remit_identity::tls::Refused| Error::Refused(refused.to_string());
        let invite: Invite = line.trim().parse().map_err(refused)?;
        // First, so that the line is not spent for nothing.
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

    /// A client that keeps nothing on disk.
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

    /// The folder of its credential.
    pub(crate) fn home(&self) -> Option<&Path> {
        self.inner.home.as_deref()
    }

    /// Creates a task. It is on disk when this answers, and is created once, however often the
    /// connection is lost meanwhile.
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

    /// The task of this id. Whether there is one shows at its first use.
    pub fn task(&self, id: TaskId) -> TaskHandle {
        TaskHandle::new(self.clone(), id)
    }

    /// Tasks, newest first, a page at a time: [`TaskFilter::after`] the last one of a page begins the
    /// next.
    ///
    /// # Errors
    /// [`Error::Failed`] with `invalid-argument` if the filter names no status.
    pub async fn tasks(&self, filter: TaskFilter) -> Result<Vec<TaskInfo>, Error> {
        self.visit(async move |session| {
            let filter = &filter;
            session.ask(Repeat::Harmless, |m| mesh::tasks(m, filter)).await
        })
        .await
    }

    /// Runs `visit` inside the client's vat and brings out what it gives. Dropping the returned
    /// future ends the visit.
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
                // The caller may have gone meanwhile.
                given = visit(session) => { let _ = answer.send(given); }
            }
        })
        .await?;
        answered.await.map_err(|_| Error::Closed)?
    }

    /// Lets `visit` into the client's vat and leaves it there.
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

/// What a client whose certificate is over is told, before anybody is dialled.
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
