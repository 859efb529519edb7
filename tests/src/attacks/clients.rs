//! Attacks by a client that asks for too much.

use std::any::Any;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use capnp::capability::{Promise, Response};
use capnp::traits::HasTypeId as _;
use futures::FutureExt as _;
use futures::future::{LocalBoxFuture, join_all};
use remit_client::{RefSpec, Role, TaskSpec, Value};
use remit_schema::mesh_capnp::{event_sink, mesh, subscription, task as task_schema};
use remit_schema::object_capnp::value;
use remit_vat::connection::within;
use remit_vat::exception::to_failure;

use super::nodes::{Nothing, serve_tools, talker, tool};
use super::{Backends, SOON, Stage, connect, scaled, task, told};
use crate::mesh::now_ms;

/// A task that waits for input.
const WAITS: &str = "export default (remit) => remit.input()";

/// The size of the input of each idle task, in bytes.
const IDLE_BYTES: usize = 4_000_000;

/// Asks for a check of the whole journal 4,000 times at once.
pub fn verify(backends: Backends, stage: Stage) -> LocalBoxFuture<'static, ()> {
    async move {
        let (mesh, _connection) = backends.connect().await;
        let facets = within(SOON, mesh.facets_request().send()).await.unwrap();
        let admin = facets.get().unwrap().get_admin().unwrap();
        let burst: Vec<_> = (0..4_000).map(|_| admin.verify_request().send().promise).collect();
        let answers = join_all(burst).await;
        let refused: Vec<String> =
            answers.into_iter().filter_map(|a| a.err().map(|e| to_failure(&e).message)).collect();
        let met = refused.len() > 3_000;
        stage.hold(told(4_000 - refused.len(), &refused), met).await;
    }
    .boxed_local()
}

/// Creates a task with 1,000 grants of a tool whose manifest has 900 KB, and ten with 30 each.
pub fn grants(backends: Backends, stage: Stage) -> LocalBoxFuture<'static, ()> {
    async move {
        let client = backends.client().await;
        let wide = tool("wide", "1.0.0", &"x".repeat(900_000));
        let node = serve_tools(&backends, &client, "wide", vec![wide]).await;
        let with = |count: usize| {
            let grants = (0..count).map(|n| {
                remit_client::GrantSpec::parse(&format!("wide{n}"), "wide", now_ms()).unwrap()
            });
            grants.fold(TaskSpec::script("granted", WAITS), TaskSpec::grant)
        };
        let mut refused = Vec::new();
        let mut tasks = Vec::new();
        for count in [1_000, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30] {
            match client.create_task(with(count)).await {
                Ok(task) => tasks.push(task),
                Err(error) => refused.push(error.to_string()),
            }
        }
        let met = refused.len() == 1 && tasks.len() == 10;
        stage.hold(told(tasks.len(), &refused), met).await;
        for task in tasks {
            // The task may still be pending.
            let _ended = task.cancel("the attack is over").await;
        }
        node.leave().await;
    }
    .boxed_local()
}

/// Leaves idle tasks that hold 4 MB each.
pub fn idle(backends: Backends, stage: Stage) -> LocalBoxFuture<'static, ()> {
    async move {
        let client = backends.client().await;
        let count = scaled(150);
        let (mut refused, mut tasks) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let spec = TaskSpec::script("idle", WAITS);
            let input = Value::Text("x".repeat(IDLE_BYTES));
            let spec = TaskSpec { labels: vec!["nowhere".into()], ..spec.input(input) };
            match client.create_task(spec).await {
                Ok(task) => tasks.push(task),
                Err(error) => refused.push(error.to_string()),
            }
        }
        let said = told(tasks.len(), &refused);
        stage.hold(said, refused.is_empty()).await;
    }
    .boxed_local()
}

/// A sink that accepts events and never acknowledges them.
struct Silent;

impl event_sink::Server for Silent {
    async fn events(
        self: Rc<Self>,
        _: event_sink::EventsParams,
        _: event_sink::EventsResults,
    ) -> Result<(), capnp::Error> {
        std::future::pending().await
    }

    async fn output(
        self: Rc<Self>,
        _: event_sink::OutputParams,
        _: event_sink::OutputResults,
    ) -> Result<(), capnp::Error> {
        std::future::pending().await
    }
}

