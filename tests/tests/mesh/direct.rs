//! Large results go straight from the tool node to the agent node, and nothing else changes.

use remit_client::{Event, Fact, GrantSpec, TaskSpec, Value};
use remit_core::{Code, Outcome};
use remit_tests::fleet::Fleet;
use remit_tests::following::{AT_MOST, result, until};
use remit_tests::mesh::{Mesh, Via, now_ms};
use serde_json::json;

/// Reads large texts until input says that it is enough, and tells how each began.
const READS: &str = "export default async (remit) => {
    const begins = [];
    let enough = false;
    remit.input().then(() => { enough = true; });
    while (!enough) {
        const text = await remit.probe.large(100000);
        begins.push(text.slice(0, 16));
        console.log(text.slice(0, 16));
        await remit.sleep(5);
    }
    return begins;
}";

const fn is_kept(fact: &Fact) -> bool {
    matches!(fact, Fact::ResultOffloaded(_))
}

fn lines(events: &[Event]) -> Vec<String> {
    let line = |event: &Event| match &event.fact {
        Fact::LogEmitted { text, .. } => Some(text.clone()),
        _ => None,
    };
    events.iter().filter_map(line).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_result_goes_straight_to_the_agent() {
    let fleet = Fleet::start(1, 1, "").await;
    let grant = GrantSpec::parse("probe", "probe?route=direct", now_ms()).unwrap();
    let script = READS.replace("100000", "3000000");
    let spec = TaskSpec::script("test", &script).grant(grant);
    let task = fleet.client.create_task(spec).await.unwrap();
    let carried = || fleet.nodes.iter().map(|node| node.link.carried()).sum::<u64>();
    until(&task, is_kept).await;
    let before = carried();
    let more = |events: &[Event]| events.iter().filter(|event| is_kept(&event.fact)).count();
    let seen = std::cell::Cell::new(0);
    let events = until(&task, |fact| {
        seen.set(seen.get() + usize::from(is_kept(fact)));
        seen.get() == 6
    })
    .await;
    assert_eq!(more(&events), 6);
    let bytes = carried() - before;
    assert!(bytes < 3_000_000, "{bytes} bytes went through the owner for 5 results of 3,000,000");
    task.send(Value::Null).await.unwrap();
    let told = result(&task).await;
    let all = until(&task, |fact| matches!(fact, Fact::TaskCompleted(_))).await;
    assert_eq!(told, json!(lines(&all)), "what the script returned is what it saw");
    let introduced = all.iter().find_map(|event| match &event.fact {
        Fact::Introduced(introduced) => Some(introduced.as_ref()),
        _ => None,
    });
    let introduced = introduced.unwrap();
    assert!(introduced.agent.ends_with("/agents-0") && introduced.node.ends_with("/tools-0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_gets_the_same_results_again() {
    let mut mesh = Mesh::start(1).await;
    let task = mesh.task(READS, "?route=direct").await;
    let before = lines(&until(&task, is_kept).await);
    mesh.agents[0].kill();
    mesh.tools.kill();
    mesh.restart_tools().await;
    mesh.restart_agent(0).await;
    let again =
        |fact: &Fact| matches!(fact, Fact::AttemptStarted { attempt, .. } if attempt.0 == 2);
    until(&task, again).await;
    task.send(Value::Null).await.unwrap();
    let told = result(&task).await;
    let told: Vec<String> = serde_json::from_value(told).unwrap();
    let all = lines(&until(&task, |fact| matches!(fact, Fact::TaskCompleted(_))).await);
    assert_eq!(told, all, "every attempt saw the same");
    assert_eq!(told[..before.len()], before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dial_that_fails_leaves_everything_with_the_owner() {
    // Nothing listens there.
    let via = Via { advertise: Some("127.0.0.1:1"), ..Via::default() };
    let mesh = Mesh::start_via(1, via).await;
    let script = "export default async (remit) => {
        const lengths = [];
        for (let n = 0; n < 30; n++) {
            lengths.push((await remit.probe.large(100000)).length);
            await remit.sleep(5);
        }
        return lengths;
    }";
    let task = mesh.task(script, "?route=direct").await;
    assert_eq!(result(&task).await, json!(vec![100_000; 30]));
    let all = until(&task, |fact| matches!(fact, Fact::TaskCompleted(_))).await;
    assert!(all.iter().any(|event| matches!(event.fact, Fact::Introduced(_))), "it was tried");
    assert!(!all.iter().any(|event| is_kept(&event.fact)), "nothing went directly");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_keep_their_order_while_the_path_comes_to_stand() {
    let mesh = Mesh::start(1).await;
    let script = "export default async (remit) => {
        const lengths = [];
        for (let n = 0; n < 40; n++) {
            const [, text] = await Promise.all([remit.probe.append(`a${n}`), remit.probe.grow(70000 + n)]);
            lengths.push(text.length);
            if (n % 5 === 0) await remit.sleep(5);
        }
        return [lengths, await remit.probe.lines()];
    }";
    let task = mesh.task(script, "?route=direct").await;
    let told = result(&task).await;
    let (lengths, lines): (Vec<u64>, Vec<String>) = serde_json::from_value(told).unwrap();
    assert!(lengths.into_iter().eq(70_000..70_040));
    let in_order = (0..40).flat_map(|n| [format!("a{n}"), format!("grew {}", 70_000 + n)]);
    assert!(lines.iter().eq(&in_order.collect::<Vec<_>>()), "{lines:?}");
    let all = until(&task, |fact| matches!(fact, Fact::TaskCompleted(_))).await;
    let kept = all.iter().filter(|event| is_kept(&event.fact)).count();
    assert!(kept > 0, "the path came to stand on the way");
}

#[tokio::test(flavor = "multi_thread")]
async fn budgets_are_exact_on_a_direct_path() {
    let mesh = Mesh::start(1).await;
    let script = "export default async (remit) => {
        await remit.input();
        const calls = [];
        for (let n = 0; n < 15; n++) calls.push(remit.probe.large(100000));
        const ends = await Promise.allSettled(calls);
        return ends.map((end) => end.status === 'fulfilled' ? end.value.length : end.reason.code);
    }";
    // Three results and a bit.
    for (caveat, most) in [("calls=10", 10), ("bytesOut=350000", 3)] {
        let task = mesh.task(script, &format!("?route=direct&{caveat}")).await;
        until(&task, |fact| matches!(fact, Fact::Introduced(_))).await;
        task.send(Value::Null).await.unwrap();
        let ends = result(&task).await;
        let succeeded = ends.as_array().unwrap().iter().filter(|end| **end == json!(100_000));
        assert_eq!(succeeded.count(), most, "{caveat}: {ends}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_grant_has_no_direct_path() {
    let mesh = Mesh::start(1).await;
    let task = mesh.task(READS, "?route=direct").await;
    let events = until(&task, is_kept).await;
    let grant = events.iter().find_map(|event| match &event.fact {
        Fact::GrantAdded(grant) => Some(grant.grant),
        _ => None,
    });
    task.revoke(grant.unwrap(), "test").await.unwrap();
    let failed = tokio::time::timeout(AT_MOST, task.result()).await.unwrap().unwrap_err();
    assert!(failed.to_string().contains("revoked"), "{failed}");
    let all = until(&task, |fact| matches!(fact, Fact::TaskFailed(_))).await;
    let revoked = all.iter().position(|e| matches!(e.fact, Fact::GrantRevoked { .. })).unwrap();
    let after = all[revoked..].iter().filter(|event| is_kept(&event.fact)).count();
    assert_eq!(after, 0, "nothing was kept after the grant was revoked");
    let refused = |event: &Event| match &event.fact {
        Fact::CallDenied(denied) => denied.failure.code == Code::Revoked,
        Fact::CallCompleted { outcome: Outcome::Failure(failure), .. } => {
            failure.code == Code::Revoked
        }
        _ => false,
    };
    assert!(all[revoked..].iter().any(refused));
}
