//! One peer tries to take what everyone else needs, and a neighbour says what it notices.
//!
//! Run it with `cargo run -p remit-tests --bin attacks`. It starts a mesh of its own on loopback, does
//! each attack a bounded number of times, and takes under three minutes.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says clearly enough what it expected")]

use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use remit_client::{Client, GrantSpec, Role, TaskSpec, Value};
use remit_schema::mesh_capnp::{event_sink, mesh, subscription, task};
use remit_tests::figures::resident;
use remit_tests::mesh::{Mesh, now_ms};
use remit_vat::connection::{Connection, within};
use remit_vat::exception::to_failure;
use remit_vat::membership::Member;
use tokio::net::TcpStream;

/// Longer than a neighbour's small task takes on a busy machine, and shorter than an attack lasts.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long a call of the attacker's may take.
const SOON: Duration = Duration::from_secs(60);

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let site = Site::start().await;
        println!("profile: {}", if cfg!(debug_assertions) { "debug" } else { "release" });
        println!(
            "attack | attacker | neighbour's task at rest, then during | orchestrator's memory"
        );
        site.measure("300 silent strangers", strangers(&site)).await;
        site.measure("4,000 verify at once", verify(&site)).await;
        site.measure("1,000 grants in one task", grants(&site)).await;
        site.measure("150 idle tasks of 4 MB", idle(&site)).await;
        site.measure("300 followers that read nothing", followers(&site)).await;
    });
}

/// A mesh with an attacker and a neighbour, who are two clients.
struct Site {
    mesh: Mesh,
    neighbour: Client,
    attacker: PathBuf,
}

/// What an attacker holds on to while its neighbour works, and what it was told.
struct Attack {
    told: String,
    _held: Vec<Box<dyn std::any::Any>>,
}

impl Site {
    async fn start() -> Self {
        let mesh = Mesh::start(1).await;
        let line = mesh.client.invite(Role::Client, "neighbour", Duration::from_secs(60)).await;
        let folder = mesh.dir().join("neighbour");
        Client::join(&line.unwrap(), &folder).await.unwrap();
        let neighbour = Client::connect(mesh.address(), folder).await.unwrap();
        let attacker = mesh.dir().join("client");
        Self { mesh, neighbour, attacker }
    }

    async fn measure(&self, what: &str, attack: impl Future<Output = Attack>) {
        let rest = self.small_task().await;
        let before = resident(self.mesh.orchestrator.id());
        let began = Instant::now();
        let attack = attack.await;
        let took = began.elapsed();
        let during = self.small_task().await;
        let mebibytes = |bytes: u64| bytes >> 20;
        println!(
            "{what} | {} in {:.1} s | {}, {} | {} to {} MiB",
            attack.told,
            took.as_secs_f64(),
            shown(rest),
            shown(during),
            mebibytes(before),
            mebibytes(resident(self.mesh.orchestrator.id())),
        );
    }

    /// How long a small task of the neighbour takes.
    async fn small_task(&self) -> Option<Duration> {
        let began = Instant::now();
        let run = async {
            let spec = TaskSpec::script("small", "export default () => 1");
            self.neighbour.create_task(spec).await.unwrap().result().await
        };
        let done = tokio::time::timeout(PATIENCE, run).await;
        matches!(done, Ok(Ok(Value::Integer(1)))).then(|| began.elapsed())
    }

    /// The attacker's connection without the client library, which is too polite.
    async fn connect(&self) -> (mesh::Client, Connection) {
        let member =
            Member::open(&self.attacker, self.mesh.address(), None, Role::Client).await.unwrap();
        member.connect().await.unwrap()
    }
}

fn shown(time: Option<Duration>) -> String {
    time.map_or("failed".into(), |time| format!("{:.2} s", time.as_secs_f64()))
}

/// What the first of these was refused with, and how many were.
fn told(done: usize, refused: &[String]) -> String {
    let first: String = refused.first().map_or("", String::as_str).chars().take(160).collect();
    format!("{done} done, {} refused: {first}", refused.len())
}

