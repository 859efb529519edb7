//! Attacks: one peer tries to take what everyone else needs, and a neighbour says what it notices.
//!
//! An attack runs on a thread of its own, so that its own work holds up nobody who measures.

pub mod clients;
pub mod nodes;
pub mod scripts;
pub mod site;
pub mod strangers;
pub mod values;

use std::path::PathBuf;
use std::time::Duration;

use futures::future::LocalBoxFuture;
use remit_client::Client;
use remit_core::Role;
use remit_identity::membership::Member;
use remit_schema::mesh_capnp::{mesh, task};
use remit_vat::connection::{Connection, within};
use tokio::sync::oneshot;

/// How long one call of an attacker's may take.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// Where an attack is made, and from what.
#[derive(Clone)]
pub struct Backends {
    /// Where the orchestrator listens.
    pub address: String,
    /// The folder of the mesh, in which hostile nodes keep theirs.
    pub dir: PathBuf,
    /// The folder of the attacker's credential: a client that may do anything.
    pub attacker: PathBuf,
    /// The folder of the neighbour's credential.
    pub neighbour: PathBuf,
}

/// What came of an attack as its maker sees it.
pub struct Told {
    /// In a few words.
    pub text: String,
    /// Whether the mesh did what it must.
    pub as_it_must: bool,
}

/// What an attack is made with.
pub type Attack = fn(Backends, Stage) -> LocalBoxFuture<'static, ()>;

/// An attack with its bounds.
pub struct Row {
    /// What it does.
    pub name: &'static str,
    /// How it went before there were these bounds, in a debug build.
    pub before: &'static str,
    /// The attack.
    pub attack: Attack,
    /// The longest that a small task of the neighbour's may take meanwhile.
    pub slowest: Duration,
    /// MiB by which the orchestrator's memory may grow meanwhile.
    pub grows_mib: u64,
}

/// Where an attack tells how it stands, and learns that it was looked at long enough.
pub struct Stage {
    told: oneshot::Sender<Told>,
    enough: oneshot::Receiver<()>,
}

impl Stage {
    /// The attack stands: what it holds is held until the neighbour has worked beside it.
    pub async fn hold(self, text: impl Into<String>, as_it_must: bool) {
        // An error says that nobody looks any more.
        let _unheard = self.told.send(Told { text: text.into(), as_it_must });
        let _over = self.enough.await;
    }
}

/// All of them in a release build, a quarter in a debug build, in which each takes longer.
#[must_use]
pub const fn scaled(whole: usize) -> usize {
    if cfg!(debug_assertions) { whole / 4 } else { whole }
}

/// The first of these refusals, cut short, and how many there are.
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

    /// A connection without the client library, which is too polite.
    pub(crate) async fn connect(&self) -> (mesh::Client, Connection) {
        let member = Member::open(&self.attacker, &self.address, None, Role::Client).await.unwrap();
        member.connect().await.unwrap()
    }
}

/// A task over a connection without the client library.
pub(crate) async fn task(mesh: &mesh::Client, id: &str) -> task::Client {
    let mut request = mesh.facets_request().send().pipeline.get_tasks().task_request();
    request.get().set_id(id);
    within(SOON, request.send()).await.unwrap().get().unwrap().get_task().unwrap()
}
