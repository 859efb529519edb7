//! Who and what is let in: connections, members, invites, tickets of attempts, tools' interfaces.

pub mod invites;
pub mod listener;
pub mod members;
pub mod pins;
pub mod tickets;