async fn strangers(site: &Site) -> Attack {
    let address = site.mesh.address().to_owned();
    // What is dropped dials again at once.
    let flood = tokio::task::spawn_local(async move {
        let mut held = std::collections::VecDeque::new();
        loop {
            held.extend(TcpStream::connect(&address).await);
            if held.len() > 300 {
                held.pop_front();
            }
        }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    let flood = tokio_util::task::AbortOnDropHandle::new(flood);
    Attack { told: "goes on".into(), _held: vec![Box::new(flood)] }
}

async fn verify(site: &Site) -> Attack {
    let (mesh, connection) = site.connect().await;
    let facets = within(SOON, mesh.facets_request().send()).await.unwrap();
    let keeper = facets.get().unwrap().get_keeper().unwrap();
    let burst: Vec<_> = (0..4_000).map(|_| keeper.verify_request().send().promise).collect();
    let calls = tokio::task::spawn_local(async move {
        let answers = futures::future::join_all(burst).await;
        answers
            .into_iter()
            .filter_map(|answer| answer.err().map(|e| to_failure(&e).message))
            .collect::<Vec<String>>()
    });
    let refused: Vec<String> = calls.await.unwrap();
    Attack { told: told(4_000 - refused.len(), &refused), _held: vec![Box::new(connection)] }
}

async fn grants(site: &Site) -> Attack {
    let mut spec = TaskSpec::script("granted", "export default (remit) => remit.input()");
    for number in 0..1_000 {
        spec = spec.grant(GrantSpec::parse(&format!("probe{number}"), "probe", now_ms()).unwrap());
    }
    let created = site.mesh.client.create_task(spec).await;
    let refused: Vec<String> =
        created.as_ref().err().map(ToString::to_string).into_iter().collect();
    Attack { told: told(usize::from(created.is_ok()), &refused), _held: Vec::new() }
}

async fn idle(site: &Site) -> Attack {
    let mut refused = Vec::new();
    let mut tasks = Vec::new();
    for _ in 0..150 {
        let mut spec = TaskSpec::script("idle", "export default (remit) => remit.input()");
        spec.input = Value::Text("x".repeat(4_000_000));
        match site.mesh.client.create_task(spec).await {
            Ok(task) => tasks.push(task),
            Err(error) => refused.push(error.to_string()),
        }
    }
    let said = told(tasks.len(), &refused);
    for task in tasks {
        // Others need the room.
        let _ended = task.cancel("the attack is over").await;
    }
    Attack { told: said, _held: Vec::new() }
}

/// Takes what it is sent, and never says so.
struct Silent;

impl event_sink::Server for Silent {
    async fn events(
        self: Rc<Self>,
        _: event_sink::EventsParams,
        _: event_sink::EventsResults,
    ) -> Result<(), capnp::Error> {
        std::future::pending().await
    }
}

async fn followers(site: &Site) -> Attack {
    let spec = TaskSpec::script("followed", "export default (remit) => remit.sleep(1e9)");
    let followed = site.mesh.client.create_task(spec).await.unwrap();
    for _ in 0..10 {
        followed.send(Value::Text("x".repeat(3_100_000))).await.unwrap();
    }
    let (mesh, connection) = site.connect().await;
    let mut request = mesh.facets_request().send().pipeline.get_tasks().task_request();
    request.get().set_id(followed.id().to_string());
    let task: task::Client =
        within(SOON, request.send()).await.unwrap().get().unwrap().get_task().unwrap();
    let mut held: Vec<Box<dyn std::any::Any>> = vec![Box::new(connection)];
    let mut refused = Vec::new();
    for _ in 0..300 {
        let mut request = task.events_request();
        request.get().set_sink(capnp_rpc::new_client(Silent));
        match within(SOON, request.send()).await {
            Ok(response) => {
                let lease: subscription::Client =
                    response.get().unwrap().get_subscription().unwrap();
                held.push(Box::new(lease));
            }
            Err(failure) => refused.push(failure.message),
        }
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let done = held.len() - 1;
    Attack { told: told(done, &refused), _held: held }
}
