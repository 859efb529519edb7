//! Attacks by ordinary scripts that use many resources.

use futures::FutureExt as _;
use futures::future::{LocalBoxFuture, join_all};
use remit_client::{GrantSpec, TaskFilter, TaskSpec};

use super::nodes::{serve_tools, tool};
use super::{Backends, Stage};
use crate::looking::look_until;
use crate::mesh::now_ms;

/// One script for each place of the agent node.
const SCRIPTS: usize = 64;

/// Calls a disconnected tool in a loop, from as many scripts as there are places.
pub fn dead_tool(backends: Backends, stage: Stage) -> LocalBoxFuture<'static, ()> {
    const RETRIES: &str = "export default async (remit) => {
        for (;;) { try { await remit.dead.look(); } catch {} }
    }";
    async move {
        let client = backends.client().await;
        let node =
            serve_tools(&backends, &client, "dead", vec![tool("dead", "1.0.0", "Dies.")]).await;
        node.leave().await;
        let grant = GrantSpec::parse("dead", "dead", now_ms()).unwrap();
        let spec = || TaskSpec::script("retries", RETRIES).grant(grant.clone());
        let made = join_all((0..SCRIPTS).map(|_| client.create_task(spec()))).await;
        let tasks: Vec<_> = made.into_iter().map(Result::unwrap).collect();
        look_until("most places are taken", async || {
            let filter = TaskFilter { status: "running".into(), ..TaskFilter::default() };
            client.tasks(filter).await.unwrap().len() > SCRIPTS * 3 / 4
        })
        .await;
        stage.hold(format!("{SCRIPTS} scripts on {SCRIPTS} places"), true).await;
        join_all(tasks.iter().map(|task| task.cancel("the attack is over"))).await;
    }
    .boxed_local()
}

/// Makes 20,000 reads at once.
pub fn reads(backends: Backends, stage: Stage) -> LocalBoxFuture<'static, ()> {
    const READS: &str = "export default async (remit) => {
        const all = Array.from({ length: 20000 }, () => remit.probe.look());
        return (await Promise.all(all)).length;
    }";
    async move {
        let client = backends.client().await;
        let grant = GrantSpec::parse("probe", "probe", now_ms()).unwrap();
        let spec = TaskSpec::script("reads", READS).grant(grant);
        let task = client.create_task(spec).await.unwrap();
        look_until("it reads", async || task.info().await.unwrap().calls > 100).await;
        stage.hold("one script, 20,000 reads", true).await;
        // The task may have ended.
        let _ended = task.cancel("the attack is over").await;
    }
    .boxed_local()
}
