//! A ticket is good for a minute.

use std::time::Duration;

use super::super::desk::settle;
use super::{Site, kept, over_both_transports};
use crate::limits::TICKET_LIFE;

over_both_transports!(ticket_is_refused_after_its_time_and_not_before);

/// Lets a second pass in no time. The orchestrator is heard in it, so that its connection lives.
async fn a_second_passes(site: &Site) {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(1)).await;
    tokio::time::resume();
    assert_eq!(settle(&site.desk, b"nothing").await, "never started");
}

async fn ticket_is_refused_after_its_time_and_not_before(site: Site) {
    let began = tokio::time::Instant::now();
    let (early, late) = (site.expect("early").await, site.expect("late").await);
    while began.elapsed() < TICKET_LIFE - Duration::from_secs(10) {
        a_second_passes(&site).await;
    }
    let direct = site.dial("early", &early.ticket).await.expect("ten seconds are left");
    let asked = tokio::time::Instant::now();
    while asked.elapsed() < Duration::from_secs(11) {
        a_second_passes(&site).await;
    }
    assert!(site.dial("late", &late.ticket).await.is_none());
    let token = kept(&early.object, b"k").await;
    direct.body(&token).await.expect("a path that stands outlives its ticket");
    drop(late.lease);
}
