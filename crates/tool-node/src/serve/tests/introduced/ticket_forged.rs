//! What was never issued is no ticket.

use remit_core::Role;
use remit_identity::ticket;

use super::{Site, over_both_transports, who};

over_both_transports!(
    ticket_that_was_never_issued_is_refused,
    hash_of_a_ticket_is_no_ticket,
    half_a_ticket_is_refused,
);

async fn ticket_that_was_never_issued_is_refused(site: Site) {
    let _expected = site.expect("one").await;
    assert!(site.dial("one", &ticket::fresh()).await.is_none());
    assert!(site.dial("one", &[0; 32]).await.is_none());
}

async fn hash_of_a_ticket_is_no_ticket(site: Site) {
    let introduced = site.expect("one").await;
    assert!(site.dial("one", &ticket::hash(&introduced.ticket)).await.is_none());
}

async fn half_a_ticket_is_refused(site: Site) {
    let introduced = site.expect("one").await;
    let agent = who(Role::AgentNode, "one");
    assert!(site.show(&agent, &introduced.ticket[..31]).await.is_none());
    assert!(site.dial("one", &introduced.ticket).await.is_some(), "it was not used up by that");
}
