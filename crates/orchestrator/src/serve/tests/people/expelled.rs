//! Who was expelled is gone: from its connections, its certificates and what it held.

use std::sync::Arc;
use std::time::SystemTime;

use remit_core::audit::Decision;
use remit_core::{Code, Facet, Facets, Failure, Role};
use remit_schema::mesh_capnp::mesh;
use remit_schema::tool_node_capnp::tool_node_port;
use remit_vat::connection::{Connection, within};

use super::super::{SOON, create_task, here, register_tools};
use super::invited::{join, wanted};
use super::{admin, client, given, task};
use crate::serve::fakes::{Granted as _, Here, options, who};
use crate::services::membership::{AndItsTasks, Expelled};

/// What is decided about people, in the order in which it is done below.
pub(in super::super) const OF_PEOPLE: [Decision; 6] = [
    Decision::Invited,
    Decision::Joined,
    Decision::Authorized,
    Decision::Invited,
    Decision::Withdrawn,
    Decision::Expelled,
];

async fn expel(here: &Here, by: &str, role: Role, name: &str) -> Result<Expelled, Failure> {
    let (by, identity) = (who(Role::Client, by), who(role, name));
    here.site.expel(&by, &identity, "a lost laptop", AndItsTasks::AreCancelled).await
}

/// What somebody who was refused reads when it calls anything.
async fn told(here: &Here, role: Role, name: &str) -> Failure {
    let (near, far) = tokio::io::duplex(64 << 10);
    let until = SystemTime::now() + SOON;
    assert!(here.listener.serve_peer(far, &who(role, name), until).is_err());
    let (mesh, _held): (mesh::Client, _) = Connection::connect(near, None, options());
    within(SOON, mesh.health_request().send()).await.err().unwrap()
}

#[tokio::test]
async fn expelled_client_is_cut_off_at_once_and_cannot_come_back() {
    here(async |here| {
        let (_me, _held) = admin(&here);
        let (bob, connection) = client(&here, "bob", Facets::MEMBER).await;
        let id = create_task(&bob).await.unwrap();
        let held = task(&bob, &id).await.unwrap();
        let expelled = expel(&here, "me", Role::Client, "bob").await.unwrap();
        assert_eq!(expelled.tasks, 1);
        connection.ended().await;
        assert!(within(SOON, bob.health_request().send()).await.is_err());
        assert!(within(SOON, held.info_request().send()).await.is_err());
        let refused = told(&here, Role::Client, "bob").await;
        assert_eq!(refused.code, Code::Denied, "{refused}");
        assert!(refused.message.contains("was expelled"), "{refused}");
        assert!(here.site.renew(&[], &who(Role::Client, "bob")).is_err());
        let again = expel(&here, "me", Role::Client, "bob").await.unwrap();
        assert_eq!(again, Expelled::default());
    })
    .await;
}

#[tokio::test]
async fn expelled_node_is_cut_off_at_once_and_cannot_come_back() {
    here(async |here| {
        let (_me, _held) = admin(&here);
        let (port, node) = here.connect::<tool_node_port::Client>(Role::ToolNode, "one");
        let _registration = register_tools(&port, &[("fs", "1")]).await.unwrap();
        expel(&here, "me", Role::ToolNode, "one").await.unwrap();
        node.ended().await;
        assert_eq!(told(&here, Role::ToolNode, "one").await.code, Code::Denied);
        assert!(here.site.registry.tools().iter().all(|tool| !tool.available));
    })
    .await;
}

#[tokio::test]
async fn what_an_expelled_client_saved_or_may_restore_is_revoked() {
    here(async |here| {
        let (me, _held) = admin(&here);
        let (bob, _his) = client(&here, "bob", Facets::MEMBER).await;
        let save = async |mesh: &mesh::Client, owner: &str| {
            let task = task(mesh, &create_task(mesh).await.unwrap()).await.unwrap();
            let mut request = task.save_request();
            let mut spec = request.get().init_spec();
            spec.set_label("shared");
            spec.set_owner(who(Role::Client, owner).to_string());
            within(SOON, request.send()).await.unwrap();
        };
        save(&me, "bob").await;
        save(&bob, "me").await;
        save(&me, "me").await;
        let expelled = expel(&here, "me", Role::Client, "bob").await.unwrap();
        assert_eq!(expelled.references, 2);
        let refs = here.site.tasks.refs().unwrap().list("default").await.unwrap();
        let good = refs.iter().filter(|(_, state)| state.check().is_ok()).count();
        assert_eq!((refs.len(), good), (3, 1));
    })
    .await;
}

#[tokio::test]
async fn invite_by_or_for_an_expelled_client_cannot_be_used() {
    here(async |here| {
        let _admin = admin(&here);
        let _mallory = client(&here, "mallory", Facets::ALL).await;
        let by = who(Role::Client, "mallory");
        let friend = wanted(Role::Client, "friend", Facets::MEMBER);
        let line = here.site.invite(&by, friend).await.unwrap();
        assert_eq!(expel(&here, "me", Role::Client, "mallory").await.unwrap().invites, 1);
        assert!(join(&here, &line.parse().unwrap(), Role::Client).await.is_err());
        let more = wanted(Role::Client, "another", Facets::MEMBER);
        assert_eq!(here.site.invite(&by, more).await.unwrap_err().code, Code::Denied);
    })
    .await;
}

