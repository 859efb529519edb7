//! A ticket is good once.

use super::{Site, kept, over_both_transports};

over_both_transports!(
    ticket_that_was_used_is_refused,
    ticket_that_was_used_is_refused_when_its_connection_is_gone,
);

async fn ticket_that_was_used_is_refused(site: Site) {
    let (introduced, direct) = site.met("one").await;
    assert!(site.dial("one", &introduced.ticket).await.is_none());
    let token = kept(&introduced.object, b"k").await;
    direct.body(&token).await.expect("who came first stays");
}

async fn ticket_that_was_used_is_refused_when_its_connection_is_gone(site: Site) {
    let (introduced, direct) = site.met("one").await;
    direct.connection.abort("the agent node is gone");
    direct.connection.ended().await;
    assert!(site.dial("one", &introduced.ticket).await.is_none());
}