/// Subscribes to a task `times` times over one connection, and acknowledges nothing.
async fn subscribe(task: &task_schema::Client, times: usize) -> (Vec<Box<dyn Any>>, Vec<String>) {
    let (mut held, mut refused): (Vec<Box<dyn Any>>, _) = (Vec::new(), Vec::new());
    for _ in 0..times {
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
    (held, refused)
}

/// Follows a task with 31 MB of inputs 300 times, and acknowledges nothing.
pub fn followers(backends: Backends, stage: Stage) -> LocalBoxFuture<'static, ()> {
    async move {
        let client = backends.client().await;
        let spec = TaskSpec::script("followed", "export default (remit) => remit.sleep(1e9)");
        let followed = client.create_task(spec).await.unwrap();
        for _ in 0..10 {
            followed.send(Value::Text("x".repeat(3_100_000))).await.unwrap();
        }
        let (mesh, _connection) = backends.connect().await;
        let one = task(&mesh, &followed.id().to_string()).await;
        let (held, refused) = subscribe(&one, 300).await;
        stage.hold(told(held.len(), &refused), true).await;
        followed.cancel("the attack is over").await.unwrap();
    }
    .boxed_local()
}

/// Follows a task with much output 200 times, and acknowledges nothing.
pub fn output(backends: Backends, stage: Stage) -> LocalBoxFuture<'static, ()> {
    async move {
        let client = backends.client().await;
        let node = serve_tools(&backends, &client, "talker", vec![talker()]).await;
        let script = "export default (remit) => remit.talker.talk()";
        let grant = remit_client::GrantSpec::parse("talker", "talker", now_ms()).unwrap();
        let loud = client.create_task(TaskSpec::script("loud", script).grant(grant)).await.unwrap();
        let (mesh, _connection) = backends.connect().await;
        let one = task(&mesh, &loud.id().to_string()).await;
        let (held, refused) = subscribe(&one, 200).await;
        stage.hold(told(held.len(), &refused), true).await;
        loud.cancel("the attack is over").await.unwrap();
        node.leave().await;
    }
    .boxed_local()
}

/// Sends arguments that the method does not declare, in calls that never return, over 30
/// connections.
pub fn unknown_data(backends: Backends, stage: Stage) -> LocalBoxFuture<'static, ()> {
    /// The ordinal of `result`, which returns when the task has ended.
    const RESULT: u16 = 4;
    const CONNECTIONS: usize = 30;
    const CALLS: usize = 8;
    async move {
        let client = backends.client().await;
        let spec = TaskSpec::script("endless", "export default (remit) => remit.sleep(1e9)");
        let endless = client.create_task(spec).await.unwrap();
        let bytes = scaled(8 << 20);
        let mut held: Vec<Box<dyn Any>> = Vec::new();
        for _ in 0..CONNECTIONS {
            let (mesh, connection) = backends.connect().await;
            let one = task(&mesh, &endless.id().to_string()).await;
            for _ in 0..CALLS {
                let mut request = one.client.new_call::<value::Owned, value::Owned>(
                    task_schema::Client::TYPE_ID,
                    RESULT,
                    None,
                );
                request.get().set_data(&vec![7; bytes]);
                let sent = request.send();
                let answer: Promise<Response<value::Owned>, capnp::Error> = sent.promise;
                held.push(Box::new(tokio_util::task::AbortOnDropHandle::new(
                    tokio::task::spawn_local(answer.map(drop)),
                )));
                tokio::task::yield_now().await;
            }
            held.push(Box::new(connection));
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let all = (CONNECTIONS * CALLS * bytes) >> 20;
        stage.hold(format!("{all} MiB over {CONNECTIONS} connections"), true).await;
        endless.cancel("the attack is over").await.unwrap();
    }
    .boxed_local()
}

