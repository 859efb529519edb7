//! An agent node shows its ticket to the tool node that it was introduced to, and to nobody else at
//! that address. In memory nobody dials.

use std::time::Duration;

use remit_authority::Authority;
use remit_core::{Identity, Role};
use remit_identity::tls::{Acceptor, Purpose, Refused, dial, dial_introduced};
use tokio::net::TcpListener;

use super::super::desk::vat;
use super::{Door, SOON, Site, Transport, over, who};

/// What a dialler who wants `wanted` makes of whoever listens as `found`.
async fn dialled(
    authority: &Authority,
    wanted: &Identity,
    found: &Authority,
) -> Result<(), Refused> {
    let hour = Duration::from_secs(3_600);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let there = found.issue(&who(Role::ToolNode, "two"), hour).unwrap();
    let acceptor = Acceptor::of_introduced(&there).unwrap();
    let accept = async { acceptor.accept(listener.accept().await.unwrap().0, SOON).await };
    let own = authority.issue(&who(Role::AgentNode, "one"), hour).unwrap();
    let wanted = wanted.to_string();
    let dial = dial_introduced((&address, &wanted), &own, &[7; 32], SOON);
    let (dialled, _) = tokio::join!(dial, accept);
    dialled.map(|_| ())
}

#[test]
fn another_tool_node_at_the_address_is_refused() {
    vat(async {
        let dir = tempfile::tempdir().unwrap();
        let home = Authority::load_or_create(&dir.path().join("ca"), "home").unwrap();
        dialled(&home, &who(Role::ToolNode, "two"), &home).await.expect("it is the right one");
        let Refused(why) = dialled(&home, &who(Role::ToolNode, "one"), &home).await.unwrap_err();
        assert!(why.contains("tool-node/two") && why.contains("tool-node/one"), "{why}");
    });
}

#[test]
fn tool_node_of_another_authority_at_the_address_is_refused() {
    vat(async {
        let dir = tempfile::tempdir().unwrap();
        let home = Authority::load_or_create(&dir.path().join("ca"), "home").unwrap();
        let other = Authority::load_or_create(&dir.path().join("other"), "home").unwrap();
        dialled(&home, &who(Role::ToolNode, "two"), &other).await.unwrap_err();
    });
}

#[test]
fn tool_nodes_port_is_for_nothing_but_introductions() {
    over(Transport::Tls, |site: Site| async move {
        let Door::Tls { address, authority } = &site.door else { panic!("it has a port") };
        let own = authority.issue(&who(Role::AgentNode, "one"), Duration::from_secs(3_600));
        let own = own.unwrap();
        for purpose in [Purpose::Peer, Purpose::Attempt, Purpose::Join] {
            assert!(dial(address, &own, purpose, SOON).await.is_err(), "{purpose:?}");
        }
    });
}
