//! A ticket is good for the one agent node that it was made for.

use remit_core::Role;

use super::{Site, over_both_transports, who};

over_both_transports!(
    ticket_of_another_agent_node_is_refused,
    ticket_that_another_showed_is_used_up,
    ticket_is_refused_to_whoever_is_no_agent_node,
);

async fn ticket_of_another_agent_node_is_refused(site: Site) {
    let (mine, theirs) = (site.expect("one").await, site.expect("two").await);
    assert!(site.dial("one", &theirs.ticket).await.is_none());
    assert!(site.dial("one", &mine.ticket).await.is_some(), "its own is good all the same");
}

async fn ticket_that_another_showed_is_used_up(site: Site) {
    let introduced = site.expect("one").await;
    assert!(site.dial("two", &introduced.ticket).await.is_none());
    // Whoever had it stole it: it is void, and everything goes through the task's owner.
    assert!(site.dial("one", &introduced.ticket).await.is_none());
}

async fn ticket_is_refused_to_whoever_is_no_agent_node(site: Site) {
    for role in [Role::Client, Role::ToolNode, Role::Orchestrator] {
        // Even if the orchestrator itself introduced it.
        let introduced = site.introduce(&who(role, "one"), &[]).await;
        assert!(site.show(&who(role, "one"), &introduced.ticket).await.is_none(), "{role}");
    }
}
