//! Triggers whose time comes while what they need is not there, or the clock is wrong.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use remit_core::Role;
use remit_journal::meta::Batch;
use remit_schema::tool_node_capnp::tool_node_port;
use remit_schema::trigger_capnp::{trigger, triggers};
use tokio::task::LocalSet;

use super::super::{Here, here, register_tools};
use super::{connected, put, task, tasks};
use crate::limits;
use crate::services::triggers::Triggers;

const MINUTE_MS: u64 = 60_000;

/// What looks for triggers whose time has come, by a clock that a test sets.
struct Looker {
    triggers: Rc<Triggers>,
    now_ms: Rc<Cell<u64>>,
    begun_ms: u64,
}

impl Looker {
    fn new(here: &Here) -> Self {
        let begun_ms = crate::node::now_ms();
        let now_ms = Rc::new(Cell::new(begun_ms));
        let clock = Rc::clone(&now_ms);
        let (meta, tasks) = (Arc::clone(&here.site.meta), Rc::clone(&here.site.tasks));
        let triggers = Triggers::new(
            meta,
            tasks,
            Rc::clone(&here.site.members),
            Box::new(move || clock.get()),
        );
        Self { triggers, now_ms, begun_ms }
    }

    /// Looks, so long after the start; how long after it there is something to look for again.
    async fn at(&self, after_ms: u64) -> u64 {
        self.now_ms.set(self.begun_ms + after_ms);
        let next = self.triggers.set_off_due("default").await.unwrap();
        next.unwrap() - self.begun_ms
    }
}

/// A trigger that creates a task with a grant of this tool, if any is named.
fn every(
    name: &'static str,
    interval_ms: u64,
    tool: &'static str,
) -> impl FnOnce(trigger::Builder<'_>) {
    move |mut trigger| {
        task(&mut trigger, name);
        trigger.reborrow().init_when().set_every(interval_ms);
        if !tool.is_empty() {
            let Ok(trigger::does::Task(Ok(spec))) = trigger.get_does().which() else { panic!() };
            let mut grant = spec.init_grants(1).get(0);
            grant.set_name("it");
            grant.init_tool().set_tool(tool);
        }
    }
}

/// For which time a trigger was last set off, and why it did nothing.
async fn state(triggers: &triggers::Client, name: &str) -> (u64, String) {
    let listed = triggers.list_request().send().promise.await.unwrap();
    let infos = listed.get().unwrap().get_triggers().unwrap();
    let named = |info: &remit_schema::trigger_capnp::trigger_info::Reader<'_>| {
        info.get_trigger().unwrap().get_name().unwrap() == name
    };
    let info = infos.iter().find(named).unwrap();
    (info.get_last_ms(), info.get_failure().unwrap().to_string().unwrap())
}

#[tokio::test]
async fn a_time_waits_for_a_tool_that_comes_later_and_is_then_kept_once() {
    here(async |here| {
        let (triggers, _held) = connected(&here);
        put(&triggers, every("often", MINUTE_MS, "fs")).await.unwrap();
        let looker = Looker::new(&here);
        let next = looker.at(MINUTE_MS + 1).await;
        assert!(next <= MINUTE_MS + 201, "it is tried again soon, not in {next} ms");
        let (last_ms, why) = state(&triggers, "often").await;
        assert_eq!((last_ms, tasks(&here)), (0, 0), "the time is not over");
        assert!(why.contains("waits") && why.contains("`fs`"), "{why}");

        let (port, _node) = here.connect::<tool_node_port::Client>(Role::ToolNode, "one");
        let _registration = register_tools(&port, &[("fs", "1")]).await.unwrap();
        looker.at(next).await;
        assert_eq!(tasks(&here), 1);
        let (last_ms, why) = state(&triggers, "often").await;
        assert!(last_ms > looker.begun_ms && why.is_empty(), "{why}");
        looker.at(next + 1_000).await;
        assert_eq!(tasks(&here), 1);
    })
    .await;
}

