//! A task that waits costs its orchestrator next to no memory, however large it is.

use remit_client::{TaskSpec, Value};
use remit_tests::figures::resident;
use remit_tests::looking::look_until;
use remit_tests::mesh::{Mesh, Via};

/// Their programs and inputs are 96 MB.
const TASKS: usize = 24;

const PART: usize = 2 << 20;

/// What the orchestrator may have grown by: the store's cache, and some room.
const GROWN: u64 = 40 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn tasks_that_wait_give_their_programs_and_inputs_back() {
    let mesh = Mesh::start_with(1, Via::default(), "idle_grace_ms = 2000").await;
    let before = resident(mesh.orchestrator.id());
    let script = format!(
        "// {}\nexport default async (remit) => (await remit.inputs()[Symbol.asyncIterator]().next()).value",
        "x".repeat(PART)
    );
    let spec = TaskSpec::script("idle", script.as_str()).input(Value::Text("y".repeat(PART)));
    let creating = (0..TASKS).map(|_| mesh.client.create_task(spec.clone()));
    for task in futures::future::try_join_all(creating).await.unwrap() {
        look_until("the task waits", async || task.info().await.unwrap().status == "waiting").await;
    }
    let grown = || resident(mesh.orchestrator.id()).saturating_sub(before);
    look_until("the memory is given back", async || grown() < GROWN).await;
}
