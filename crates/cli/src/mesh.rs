//! The mesh that a command speaks to: one elsewhere, the one that runs for this folder, or one that
//! this process starts.

use std::fs::File;
use std::time::{Instant, SystemTime};

use remit_client::{Client, Code, Credential, Error};

use crate::embedded::{Embedded, Parts};
use crate::fault::Fault;
use crate::home::Home;
use crate::limits;
use crate::show::out;
use crate::show::question::quoted;

/// Where to look for a mesh.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The folder of the mesh on this machine.
    pub(crate) home: Home,
    /// The address of a mesh elsewhere, if one was named.
    pub(crate) address: Option<String>,
}

impl Place {
    /// How this program is called to reach the same mesh.
    pub(crate) fn command(&self) -> String {
        let home = match self.home.is_usual() {
            true => String::new(),
            false => format!(" --home {}", quoted(&self.home.dir().to_string_lossy())),
        };
        let mesh = self.address.iter().map(|address| format!(" --mesh {}", quoted(address)));
        format!("remit{home}{}", mesh.collect::<String>())
    }
}

/// A mesh, reached.
pub(crate) struct Mesh {
    /// The connection to it.
    pub(crate) client: Client,
    /// Its processes, if they belong to this one.
    pub(crate) embedded: Option<Embedded>,
}

impl Mesh {
    /// Reaches the mesh of `place`, and starts what `parts` asks for if none runs there.
    pub(crate) async fn reach(place: &Place, parts: Parts) -> Result<Self, Fault> {
        if let Some(address) = &place.address {
            let client = Client::connect(address, place.home.joined(address)).await?;
            return Ok(Self { client, embedded: None });
        }
        place.home.make()?;
        let began = Instant::now();
        loop {
            if let Some(client) = running(&place.home).await? {
                return Ok(Self { client, embedded: None });
            }
            if let Some(claim) = place.home.claim()? {
                return Self::start(&place.home, claim, parts).await;
            }
            // Waiting mends no certificate.
            check_own(&place.home)?;
            if began.elapsed() > limits::READY {
                return Err(Fault::Failed(format!(
                    "another process runs the mesh of {}, and it does not answer: see the logs in \
                     {0}/log, or end that process",
                    place.home.dir().display()
                )));
            }
            tokio::time::sleep(limits::LOOK_AGAIN).await;
        }
    }

    /// Reaches the mesh of `place` if it runs. Starts nothing.
    pub(crate) async fn find(place: &Place) -> Result<Option<Self>, Fault> {
        if place.address.is_some() {
            return Self::reach(place, Parts::Orchestrator).await.map(Some);
        }
        Ok(running(&place.home).await?.map(|client| Self { client, embedded: None }))
    }

    async fn start(home: &Home, claim: File, parts: Parts) -> Result<Self, Fault> {
        let (embedded, client) = Embedded::start(home, claim, parts).await?;
        Ok(Self { client, embedded: Some(embedded) })
    }

    /// Looks after the mesh of `place` for as long as it is polled: starts again what has ended, and
    /// takes the mesh over when the process that ran it has gone.
    pub(crate) async fn tend(&mut self, place: &Place, note: impl Fn(&str)) -> Result<(), Fault> {
        if place.address.is_some() {
            return std::future::pending().await;
        }
        loop {
            tokio::time::sleep(limits::TEND).await;
            match &mut self.embedded {
                Some(embedded) => {
                    for role in embedded.mend(&place.home).await? {
                        note(&format!("the {role} had ended and was started again"));
                    }
                }
                None => {
                    if let Some(claim) = place.home.claim()? {
                        let (embedded, client) =
                            Embedded::start(&place.home, claim, Parts::All).await?;
                        (self.embedded, self.client) = (Some(embedded), client);
                        note("the process that ran the mesh has gone: this one runs it now");
                    }
                }
            }
        }
    }

    /// Does `work` and looks after the mesh meanwhile. A client that `work` holds finds the mesh again
    /// by itself when another process takes it over.
    pub(crate) async fn tending<R>(
        &mut self,
        place: &Place,
        work: impl Future<Output = Result<R, Fault>>,
    ) -> Result<R, Fault> {
        let tend = self.tend(place, |text| out::note(&format!("remit: {text}")));
        tokio::select! {
            biased;
            done = work => done,
            Err(fault) = tend => Err(fault),
        }
    }

    /// Lets go of the mesh; one that belongs to this process ends, its tasks safe on disk.
    pub(crate) async fn leave(self) {
        drop(self.client);
        if let Some(embedded) = self.embedded {
            embedded.stop().await;
        }
    }
}

/// Refuses a credential whose certificate has ended, with what to do.
fn check_own(home: &Home) -> Result<(), Fault> {
    let ended = |credential: &Credential| credential.not_after() <= SystemTime::now();
    match Credential::load(&home.client()) {
        Ok(Some(credential)) if ended(&credential) => Err(Fault::Failed(format!(
            "the certificate of {} ended while the mesh of {} runs: end the process that runs it, and this one makes another",
            credential.identity(),
            home.dir().display()
        ))),
        _ => Ok(()),
    }
}

/// The mesh that runs for this folder, if it answers. Fails if it does and refuses this folder's client.
async fn running(home: &Home) -> Result<Option<Client>, Fault> {
    if !home.is_open() {
        return Ok(None);
    }
    let Some(seen) = home.seen() else { return Ok(None) };
    let knock = async {
        let client = Client::connect(&seen.address, home.client()).await.ok()?;
        match client.health().await {
            Ok(_) => Some(Ok(client)),
            Err(error) => is_refusal(&error).then(|| Err(refused(home, &error))),
        }
    };
    tokio::time::timeout(limits::KNOCK, knock).await.ok().flatten().transpose()
}

/// Whether the mesh answers that its peer is no member of it.
pub(crate) fn is_refusal(error: &Error) -> bool {
    matches!(error, Error::Failed(failure) if failure.code == Code::Denied)
}

/// What the owner of a folder is told whose client the mesh of the folder refuses, with the way back.
pub(crate) fn refused(home: &Home, error: &Error) -> Fault {
    Fault::Failed(format!(
        "the mesh of {0} refuses its own client: {error}. Or, as the owner of the folder, come back as \
         an administrator: end the process that runs the mesh, if one does, remove {1}, and run this \
         again",
        home.dir().display(),
        home.client().display()
    ))
}
