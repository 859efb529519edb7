//! A disk that fails and is mended: the work during the outage, and the checks after it.

use remit_client::{TaskFilter, TaskHandle, TaskId, TaskSpec, Value};

use crate::looking::look_for;
use crate::mesh::Mesh;

/// A task that no node takes, whose program has `bytes` bytes that compress badly. `number` makes
/// the program unique, since contents that are stored already are not stored again.
pub fn bulky(number: u64, bytes: u64) -> TaskSpec {
    let noise: String =
        (0..bytes).map(|i| char::from(b'a' + ((i * i * 31 + i * number) % 26) as u8)).collect();
    let mut spec = TaskSpec::script(format!("{number}"), format!("export default () => '{noise}'"));
    spec.labels = vec!["nowhere".into()];
    spec
}

/// Polls until the orchestrator accepts work again without a restart. `waiting` had an effect and
/// asked for input: it receives input and has a second effect. All acknowledged tasks must be
/// listed, and the journal must verify.
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
