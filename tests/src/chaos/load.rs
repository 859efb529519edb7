//! The load of a chaos run: tasks that append and count, one after the other in each lane.

use std::time::Duration;

use remit_client::{Client, Code, Error, GrantSpec, TaskHandle, TaskSpec, Value};
use tokio::sync::watch;

use crate::mesh::now_ms;

/// Appends a line at each step, at some steps two at once, and at some through a returned object.
/// It counts at some steps, under a name that tells later whether the call happened. A call of
/// unknown outcome waits for a person.
const SCRIPT: &str = r#"
export default async function (remit, name) {
    const patiently = async (act) => {
        for (;;) {
            try {
                return await act();
            } catch (error) {
                // The tool says that its own file, too, met the end of the disk: it did nothing.
                const full = error.code === "failed" && error.message.includes("File too large");
                if (!full && !["unavailable", "object-lost"].includes(error.code)) throw error;
            }
        }
    };
    for (let step = 0; step < 20; step++) {
        const line = `${name} ${step}`;
        if (step % 4 === 1) {
            const twice = [`${line} left`, `${line} right`];
            await Promise.all(twice.map((line) => patiently(() => remit.probe.append(line))));
        } else if (step % 4 === 3) {
            await patiently(() => remit.probe.next().append(line));
        } else {
            await patiently(() => remit.probe.append(line));
        }
        if (step % 3 === 0) await patiently(() => remit.probe.count(line));
        if (step % 5 === 4) await remit.sleep(30);
    }
}"#;

/// Runs tasks one after the other until `over`. Returns those that were acknowledged.
pub async fn lane(client: Client, number: usize, over: watch::Receiver<bool>) -> Vec<TaskHandle> {
    let mut made = Vec::new();
    let mut tries = 0;
    while !*over.borrow() {
        // A task whose creation was not acknowledged may exist all the same, so each try has a new
        // name.
        tries += 1;
        let name = format!("chaos-{number}-{tries}");
        let task = create(&client, &name).await;
        let Some(task) = task else { continue };
        made.push(task.clone());
        let mut over = over.clone();
        tokio::select! {
            _ended = task.result() => {}
            _over = over.wait_for(|over| *over) => {}
        }
    }
    made
}

async fn create(client: &Client, name: &str) -> Option<TaskHandle> {
    let grant = GrantSpec::parse("probe", "probe", now_ms()).unwrap();
    let spec = TaskSpec::script(name, SCRIPT).input(Value::Text(name.to_owned())).grant(grant);
    match client.create_task(spec).await {
        Ok(task) => Some(task),
        // The orchestrator's disk is full, or it has just restarted and the tool is not registered
        // yet.
        Err(Error::Failed(failure))
            if matches!(failure.code, Code::NotFound | Code::Unavailable) =>
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
            None
        }
        Err(error) => {
            println!("{name} could not be created: {error}");
            tokio::time::sleep(Duration::from_millis(50)).await;
            None
        }
    }
}