#[tokio::test]
async fn a_trigger_that_waits_or_cannot_be_read_holds_no_other_up() {
    here(async |here| {
        let (triggers, _held) = connected(&here);
        put(&triggers, every("a-bad-one", MINUTE_MS, "fs")).await.unwrap();
        put(&triggers, every("c-good-one", MINUTE_MS, "")).await.unwrap();
        let broken = (b"trigger/default/b-broken".to_vec(), Some(b"no trigger".to_vec()));
        here.site.meta.commit(Batch::of(vec![broken])).await.unwrap();
        let looker = Looker::new(&here);
        for round in 1..=3 {
            looker.at(round * MINUTE_MS + 1).await;
            assert_eq!(tasks(&here), usize::try_from(round).unwrap());
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_tried_in_vain_for_an_hour_is_given_up_and_said() {
    here(async |here| {
        let (triggers, _held) = connected(&here);
        let interval_ms = 10 * limits::TRIGGER_PATIENCE_MS;
        put(&triggers, every("rare", interval_ms, "fs")).await.unwrap();
        let looker = Looker::new(&here);
        let mut at = interval_ms;
        let mut tries = 0;
        while at < interval_ms + limits::TRIGGER_PATIENCE_MS {
            let next = looker.at(at).await;
            let most = u64::try_from(limits::TRIGGER_RETRY_MOST.as_millis()).unwrap();
            assert!((at + 1..=at + most).contains(&next), "{at} and then {next}");
            (at, tries) = (next + 5 * MINUTE_MS, tries + 1);
        }
        assert!(tries > 10);
        assert_eq!(state(&triggers, "rare").await.0, 0);
        assert!(looker.at(at).await > at + MINUTE_MS, "it goes on with its next time");
        let (last_ms, why) = state(&triggers, "rare").await;
        assert!(last_ms > 0 && why.starts_with("given up") && why.contains("`fs`"), "{why}");
    })
    .await;
}

#[tokio::test]
async fn a_time_that_may_not_be_late_is_tried_for_ten_seconds() {
    here(async |here| {
        let (triggers, _held) = connected(&here);
        let skips = |mut trigger: trigger::Builder<'_>| {
            trigger.reborrow().init_missed().set_skip(());
            every("punctual", 10 * MINUTE_MS, "fs")(trigger);
        };
        put(&triggers, skips).await.unwrap();
        let looker = Looker::new(&here);
        let mut at = 10 * MINUTE_MS;
        let mut tries = 0;
        while at < 10 * MINUTE_MS + limits::ON_TIME_MS {
            (at, tries) = (looker.at(at).await, tries + 1);
        }
        assert!((5..200).contains(&tries), "{tries} tries");
        at = looker.at(at).await;
        let (last_ms, why) = state(&triggers, "punctual").await;
        assert!(last_ms > 0 && why.contains("not made up for") && why.contains("`fs`"), "{why}");
        assert!(at > 19 * MINUTE_MS, "it waits for its next time");
    })
    .await;
}

thread_local! {
    static WALL_MS: Cell<u64> = Cell::new(crate::node::now_ms());
}

fn wall_ms() -> u64 {
    WALL_MS.get()
}

/// Lets so much time pass, on the wall clock as well.
async fn pass(minutes: u64) {
    WALL_MS.set(WALL_MS.get() + minutes * MINUTE_MS);
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(minutes * 60)).await;
    tokio::time::resume();
}

#[tokio::test]
async fn a_clock_that_jumped_ahead_and_back_silences_no_trigger() {
    let body = async {
        let here = Here::by(wall_ms);
        let (triggers, _held) = connected(&here);
        let begun_ms = wall_ms();
        put(&triggers, every("often", 10 * MINUTE_MS, "")).await.unwrap();
        let look = async || here.site.triggers.set_off_due("default").await.unwrap();
        WALL_MS.set(begun_ms + 60 * MINUTE_MS);
        look().await;
        assert_eq!(tasks(&here), 1);
        WALL_MS.set(begun_ms);
        look().await;
        assert_eq!(tasks(&here), 1, "it was set off for that time already");
        pass(25).await;
        look().await;
        assert_eq!(tasks(&here), 2, "within twice its interval it is set off again");

        // A process that is started now goes by the wall clock alone, which is behind what was kept.
        let (meta, all) = (Arc::clone(&here.site.meta), Rc::clone(&here.site.tasks));
        let fresh = Triggers::new(meta, all, Rc::clone(&here.site.members), Box::new(wall_ms));
        fresh.set_off_due("default").await.unwrap();
        assert_eq!(tasks(&here), 2);
        pass(10).await;
        fresh.set_off_due("default").await.unwrap();
        assert_eq!(tasks(&here), 3);
    };
    LocalSet::new().run_until(body).await;
}
