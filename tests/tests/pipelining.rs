//! Ten dependent calls take one round trip on each link, not ten.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says clearly enough what it expected")]

use std::time::Duration;

use remit_client::{Event, Fact, TaskHandle};
use remit_tests::following::so_far;
use remit_tests::mesh::{Mesh, Via};

const EACH_WAY: Duration = Duration::from_millis(20);

const PIPELINED: &str = "export default async (remit) => {
    await remit.probe.put('begin');
    let object = remit.probe;
    for (let n = 0; n < 9; n++) object = object.next();
    return await object.put('end');
}";

const AWAITED: &str = "export default async (remit) => {
    await remit.probe.put('begin');
    let object = remit.probe;
    for (let n = 0; n < 9; n++) object = await object.next();
    return await object.put('end');
}";

/// The time from the script's first answer to its result, as the script saw it.
async fn time(task: &TaskHandle) -> Duration {
    task.result().await.unwrap();
    let seen = so_far(task).await;
    let requested = |event: &&Event| matches!(event.fact, Fact::CallRequested(_));
    assert_eq!(seen.iter().filter(requested).count(), 11, "all are journaled");
    let told = seen.iter().find(|event| matches!(event.fact, Fact::CallCompleted { .. }));
    let ended = seen.iter().find(|event| matches!(event.fact, Fact::TaskCompleted(_)));
    let between = ended.unwrap().time_ms - told.unwrap().time_ms;
    // The first answer travelled one way to the script, and its result one way back.
    Duration::from_millis(between) - 2 * EACH_WAY
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_of_ten_takes_one_round_trip_on_each_link() {
    let mesh = Mesh::start_via(1, Via { each_way: EACH_WAY, ..Via::default() }).await;
    let pipelined = time(&mesh.task(PIPELINED, "").await).await;
    let awaited = time(&mesh.task(AWAITED, "").await).await;
    println!("ten dependent calls: {pipelined:?} pipelined, {awaited:?} awaited");
    assert!(pipelined < Duration::from_millis(180), "{pipelined:?}");
    assert!(awaited >= 5 * pipelined, "{awaited:?} is less than five times {pipelined:?}");
}