/// Saves one task again and again, which makes a reference each time.
pub fn save(backends: Backends, stage: Stage) -> LocalBoxFuture<'static, ()> {
    async move {
        let client = backends.client().await;
        let saved = client.create_task(TaskSpec::script("saved", WAITS)).await.unwrap();
        let (mut refused, mut done) = (Vec::new(), 0);
        for _ in 0..scaled(4_200) / 50 {
            let burst = (0..50).map(|_| saved.save(RefSpec::new("again")));
            for answer in join_all(burst).await {
                match answer {
                    Ok(_) => done += 1,
                    Err(error) => refused.push(error.to_string()),
                }
            }
        }
        let met = cfg!(debug_assertions) || !refused.is_empty();
        stage.hold(told(done, &refused), met).await;
        saved.cancel("the attack is over").await.unwrap();
    }
    .boxed_local()
}

/// Makes invites until one is refused. Another administrator must still be able to make one.
pub fn invites(backends: Backends, stage: Stage) -> LocalBoxFuture<'static, ()> {
    const MINUTE: Duration = Duration::from_secs(60);
    async move {
        let client = backends.client().await;
        let (mut refused, mut done) = (Vec::new(), 0);
        let names: Vec<String> = (0..1_000).map(|at| format!("guest{at}")).collect();
        for some in names.chunks(100) {
            let burst = some.iter().map(|name| client.invite(Role::Client, name, MINUTE));
            for made in join_all(burst).await {
                match made {
                    Ok(_) => done += 1,
                    Err(error) => refused.push(error.to_string()),
                }
            }
        }
        let neighbour =
            remit_client::Client::connect(&backends.address, backends.neighbour.clone())
                .await
                .unwrap();
        let other = neighbour.invite(Role::Client, "friend", MINUTE).await;
        let met = !refused.is_empty() && other.is_ok();
        stage.hold(told(done, &refused), met).await;
    }
    .boxed_local()
}

/// Lets thousands of tasks wait for a label that no node has, while a node reports a changed load
/// again and again.
pub fn waiting(backends: Backends, stage: Stage) -> LocalBoxFuture<'static, ()> {
    const AT_ONCE: usize = 100;
    async move {
        let client = backends.client().await;
        let (mut refused, mut tasks) = (Vec::new(), Vec::new());
        for _ in 0..scaled(10_000) / AT_ONCE {
            let one = || {
                let spec = TaskSpec::script("waits", WAITS);
                client.create_task(TaskSpec { labels: vec!["nowhere".into()], ..spec })
            };
            for made in join_all((0..AT_ONCE).map(|_| one())).await {
                match made {
                    Ok(task) => tasks.push(task),
                    Err(error) => refused.push(error.to_string()),
                }
            }
        }
        let flips = super::nodes::flip_load(&backends, &client).await;
        stage.hold(format!("{} wait; {flips} reports", tasks.len()), refused.is_empty()).await;
        for some in tasks.chunks(AT_ONCE) {
            join_all(some.iter().map(|task| task.cancel("the attack is over"))).await;
        }
    }
    .boxed_local()
}

/// Sends one object more in a message than the limit allows, and reads why the connection ended.
pub fn aborted(backends: Backends, stage: Stage) -> LocalBoxFuture<'static, ()> {
    async move {
        let why = give_too_many_objects(&backends.address, &backends.attacker).await;
        let most = remit_vat::limits::OBJECTS_PER_MESSAGE;
        let met = why.contains("objects") && why.contains(&most.to_string());
        stage.hold(format!("told: {why}"), met).await;
    }
    .boxed_local()
}

/// Connects with the credential in `folder`, gives one object more than a message may have, and
/// returns why the connection ended.
pub async fn give_too_many_objects(address: &str, folder: &Path) -> String {
    let (mesh, connection) = connect(address, folder).await;
    let most = u32::try_from(remit_vat::limits::OBJECTS_PER_MESSAGE).unwrap();
    let table: Vec<_> = (0..=most).map(|_| Nothing::object()).collect();
    let list = remit_core::Value::List((0..=most).map(remit_core::Value::Object).collect());
    let mut request =
        mesh.client.new_call::<value::Owned, value::Owned>(mesh::Client::TYPE_ID, 0, None);
    remit_vat::wire::value::write(request.get(), &list, &table);
    let answer = request.send().promise;
    let ended = tokio::time::timeout(SOON, connection.ended()).await;
    drop(answer);
    ended.map_or_else(|_| "it did not end".into(), |ended| ended.cause)
}
