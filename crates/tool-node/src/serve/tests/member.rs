//! A node as a member of a mesh, over mutual TLS.

use std::rc::Rc;
use std::time::Duration;

use remit_authority::Authority;
use remit_core::{Identity, Role, Value};
use remit_identity::membership::Member;
use remit_identity::tls::Acceptor;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::desk::{Desk, call, settle, vat};
use super::lab::Lab;

const LIMIT: Duration = Duration::from_secs(10);

#[test]
fn a_node_that_lost_its_connection_registers_again_and_ends_when_told() {
    vat(async {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::load_or_create(&dir.path().join("ca"), "home").unwrap();
        let issue = |role| {
            let identity = Identity::new("home", "default", role, "one").unwrap();
            authority.issue(&identity, Duration::from_secs(3600)).unwrap()
        };
        issue(Role::ToolNode).save(&dir.path().join("identity")).unwrap();
        let acceptor = Acceptor::new(&issue(Role::Orchestrator), &[Role::ToolNode]).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let accept = || async {
            let accepted = acceptor.accept(listener.accept().await.unwrap().0, LIMIT).await;
            Desk::serve(accepted.unwrap().stream).await
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let (lab, home) = (Rc::<Lab>::default(), dir.path().to_owned());
        let running = tokio::task::spawn_local(async move {
            let member =
                Member::open(&home.join("identity"), &address, None, Role::ToolNode).await.unwrap();
            let node = super::open(&lab, &home.join("ledger")).await;
            crate::run(&member, &node, async { drop(stopped.await) }).await;
        });
        let desk = accept().await;
        assert_eq!(call(&desk.root, "count", Value::Null, b"k").await.unwrap(), Value::Integer(1));
        desk.connection.abort("the orchestrator restarts");
        let desk = accept().await;
        assert_eq!(settle(&desk, b"k").await, "Integer(1)");
        stop.send(()).unwrap();
        running.await.unwrap();
    });
}
