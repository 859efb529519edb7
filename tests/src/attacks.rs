//! Attacks on a mesh: one peer exhausts a shared resource while a neighbour measures the effect.
//!
//! An attack runs on a thread of its own, so that its own work does not delay the measurements.

pub mod clients;
pub mod nodes;
pub mod scripts;
pub mod site;
pub mod strangers;
pub mod values;

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::future::LocalBoxFuture;
use remit_client::Client;
use remit_core::Role;
use remit_identity::membership::Member;
use remit_schema::mesh_capnp::{mesh, task};
use remit_vat::connection::{Connection, within};
use tokio::sync::oneshot;

/// The longest that one call of an attacker may take.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// The mesh under attack, and the folders that an attack needs.
#[derive(Clone)]
pub struct Backends {
    /// Where the orchestrator listens.
    pub address: String,
    /// The folder of the mesh, in which hostile nodes keep their data.
    pub dir: PathBuf,
    /// The folder of the attacker's credential: a client with every permission.
    pub attacker: PathBuf,
    /// The folder of the neighbour's credential.
    pub neighbour: PathBuf,
}

/// The outcome of an attack, as the attacker reports it.
pub struct Told {
    /// A short description.
    pub text: String,
    /// Whether the mesh responded as it must.
    pub as_it_must: bool,
}

/// The function that makes an attack.
pub type Attack = fn(Backends, Stage) -> LocalBoxFuture<'static, ()>;

/// An attack with its bounds.
pub struct Row {
    /// A short name, by which the program `attacks` selects it.
    pub name: &'static str,
    /// The effect before the bounds existed, measured in a debug build.
    pub before: &'static str,
    /// The attack.
    pub attack: Attack,
    /// The longest that a small task of the neighbour may take during the attack.
    pub slowest: Duration,
    /// MiB by which the orchestrator's memory may grow during the attack.
    pub grows_mib: u64,
}

/// The attacker's connection to the measurement: it reports that the attack is under way, and waits
/// until the measurement ends.
pub struct Stage {
    told: oneshot::Sender<Told>,
    enough: oneshot::Receiver<()>,
}

impl Stage {
    /// Reports that the attack is under way, and holds its resources until the neighbour has
    /// measured.
    pub async fn hold(self, text: impl Into<String>, as_it_must: bool) {
        // An error means that the measurement has ended.
        let _unheard = self.told.send(Told { text: text.into(), as_it_must });
        let _over = self.enough.await;
    }
}

/// The full count in a release build, a quarter of it in a debug build, in which each item takes
/// longer.
#[must_use]
pub const fn scaled(whole: usize) -> usize {
    if cfg!(debug_assertions) { whole / 4 } else { whole }
}

/// The number of requests done and refused, and the first refusal, cut to 140 characters.
pub(crate) fn told(done: usize, refused: &[String]) -> String {
    let first: String = refused.first().map_or("", String::as_str).chars().take(140).collect();
    match refused.len() {
        0 => format!("{done} done"),
        count => format!("{done} done, {count} refused: {first}"),
    }
}

impl Backends {
    pub(crate) async fn client(&self) -> Client {
        Client::connect(&self.address, self.attacker.clone()).await.unwrap()
    }

    pub(crate) async fn connect(&self) -> (mesh::Client, Connection) {
        connect(&self.address, &self.attacker).await
    }
}

/// Connects without the client library, which would back off when it is refused.
pub(crate) async fn connect(address: &str, folder: &Path) -> (mesh::Client, Connection) {
    let member = Member::open(folder, address, None, Role::Client).await.unwrap();
    member.connect().await.unwrap()
}

/// The task `id`, over a connection without the client library.
pub(crate) async fn task(mesh: &mesh::Client, id: &str) -> task::Client {
    let mut request = mesh.facets_request().send().pipeline.get_tasks().task_request();
    request.get().set_id(id);
    within(SOON, request.send()).await.unwrap().get().unwrap().get_task().unwrap()
}