#[tokio::test]
async fn member_that_may_do_more_and_the_last_administrator_cannot_be_expelled() {
    here(async |here| {
        let _admin = admin(&here);
        let _clerk = client(&here, "clerk", Facets::of(&[Facet::Members])).await;
        let _node = here.connect::<tool_node_port::Client>(Role::ToolNode, "one");
        for (by, role, name) in [
            ("clerk", Role::Client, "me"),
            ("clerk", Role::ToolNode, "one"),
            ("stranger", Role::Client, "clerk"),
        ] {
            let refused = expel(&here, by, role, name).await.unwrap_err();
            assert_eq!(refused.code, Code::Denied, "{by} {name}: {refused}");
        }
        expel(&here, "me", Role::Client, "clerk").await.unwrap();
        let refused = expel(&here, "me", Role::Client, "me").await.unwrap_err();
        assert!(refused.message.contains("is the last"), "{refused}");
        let me = who(Role::Client, "me");
        let refused = here.site.authorize(&me, &me, Facets::MEMBER.into()).await.unwrap_err();
        assert!(refused.message.contains("is the last"), "{refused}");
    })
    .await;
}

#[tokio::test]
async fn authority_that_is_taken_away_ends_the_connections_that_rest_on_it() {
    here(async |here| {
        let _admin = admin(&here);
        let (you, connection) = client(&here, "you", Facets::ALL).await;
        let (me, identity) = (who(Role::Client, "me"), who(Role::Client, "you"));
        here.site.authorize(&me, &identity, Facets::MEMBER.into()).await.unwrap();
        connection.ended().await;
        assert!(within(SOON, you.audit().read_request().send()).await.is_err());
        let (you, connection) = here.connect::<mesh::Client>(Role::Client, "you");
        assert_eq!(given(&you).await, ["creation", "tasks"]);
        here.site.authorize(&me, &identity, Facets::ALL.into()).await.unwrap();
        assert!(!connection.is_closed(), "more authority ends nothing");
    })
    .await;
}

#[tokio::test]
async fn what_is_done_to_members_is_in_the_audit_and_outlives_a_restart() {
    here(async |here| {
        let _admin = admin(&here);
        let (me, bob) = (who(Role::Client, "me"), who(Role::Client, "bob"));
        let given = wanted(Role::Client, "bob", Facets::MEMBER);
        let line = here.site.invite(&me, given).await.unwrap();
        join(&here, &line.parse().unwrap(), Role::Client).await.unwrap();
        here.site.authorize(&me, &bob, Facets::of(&[Facet::View]).into()).await.unwrap();
        let other = wanted(Role::Client, "other", Facets::MEMBER);
        here.site.invite(&me, other).await.unwrap();
        here.site.withdraw(&me, &who(Role::Client, "other")).await.unwrap();
        expel(&here, "me", Role::Client, "bob").await.unwrap();
        let records = here.site.audit.read("default", 0, 100).unwrap();
        let decisions: Vec<Decision> = records.iter().map(|record| record.decision).collect();
        assert_eq!(decisions, OF_PEOPLE);
        let meta = Arc::clone(&here.site.meta);
        let reopened =
            crate::admission::members::Members::open(meta, Box::new(|| 7)).await.unwrap();
        assert!(reopened.is_expelled(&bob));
        assert_eq!(reopened.get(&bob).unwrap().expelled.unwrap().reason, "a lost laptop");
        assert_eq!(reopened.get(&bob).unwrap().given(), Facets::of(&[Facet::View]).into());
    })
    .await;
}

#[tokio::test]
async fn of_two_administrators_that_expel_each_other_one_stays() {
    here(async |here| {
        let (_me, _held) = admin(&here);
        let (_bob, _bobs) = client(&here, "bob", Facets::ALL).await;
        let (bob, me) = futures::join!(
            expel(&here, "me", Role::Client, "bob"),
            expel(&here, "bob", Role::Client, "me")
        );
        assert!(bob.is_ok() && me.is_err(), "{bob:?} {me:?}");
        assert!(here.site.members.has_administrator("default"));
    })
    .await;
}

#[tokio::test]
async fn authorization_by_a_member_that_is_expelled_meanwhile_is_refused() {
    here(async |here| {
        let (_me, _held) = admin(&here);
        let (_bob, _bobs) = client(&here, "bob", Facets::ALL).await;
        let (_eve, _eves) = client(&here, "eve", Facets::MEMBER).await;
        let eve = who(Role::Client, "eve");
        let bob = who(Role::Client, "bob");
        let (expelled, authorized) = futures::join!(
            expel(&here, "me", Role::Client, "bob"),
            here.site.authorize(&bob, &eve, Facets::ALL.into())
        );
        assert!(expelled.is_ok(), "{expelled:?}");
        assert_eq!(authorized.unwrap_err().code, Code::Denied);
        assert_eq!(here.site.members.granted(&eve), Facets::MEMBER.into());
    })
    .await;
}
