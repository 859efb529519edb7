//! A disk that fails and is mended: what is tried on it meanwhile, and what must be there after it.

use remit_client::{TaskFilter, TaskHandle, TaskId, TaskSpec, Value};

use crate::looking::look_for;
use crate::mesh::Mesh;

/// A task that no node takes, with a program of so many bytes that does not pack well. Another one
/// for each number: what is stored already is not stored again.
pub fn bulky(number: u64, bytes: u64) -> TaskSpec {
    let noise: String =
        (0..bytes).map(|i| char::from(b'a' + ((i * i * 31 + i * number) % 26) as u8)).collect();
    let mut spec = TaskSpec::script(format!("{number}"), format!("export default () => '{noise}'"));
    spec.labels = vec!["nowhere".into()];
    spec
}

/// Looks until the orchestrator goes on by itself: `waiting`, which had an effect and asked for
/// input, gets it and has another; what was acknowledged is there, and nothing is damaged.
pub async fn goes_on(mesh: &Mesh, waiting: &TaskHandle, acknowledged: &[TaskId]) {
    let later = bulky(9_999, 400_000);
    look_for("the orchestrator goes on by itself", async || {
        mesh.client.create_task(later.clone()).await.ok()
    })
    .await;
    look_for("the waiting task takes input", async || {
        waiting.send(Value::Text("here".into())).await.ok()
    })
    .await;
    assert_eq!(waiting.result().await.unwrap(), Value::Text("here".into()));
    assert_eq!(mesh.appended(), ["before", "after"]);
    let filter = TaskFilter { limit: 1_000, ..TaskFilter::default() };
    let listed = mesh.client.tasks(filter).await.unwrap();
    for task in acknowledged {
        assert!(listed.iter().any(|info| info.id == *task), "{task} was acknowledged");
    }
    assert_eq!(mesh.client.verify().await.unwrap().1, Vec::<String>::new());
}
