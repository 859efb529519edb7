//! The client against a mesh that loses connections: nothing is lost, nothing is done twice.

use remit_core::event::Level;
use remit_core::manifest::{Interface, Method, Param};
use remit_core::{Code, Event, EventNumber, Fact, Failure, Manifest, Outcome, Value};

use super::fake::Fake;
use crate::{Callback, Client, Error, Followed, GrantSpec, OwnObject, TaskSpec};

async fn connected() -> (Client, Fake) {
    let fake = Fake::default();
    let theirs = fake.clone();
    (Client::open(move || theirs).await.unwrap(), fake)
}

fn logged(number: u64) -> Event {
    let fact = Fact::LogEmitted { line: number, level: Level::Info, text: "x".into() };
    Event { number: EventNumber(number), time_ms: number, fact }
}

#[tokio::test]
async fn a_task_is_created_once_though_answers_are_lost() {
    let (client, fake) = connected().await;
    fake.world().losses = [true, true].into();
    client.create_task(TaskSpec::script("x", "")).await.unwrap();
    assert_eq!(fake.world().created.len(), 1);
    assert_eq!(fake.world().dials, 3);
    client.create_task(TaskSpec::script("x", "")).await.unwrap();
    assert_eq!(fake.world().created.len(), 2, "another task has another key");
}

#[tokio::test]
async fn input_is_accepted_once_though_the_answer_is_lost() {
    let (client, fake) = connected().await;
    let task = client.create_task(TaskSpec::script("x", "")).await.unwrap();
    fake.world().losses = [true].into();
    assert_eq!(task.send(Value::Null).await.unwrap().0, 1);
    assert_eq!(task.send(Value::Null).await.unwrap().0, 2);
    assert_eq!(fake.world().inputs.len(), 2);
}

#[tokio::test]
async fn events_are_followed_across_lost_connections_each_once() {
    let (client, fake) = connected().await;
    let task = client.create_task(TaskSpec::script("x", "")).await.unwrap();
    {
        let mut world = fake.world();
        world.events = (1..=20).map(logged).collect();
        let fact = Fact::TaskCompleted(Value::Integer(1));
        world.events.push(Event { number: EventNumber(21), time_ms: 21, fact });
        world.losses = [false, true, true, false, true].into();
    }
    let mut events = task.events(EventNumber(2)).await.unwrap();
    let (mut numbers, mut caught_up) = (Vec::new(), Vec::new());
    while let Some(followed) = events.next().await {
        match followed.unwrap() {
            Followed::Event(event) => numbers.push(event.number.0),
            Followed::CaughtUp(number) => caught_up.push(number.0),
            Followed::Output { .. } | Followed::Disconnected | Followed::Reconnected => {}
        }
    }
    assert_eq!(numbers, (3..=21).collect::<Vec<_>>());
    assert_eq!(caught_up, [21]);
    assert_eq!(fake.world().dials, 4);
}

#[tokio::test]
async fn a_gap_in_the_events_is_an_error_and_not_passed_over() {
    let (client, fake) = connected().await;
    let task = client.create_task(TaskSpec::script("x", "")).await.unwrap();
    fake.world().events = vec![logged(1), logged(3)];
    let mut events = task.events(EventNumber(0)).await.unwrap();
    assert!(matches!(events.next().await, Some(Ok(Followed::Event(_)))));
    assert!(matches!(events.next().await, Some(Err(Error::Failed(_)))));
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn the_result_is_waited_for_across_lost_connections() {
    let (client, fake) = connected().await;
    let task = client.create_task(TaskSpec::script("x", "")).await.unwrap();
    fake.world().losses = [true].into();
    fake.world().outcome = Some(Outcome::value(Value::Integer(7)));
    assert_eq!(task.result().await, Ok(Value::Integer(7)));
    let failure = Failure::new(Code::Failed, "thrown");
    fake.world().outcome = Some(Outcome::Failure(failure.clone()));
    assert_eq!(task.result().await, Err(Error::Failed(failure)));
}

struct Doubler;

impl Callback for Doubler {
    async fn call(&self, _: String, args: Value) -> Result<Value, Failure> {
        match args.field("number") {
            Some(Value::Integer(n)) => Ok(Value::Integer(n * 2)),
            other => Err(Failure::new(Code::InvalidArgument, format!("{other:?}"))),
        }
    }
}

fn doubler() -> OwnObject {
    let number = Param { name: "number".into(), required: true, ..Param::default() };
    let double = Method { name: "double".into(), params: vec![number], ..Method::default() };
    let root = Interface { name: "Doubler".into(), methods: vec![double], ..Interface::default() };
    let manifest = Manifest {
        tool: "doubler".into(),
        root: "Doubler".into(),
        interfaces: vec![root],
        ..Manifest::default()
    };
    OwnObject::new(manifest, Doubler)
}

#[tokio::test]
async fn an_own_object_answers_what_its_manifest_names_and_nothing_else() {
    let (client, fake) = connected().await;
    let task = client.create_task(TaskSpec::script("x", "")).await.unwrap();
    task.grant(GrantSpec::own("doubler", doubler())).await.unwrap();
    let answers = std::mem::take(&mut fake.world().answers);
    assert_eq!(answers[0], Ok(Value::Integer(42)));
    assert!(answers[1].as_ref().unwrap_err().contains("missing"), "{answers:?}");
}

#[tokio::test]
async fn what_must_not_be_repeated_is_not_repeated() {
    let (client, fake) = connected().await;
    let task = client.create_task(TaskSpec::script("x", "")).await.unwrap();
    fake.world().losses = [true].into();
    let spec = GrantSpec::parse("fs", "fs", 0).unwrap();
    assert!(matches!(task.grant(spec).await, Err(Error::Unknown(_))));
}

#[tokio::test]
async fn a_value_with_objects_cannot_be_sent() {
    let (client, _fake) = connected().await;
    let task = client.create_task(TaskSpec::script("x", "")).await.unwrap();
    let object = Value::Object(remit_core::ObjectId::Grant(remit_core::GrantId(1)));
    let Err(Error::Failed(failure)) = task.send(object).await else { panic!("it was sent") };
    assert_eq!(failure.code, Code::InvalidArgument);
}

/// Nothing runs: the test is that this compiles.
#[expect(dead_code, reason = "that it compiles is the test")]
fn futures_are_send(client: &Client, spec: TaskSpec, grant: GrantSpec) {
    fn send<T: Send>(_: T) {}
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Client>();
    shared::<crate::TaskHandle>();
    let task = client.task(remit_core::TaskId::from_bytes([0; 16]));
    send(client.create_task(spec));
    send(client.tasks(crate::TaskFilter::default()));
    send(client.tools());
    send(client.nodes());
    send(client.health());
    send(Client::connect("", std::path::Path::new("")));
    send(task.info());
    send(task.events(EventNumber(0)));
    send(task.send(Value::Null));
    send(task.result());
    send(task.grants());
    send(task.grant(grant));
    send(task.cancel(""));
}
