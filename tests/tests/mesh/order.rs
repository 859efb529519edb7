//! Calls on one grant begin in the order in which they were made, whether or not each is awaited,
//! whatever each waits for, and whichever way the grant came.

use remit_client::{GrantSpec, TaskSpec};
use remit_tests::following::result;
use remit_tests::mesh::{Mesh, now_ms};
use serde_json::json;

/// Writes and looks sixty times without waiting: each look sees what was written before it, and
/// nothing that was written after.
const RACES: &str = "const race = async (writes, looks, name) => {
    const calls = [];
    for (let n = 0; n < 60; n++) calls.push(writes.append(`${name} ${n}`), looks.lines());
    const seen = (await Promise.all(calls)).filter(Array.isArray);
    return seen.map((lines) => lines.filter((line) => line.startsWith(name)).length);
};
export default async (remit) => {
    const narrow = await remit.probe.attenuate({ methods: ['append', 'lines'] });
    const helper = remit.spawn({ export: 'help', grants: { passed: narrow } });
    const promised = remit.probe.next();
    return {
        itself: await race(remit.probe, remit.probe, 'itself'),
        directly: await race(remit.direct, remit.direct, 'directly'),
        narrowed: await race(narrow, narrow, 'narrowed'),
        object: await race(remit.probe, await remit.probe.next(), 'object'),
        pipelined: await race(promised, promised, 'pipelined'),
        passed: await helper.result(),
    };
};
export const help = (remit) => race(remit.passed, remit.passed, 'passed');";

#[tokio::test(flavor = "multi_thread")]
async fn a_look_sees_what_was_written_before_it_and_nothing_that_was_written_after() {
    let mesh = Mesh::start(1).await;
    let grants = [
        ("probe", "probe"),
        ("direct", "probe?route=direct"),
        ("tasks", "tasks?methods=spawn,result"),
    ];
    let spec = grants.iter().fold(TaskSpec::script("races", RACES), |spec, (name, text)| {
        spec.grant(GrantSpec::parse(name, text, now_ms()).unwrap())
    });
    let told = result(&mesh.client.create_task(spec).await.unwrap()).await;
    let in_order = (1..=60).collect::<Vec<_>>();
    for way in ["itself", "directly", "narrowed", "object", "pipelined", "passed"] {
        assert_eq!(told[way], json!(in_order), "{way}");
    }
}
