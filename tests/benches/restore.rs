//! The cost of restoring a sturdy reference of 1, 3 and 8 links, and its floor, in one run.
//!
//! Run it with `cargo bench -p remit-tests --bench restore`.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says clearly enough what it expected")]

use std::time::{Duration, Instant};

use remit_client::{Client, GrantSpec, RefSpec, Reference, TaskSpec};
use remit_core::grant::text::parse_caveat;
use remit_core::reference::{Home, HostKey};
use remit_tests::figures::{commit, is_quick, report, shown};
use remit_tests::mesh::{Mesh, now_ms};

/// The number of links that the holder appended.
const LINKS: [usize; 3] = [1, 3, 8];

#[tokio::main(flavor = "multi_thread")]
async fn main() {
    let quick = is_quick();
    let scale = if quick { 50 } else { 1 };
    for links in LINKS {
        verify(links, 5_000 / scale);
    }
    let mesh = Mesh::start(0).await;
    let echo = echo(&mesh.client, 2_000 / scale).await;
    let commit = commit(1_000 / scale).await;
    println!("floor: an echo and a commit                           {}", shown(echo + commit));
    for links in LINKS {
        restore(&mesh.client, links, 500 / scale).await;
    }
}

/// The reference with so many links appended.
fn narrowed(reference: &Reference, links: usize) -> Reference {
    // Each link narrows the one above it; together they allow as much as the last.
    let link = |at: usize| parse_caveat(&format!("calls={}", 1_000 - at), 0).unwrap();
    (0..links).fold(reference.clone(), |above, at| above.attenuate(&[link(at)]).unwrap())
}

/// The check of the chain alone, as the host does it.
fn verify(links: usize, count: usize) {
    let key = HostKey::new([1; 32]);
    let home = Home { mesh: "home".into(), tenant: "default".into(), address: "host:7440".into() };
    let reference = narrowed(&Reference::issue(&key, home, [2; 32]).unwrap(), links);
    let line = reference.to_line();
    let times = (0..count).map(|_| {
        let began = Instant::now();
        let read: Reference = line.parse().unwrap();
        assert_eq!(read.verify(&key).unwrap().len(), links);
        began.elapsed()
    });
    report(&format!("read and verify, {links} links"), times.collect());
}

/// Requests that need no disk.
async fn echo(client: &Client, count: usize) -> Duration {
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let began = Instant::now();
        client.health().await.unwrap();
        times.push(began.elapsed());
    }
    report("a question and its answer, over TLS", times).median
}

/// From a reference to an object that answers: on first use, when the grants are made, and again,
/// as after a reconnect.
async fn restore(client: &Client, links: usize, count: usize) {
    let (mut first, mut again) = (Vec::new(), Vec::new());
    while first.len() < count {
        // A new task for each: a task has a bound on its grants, and each reference takes one grant
        // and one more for each link.
        let grant = GrantSpec::parse("probe", "probe?calls=100000", now_ms()).unwrap();
        let spec = TaskSpec::script("held", "export default () => 1").grant(grant);
        let task = client.create_task(spec).await.unwrap();
        let grant = task.grants().await.unwrap()[0].grant;
        for _ in 0..10 {
            let saved = task.save_grant(grant, RefSpec::new("bench")).await.unwrap();
            let reference = narrowed(&saved, links);
            for times in [&mut first, &mut again] {
                let began = Instant::now();
                client.restore(&reference).await.unwrap().into_object().unwrap();
                times.push(began.elapsed());
            }
            client.revoke_ref(&saved.id().to_string(), "measured").await.unwrap();
        }
    }
    report(&format!("restore, {links} links, the first time"), first);
    report(&format!("restore, {links} links, again"), again);
}
