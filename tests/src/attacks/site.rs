//! The mesh under attack, its neighbour, and the measurements.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use remit_client::{Client, Facets, GrantSpec, Invite, Role, TaskSpec, Value};
use tokio::sync::oneshot;

use super::{Backends, Row, Stage, Told};
use crate::figures::resident;
use crate::mesh::{Mesh, now_ms};

/// How long the neighbour waits for a small task before it counts as failed.
const PATIENCE: Duration = Duration::from_secs(50);

/// The time limit of an attack.
const LONGEST: Duration = Duration::from_secs(60);

/// The number of small tasks that the neighbour runs after the attack is under way.
const RUNS: usize = 3;

/// The interval at which memory is measured.
const LOOK: Duration = Duration::from_millis(50);

/// A mesh with a neighbour, which is a client.
pub struct Site {
    /// The mesh.
    pub mesh: Mesh,
    neighbour: Client,
    folder: PathBuf,
}

/// The measurements of one attack.
pub struct Seen {
    /// The outcome that the attacker reports.
    pub told: Told,
    /// The duration of a small task before the attack.
    pub rest: Duration,
    /// The duration of the slowest small task during the attack.
    pub slowest: Duration,
    /// The number of small tasks during the attack, and of those that failed.
    pub runs: (usize, usize),
    /// Memory of the orchestrator in MiB: before the attack, its peak, and after.
    pub memory: (u64, u64, u64),
    /// The duration of the whole attack.
    pub took: Duration,
}

impl Site {
    /// Starts a mesh of one agent node and one tool node.
    pub async fn start() -> Self {
        let mesh = Mesh::start(1).await;
        let may = Facets::ALL;
        let invite = Invite { may, ..Invite::new(Role::Client, "neighbour") };
        let line = mesh.client.invite_as(&invite).await.unwrap();
        let folder = mesh.dir().join("neighbour");
        Client::join(&line, &folder).await.unwrap();
        let neighbour = Client::connect(mesh.address(), folder.clone()).await.unwrap();
        Self { mesh, neighbour, folder }
    }

    fn backends(&self) -> Backends {
        Backends {
            address: self.mesh.address().to_owned(),
            dir: self.mesh.dir().to_owned(),
            attacker: self.mesh.dir().join("client"),
            neighbour: self.folder.clone(),
        }
    }

    /// The duration of a small task of the neighbour that makes one call, or the reason why it
    /// failed.
    pub async fn small_task(&self) -> Result<Duration, String> {
        let began = Instant::now();
        let run = async {
            let grant = GrantSpec::parse("probe", "probe", now_ms())?;
            let spec = TaskSpec::script("small", "export default (remit) => remit.probe.look()");
            self.neighbour.create_task(spec.grant(grant)).await?.result().await
        };
        match tokio::time::timeout(PATIENCE, run).await {
            Ok(Ok(Value::Integer(1))) => Ok(began.elapsed()),
            Ok(Ok(other)) => Err(format!("it gave {other:?}")),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("nothing within {PATIENCE:?}")),
        }
    }

    fn memory_mib(&self) -> u64 {
        resident(self.mesh.orchestrator.id()) >> 20
    }

    /// Runs an attack while the neighbour runs small tasks.
    pub async fn measure(&self, row: &Row) -> Seen {
        let rest = self.small_task().await.unwrap_or(PATIENCE);
        let before = self.memory_mib();
        let began = Instant::now();
        let (tell, mut told) = oneshot::channel();
        let (enough, wait) = oneshot::channel();
        let ended = spawn(row, self.backends(), Stage { told: tell, enough: wait });
        let mut peak = before;
        let mut watching = tokio::time::interval(LOOK);
        let mut runs: Vec<Result<Duration, String>> = Vec::new();
        let mut stands: Option<(Told, usize)> = None;
        while began.elapsed() < LONGEST {
            let run = self.small_task();
            tokio::pin!(run);
            let run = loop {
                tokio::select! {
                    biased;
                    _ = watching.tick() => peak = peak.max(self.memory_mib()),
                    run = &mut run => break run,
                }
            };
            if let Err(why) = &run {
                println!("  the neighbour failed: {why}");
            }
            runs.push(run);
            match (&stands, told.try_recv()) {
                (Some((_, at)), _) if runs.len() >= at + RUNS => break,
                (None, Ok(told)) => stands = Some((told, runs.len())),
                (None, Err(oneshot::error::TryRecvError::Closed)) => break,
                _ => {}
            }
        }
        drop(enough);
        // The attacker's connections close when its thread ends.
        let _ended = tokio::time::timeout(LONGEST, ended).await;
        let slowest = runs.iter().map(|run| *run.as_ref().unwrap_or(&PATIENCE)).max();
        let failed = runs.iter().filter(|run| run.is_err()).count();
        let none = || Told { text: "it did not come to stand".into(), as_it_must: false };
        let told = stands.map_or_else(none, |(told, _)| told);
        let memory = (before, peak, self.memory_mib());
        let (runs, slowest) = ((runs.len(), failed), slowest.unwrap_or_default());
        Seen { told, rest, slowest, runs, memory, took: began.elapsed() }
    }
}

/// Runs the attack on a thread of its own. The receiver resolves when the thread has ended.
fn spawn(row: &Row, backends: Backends, stage: Stage) -> oneshot::Receiver<()> {
    let (over, ended) = oneshot::channel();
    let attack = row.attack;
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, attack(backends, stage));
        drop(over);
    });
    ended
}

impl Seen {
    /// The bounds of `row` that these measurements exceed.
    pub fn breaks(&self, row: &Row) -> Vec<String> {
        let mut broken = Vec::new();
        if !self.told.as_it_must {
            broken.push("the attack was not met as it must be".to_owned());
        }
        if self.runs.1 > 0 {
            broken.push(format!("{} of the neighbour's {} tasks failed", self.runs.1, self.runs.0));
        }
        if self.slowest > row.slowest {
            broken.push(format!("a small task took more than {:?}", row.slowest));
        }
        let grew = self.memory.1.saturating_sub(self.memory.0);
        if grew > row.grows_mib {
            broken.push(format!("memory grew by {grew} MiB, more than {}", row.grows_mib));
        }
        broken
    }
}
