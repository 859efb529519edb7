//! A run in which every node is a process of its own and each process is killed once.

use std::collections::VecDeque;
use std::time::Duration;

use remit_client::{
    Approval, Decision, Event, EventNumber, Events, Fact, Followed, GrantSpec, Remember, Role,
    TaskFilter, TaskHandle,
};
use remit_tests::binary;
use remit_tests::following::whole;
use remit_tests::looking::look_until;
use remit_tests::mesh::Mesh;
use remit_tests::process::{Process, kill};

use crate::example::{Answer, Example, Place};

/// Runs an example to its end. Returns the events of its task, and the journals of the task and of
/// the tasks that it spawned.
///
/// The worker is killed after its first operation, then the orchestrator, and the agent node some
/// events later. The tool node is away at the first call. None of this may change what the example
/// does.
pub(crate) async fn run(
    example: &Example,
    place: &Place,
) -> (Vec<Event>, Vec<(String, Vec<Event>)>) {
    let mut mesh = Mesh::start(1).await;
    let invite = mesh.client.invite(Role::ToolNode, "work", Duration::from_secs(60)).await.unwrap();
    let mut tools = start_tools(&mesh, place, Some(&invite));
    until_there(&mesh, true).await;
    tools.kill();
    until_there(&mesh, false).await;
    let task = mesh.client.create_task(example.spec.clone()).await.unwrap();
    let _tools = start_tools(&mesh, place, None);
    let events = task.events(EventNumber(0)).await.unwrap();
    let answers = example.answers.clone().into();
    let mut watched = Watched { task, events, answers, seen: Vec::new(), name: &example.name };
    for (number, victim) in [(6, 0), (10, 1), (14, 2)] {
        while watched.seen.len() < number && watched.next().await {}
        match victim {
            0 => mesh.agents[0].children().into_iter().for_each(kill),
            1 => {
                mesh.orchestrator.kill();
                mesh.restart_orchestrator();
            }
            _ => {
                mesh.agents[0].kill();
                mesh.restart_agent(0).await;
            }
        }
    }
    while watched.next().await {}
    assert!(watched.answers.is_empty(), "{} asks less: {:?}", example.name, watched.answers);
    let family = family(&mesh).await;
    (watched.seen, family)
}

/// The complete journals of all tasks.
async fn family(mesh: &Mesh) -> Vec<(String, Vec<Event>)> {
    let filter = TaskFilter { limit: 1_000, ..TaskFilter::default() };
    let mut family = Vec::new();
    for info in mesh.client.tasks(filter).await.unwrap() {
        family.push((info.name, whole(&mesh.client.task(info.id)).await));
    }
    family
}

fn start_tools(mesh: &Mesh, place: &Place, line: Option<&str>) -> Process {
    let (data, log) = (mesh.dir().join("work"), mesh.dir().join("work.log"));
    let config = place.path().join("remit.tools.toml");
    let mut args = vec!["tool-node", "--data", data.to_str().unwrap()];
    args.extend(["--orchestrator", mesh.address(), "--config", config.to_str().unwrap()]);
    args.extend(line.into_iter().flat_map(|line| ["--join", line]));
    Process::start(&binary::remit(), &args, &log)
}

async fn until_there(mesh: &Mesh, there: bool) {
    look_until(&format!("the tool node is there: {there}"), async || {
        let tools = mesh.client.tools().await.unwrap();
        tools.iter().any(|tool| tool.manifest.tool == "fs" && tool.available == there)
    })
    .await;
}

/// A task with a person who answers its questions.
struct Watched<'a> {
    task: TaskHandle,
    events: Events,
    answers: VecDeque<Answer>,
    seen: Vec<Event>,
    name: &'a str,
}

impl Watched<'_> {
    /// Takes the next event. Returns `false` at the end of the task.
    async fn next(&mut self) -> bool {
        loop {
            let next = tokio::time::timeout(Duration::from_secs(120), self.events.next()).await;
            let next = next.unwrap_or_else(|_| {
                panic!(
                    "{} waits: if it wants input or decisions, say so in example.rs; last: {:?}",
                    self.name,
                    self.seen.last()
                )
            });
            match next {
                Some(Ok(Followed::Event(event))) => {
                    self.answer(&event.fact).await;
                    self.seen.push(event);
                    return true;
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => panic!("{}: {error}", self.name),
                None => return false,
            }
        }
    }

    /// Answers the event if it is a question.
    async fn answer(&mut self, fact: &Fact) {
        let (number, digest) = match fact {
            Fact::ApprovalRequested(asked) => (asked.request.call, asked.request.digest),
            Fact::CapabilityRequested(asked) => (asked.operation, [0; 32]),
            _ => return,
        };
        let answer = self.answers.pop_front();
        let task = &self.task;
        let said = match answer.unwrap_or_else(|| panic!("{} asks: {fact:?}", self.name)) {
            Answer::Approve => task.approve(number, digest).await,
            Answer::Deny => task.deny(number, digest, "no").await,
            Answer::Refuse => task.refuse(number, "no").await,
            Answer::Change(content) => {
                let approval = Approval::Change(Answer::args(content));
                let (reason, remember) = (String::new(), Remember::Nothing);
                let call = number;
                task.decide(Decision { call, digest, approval, reason, remember }).await
            }
            Answer::Give(text) => {
                let spec = GrantSpec::parse("", text, remit_tests::mesh::now_ms()).unwrap();
                task.give(number, spec).await.map(drop)
            }
        };
        said.unwrap_or_else(|error| panic!("{}: {answer:?}: {error}", self.name));
    }
}
