//! Tickets: how the connection of an attempt finds its attempt. Each is good once, for a short
//! while, and only for the node it was given to.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use remit_identity::tls::Hint;
use remit_schema::task_capnp::task_context;
use remit_vat::connection::Connection;
use sha2::{Digest as _, Sha256};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::limits;

/// The tickets that wait to be redeemed.
#[derive(Default)]
pub struct Tickets {
    /// By hash, so that a look-up tells nothing of a ticket by how long it takes.
    waiting: RefCell<HashMap<[u8; 32], Ticket>>,
}

struct Ticket {
    node: String,
    until: Instant,
    bootstrap: task_context::Client,
    connected: oneshot::Sender<Connection>,
}

/// What a ticket is good for.
pub struct Redeemed {
    /// The object to serve over the connection.
    pub bootstrap: task_context::Client,
    /// Who wants to have the connection's handle.
    pub connected: oneshot::Sender<Connection>,
}

impl Tickets {
    /// No tickets.
    pub fn new() -> Rc<Self> {
        Rc::default()
    }

    /// A fresh ticket: good once, for a connection of `node`, which then serves `bootstrap` and
    /// whose handle goes to `connected`.
    pub fn issue(
        &self,
        node: &str,
        bootstrap: task_context::Client,
        connected: oneshot::Sender<Connection>,
    ) -> [u8; 32] {
        let secret: [u8; 32] = rand::random();
        let until = Instant::now() + limits::TICKET_LIFE;
        let ticket = Ticket { node: node.to_owned(), until, bootstrap, connected };
        let mut waiting = self.waiting.borrow_mut();
        let now = Instant::now();
        waiting.retain(|_, ticket| ticket.until > now);
        waiting.insert(Sha256::digest(secret).into(), ticket);
        secret
    }

    /// What a ticket is good for, when `node` presents it. It is used up, whoever presents it.
    pub fn redeem(&self, secret: &[u8], node: &str) -> Option<Redeemed> {
        let hash: [u8; 32] = Sha256::digest(secret).into();
        let ticket = self.waiting.borrow_mut().remove(&hash)?;
        let good = ticket.node == node && ticket.until > Instant::now();
        good.then_some(Redeemed { bootstrap: ticket.bootstrap, connected: ticket.connected })
    }

    /// Whether a peer that shows this in its first message holds one of the tickets.
    pub fn awaits(&self, hint: Hint) -> bool {
        let (waiting, now) = (self.waiting.borrow(), Instant::now());
        waiting
            .iter()
            .any(|(hash, ticket)| ticket.until > now && Hint::of_ticket_hash(hash) == hint)
    }

    /// Takes a ticket back.
    pub fn withdraw(&self, secret: &[u8]) {
        let hash: [u8; 32] = Sha256::digest(secret).into();
        self.waiting.borrow_mut().remove(&hash);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::serve::fakes::context;

    fn issue(tickets: &Tickets) -> [u8; 32] {
        tickets.issue("one", context(), oneshot::channel().0)
    }

    #[tokio::test]
    async fn a_ticket_is_good_once() {
        let tickets = Tickets::new();
        let ticket = issue(&tickets);
        assert!(tickets.redeem(&ticket, "one").is_some());
        assert!(tickets.redeem(&ticket, "one").is_none());
        assert!(tickets.redeem(&[0; 32], "one").is_none());
    }

    #[tokio::test]
    async fn a_ticket_shown_by_another_node_is_void() {
        let tickets = Tickets::new();
        let ticket = issue(&tickets);
        assert!(tickets.redeem(&ticket, "two").is_none());
        assert!(tickets.redeem(&ticket, "one").is_none(), "it may have been stolen");
    }

    #[tokio::test(start_paused = true)]
    async fn a_ticket_expires() {
        let tickets = Tickets::new();
        let (late, kept) = (issue(&tickets), issue(&tickets));
        tokio::time::advance(limits::TICKET_LIFE - Duration::from_millis(1)).await;
        assert!(tickets.redeem(&kept, "one").is_some());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(tickets.redeem(&late, "one").is_none());
    }

    #[tokio::test]
    async fn a_ticket_that_was_taken_back_is_void() {
        let tickets = Tickets::new();
        let ticket = issue(&tickets);
        tickets.withdraw(&ticket);
        assert!(tickets.redeem(&ticket, "one").is_none());
    }
}
