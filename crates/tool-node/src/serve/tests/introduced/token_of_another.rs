//! A value is for the agent node that was introduced for it, over the connection made for that.

use remit_core::Code;

use super::{Site, kept, over_both_transports};

over_both_transports!(
    token_of_another_agent_node_gives_nothing,
    token_of_another_introduction_of_the_same_agent_node_gives_nothing,
);

async fn token_of_another_agent_node_gives_nothing(site: Site) {
    refused(&site, "one", "two").await;
}

async fn token_of_another_introduction_of_the_same_agent_node_gives_nothing(site: Site) {
    // Another attempt on that node, or another grant: neither is told what the other was given.
    refused(&site, "one", "one").await;
}

async fn refused(site: &Site, mine: &str, theirs: &str) {
    let (_introduced, direct) = site.met(mine).await;
    let (other, path) = site.met(theirs).await;
    let token = kept(&other.object, b"k").await;
    assert_eq!(direct.body(&token).await.unwrap_err().code, Code::NotFound);
    path.body(&token).await.expect("nor was it used up by that");
}
