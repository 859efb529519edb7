//! Who gets a place, and who gives one up.

use std::time::Duration;

use futures::FutureExt as _;
use tokio::task::LocalSet;

use super::*;
use crate::scheduler::registry::Lease;
use crate::serve::fakes::scripts;

const SCRIPT: (&str, &[String]) = ("script", &[]);

struct Here {
    scheduler: Rc<Scheduler>,
    registry: Rc<Registry>,
    _lease: Lease,
}

/// A placer at work for one node, `one`, of so many places.
fn here(places: u32) -> Here {
    let registry = Registry::new(Box::new(|| 1_000));
    let lease = registry.register_agents("one", scripts(places, &[])).unwrap();
    let scheduler = Scheduler::new(Rc::clone(&registry));
    let running = Rc::clone(&scheduler);
    tokio::task::spawn_local(async move { running.run().await });
    Here { scheduler, registry, _lease: lease }
}

async fn turns() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_free_place_goes_to_the_identity_with_the_fewest() {
    let test = async {
        let Here { scheduler, .. } = &here(4);
        let mut held: Vec<_> = (0..4)
            .map(|_| scheduler.place("greedy", SCRIPT, "", |_| {}).now_or_never().unwrap())
            .collect();
        let mut more: Vec<_> =
            (0..8).map(|_| Box::pin(scheduler.place("greedy", SCRIPT, "", |_| {}))).collect();
        assert!(more.iter_mut().all(|place| place.as_mut().now_or_never().is_none()));
        let mut late = Box::pin(scheduler.place("modest", SCRIPT, "", |_| {}));
        assert!(late.as_mut().now_or_never().is_none());
        held.pop();
        turns().await;
        let modest = late.now_or_never();
        assert!(modest.is_some(), "it came last, and has none");
        assert!(more.iter_mut().all(|place| place.as_mut().now_or_never().is_none()));
        drop(modest);
        turns().await;
        let given = more.iter_mut().filter_map(|place| place.as_mut().now_or_never());
        assert_eq!(given.count(), 1, "then it is the other one's turn");
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn an_identity_with_many_places_gives_one_to_each_that_waits_with_fewer() {
    let test = async {
        let Here { scheduler, .. } = &here(4);
        let held: Vec<_> = (0..4)
            .map(|_| scheduler.place("greedy", SCRIPT, "", |_| {}).now_or_never().unwrap())
            .collect();
        assert!(!scheduler.gives_up("greedy", "one"), "no request waits");
        let mut late = Box::pin(scheduler.place("modest", SCRIPT, "", |_| {}));
        assert!(late.as_mut().now_or_never().is_none());
        tokio::time::timeout(Duration::from_secs(9), scheduler.asked()).await.unwrap();
        assert!(!scheduler.gives_up("modest", "one"));
        assert!(!scheduler.gives_up("greedy", "another node"), "its place would be of no use");
        assert!(scheduler.gives_up("greedy", "one"));
        assert!(!scheduler.gives_up("greedy", "one"), "one for each that waits");
        drop(held);
        turns().await;
        assert!(late.now_or_never().is_some());
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn an_identity_with_as_many_places_keeps_them() {
    let test = async {
        let Here { scheduler, .. } = &here(2);
        let one = scheduler.place("one", SCRIPT, "", |_| {}).now_or_never().unwrap();
        let two = scheduler.place("two", SCRIPT, "", |_| {}).now_or_never().unwrap();
        let mut more = Box::pin(scheduler.place("two", SCRIPT, "", |_| {}));
        assert!(more.as_mut().now_or_never().is_none());
        scheduler.asked().await;
        assert!(!scheduler.gives_up("one", "one") && !scheduler.gives_up("two", "one"));
        drop((one, two));
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn an_unplaceable_request_blocks_only_requests_with_the_same_labels() {
    let test = async {
        let Here { scheduler, registry, .. } = &here(1);
        let labels = ["gpu".to_owned()];
        let mut stuck = Box::pin(scheduler.place("me", ("script", &labels), "", |_| {}));
        assert!(stuck.as_mut().now_or_never().is_none());
        assert!(scheduler.place("me", SCRIPT, "", |_| {}).now_or_never().is_some());
        let _gpu = registry.register_agents("two", scripts(1, &["gpu"])).unwrap();
        turns().await;
        assert_eq!(stuck.now_or_never().unwrap().node, "two");
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn one_that_no_longer_waits_takes_no_place() {
    let test = async {
        let Here { scheduler, .. } = &here(1);
        let held = scheduler.place("me", SCRIPT, "", |_| {}).now_or_never().unwrap();
        let mut gone = Box::pin(scheduler.place("me", SCRIPT, "", |_| {}));
        assert!(gone.as_mut().now_or_never().is_none());
        drop(gone);
        drop(held);
        turns().await;
        assert!(scheduler.waiting.borrow().is_empty());
        assert!(scheduler.place("me", SCRIPT, "", |_| {}).now_or_never().is_some());
    };
    LocalSet::new().run_until(test).await;
}
