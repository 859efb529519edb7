//! A run with every node a process of its own, each killed once.

use std::time::Duration;

use remit_client::{Event, EventNumber, Events, Followed, Role};
use remit_tests::binary;
use remit_tests::mesh::Mesh;
use remit_tests::process::{Process, kill};

use crate::example::{Example, Place};

/// Runs an example to its end. Its worker is killed after its first operation, the agent node some
/// events later; the tool node is away when the first call comes. None of this may change what the
/// example does.
pub(crate) async fn run(example: &Example, place: &Place) -> Vec<Event> {
    let mut mesh = Mesh::start(1).await;
    let invite = mesh.client.invite(Role::ToolNode, "work", Duration::from_secs(60)).await.unwrap();
    let mut tools = start_tools(&mesh, place, Some(&invite));
    until_there(&mesh, true).await;
    tools.kill();
    until_there(&mesh, false).await;
    let task = mesh.client.create_task(example.spec.clone()).await.unwrap();
    let _tools = start_tools(&mesh, place, None);
    let mut events = task.events(EventNumber(0)).await.unwrap();
    let mut seen = Vec::new();
    for (number, victim) in [(6, 0), (14, 1)] {
        while seen.len() < number && next(&mut events, &mut seen, &example.name).await {}
        match victim {
            0 => mesh.agents[0].children().into_iter().for_each(kill),
            _ => {
                mesh.agents[0].kill();
                mesh.restart_agent(0).await;
            }
        }
    }
    while next(&mut events, &mut seen, &example.name).await {}
    seen
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
    for _ in 0..2_000 {
        let tools = mesh.client.tools().await.unwrap();
        if tools.iter().any(|tool| tool.manifest.tool == "fs" && tool.available == there) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the tool node is not as it should be: there = {there}");
}

/// The next event, if there is one more.
async fn next(events: &mut Events, seen: &mut Vec<Event>, name: &str) -> bool {
    loop {
        let next = tokio::time::timeout(Duration::from_secs(120), events.next()).await;
        let next = next.unwrap_or_else(|_| {
            panic!(
                "{name} waits: if it wants input or decisions, say so in example.rs; last: {:?}",
                seen.last()
            )
        });
        match next {
            Some(Ok(Followed::Event(event))) => {
                seen.push(event);
                return true;
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => panic!("{name}: {error}"),
            None => return false,
        }
    }
}
